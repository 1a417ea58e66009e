"""Which stored frames a stream plays."""

from __future__ import annotations

import numpy as np

from datamodules.video.clips import Clip
from datamodules.video.reading import Ticks


def wanted_frames(
    numbers: np.ndarray, times: np.ndarray, clip: Clip, rate: float | None, after: int | None
) -> np.ndarray:
    """Choose frames as :func:`datamodules.video.read_frames` does while it decodes.

    Args:
        numbers: source frames that are stored, increasing, shape (frames,)
        times: their time stamps, s, shape (frames,)
        clip: the stretch
        rate: camera rate, frames/s: the first frame in each tick of 1/rate is kept; None keeps all
        after: go on behind this source frame; None starts at the clip's start

    Returns:
        Their positions among those stored, shape (chosen frames,).
    """
    begin, end = np.searchsorted(numbers, [clip.start, clip.stop])
    positions = np.arange(begin, end)
    if rate is not None and rate < clip.rate:
        ticks = Ticks(rate)
        positions = positions[[ticks.begins(seconds) for seconds in times[begin:end].tolist()]]
    return positions if after is None else positions[numbers[positions] > after]
