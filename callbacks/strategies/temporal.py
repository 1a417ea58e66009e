"""What moves from frame to frame more than a body does: predictions that are probably wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from callbacks.strategies.base import QueryStrategy, Scorer
from pose_oad.online.view import Look, SelectionView
from pose_oad.tracking.schema import NotNegative, Share


def _to_both_sides(steps: Tensor, view: SelectionView) -> tuple[Tensor, Tensor, Tensor]:
    """Return what lies between each frame and the one before and behind, and how many of the two are in its clip.

    Args:
        steps: what lies between neighbours, shape (frames - 1, ...)
        view: the window
    """
    inside = torch.from_numpy(view.clips[1:] == view.clips[:-1])
    steps = steps * inside.view(-1, *[1] * (steps.ndim - 1))
    nothing, no = torch.zeros_like(steps[:1]), torch.zeros(1, dtype=torch.long)
    neighbours = torch.cat([no, inside.long()]) + torch.cat([inside.long(), no])
    return torch.cat([nothing, steps]), torch.cat([steps, nothing]), neighbours


def _moved(view: SelectionView, threshold: float) -> Tensor:
    """Return how far joints found in both of two neighbouring frames have moved, px, shape (frames - 1, joints)."""
    places, found = view.predictions[..., :2], view.predictions[..., 2] >= threshold
    return (places[1:] - places[:-1]).norm(dim=-1) * (found[1:] & found[:-1])


@dataclass(eq=False, repr=False)
class TemporalChange(QueryStrategy):
    """Choose the frames that differ most from both neighbours: of one clip, the only one at its ends.

    Source: temporal pose continuity (TPC) and heatmap continuity (THC) of VATL4Pose, arXiv 2311.05041.

    Args:
        of: ``poses`` counts the joints that move by more than ``share`` against both neighbours, ``maps`` sums up the
            change of the confidence maps, for which the student looks at every frame once more
        share: of the geometric mean of the frame's width and height, taken from its diagonal as of a square
        threshold: confidence from which a joint is found
    """

    scorer: Scorer = "live"
    of: Literal["poses", "maps"] = "poses"
    share: NotNegative = 0.01
    threshold: Share = 0.1

    @property
    def costly(self) -> bool:  # type: ignore[override]
        """Whether it takes forward passes of its own: maps do."""
        return self.of == "maps"

    def score(self, view: SelectionView) -> np.ndarray:
        """Return the number of joints that jump to and fro, or the change of the maps."""
        if self.of == "maps":
            before, behind, neighbours = _to_both_sides(self._change_of_maps(view), view)
            return ((before + behind) / neighbours.clamp(min=1)).numpy()
        far = _moved(view, self.threshold) > self.share * view.frame_diagonal / 2**0.5
        before, behind, neighbours = _to_both_sides(far.long(), view)
        return ((before + behind == neighbours[:, None]) & (before + behind > 0)).sum(1).numpy()

    def _change_of_maps(self, view: SelectionView) -> Tensor:
        """Return the sum of absolute differences to the frame before, by joint, of all frames but the first."""
        last: list[Tensor] = []

        def change(look: Look) -> Tensor:
            maps = look.maps[0].float()
            before = torch.cat([last.pop() if last else maps[:1], maps[:-1]])
            last.append(maps[-1:])
            return (maps - before).abs().sum((1, 2, 3)) / maps.shape[1]

        return view.per_frame(change)[1:]


@dataclass(eq=False, repr=False)
class Jump(QueryStrategy):
    """Choose the frames in which a joint has jumped farthest since the frame before.

    Source: outlier frames by ``jump`` as DeepLabCut's users know them (Mathis et al. 2018, arXiv 1804.03142).

    Args:
        distance: px of the original frame below which nothing is a jump
        threshold: confidence from which a joint is found
    """

    scorer: Scorer = "live"
    distance: NotNegative = 20.0
    threshold: Share = 0.1

    def score(self, view: SelectionView) -> np.ndarray:
        """Return the farthest jump, px; 0 below ``distance``."""
        jump = _to_both_sides(_moved(view, self.threshold), view)[0]
        farthest = jump.amax(1)
        return farthest.where(farthest > self.distance, 0).numpy()
