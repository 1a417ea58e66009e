"""Online active distillation of human pose estimation: a small student learns at its camera from a large teacher.

A map for the reader, from what a run is to what it leaves behind:

- :mod:`~pose_oad.online`, the main line of a run, and :mod:`~pose_oad.api`, the same from Python. Every other command
  ``python -m pose_oad.<verb>`` is a module with a ``main``, too, and has its file ``conf/<verb>.yaml``.
- :mod:`~pose_oad.preparation` builds what a run is made of; :mod:`~pose_oad.distillation` labels a window and trains
  on it.
- :mod:`~pose_oad.window`: the frames that have just arrived, and who may see what of them.
- :mod:`~pose_oad.students` and :mod:`~pose_oad.teachers`: the networks; :mod:`~pose_oad.skeleton`: their joints;
  :mod:`~pose_oad.maps`: keypoints to what a network predicts, and back; :mod:`~pose_oad.objectives`: the loss.
- :mod:`~pose_oad.metrics`: errors; :mod:`~pose_oad.studies`: many runs; :mod:`~pose_oad.reporting`: what they say.
- :mod:`~pose_oad.predicting` and :mod:`~pose_oad.exporting`: the finished student at work.

Videos and data sets are in the package ``datamodules``, query strategies and what else watches a run in ``callbacks``.
The names below are imported when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_oad.api import Adaptation, adapt
    from pose_oad.errors import UserError
    from pose_oad.predictors import load_predictor
    from pose_oad.skeleton import Skeleton, get_skeleton
    from pose_oad.students import PoseStudent, load_student

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
