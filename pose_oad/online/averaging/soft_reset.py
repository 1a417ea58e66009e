"""Every window's end moves the weights back towards the pre-trained ones."""

from __future__ import annotations

from pose_oad.online.averaging.base import LatestWeights, Start, copy_of, move
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Share


class SoftReset(LatestWeights):
    """Predict with the latest weights, which a window's end moves back towards the pre-trained ones.

    Args:
        share: of the way back; 0 leaves them as they are, 1 forgets everything
        start: weights from which the training of each window begins
    """

    def __init__(self, share: Share = 0.1, start: Start = "previous") -> None:
        super().__init__(start)
        self.share = share

    def started(self, student: PoseStudent) -> None:
        """Keep the pre-trained weights."""
        self._pretrained = copy_of(student)

    def window_closed(self, student: PoseStudent) -> None:
        """Move the weights."""
        if self._pretrained is not None:
            move(student, self._pretrained, self.share)
