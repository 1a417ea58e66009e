"""Where the student is not what it was, or would not stay what it is: novelty, disagreement, interference."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity

from callbacks.strategies.base import QueryStrategy, Scorer
from callbacks.strategies.gradients import own_peaks
from pose_oad.online.averaging.base import move
from pose_oad.online.stage import beside, frozen_copy
from pose_oad.online.view import Look, SelectionView
from pose_oad.students import PoseStudent
from pose_oad.tracking.schema import Count, Positive


@dataclass(eq=False, repr=False)
class Novelty(QueryStrategy):
    """Choose the frames whose deepest features have turned farthest from those before the stream; costly.

    Source: STFPM, Wang et al., arXiv 2103.04257, with the student as it was for a teacher.
    """

    costly = True
    scorer: Scorer = "live"

    def score(self, view: SelectionView) -> np.ndarray:
        """Return one less the cosine of the features in each cell, all cells' mean."""
        before = self._frozen or view.network

        def turned(look: Look) -> Tensor:
            return 1 - cosine_similarity(look.features[-1], before.backbone(look.images)[-1]).mean((1, 2)).float()

        return view.per_frame(turned).numpy()


@dataclass(eq=False, repr=False)
class Disagreement(QueryStrategy):
    """Choose the frames in which the student and an average of its weights in earlier windows disagree; costly.

    Source: query by committee, Seung et al. 1992, the committee of mean teachers, arXiv 1703.01780.

    Args:
        momentum: share of the average that each window leaves
    """

    costly = True
    scorer: Scorer = "live"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        self._average: PoseStudent | None = None
        self._weights: dict[str, Tensor] | None = None

    def score(self, view: SelectionView) -> np.ndarray:
        """Return the mean distance of the joints, weighed by the larger confidence, px; 0 in the first window."""
        if self._average is None:
            self._average = frozen_copy(view.network).eval()
            if self._weights is not None:
                self._average.load_state_dict(self._weights)
        average = beside(self._average, view.network)
        others = view.predict(average)
        apart = (others[..., :2] - view.predictions[..., :2]).norm(dim=-1)
        move(average, view.network.state_dict(), 1 - self.momentum)
        return (apart * torch.maximum(others[..., 2], view.predictions[..., 2])).mean(1).numpy()

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights."""
        return {"average": self._weights if self._average is None else self._average.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._average, self._weights = None, state_dict["average"]


@dataclass(eq=False, repr=False)
class Mir(QueryStrategy):
    """Choose the frames on which the student would lose most by a step on others of the window; costly.

    Each frame's label is what the student predicts, rendered anew where it is largest; the step is one of plain
    gradient descent on some frames at random.

    Source: maximally interfered retrieval, Aljundi et al., arXiv 1908.04742, as a query.

    Args:
        batch: frames of the step
        learning_rate: of the step
    """

    costly = True
    scorer: Scorer = "live"
    batch: Count = 16
    learning_rate: Positive = 0.01

    def score(self, view: SelectionView) -> np.ndarray:
        """Return by how much the squared error of each frame's maps rises."""
        stepped = copy.deepcopy(view.network).eval().requires_grad_(True)
        rows = view.rng.permutation(view.candidates)[: self.batch]
        with torch.enable_grad():
            maps = stepped(stepped.normalise(view.frames[torch.from_numpy(rows)]))[0]
            loss = (maps - own_peaks(maps.detach(), view.network)).square().mean()
            weights = list(stepped.parameters())
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                if gradient is not None:
                    weight.sub_(gradient, alpha=self.learning_rate)

        def rise(look: Look) -> Tensor:
            wanted = own_peaks(look.maps[0], view.network)
            after, before = (stepped(look.images)[0] - wanted).square(), (look.maps[0] - wanted).square()
            return (after - before).mean((1, 2, 3)).float()

        return view.per_frame(rise).numpy()
