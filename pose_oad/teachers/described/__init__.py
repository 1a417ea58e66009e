"""Pose networks of other people in ONNX files, described in YAML instead of in code.

- ``network``: what a description may say, and a file that has been seen to fit it
- ``outputs``: the network's numbers as people
- ``teacher``: :class:`DescribedTeacher`, and the part of a frame that the network looks at
"""

from pose_oad.teachers.described.teacher import DescribedTeacher

__all__ = ["DescribedTeacher"]
