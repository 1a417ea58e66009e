"""Strategies that do not look at the frames: uniform and random sampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from callbacks.strategies.base import QueryStrategy
from pose_oad.online.view import SelectionView


class Uniform(QueryStrategy):
    """Choose frames at a fixed stride through the window, from its first candidate on.

    Source: the paper, arXiv 2309.01612.
    """

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose every (candidates / budget)-th candidate."""
        return view.candidates[np.arange(view.budget) * len(view.candidates) // view.budget]


class Random(QueryStrategy):
    """Choose frames at random, without replacement.

    Source: the paper, arXiv 2309.01612.
    """

    def score(self, view: SelectionView) -> np.ndarray:
        """Return a random number for each frame."""
        return view.rng.random(len(view))


@dataclass(eq=False, repr=False)
class Bins(Random):
    """Choose one frame at random out of each of as many equal runs of the window as may be chosen: stratified.

    With ``bins=true`` every strategy chooses the best of each run by its own score.

    Source: stratified sampling.
    """

    bins: bool = True
