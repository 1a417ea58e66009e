"""The networks that are adapted: a timm backbone, a head, and maps at a quarter of the input's resolution.

- ``config``: :class:`StudentConfig`, the plain values that describe a network and travel in its checkpoints
- ``heads``: what turns backbone features into confidence maps and part affinity fields
- ``keypoints``: :class:`PoseNetwork`, the one way from frames to poses, for exported files too (``exported``)
- ``network``: :class:`PoseStudent` and :func:`build_student`
- ``checkpoint``: :func:`load_student`, the way back from a file
- ``trt_pose``: the same networks in the files of NVIDIA's trt_pose
- ``transfer``: from one joint set to another

Adding a student is adding a file to ``conf/student``: any timm model that works with ``features_only`` will do.
Adding a head is adding a module to ``heads`` and a line to its table.
"""

from pose_oad.students.checkpoint import load_student
from pose_oad.students.config import StudentConfig
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.students.network import PoseStudent, build_student

__all__ = ["PoseNetwork", "PoseStudent", "StudentConfig", "build_student", "load_student"]
