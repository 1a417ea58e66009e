"""What has been labelled so far, as a query strategy may look at it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pose_oad.online.stage import Stage

# Labels that are remembered: of a longer stream the latest.
_KEPT = 10_000


class LabelHistory(Stage):
    """Poses of the labels of all earlier windows, the latest 10 000 of them; pictures are the memory's.

    Attributes:
        ids: frame numbers in the stream, int64, shape (labels,)
        poses: the teacher's best person of each, original px, in the student's joint set, shape (labels, joints, 3);
            all zero where it found nobody
    """

    def __init__(self) -> None:
        self.ids = np.empty(0, dtype=np.int64)
        self.poses: Tensor = torch.zeros(0, 0, 3)

    def add(self, ids: np.ndarray, poses: Tensor) -> None:
        """Take the labels of a window in.

        Args:
            ids: frame numbers in the stream, shape (labels,)
            poses: as :attr:`poses`
        """
        self.ids = np.concatenate([self.ids, ids])[-_KEPT:]
        self.poses = (torch.cat([self.poses, poses]) if len(self.poses) else poses)[-_KEPT:]

    def state_dict(self) -> dict[str, Any]:
        """Return what has been labelled."""
        return {"ids": torch.from_numpy(self.ids), "poses": self.poses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.ids, self.poses = state["ids"].numpy(), state["poses"]
        if len(self.ids) != len(self.poses):
            raise ValueError("labels and their frames are not of one number")
