"""How well the student did on the frames chosen last, which their labels say by the next window."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from callbacks.strategies.geometry import similarity
from pose_oad.online.history import LabelHistory
from pose_oad.poses.skeleton import Skeleton


class LastChoice:
    """The frames chosen last.

    Attributes:
        ids: their numbers in the stream, shape (frames,)
        poses: what the student predicted of them, original px, shape (frames, joints, 3)
    """

    def __init__(self) -> None:
        self.ids, self.poses = np.empty(0, dtype=np.int64), torch.zeros(0, 0, 3)

    def similarity(self, history: LabelHistory, skeleton: Skeleton, poses: Tensor | None = None) -> Tensor:
        """Return the similarity (OKS) of poses and labels, shape (frames,); NaN where there is no label, or nobody.

        Args:
            history: the labels
            skeleton: their joint set
            poses: as :attr:`poses`, predicted by somebody else; None: those kept
        """
        row = {number: at for at, number in enumerate(history.ids.tolist())}
        rows = [row.get(number, -1) for number in self.ids.tolist()]
        found = torch.full((len(rows),), torch.nan)
        known = torch.tensor([at >= 0 for at in rows], dtype=torch.bool)
        if known.any():
            wanted = history.poses[[at for at in rows if at >= 0]]
            found[known] = similarity((self.poses if poses is None else poses)[known], wanted, skeleton)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the frames."""
        return {"ids": torch.from_numpy(self.ids), "poses": self.poses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.ids, self.poses = state["ids"].numpy(), state["poses"]
