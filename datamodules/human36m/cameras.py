"""Camera parameters: from the release's ``metadata.xml``, or estimated from the poses."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from datamodules.human36m.names import CAMERAS
from pose_oad.tracking.errors import UserError

# The release numbers its subjects to S11 and keeps, camera by camera, six extrinsics for each; then nine intrinsics for
# each camera.
_SUBJECTS, _EXTRINSICS, _INTRINSICS = 11, 6, 9
_LEAST_POINTS = 100


@dataclass(frozen=True)
class CameraParameters:
    """One camera as it stood while a subject was filmed."""

    focal: tuple[float, float]  #: focal lengths along x and y, px
    centre: tuple[float, float]  #: principal point, px
    origin: str  #: where these numbers come from
    #: radial k1, k2, k3 and tangential p1, p2; None where they are not known
    distortion: tuple[float, ...] | None = None
    rotation: np.ndarray | None = None  #: world-to-camera rotation, shape (3, 3); None where it is not known
    position: np.ndarray | None = None  #: optical centre in the world, shape (3,), mm; None where it is not known

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, as values that HDF5 attributes take."""
        return {key: value for key, value in vars(self).items() if value is not None}


def read_metadata(path: Path) -> dict[tuple[str, str], CameraParameters]:
    """Read the release's ``metadata.xml``, whose element ``w0`` holds 300 numbers: parameters by subject and camera.

    Raises:
        UserError: if the file is missing or holds no such element.
    """
    wanted = len(CAMERAS) * (_SUBJECTS * _EXTRINSICS + _INTRINSICS)
    try:
        text = next(iter(ET.parse(path).getroot().iter("w0"))).text or ""
        values = np.array([float(word) for word in text.strip().strip("[]").replace(",", " ").split()])
    except (OSError, ET.ParseError, StopIteration, ValueError) as error:
        reason = "no element w0" if isinstance(error, StopIteration) else error
        raise UserError(f"{path}: cannot be read as Human3.6M's metadata ({reason})") from error
    if len(values) != wanted or not np.isfinite(values).all():
        raise UserError(f"{path}: its element w0 holds {len(values)} numbers, expected {wanted} finite ones")
    split = len(CAMERAS) * _SUBJECTS * _EXTRINSICS
    outer = values[:split].reshape(len(CAMERAS), _SUBJECTS, _EXTRINSICS)
    inner = values[split:].reshape(len(CAMERAS), _INTRINSICS)
    return {
        (f"S{subject + 1}", camera): _from_numbers(outer[place, subject], inner[place])
        for place, camera in enumerate(CAMERAS)
        for subject in range(_SUBJECTS)
    }


def _from_numbers(outer: np.ndarray, inner: np.ndarray) -> CameraParameters:
    """Build a camera of three angles (rad) and a position (mm), and of f, c (px), k, p."""
    # R = Rx Ry Rz: rotations about the camera's own axes, in this order.
    rotation = Rotation.from_euler("XYZ", outer[:3]).as_matrix()
    focal, centre = (float(inner[0]), float(inner[1])), (float(inner[2]), float(inner[3]))
    return CameraParameters(focal, centre, "metadata.xml", tuple(inner[4:].tolist()), rotation, outer[3:])


def estimate_camera(pixels: np.ndarray, local: np.ndarray, world: np.ndarray | None = None) -> CameraParameters | None:
    """Estimate a camera without distortion from poses, by least squares; None where the points are too few or alike.

    As h36m-fetch does: ``x z = fx X + cx Z`` is linear in the unknowns, and so is y. Multiplying by the depth weighs
    far points more. ``pixels`` have the shape (frames, joints, 2), px; ``local``, in camera coordinates, and ``world``,
    without which rotation and position are left out, (frames, joints, 3), mm.
    """
    frames = min(map(len, (pixels, local) if world is None else (pixels, local, world)))
    flat, points = pixels[:frames].reshape(-1, 2).astype(float), local[:frames].reshape(-1, 3).astype(float)
    depth = points[:, 2:]
    if len(points) < _LEAST_POINTS or (depth <= 0).any():
        return None
    solutions = []
    for axis in range(2):
        columns = np.concatenate([points[:, axis : axis + 1], depth], axis=1)
        solution, _, rank, _ = np.linalg.lstsq(columns, flat[:, axis] * depth[:, 0])
        if rank < 2:
            return None
        solutions.append(solution)
    (fx, cx), (fy, cy) = (solution.tolist() for solution in solutions)
    rotation = position = None
    if world is not None:
        rotation, position = _pose_of_camera(world[:frames].reshape(-1, 3).astype(float), points)
    return CameraParameters((fx, fy), (cx, cy), "least squares of the poses", None, rotation, position)


def _pose_of_camera(world: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rotation and position (mm) that take world points into camera coordinates, both shape (points, 3)."""
    middle_world, middle_local = world.mean(0), local.mean(0)
    turn, _ = Rotation.align_vectors(local - middle_local, world - middle_world)
    rotation = turn.as_matrix()
    return rotation, middle_world - rotation.T @ middle_local
