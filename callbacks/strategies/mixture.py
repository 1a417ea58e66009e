"""Several strategies, of which the one that has helped most lately chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from pydantic import Field
from torch import Tensor

from callbacks.strategies.base import QueryStrategy, Scorer
from callbacks.strategies.outcome import LastChoice
from pose_oad.online.record import Choice
from pose_oad.online.view import Situation
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import NotNegative


@dataclass(eq=False, repr=False)
class Mixture(QueryStrategy):
    """Let one strategy choose the frames of each window: a bandit (discounted UCB) over the gain observed.

    The gain of a window's choice is the rise of the student's similarity with the labels (OKS) on the frames chosen,
    from when they were chosen to the next window. Each strategy spaces its frames by its own options.

    Source: active learning by learning, Hsu & Lin, AAAI 2015; discounted UCB, Garivier & Moulines, arXiv 0805.3415.

    Args:
        strategies: which there are, by name, one or more
        explore: how much a strategy that has chosen seldom is preferred, in deviations of the gains
        discount: share of its weight that a gain keeps from window to window
    """

    scorer: Scorer = "live"
    strategies: dict[str, Any] = field(default_factory=dict)
    explore: NotNegative = 0.5
    discount: Annotated[float, Field(gt=0, le=1)] = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check(bool(self.strategies), "strategy.strategies", "{}", "one or more strategies by name")
        for name, strategy in self.strategies.items():
            check(not strategy.sees_truth, f"strategy.strategies.{name}", strategy.name, "one that sees no truth")
        self._gains: list[tuple[str, float]] = []
        self._last, self._chooser = LastChoice(), ""
        self._frames: Tensor = torch.zeros(0)
        self._places: Tensor = torch.zeros(0)  # px of the original frame of the input's (0, 0) and (1, 1), each frame

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the student as it is before the stream, for each."""
        super().on_fit_start(trainer, pl_module)
        for strategy in self.strategies.values():
            strategy.on_fit_start(trainer, pl_module)

    def choose(self, situation: Situation, label_budget: int) -> Choice:
        """Note what the last choice has gained, and let the most promising strategy choose."""
        self._observe(situation)
        window, self._chooser = situation.window, self._promising()
        choice = self.strategies[self._chooser].choose(situation, label_budget)
        rows = torch.from_numpy(choice.positions)
        self._last.ids = window.ids[choice.positions]
        if situation.predictions is not None:
            self._last.poses, self._frames = situation.predictions[rows], window.frames[rows]
            corners = torch.tensor([[0.0, 0, 0], [1, 1, 1]]).expand(len(rows), 2, 3)
            self._places = window.to_frame(corners, choice.positions)
        return choice

    def _observe(self, situation: Situation) -> None:
        if not len(self._last.ids) or not len(self._frames):
            return
        skeleton, (origin, unit) = situation.student.skeleton, self._places[:, :, None].unbind(1)
        now = situation.student.keypoints(self._frames).single * (unit - origin) + origin
        before = self._last.similarity(situation.history, skeleton)
        gain = (self._last.similarity(situation.history, skeleton, now) - before).nanmean()
        if gain.isfinite():
            self._gains.append((self._chooser, float(gain)))

    def _promising(self) -> str:
        """Return the strategy of largest mean gain, and of those that have not chosen yet the first."""
        names, gains = list(self.strategies), np.array([gain for _, gain in self._gains])
        weight = self.discount ** np.arange(len(gains))[::-1]
        chosen = np.array([[name == one for one, _ in self._gains] for name in names]).reshape(len(names), -1) * weight
        times = chosen.sum(1)
        if not times.all():
            return names[int(times.argmin())]
        bonus = self.explore * gains.std() * np.sqrt(np.log(max(times.sum(), 1)) / times)
        return names[int(((chosen * gains).sum(1) / times + bonus).argmax())]

    def state_dict(self) -> dict[str, Any]:
        """Return the gains so far, the last choice, and each strategy's own state."""
        return {
            "gains": list(self._gains), "last": self._last.state_dict(), "chooser": self._chooser,
            "frames": self._frames, "places": self._places,
            "strategies": {name: strategy.state_dict() for name, strategy in self.strategies.items()},
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._gains = [(str(name), float(gain)) for name, gain in state_dict["gains"]]
        self._last.load_state_dict(state_dict["last"])
        self._chooser, self._frames, self._places = (state_dict[name] for name in ("chooser", "frames", "places"))
        for name, strategy in self.strategies.items():
            strategy.load_state_dict(state_dict["strategies"][name])
