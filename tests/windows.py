"""Hand-made windows."""

from __future__ import annotations

import numpy as np
import torch

from pose_oad.online.window import FrameWindow, Segment
from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.skeleton import get_skeleton


def make_window(
    frames: int,
    *,
    index: int = 0,
    size: int = 32,
    sizes: tuple[tuple[int, int], ...] = ((64, 64),),
    every: int = 1,
    metric_scale: float = 1.0,
    truth: torch.Tensor | None = None,
    predictions: torch.Tensor | None = None,
) -> FrameWindow:
    """Return a window of noise with one segment of equal length per frame size.

    Args:
        frames: its length
        index: its number in the stream; frame numbers begin at index * frames
        size: side of the student's square input, px
        sizes: width and height of the original frames of each segment, px
        every: one frame in this many is a candidate
        metric_scale: px of the metric per px of the original frames of every segment
        truth: shape (frames, people, 12, 3), original px; random where None
        predictions: shape (frames, 12, 3), original px
    """
    ids = np.arange(index * frames, (index + 1) * frames)
    bounds = np.linspace(0, frames, len(sizes) + 1).astype(int)
    generator = torch.Generator().manual_seed(index)
    return FrameWindow(
        index=index,
        frames=torch.randint(0, 256, (frames, size, size, 3), dtype=torch.uint8, generator=generator),
        ids=ids,
        candidates=np.flatnonzero(ids % every == 0),
        segments=tuple(
            Segment(
                f"clip {n}", int(a), int(b), FrameResize.of(s, (size, size), "letterbox"), metric_scale=metric_scale
            )
            for n, (s, a, b) in enumerate(zip(sizes, bounds[:-1], bounds[1:], strict=True))
        ),
        predictions=predictions,
        truth_skeleton=get_skeleton("body-12"),
        _sealed_truth=torch.rand(frames, 1, 12, 3, generator=generator) * 60 + 1 if truth is None else truth,
    )
