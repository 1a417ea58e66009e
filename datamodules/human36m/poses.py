"""Pose files: one CDF for each sequence, or for each sequence and camera."""

from __future__ import annotations

from pathlib import Path

import cdflib
import numpy as np

from datamodules.human36m.cdf_header import check_header
from pose_oad.tracking.errors import UserError

JOINTS = 32


def count_poses(path: Path, dimensions: int = 2) -> int:
    """Return the number of frames a pose file of 2 (px) or 3 (mm) dimensions holds, without reading them.

    Raises:
        UserError: if the file is missing, not a CDF, or holds no poses of 32 joints.
    """
    return _shape(_open(path), path, dimensions)[-2]


def read_poses(path: Path, dimensions: int = 2) -> np.ndarray:
    """Read a pose file of 2 (px) or 3 (mm) dimensions, shape (frames, 32 joints, dimensions), float32.

    Raises:
        UserError: as :func:`count_poses`, or if it is shorter than it says or a coordinate is not finite.
    """
    cdf = _open(path)
    frames = _shape(cdf, path, dimensions)[-2]
    try:
        with np.errstate(over="ignore"):
            poses = np.asarray(cdf.varget("Pose"), dtype=np.float32).reshape(frames, JOINTS, dimensions)
    except Exception as error:  # cdflib raises whatever its parser stumbles over
        raise UserError(f"{path}: damaged pose file ({_brief(error)})") from error
    if not np.isfinite(poses).all():
        raise UserError(f"{path}: damaged pose file (a coordinate is not a finite number)")
    return poses


def _open(path: Path) -> cdflib.cdfread.CDF:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the poses of that video in it")
    check_header(path)
    try:
        return cdflib.CDF(path)
    except Exception as error:  # cdflib raises whatever its parser stumbles over
        raise UserError(f"{path}: cannot be read as a CDF ({_brief(error)})") from error


def _shape(cdf: cdflib.cdfread.CDF, path: Path, dimensions: int) -> tuple[int, ...]:
    try:
        shape = tuple(int(n) for n in cdf.varinq("Pose").Dim_Sizes)
        records = int(cdf.varinq("Pose").Last_Rec) + 1
    except Exception as error:
        raise UserError(f"{path}: holds no variable 'Pose' ({_brief(error)})") from error
    # The released files hold one record of [frames, 64]; a writer may also store one record per frame.
    shape = (records, *shape)
    width = JOINTS * dimensions
    if shape[-1] != width or len(shape) < 2 or np.prod(shape[:-2]) != 1:
        raise UserError(
            f"{path}: Pose has shape {list(shape)}, expected [1, frames, {width}] (32 joints, {dimensions} coordinates)"
        )
    return shape


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
