"""Who a student sees in a window, in px of the original frames."""

from __future__ import annotations

import numpy as np
import torch

from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import People
from pose_oad.students import PoseStudent
from pose_oad.students.keypoints import Poses


def predict_in_window(
    student: PoseStudent,
    window: FrameWindow,
    batch_size: int = 64,
    positions: np.ndarray | None = None,
    grouped: np.ndarray | None = None,
) -> Poses:
    """Predict one person in every frame of a window, and everybody in some.

    Args:
        student: the network
        window: the frames
        batch_size: frames per forward pass
        positions: ascending positions of the frames in which one person is looked for; None: in all
        grouped: those of them in which everybody is looked for too; None: in none

    Returns:
        Poses in px of the original frames; ``people`` are those of ``grouped``.
    """
    positions = np.arange(len(window)) if positions is None else positions
    wanted = np.empty(0, dtype=np.int64) if grouped is None else grouped
    frames = window.frames if len(positions) == len(window) else window.frames[torch.from_numpy(positions)]
    poses = student.keypoints(frames, torch.from_numpy(np.isin(positions, wanted)), batch_size)
    return in_frame(poses, window, positions, wanted)


def in_frame(
    poses: Poses, window: FrameWindow, positions: np.ndarray | None, grouped: np.ndarray | None = None
) -> Poses:
    """Convert poses from input px to px of the original frames; what was not found stays all zero.

    Args:
        poses: of frames of a window
        window: the window
        positions: their ascending positions in it; None: all frames
        grouped: positions of the frames in which everybody was looked for; None: in all of those, or in none
    """
    keypoints, scores = poses.people
    if grouped is None:
        grouped = positions if len(keypoints) else np.empty(0, dtype=np.int64)
    keypoints = window.to_frame(keypoints, grouped) * (keypoints[..., 2:] > 0)
    return Poses(window.to_frame(poses.single, positions), People(keypoints, scores))
