"""OpenPose's own networks as a teacher, with the weights that their users have.

- :mod:`~pose_oad.teachers.openpose.networks`: the two body networks, COCO-18 and BODY_25
- :mod:`~pose_oad.teachers.openpose.weights`: a network with the weights of a file, whichever format it has
- :mod:`~pose_oad.teachers.openpose.teacher`: frames to labels
"""
