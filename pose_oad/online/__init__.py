"""The method: what happens to a window of the stream, and to the student between two windows.

- ``window``: the frames that have just arrived, and who may see what of them
- ``label_service``: asks the teacher, counts, times and remembers
- ``distillation``: trains the student on the labelled frames
- ``objectives``: what it is trained towards
- ``breakdown``: errors by subject, action, camera and joint
"""
