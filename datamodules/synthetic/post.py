"""What happens to a picture between the scene and the file: shadow on the floor, lens, sensor, light."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from datamodules.synthetic.camera import Camera
from datamodules.synthetic.scenes import Backdrop

#: Bones that throw a shadow, with their thickness, m.
_SHADOWS = (
    ("pelvis", "neck", 0.30), ("left_shoulder", "right_shoulder", 0.14), ("chin", "head", 0.18),
    *((f"{side}_{a}", f"{side}_{b}", thick) for side in ("left", "right") for a, b, thick in (
        ("hip", "knee", 0.14), ("knee", "ankle", 0.10), ("heel", "toe", 0.09), ("shoulder", "elbow", 0.09),
        ("elbow", "wrist", 0.07), ("wrist", "hand", 0.06))),
)  # fmt: skip
_STARTS, _ENDS, _THICK = (list(column) for column in zip(*_SHADOWS, strict=True))


def cast_shadow(
    image: np.ndarray, camera: Camera, backdrop: Backdrop, points: dict[str, np.ndarray], direction: np.ndarray,
    strength: float = 0.45,
) -> None:  # fmt: skip
    """Darken the floor where a body keeps the main light from it (in place).

    Args:
        image: RGB, uint8, shape (height, width, 3)
        camera: who looks
        backdrop: the scene; only its floor is darkened
        points: named points of one body, each of shape (3,), world, m
        direction: unit vector towards the main light, world
        strength: share of the light taken away in the middle of the shadow
    """
    bones = np.stack([np.stack([points[a], points[b]]) for a, b in zip(_STARTS, _ENDS, strict=True)])
    onto = bones - bones[..., 2:] * direction / max(direction[2], 0.3)
    seen = camera.to_camera(onto)
    width, height = camera.size
    scale = max(1.0, width / 256)  # a soft shadow needs no more than a coarse mask
    small = (round(height / scale), round(width / scale))
    mask = np.zeros(small, np.uint8)
    pixels = camera.project(seen) / scale
    for line, depth, thick in zip(pixels, seen[..., 2], _THICK, strict=True):
        if depth.min() > 0.5 and np.abs(line).max() < 4000:
            (x0, y0), (x1, y1) = np.rint(line).astype(int).tolist()
            cv2.line(mask, (x0, y0), (x1, y1), 255, max(1, round(0.6 * thick * camera.focal[0] / scale / depth.mean())))
    blur = 2 * max(1, round(0.06 * camera.focal[0] / scale / float(seen[..., 2].mean().clip(0.5)))) + 1
    margin = 2 * blur
    left, top = np.floor(pixels.min((0, 1)) - margin).clip(0, [small[1], small[0]]).astype(int).tolist()
    right, bottom = np.ceil(pixels.max((0, 1)) + margin).clip(0, [small[1], small[0]]).astype(int).tolist()
    if right <= left or bottom <= top:
        return
    shadow = np.asarray(cv2.blur(mask[top:bottom, left:right], (blur, blur)))
    top, bottom, left, right = (min(round(scale * v), limit) for v, limit in (
        (top, height), (bottom, height), (left, width), (right, width)))  # fmt: skip
    if scale > 1:
        shadow = np.asarray(cv2.resize(shadow, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR))
    box = np.s_[top:bottom, left:right]
    keep = 255 - (shadow * (np.float32(strength) * backdrop.floor[box])).astype(np.uint8)
    image[box] = cv2.multiply(image[box], cv2.merge([keep] * 3), scale=1 / 255)


@lru_cache(maxsize=4)
def _unit_grain(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(36).standard_normal((height, width, 3), dtype=np.float32)
    return 0.7 * noise + 0.5 * noise.mean(-1, keepdims=True) * np.float32(3**0.5)  # mostly brightness, some colour


def grain(size: tuple[int, int], level: float) -> np.ndarray:
    """Make a bank of sensor noise, larger than the frame so that every frame can take another piece of it.

    Args:
        size: frame width and height, px
        level: standard deviation, grey levels

    Returns:
        int16, shape (height + 64, width + 64, 3).
    """
    width, height = size[0] + 64, size[1] + 64
    bank = _unit_grain(-(-height // 256) * 256, -(-width // 256) * 256)[:height, :width]
    return (bank * np.float32(level)).astype(np.int16)


def finish(
    image: np.ndarray, gains: np.ndarray, softness: float, noise: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Apply exposure and colour of the light, the lens's softness and the sensor's noise.

    Args:
        image: RGB, uint8, shape (height, width, 3)
        gains: factor of red, green and blue, shape (3,)
        softness: standard deviation of the lens's blur, px of a 256 px wide image
        noise: result of :func:`grain`
        rng: source of randomness; picks the piece of noise

    Returns:
        RGB, uint8, same shape.
    """
    height, width = image.shape[:2]
    table = np.minimum(np.arange(256)[:, None] * np.asarray(gains), 255).astype(np.uint8)[None]
    image = cv2.LUT(image, table)
    image = cv2.GaussianBlur(image, (3, 3) if width < 512 else (0, 0), softness * max(1.0, width / 512))
    y, x = rng.integers(0, 64, 2)
    return cv2.add(image, noise[y : y + height, x : x + width], dtype=cv2.CV_8U)
