"""The newest labelled frames, within limits of number and memory; what the other memories are made of."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pose_oad.online.batch import REPLAYED, LabelledBatch, join
from pose_oad.online.memory.base import Memory, ReplayContext
from pose_oad.online.memory.embedding import of_pose
from pose_oad.tracking.schema import NotNegative, Share

#: Most frames that a memory keeps.
Frames = Annotated[int, Field(ge=1, le=1_000_000)]
#: Most memory that it takes, MiB.
Mib = Annotated[float, Field(ge=1, le=65536)]
_MIB = 2**20


# Types stand here as such, not as text: the arguments of subclasses in other modules are held against them too.
@dataclass(eq=False, repr=False)
class Fifo(Memory):
    """Keep the newest frames and replay each as likely as any other; others keep or replay them differently.

    Frames about which nothing is known are not kept.

    Args:
        frames: so many at most; None: as many as ``mib`` holds
        mib: MiB that they take at most
        empty_share: share of what is kept that may show nobody, in [0, 1]
        balance: 0 replays frames alike; 1 the rarer the more, by how many kept frames show a similar pose
    """

    frames: Frames | None = 250
    mib: Mib = 256.0
    empty_share: Share = 0.1
    balance: NotNegative = 0.0
    kept: LabelledBatch | None = field(default=None, init=False)
    # A number for each kept frame, see mark(), and how many frames there have been so far.
    marks: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64), init=False)
    seen: int = field(default=0, init=False)
    _rareness: np.ndarray = field(default_factory=lambda: np.empty(0), init=False)

    def __len__(self) -> int:
        return 0 if self.kept is None else len(self.kept)

    def add(self, batch: LabelledBatch) -> None:
        """Take the batch in; what is too much goes."""
        batch = batch.take(batch.known.any(1))
        if not len(batch):
            return
        marks = torch.cat([self.marks, self.mark(batch)])
        self.seen += len(batch)
        kept = batch if self.kept is None else join([self.kept, batch])
        rows = self._few_empty(kept)
        if not len(rows):
            return
        limit = max(1, int(self.mib * _MIB * len(kept) // kept.nbytes))
        limit = limit if self.frames is None else min(limit, self.frames)
        if len(rows) > limit:
            rows = rows[self.survivors(marks[rows], limit)]
        self._take_on(kept.take(rows), marks[rows])

    def mark(self, batch: LabelledBatch) -> Tensor:
        """Return a number for each new frame, float64, shape (frames,), that :meth:`survivors` decides by."""
        return torch.zeros(len(batch), dtype=torch.float64)

    def survivors(self, marks: Tensor, limit: int) -> Tensor:
        """Choose which frames stay: the newest.

        Args:
            marks: of the frames, oldest first, shape (frames,)
            limit: how many

        Returns:
            Their rows, ascending.
        """
        return torch.arange(len(marks) - limit, len(marks))

    def weights(self) -> np.ndarray:
        """Return how likely each kept frame is replayed, above 0, shape (frames,); only ratios count."""
        return np.ones(len(self))

    def sample(self, n: int, rng: np.random.Generator, context: ReplayContext) -> LabelledBatch:
        """Draw frames; none twice as long as there are others."""
        return self._rows(self._draw(n, rng))

    def state_dict(self) -> dict[str, Any]:
        """Return the frames and how they stand."""
        return {"kept": self.kept and self.kept.state_dict(), "marks": self.marks, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take frames on."""
        self.marks, self.seen = torch.empty(0, dtype=torch.float64), state["seen"]
        self.kept = None
        if state["kept"]:
            self._take_on(LabelledBatch.from_state(state["kept"]), state["marks"])

    def _take_on(self, kept: LabelledBatch, marks: Tensor) -> None:
        self.kept, self.marks = kept.from_origin(REPLAYED), marks
        self._rareness = _rareness(kept, self.balance)

    def _rows(self, rows: np.ndarray) -> LabelledBatch:
        if self.kept is None:
            raise ValueError("memory: nothing is kept")
        return self.kept.take(torch.from_numpy(rows))

    def _draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        weights = self.weights() * self._rareness
        return rng.choice(len(self), size=n, replace=n > len(self), p=weights / weights.sum())

    def _few_empty(self, batch: LabelledBatch) -> Tensor:
        """Return the rows of a batch without the oldest of more empty frames than may be kept."""
        empty = batch.empty
        people = int((~empty).sum())
        allowed = len(batch) if self.empty_share == 1 else int(people * self.empty_share / (1 - self.empty_share))
        surplus = empty.nonzero()[:, 0][: max(0, len(batch) - people - allowed)]
        left = torch.ones(len(batch), dtype=torch.bool)
        left[surplus] = False
        return left.nonzero()[:, 0]


def _rareness(batch: LabelledBatch, balance: float) -> np.ndarray:
    """Weigh frames by the inverse density of their poses, to the power of a number, shape (frames,)."""
    if not balance or len(batch) < 2:
        return np.ones(len(batch))
    poses = of_pose(batch)
    apart = torch.cdist(poses, poses)
    width = apart[apart > 0].median() / 2 if (apart > 0).any() else 1.0  # of what counts as the same pose
    density = (-(apart / width).square()).exp().mean(1)
    return density.pow(-balance).double().numpy()
