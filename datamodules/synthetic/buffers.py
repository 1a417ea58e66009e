"""The per-pixel half of the rasteriser: which solid is in front at a pixel, and what colour it has there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datamodules.synthetic.raster import NOTHING, Sprites


@dataclass(frozen=True)
class Buffers:
    """What the geometry pass knows about every pixel, each of shape (height, width).

    Attributes:
        depth: distance of the nearest surface along the optical axis, m
        solid: index of the solid there, :data:`~datamodules.synthetic.raster.NOTHING` where only the background is
        hits: where the solid is hit: three coordinates (alpha, beta, gamma), shape (3, height, width)
        lengthwise: position along the solid's axis, 0 at its start to 1 at its end
    """

    depth: np.ndarray
    solid: np.ndarray
    hits: np.ndarray
    lengthwise: np.ndarray

    @staticmethod
    def over(background_depth: np.ndarray) -> Buffers:
        """Start from a background's depth (m, shape (height, width))."""
        shape = background_depth.shape
        return Buffers(
            depth=background_depth.astype(np.float32, copy=True),
            solid=np.full(shape, NOTHING, np.int32),
            hits=np.zeros((3, *shape), np.float32),
            lengthwise=np.zeros(shape, np.float32),
        )


@dataclass(frozen=True)
class Light:
    """Light on the figures.

    Attributes:
        direction: unit vector towards the main light, camera coordinates, shape (3,)
        sky: unit vector straight up, camera coordinates, shape (3,)
        main: colour of the main light, RGB, shape (3,)
        ambient: colour of the light from everywhere, RGB, shape (3,)
    """

    direction: np.ndarray
    sky: np.ndarray
    main: np.ndarray
    ambient: np.ndarray


def rasterise(sprites: Sprites, frame: int, buffers: Buffers) -> None:
    """Draw all solids of one frame into the buffers (in place).

    Args:
        sprites: projected solids
        frame: which of their frames
        buffers: what is there so far; nearer surfaces replace it
    """
    for solid, (top, bottom, left, right) in enumerate(sprites.boxes[frame].tolist()):
        if bottom <= top or right <= left:
            continue
        box = np.s_[top:bottom, left:right]
        xs = np.arange(left + 0.5, right, dtype=np.float32) - sprites.origin[frame, solid, 0]
        ys = np.arange(top + 0.5, bottom, dtype=np.float32)[:, None] - sprites.origin[frame, solid, 1]
        hit = _hit_ellipsoid if sprites.ellipsoid[solid] else _hit_limb
        alpha, beta, gamma, lengthwise, depth = hit(sprites, frame, solid, xs, ys)
        front = depth < buffers.depth[box]
        for target, value in (
            (buffers.depth, depth), (buffers.solid, solid), (buffers.hits[0], alpha), (buffers.hits[1], beta),
            (buffers.hits[2], gamma), (buffers.lengthwise, lengthwise),
        ):  # fmt: skip
            np.copyto(target[box], value, where=front)


def _hit_limb(
    sprites: Sprites, frame: int, solid: int, xs: np.ndarray, ys: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    mx, my = sprites.along[frame, solid].tolist()
    length = max(float(sprites.length[frame, solid]), 1e-3)
    start, end, bulge = sprites.width[frame, solid].tolist()
    reach_start, reach_end = sprites.ends[frame, solid].tolist()
    near, far, rounding = sprites.depth[frame, solid].tolist()
    along = xs * mx + ys * my
    t = np.minimum(np.maximum(along * (1 / length), 0), 1)
    width = (end - start + 4 * bulge) * t
    width += start
    if bulge:
        width -= (4 * bulge) * (t * t)
    s = (ys * mx - xs * my) / width
    g = (along - t * length) / (reach_start + (reach_end - reach_start) * t)
    c = 1 - s * s - g * g
    inside = c > 0
    c = np.sqrt(np.maximum(c, 0))
    depth = near + (far - near) * t - rounding * c
    depth[~inside] = np.inf
    lengthwise = (along + reach_start) * (1 / (length + reach_start + reach_end))
    return s, c, g, lengthwise, depth


def _hit_ellipsoid(
    sprites: Sprites, frame: int, solid: int, xs: np.ndarray, ys: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    pp, pq, qq, slope_x, slope_y, rounding = sprites.quadric[frame, solid].tolist()
    c = 1 - (pp * xs * xs + (2 * pq) * xs * ys + qq * ys * ys)
    inside = c > 0
    c = np.sqrt(np.maximum(c, 0))
    near, far, _ = sprites.depth[frame, solid].tolist()
    depth = (near + far) / 2 + (xs * slope_x + ys * slope_y - rounding * c)
    depth[~inside] = np.inf
    ups = sprites.local[frame, solid, :, 2].tolist()
    lengthwise = 0.5 + 0.5 * (xs * ups[0] + ys * ups[1] + c * ups[2])
    return xs, ys, c, lengthwise, depth


def shade(image: np.ndarray, buffers: Buffers, sprites: Sprites, frame: int, atlas: np.ndarray, light: Light) -> None:
    """Colour every pixel that shows a solid (in place).

    Lambert's law for the main light, a hemisphere for the ambient one, and contact darkening: a pixel that lies deeper
    than its surroundings receives less.

    Args:
        image: RGB, uint8, shape (height, width, 3)
        buffers: result of :func:`rasterise`
        sprites: projected solids
        frame: which of their frames
        atlas: textures, shape (solids, rows, columns, 3), linear 0…1; rows follow the axis, the middle column the front
        light: light in camera coordinates
    """
    rows, columns = np.nonzero(buffers.solid >= 0)
    if not len(rows):
        return
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    solid = buffers.solid[rows, columns]
    hits = buffers.hits[:, rows, columns]
    vectors = np.concatenate(
        [sprites.local[frame, ..., :2], sprites.normal[frame]], -1
    )  # (solids, 3, side front x y z)
    combined = sum(hits[k][:, None] * vectors[solid, k] for k in range(3))
    local, normal = combined[:, :2], combined[:, 2:]
    normal *= 1 / np.maximum(np.sqrt(np.einsum("ij,ij->i", normal, normal)), 1e-6)[:, None]
    angle = np.arctan2(local[:, 0], local[:, 1])
    texels = atlas.shape[2]
    u = ((angle * (0.5 / np.pi) + 0.5) * texels).astype(np.int32).clip(0, texels - 1)
    v = (buffers.lengthwise[rows, columns] * atlas.shape[1]).astype(np.int32).clip(0, atlas.shape[1] - 1)
    colour = atlas[solid, v, u]

    crop = np.minimum(buffers.depth[top:bottom, left:right], buffers.depth[rows, columns].max() + 0.3)
    reach = max(3, (bottom - top) // 14) | 1
    buried = crop - cv2.blur(crop, (reach, reach))
    contact = 1 - np.clip(buried[rows - top, columns - left] * 2.2, 0.0, 0.45)
    main = np.maximum(normal @ light.direction.astype(np.float32), 0)
    around = (0.72 + 0.28 * (normal @ light.sky.astype(np.float32))) * contact
    lit = colour * (main[:, None] * light.main.astype(np.float32) + around[:, None] * light.ambient.astype(np.float32))
    image[rows, columns] = (np.sqrt(np.minimum(lit, 1.0)) * 255).astype(np.uint8)
