"""Online active distillation of human pose estimation: a small student learns at its camera from a large teacher.

A map for the reader, from what a run is to what it leaves behind:

- :mod:`~pose_oad.cli.online`, the main line of a run, and :mod:`~pose_oad.api`, the same from Python. Every other command
  ``python -m pose_oad.<verb>`` is a module with a ``main``, too, and has its file ``conf/<verb>.yaml``.
- :mod:`~pose_oad.cli.assembly` builds what a run is made of; :mod:`~pose_oad.online.distillation` labels a window and trains
  on it.
- :mod:`~pose_oad.online.window`: the frames that have just arrived, and who may see what of them.
- :mod:`~pose_oad.students` and :mod:`~pose_oad.teachers`: the networks; :mod:`~pose_oad.poses.skeleton`: their joints;
  :mod:`~pose_oad.poses.maps`: keypoints to what a network predicts, and back; :mod:`~pose_oad.online.objectives`: the loss.
- :mod:`~pose_oad.metrics`: errors; :mod:`~pose_oad.studies`: many runs; :mod:`~pose_oad.report`: what they say.
- :mod:`~pose_oad.predict` and :mod:`~pose_oad.export`: the finished student at work.

Videos and data sets are in the package ``datamodules``, query strategies and what else watches a run in ``callbacks``.
The names below are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_oad.api import Adaptation, adapt
    from pose_oad.poses.skeleton import Skeleton, get_skeleton
    from pose_oad.predict.networks import load_predictor
    from pose_oad.students import PoseStudent, load_student
    from pose_oad.tracking.errors import UserError

__version__ = "0.1.0"

__all__ = [
    "Adaptation", "PoseStudent", "Skeleton", "UserError", "adapt", "get_skeleton", "load_predictor", "load_student",
]  # fmt: skip

_HOMES = {
    "Adaptation": "api", "adapt": "api", "UserError": "errors", "load_predictor": "predictors", "Skeleton": "skeleton",
    "get_skeleton": "skeleton", "PoseStudent": "students", "load_student": "students",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
