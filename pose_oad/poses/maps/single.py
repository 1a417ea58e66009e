"""Confidence maps to the keypoints of one person."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.maps.peaks import readable, refine_peaks


def decode_single(confidence_maps: Tensor, foreground: float = 0.0) -> Tensor:
    """Take each joint at the global maximum of its confidence map, refined between the cells.

    For frames that hold one person: every joint gets a location, however weak its maximum, so that the caller decides
    which confidence counts as found.

    Args:
        confidence_maps: shape (batch, joints, rows, columns), at least 3 rows and columns
        foreground: weight of a joint's cells in the network's training, see :mod:`~pose_oad.poses.maps.single`

    Returns:
        shape (batch, joints, 3): x and y in continuous cell coordinates (a cell's centre is at +0.5), and the
        confidence behind the maximum, in [0, 1]. A map that holds a NaN has no maximum: its joint is all zero.
    """
    if confidence_maps.ndim != 4 or min(confidence_maps.shape[2:]) < 3:
        raise ValueError(f"confidence maps {tuple(confidence_maps.shape)}: expected (batch, joints, >= 3, >= 3)")
    batch, joints, rows, columns = confidence_maps.shape
    maps = confidence_maps.float().reshape(batch * joints, rows, columns)
    # Row maxima first: a plain maximum is several times faster than one that also reports where.
    peak, row = maps.amax(-1).max(-1)
    column = maps[torch.arange(len(maps), device=maps.device), row].argmax(-1)
    location = refine_peaks(readable(maps), np.arange(len(maps)), row.cpu().numpy(), column.cpu().numpy())
    confidence = calibrated(peak.clamp(0, 1), foreground)
    keypoints = torch.cat([torch.from_numpy(location).to(peak.device), confidence.unsqueeze(0)]).T
    keypoints = torch.where(peak.isnan().unsqueeze(-1), 0.0, keypoints)
    return keypoints.view(batch, joints, 3)


def weighed(confidence: float, foreground: float) -> float:
    """Return what a network predicts where a joint is with some confidence in [0, 1]."""
    return (1 + foreground) * confidence / (1 + foreground * confidence)


def calibrated(prediction: Tensor, foreground: float) -> Tensor:
    """Return the confidences behind predictions, the inverse of :func:`weighed`; values above 1 and the order stay."""
    if foreground == 0:
        return prediction
    return (prediction / (1 + foreground - foreground * prediction.clamp(max=1))).where(prediction < 1, prediction)
