"""What a pose is: named joints, where they lie in a picture, and the maps that networks predict them by.

- ``skeleton``, ``joint_names``, ``joint_check``: joint sets, mapped to one another by name
- ``geometry``: how a frame lies in a network's input, and back
- ``maps``: keypoints to confidence maps and part affinity fields, and back
"""
