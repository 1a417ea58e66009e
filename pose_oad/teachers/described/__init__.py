"""Pose networks of other people in ONNX files, described in YAML instead of in code.

- ``spec``: what a description may say
- ``network``: a file that has been seen to fit its description
- ``outputs``: the network's numbers as people
- ``teacher``: :class:`DescribedTeacher`, and the part of a frame that the network looks at
"""

from pose_oad.teachers.described.teacher import DescribedTeacher

__all__ = ["DescribedTeacher"]
