"""Uncertainty that is read from the peaks of confidence maps: several of one height are doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from callbacks.strategies.base import QueryStrategy, Scorer
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Count


def peak_heights(maps: Tensor, most: int, distance: int) -> Tensor:
    """Return the heights of the highest peaks of each map, highest first, -inf where there are fewer.

    Args:
        maps: shape (frames, joints, rows, columns)
        most: how many
        distance: cells around a peak in which there is none higher; each map has at least one peak, where it is largest
    """
    width = 2 * distance + 1
    around = max_pool2d(maps, (width, 1), 1, (distance, 0))
    around = max_pool2d(around, (1, width), 1, (0, distance))
    heights = maps.masked_fill((maps < around) | (maps <= 0), -torch.inf).flatten(2)
    top = heights.topk(min(most, heights.shape[2])).values
    top[..., 0] = maps.flatten(2).amax(2)
    return top


@dataclass(eq=False, repr=False)
class PeakEntropy(QueryStrategy):
    """Choose the frames whose maps have several peaks of one height: entropy of a softmax over them, all joints' mean.

    Source: multiple peak entropy (MPE), Liu & Ferrari, ICCV 2017; the numbers of VATL4Pose, arXiv 2311.05041.

    Args:
        most: peaks that count in a map
        distance: cells around a peak in which there is no other
    """

    costly = True
    scorer: Scorer = "live"
    most: Count = 5
    distance: Count = 5

    def score(self, view: SelectionView) -> np.ndarray:
        """Return the mean entropy, nats."""
        tops = view.per_frame(lambda look: peak_heights(look.maps[0].float(), self.most, self.distance))
        share = tops.softmax(-1)
        return torch.special.entr(share).sum(-1).mean(1).numpy()


@dataclass(eq=False, repr=False)
class Margin(QueryStrategy):
    """Choose the frames whose highest peaks are least above the second highest, all joints' mean.

    Source: margin sampling, Scheffer et al. 2001, on maps.

    Args:
        distance: cells around a peak in which there is no other
    """

    costly = True
    scorer: Scorer = "live"
    distance: Count = 5

    def score(self, view: SelectionView) -> np.ndarray:
        """Return the negative mean margin, in units of the maps; a map of one peak has that peak's height."""
        tops = view.per_frame(lambda look: peak_heights(look.maps[0].float(), 2, self.distance))
        return -(tops[..., 0] - tops[..., 1].clamp(min=0)).mean(1).numpy()
