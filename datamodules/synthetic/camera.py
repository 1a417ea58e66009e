"""Cameras: where they stand, how they project, and the rays of their pixels.

World coordinates are metres with z up; camera coordinates are metres with x right, y down, z forward. Pixels are
continuous: (0, 0) is the top-left corner of the image and the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

#: Human3.6M's cameras in index order: focal lengths, principal point (px of the 1000 px wide frame), then OpenCV's
#: distortion coefficients k1, k2, p1, p2, k3, as published with the data set.
HUMAN36M_INTRINSICS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, ...]]] = {
    "54138969": ((1145.049, 1143.781), (512.542, 515.451), (-0.207099, 0.247775, -0.000976, -0.001424, -0.003075)),
    "55011271": ((1149.676, 1147.592), (508.849, 508.065), (-0.194214, 0.240409, -0.001619, -0.002741, 0.006820)),
    "58860488": ((1149.141, 1148.799), (519.816, 501.403), (-0.208338, 0.255488, 0.001484, -0.000760, -0.002460)),
    "60457274": ((1145.511, 1144.774), (514.968, 501.882), (-0.198384, 0.218324, -0.000587, -0.001813, -0.008948)),
}
#: Height of Human3.6M's frames, px, where the width is 1000.
HUMAN36M_HEIGHTS = {"54138969": 1002, "55011271": 1000, "58860488": 1000, "60457274": 1002}
#: Where the four cameras stand (m): the corners of an oblong studio, a little above head height.
HUMAN36M_POSITIONS = {
    "54138969": (1.62, 4.05, 1.56),
    "55011271": (1.57, -4.10, 1.61),
    "58860488": (-1.64, 4.15, 1.49),
    "60457274": (-1.58, -3.60, 1.57),
}


@dataclass(frozen=True)
class Camera:
    """A perspective camera with lens distortion.

    Attributes:
        position: optical centre in the world, shape (3,), m
        rotation: world-to-camera rotation, shape (3, 3)
        focal: focal lengths along x and y, px
        centre: principal point, px
        distortion: OpenCV's k1, k2, p1, p2, k3
        size: width and height of the frame, px
    """

    position: np.ndarray
    rotation: np.ndarray
    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, ...]
    size: tuple[int, int]

    @property
    def matrix(self) -> np.ndarray:
        """Intrinsic matrix, shape (3, 3), px."""
        return np.array([[self.focal[0], 0, self.centre[0]], [0, self.focal[1], self.centre[1]], [0, 0, 1]], float)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Express world points in camera coordinates.

        Args:
            points: shape (..., 3), m

        Returns:
            shape (..., 3), m; the last component is the depth.
        """
        return (points - self.position) @ self.rotation.T

    def project(self, camera_points: np.ndarray) -> np.ndarray:
        """Project points in camera coordinates onto the image.

        Points behind the camera have no image; they are projected as if they stood just in front of it, so callers
        test the depth first.

        Args:
            camera_points: shape (..., 3), m

        Returns:
            shape (..., 2), px, which may lie outside the frame.
        """
        flat = camera_points.reshape(-1, 3)
        flat = np.concatenate([flat[:, :2], np.maximum(flat[:, 2:], 0.05)], 1).astype(float)
        pixels, _ = cv2.projectPoints(flat, np.zeros(3), np.zeros(3), self.matrix, np.array(self.distortion))
        return pixels.reshape(*camera_points.shape[:-1], 2)

    def rays(self) -> np.ndarray:
        """Return the world direction of every pixel's centre, of depth 1, shape (height, width, 3)."""
        width, height = self.size
        grid = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).reshape(-1, 1, 2)
        if any(self.distortion):
            grid = cv2.undistortPoints(grid, self.matrix, np.array(self.distortion))
        else:
            grid = (grid - np.array(self.centre)) / np.array(self.focal)
        rays = np.concatenate([grid[:, 0], np.ones((len(grid), 1))], 1) @ self.rotation
        return rays.reshape(height, width, 3).astype(np.float32)


def look_at(position: np.ndarray, target: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """Turn a camera towards a point.

    Args:
        position: optical centre, shape (3,), m
        target: world point that falls on the optical axis, shape (3,), m
        roll: rotation about the optical axis, rad

    Returns:
        world-to-camera rotation, shape (3, 3).
    """
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll), np.sin(roll)
    return np.stack([cos * right + sin * down, cos * down - sin * right, forward])


def human36m_camera(name: str, width: int) -> Camera:
    """Build one of the four studio cameras, its intrinsics scaled to the frame.

    Args:
        name: camera number, a key of :data:`HUMAN36M_INTRINSICS`
        width: frame width, px; the height follows from the real aspect ratio, rounded to an even number for H.264
    """
    scale = width / 1000
    focal, centre, distortion = HUMAN36M_INTRINSICS[name]
    position = np.array(HUMAN36M_POSITIONS[name])
    return Camera(
        position=position,
        rotation=look_at(position, np.array([0.0, 0.0, 0.88])),
        focal=(focal[0] * scale, focal[1] * scale),
        centre=(centre[0] * scale, centre[1] * scale),
        distortion=distortion,
        size=(width, 2 * round(HUMAN36M_HEIGHTS[name] * scale / 2)),
    )
