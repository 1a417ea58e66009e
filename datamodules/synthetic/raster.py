"""A small software rasteriser: tapered, rounded, elliptical limbs and ellipsoids with a depth buffer.

Every solid is treated under parallel rays through its middle (a close approximation for things as small as a limb), which
gives each pixel a closed-form hit: limbs are cylinders of elliptical section whose radius changes along the axis, with
rounded ends; ellipsoids are exact. The geometry pass fills the buffers of :class:`Buffers`; shading happens once for all
visible pixels (:func:`shade`), so its cost does not grow with the number of solids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from datamodules.synthetic.camera import Camera

NOTHING = -1
_TEXELS = 48  # texture height and width: finer than a limb is ever drawn at the default frame size


@dataclass(frozen=True)
class Solids:
    """Solids of one figure over some frames.

    Attributes:
        start: one end of the axis, shape (frames, solids, 3), world, m
        end: other end, same shape
        front: direction that the middle column of the texture faces, same shape
        radius: half-width at start and end, shape (solids, 2), m; an ellipsoid takes the first
        flat: depth of the section (along ``front``) relative to its width, shape (solids,)
        bulge: extra half-width in the middle, shape (solids,), m
        cap: roundness of the ends relative to the radius, shape (solids,); 0 marks an ellipsoid
    """

    start: np.ndarray
    end: np.ndarray
    front: np.ndarray
    radius: np.ndarray
    flat: np.ndarray
    bulge: np.ndarray
    cap: np.ndarray

    def frames(self, part: slice) -> Solids:
        """Take some of the frames."""
        return replace(self, start=self.start[part], end=self.end[part], front=self.front[part])

    @staticmethod
    def concatenate(parts: list[Solids]) -> Solids:
        """Join the solids of several figures, in order."""
        spatial = {name: np.concatenate([getattr(part, name) for part in parts], 1) for name in ("start", "end", "front")}
        static = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in ("radius", "flat", "bulge", "cap")
        }
        return Solids(**spatial, **static)


@dataclass(frozen=True)
class Sprites:
    """Solids as one camera sees them: everything the per-pixel loop needs, shape (frames, solids, …).

    Attributes:
        origin: image of the start (of the centre for an ellipsoid), px
        along: unit direction of the axis in the image
        length: length of the axis in the image, px
        width: half-width at start and end and bulge, px
        ends: how far the rounded ends reach beyond start and end, px
        depth: depth of start and end, and of the rounding towards the camera, m
        quadric: an ellipsoid's P·P, P·Q, Q·Q, depth slope along x and y, and depth rounding
        local: three vectors that turn a hit (alpha, beta, gamma) into (side, front, up), each solid's own axes
        normal: three vectors that turn it into a camera-space normal
        boxes: first row, last row + 1, first column, last column + 1 of the pixels it may touch
        ellipsoid: which solids are ellipsoids, shape (solids,)
    """

    origin: np.ndarray
    along: np.ndarray
    length: np.ndarray
    width: np.ndarray
    ends: np.ndarray
    depth: np.ndarray
    quadric: np.ndarray
    local: np.ndarray
    normal: np.ndarray
    boxes: np.ndarray
    ellipsoid: np.ndarray


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1)


def project_solids(solids: Solids, camera: Camera) -> Sprites:
    """Project solids into a camera, for all frames at once.

    Args:
        solids: solids in the world
        camera: who looks at them

    Returns:
        what :func:`rasterise` draws; solids behind the camera have an empty box.
    """
    ellipsoid = solids.cap == 0
    start, end = camera.to_camera(solids.start), camera.to_camera(solids.end)
    middle = (start + end) / 2
    span = end - start
    size = np.maximum(np.linalg.norm(span, axis=-1), 1e-6)
    up = span / size[..., None]
    front = solids.front @ camera.rotation.T
    front = _unit(front - _dot(front, up)[..., None] * up)
    side = np.cross(front, up)
    view = _unit(middle)
    right = _unit(np.array([1.0, 0, 0]) - view[..., :1] * view)
    down = np.cross(view, right)
    focal = (camera.focal[0] + camera.focal[1]) / 2
    image_start, image_end = camera.project(start), camera.project(end)
    visible = np.minimum(start[..., 2], end[..., 2]) > 0.25

    # Semi-axes along side, front, up: an ellipsoid's own; a limb's section, with the roundness of its ends.
    mean_radius = np.broadcast_to(solids.radius.mean(-1), size.shape)
    semi_side = np.where(ellipsoid, solids.radius[:, 0], mean_radius)
    semi = np.stack([semi_side, semi_side * solids.flat, np.where(ellipsoid, size / 2, semi_side * solids.cap)], -1)
    axes = np.stack([side, front, up], -2)  # (frames, solids, 3 axes, 3)
    scaled = axes / semi[..., None]
    towards = np.einsum("tpij,tpj->tpi", scaled, view)

    line = image_end - image_start
    length = np.linalg.norm(line, axis=-1)
    along = np.where(length[..., None] > 1e-3, line / np.maximum(length, 1e-3)[..., None], np.array([0.0, 1.0]))
    axis_m = along[..., :1] * right + along[..., 1:] * down
    axis_n = -along[..., 1:] * right + along[..., :1] * down

    def support(direction: np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.einsum("tpij,tpj->tpi", axes, direction) * semi, axis=-1)

    section = semi * np.array([1.0, 1.0, 0.0])
    across = np.linalg.norm(np.einsum("tpij,tpj->tpi", axes, axis_n) * section, axis=-1) / semi_side
    scale = focal / np.stack([start[..., 2], end[..., 2]], -1).clip(0.25)
    width = np.concatenate(
        [
            across[..., None] * solids.radius * scale,
            (across * solids.bulge * scale.mean(-1))[..., None],
        ],
        -1,
    )
    ends = (support(axis_m) / semi_side)[..., None] * solids.radius * scale
    depth = np.stack([start[..., 2], end[..., 2], support(view)], -1)

    local_limb, local_ball, quadric = _hit_vectors(axes, semi, scaled, towards, view, right, down, axis_n, up, middle, focal)
    kind = ellipsoid[:, None, None]
    local = np.where(kind, local_ball, local_limb)
    normal = np.einsum("tpki,tpij->tpkj", local, scaled * semi_side[..., None, None])
    middle_image = camera.project(middle)
    origin = np.where(ellipsoid[:, None], middle_image, image_start)
    reach_ball = np.stack([support(right), support(down)], -1) * (focal / middle[..., 2:].clip(0.25))
    reach_limb = np.maximum(width[..., :2].max(-1) + width[..., 2], ends.max(-1))[..., None]
    low = np.where(ellipsoid[:, None], middle_image - reach_ball, np.minimum(image_start, image_end) - reach_limb)
    high = np.where(ellipsoid[:, None], middle_image + reach_ball, np.maximum(image_start, image_end) + reach_limb)
    limit = np.array(camera.size)
    low, high = np.clip(np.floor(low), 0, limit), np.clip(np.ceil(high), 0, limit)
    boxes = np.stack([low[..., 1], high[..., 1], low[..., 0], high[..., 0]], -1)
    boxes = np.where(visible[..., None], boxes, 0).astype(int)
    single = [array.astype(np.float32) for array in (origin, along, length, width, ends, depth, quadric, local, normal)]
    return Sprites(*single, boxes=boxes, ellipsoid=ellipsoid)


def _hit_vectors(
    axes: np.ndarray, semi: np.ndarray, scaled: np.ndarray, towards: np.ndarray, view: np.ndarray, right: np.ndarray,
    down: np.ndarray, axis_n: np.ndarray, up: np.ndarray, middle: np.ndarray, focal: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Vectors from which a pixel's hit on the unit circle (limbs) or unit sphere (ellipsoids) is composed."""
    flat_view = _unit(np.where(np.hypot(towards[..., 0], towards[..., 1])[..., None] > 1e-6, towards[..., :2], [0.0, 1.0]))
    edge = np.stack([-flat_view[..., 1], flat_view[..., 0]], -1)
    offset = np.einsum("tpi,tpij->tpj", edge * semi[..., :2], axes[..., :2, :])
    edge = edge * np.where(_dot(offset, axis_n) < 0, -1.0, 1.0)[..., None]
    zero = np.zeros_like(edge[..., :1])
    # Seen end-on, a limb shows its rounded end: let the normal lean towards the axis then, but not along the shaft.
    steep = _dot(view, up) ** 4 * np.sign(_dot(view, up))
    facing = -_unit(np.concatenate([flat_view * (1 - np.abs(steep))[..., None], steep[..., None]], -1))
    limb = np.stack([np.concatenate([edge, zero], -1), facing, np.broadcast_to([0.0, 0.0, 1.0], facing.shape)], -2)

    metres = (middle[..., 2] / focal)[..., None]
    norm = np.linalg.norm(towards, axis=-1)
    direction = towards / norm[..., None]
    p = np.einsum("tpij,tpj->tpi", scaled, right) * metres
    q = np.einsum("tpij,tpj->tpi", scaled, down) * metres
    slope_p, slope_q = _dot(p, direction), _dot(q, direction)
    p, q = p - slope_p[..., None] * direction, q - slope_q[..., None] * direction
    ball = np.stack([p, q, -direction], -2)
    quadric = np.stack([_dot(p, p), _dot(p, q), _dot(q, q), -slope_p / norm, -slope_q / norm, 1 / norm], -1)
    return limb, ball, quadric
