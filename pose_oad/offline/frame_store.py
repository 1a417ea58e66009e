"""A set of frames with what is to be learnt or measured in them, in memory or, where it is large, in a file."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler

from pose_oad.offline.shuffling import EpochShuffle
from pose_oad.online.batch import LabelledBatch, join, nothing_labelled
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import check


class FrameSet(Dataset[LabelledBatch]):
    """A collected set; it is read by whole batches, as ``frame_set[[3, 0, 7]]``.

    Args:
        content: every frame of it

    Attributes:
        content: every frame of it
    """

    def __init__(self, content: LabelledBatch) -> None:
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, rows: list[int]) -> LabelledBatch:
        return self.content.take(torch.as_tensor(rows))

    def loader(
        self, batch_size: int, shuffle_seed: int | None = None, drop_last: bool = False
    ) -> DataLoader[LabelledBatch]:
        """Return a loader of its batches, the last one perhaps smaller.

        Args:
            batch_size: frames per batch
            shuffle_seed: seed of an order of its own for every epoch that Lightning announces; None keeps the order of
                collection
            drop_last: leave out the last batch where it is not full
        """
        sampler = SequentialSampler(self) if shuffle_seed is None else EpochShuffle(self, shuffle_seed)
        # A sampler of batches with batch_size=None makes the loader fetch a batch with one index operation.
        return DataLoader(self, sampler=_EpochBatches(sampler, batch_size, drop_last), batch_size=None)


class _EpochBatches(BatchSampler):
    """Batches of a sampler that is told the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on; Lightning tells it the outermost sampler only."""
        if isinstance(self.sampler, EpochShuffle):
            self.sampler.set_epoch(epoch)


class FrameStore:
    """Collect frames window by window.

    Beyond a limit the pictures go to a file without a name, which the operating system frees with this process, however
    that ends.

    Args:
        memory_mib: pictures up to this much stay in memory, MiB
        folder: where the file is made

    Raises:
        UserError: if the limit is no number of MiB.
    """

    def __init__(self, memory_mib: int, folder: Path) -> None:
        self._limit, self._folder = check_memory(memory_mib) * 2**20, folder
        self._pictures: list[Tensor] = []
        self._labels: list[LabelledBatch] = []  # without pictures
        self._bytes = 0
        self._file: IO[bytes] | None = None

    @property
    def on_disk(self) -> bool:
        """Whether the pictures have outgrown the memory."""
        return self._file is not None

    def append(self, batch: LabelledBatch) -> None:
        """Take in some frames."""
        self._pictures.append(batch.frames)
        self._labels.append(replace(batch, frames=torch.empty(len(batch), 0)))
        self._bytes += batch.frames.nbytes
        if self._file is None and self._bytes > self._limit:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (the mapping outlives every block)
        if self._file is not None:
            for pictures in self._pictures:
                self._file.write(pictures.contiguous().numpy().data)
            self._pictures.clear()

    def finish(self, input_size: tuple[int, int], skeleton: Skeleton) -> FrameSet:
        """Return everything taken in as one set, and forget it.

        Args:
            input_size: width and height of the frames, px
            skeleton: their people's joint set
        """
        labels = join(self._labels or [nothing_labelled(skeleton)])
        self._labels.clear()
        return FrameSet(replace(labels, frames=self._joined((len(labels), input_size[1], input_size[0], 3))))

    def _joined(self, shape: tuple[int, ...]) -> Tensor:
        if self._file is not None:
            self._file.flush()
            # Copy-on-write: a plain read-only mapping cannot become a tensor.
            return torch.from_numpy(np.memmap(self._file, np.uint8, "c", shape=shape))
        frames = torch.empty(shape, dtype=torch.uint8)
        start = 0
        self._pictures.reverse()
        while self._pictures:  # each part is freed as it is copied, so that memory never holds everything twice
            part = self._pictures.pop()
            frames[start : start + len(part)] = part
            start += len(part)
        return frames


def check_memory(memory_mib: int) -> int:
    """Return a limit of memory in MiB, or refuse it.

    Raises:
        UserError: unless it is a whole number, 0 or more.
    """
    check(isinstance(memory_mib, int) and memory_mib >= 0, "collection.memory_mib", memory_mib, "whole MiB, 0 or more")
    return memory_mib
