"""A gate: what does worse on labels held back does not serve."""

from __future__ import annotations

import copy

from pose_oad.online.weights.base import Judge, Weights
from pose_oad.students import PoseStudent


class GatedWeights(Weights):
    """Refuse a version whose loss on the labels held back is larger than that of the version before.

    ``training.hold_out`` says how many labels are held back; where there are none yet, every version serves. Training
    goes on from a refused version all the same.

    Args:
        tolerance: share by which the loss may be larger
    """

    def __init__(self, tolerance: float = 0.0) -> None:
        super().__init__()
        self.tolerance = tolerance

    def accepts(self, candidate: PoseStudent, judge: Judge) -> bool:
        """Compare a version with the newest one."""
        before = copy.deepcopy(self.student)
        before.load_state_dict(self.latest())
        new, old = judge(candidate), judge(before)
        return new is None or old is None or new <= old * (1 + self.tolerance)
