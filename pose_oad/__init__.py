"""Online active distillation of human pose estimation: a small student learns at its camera from a large teacher.

A map for the reader, from what a run is to what it leaves behind:

- ``online``: the method: what happens to a window of the stream, and each stage of it
- ``offline``: pre-training on images, fine-tuning on frames chosen from videos
- ``students``, ``teachers``: the networks; ``poses``: joints, and the maps that networks predict them by
- ``metrics``: errors; ``studies``: many runs; ``report``: what they say
- ``predict``, ``export``: the finished student at work
- ``tracking``: what a run leaves, and how it is written
- ``cli``: a module per command, ``pose-oad <verb>``; from Python ``api``: a run, ``inference``: a finished student

Videos and data sets are in the package ``datamodules``, query strategies and what else watches a run in ``callbacks``.
The names below are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_oad.api import Adaptation, adapt
    from pose_oad.inference import Student
    from pose_oad.poses.skeleton import Skeleton, get_skeleton
    from pose_oad.predict.networks import load_predictor
    from pose_oad.predict.result import Poses
    from pose_oad.students import PoseStudent, load_student
    from pose_oad.tracking.errors import UserError

__version__ = "0.1.0"

__all__ = [
    "Adaptation", "PoseStudent", "Poses", "Skeleton", "Student", "UserError", "adapt", "get_skeleton", "load_predictor",
    "load_student",
]  # fmt: skip

_HOMES = {
    "Adaptation": "api", "adapt": "api", "Student": "inference", "Poses": "predict.result",
    "UserError": "tracking.errors", "load_predictor": "predict.networks", "Skeleton": "poses.skeleton",
    "get_skeleton": "poses.skeleton", "PoseStudent": "students", "load_student": "students",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
