"""A small software rasteriser: tapered, rounded, elliptical limbs and ellipsoids with a depth buffer.

Every solid is treated under parallel rays through its middle (a close approximation for things as small as a limb),
which gives each pixel a closed-form hit: limbs are cylinders of elliptical section whose radius changes along the axis,
with rounded ends; ellipsoids are exact. This module holds what is computed once per solid and frame, for all of them
together; :mod:`datamodules.synthetic.buffers` goes through the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from datamodules.synthetic.camera import Camera

#: Solid number of a pixel that shows only the background.
NOTHING = -1
_NEAR = 0.25  # m: solids that come closer to the camera are not drawn


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
        spatial = {
            name: np.concatenate([getattr(part, name) for part in parts], 1) for name in ("start", "end", "front")
        }
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


@dataclass(frozen=True)
class _Placed:
    """Solids in camera coordinates, shape (frames, solids, …)."""

    start: np.ndarray
    end: np.ndarray
    middle: np.ndarray
    view: np.ndarray  # unit direction from the camera to the middle
    right: np.ndarray  # unit directions of the image's axes, at right angles to the view
    down: np.ndarray
    axes: np.ndarray  # side, front, up: shape (frames, solids, 3, 3)
    semi: np.ndarray  # semi-axes along them, m; a limb's are those of its rounded ends
    ellipsoid: np.ndarray

    def reach(self, direction: np.ndarray) -> np.ndarray:
        """How far the (mean) ellipsoid extends along a direction, m."""
        return np.linalg.norm(np.einsum("tpij,tpj->tpi", self.axes, direction) * self.semi, axis=-1)


def _place(solids: Solids, camera: Camera) -> _Placed:
    start, end = camera.to_camera(solids.start), camera.to_camera(solids.end)
    middle, span = (start + end) / 2, end - start
    size = np.maximum(np.linalg.norm(span, axis=-1), 1e-6)
    up = span / size[..., None]
    front = solids.front @ camera.rotation.T
    front = _unit(front - _dot(front, up)[..., None] * up)
    view = _unit(middle)
    right = _unit(np.array([1.0, 0, 0]) - view[..., :1] * view)
    ellipsoid = solids.cap == 0
    half = np.broadcast_to(np.where(ellipsoid, solids.radius[:, 0], solids.radius.mean(-1)), size.shape)
    semi = np.stack([half, half * solids.flat, np.where(ellipsoid, size / 2, half * solids.cap)], -1)
    axes = np.stack([np.cross(front, up), front, up], -2)
    return _Placed(start, end, middle, view, right, np.cross(view, right), axes, semi, ellipsoid)


def project_solids(solids: Solids, camera: Camera) -> Sprites:
    """Project solids into a camera, for all frames at once.

    Args:
        solids: solids in the world
        camera: who looks at them

    Returns:
        what :func:`~datamodules.synthetic.buffers.rasterise` draws; solids behind the camera have an empty box.
    """
    placed = _place(solids, camera)
    focal = (camera.focal[0] + camera.focal[1]) / 2
    image_start, image_end, image_middle = (camera.project(p) for p in (placed.start, placed.end, placed.middle))
    line = image_end - image_start
    length = np.linalg.norm(line, axis=-1)
    along = np.where(length[..., None] > 1e-3, line / np.maximum(length, 1e-3)[..., None], np.array([0.0, 1.0]))
    lengthwise = along[..., :1] * placed.right + along[..., 1:] * placed.down
    crosswise = -along[..., 1:] * placed.right + along[..., :1] * placed.down

    half = placed.semi[..., 0]
    section = np.einsum("tpij,tpj->tpi", placed.axes, crosswise) * placed.semi * [1.0, 1.0, 0.0]
    across = np.linalg.norm(section, axis=-1) / half
    scale = focal / np.stack([placed.start[..., 2], placed.end[..., 2]], -1).clip(_NEAR)
    bulge = across * solids.bulge * scale.mean(-1)
    width = np.concatenate([across[..., None] * solids.radius * scale, bulge[..., None]], -1)
    ends = (placed.reach(lengthwise) / half)[..., None] * solids.radius * scale

    limb, ball = _limb_vectors(placed, crosswise), _ball_vectors(placed, focal)
    local = np.where(placed.ellipsoid[:, None, None], ball, limb)
    gradient = placed.axes / placed.semi[..., None]
    reach_limb = np.maximum(width[..., :2].max(-1) + width[..., 2], ends.max(-1))[..., None]
    reach_ball = np.stack([placed.reach(placed.right), placed.reach(placed.down)], -1)
    reach_ball = reach_ball * (focal / placed.middle[..., 2:].clip(_NEAR))
    is_ball = placed.ellipsoid[:, None]
    low = np.where(is_ball, image_middle - reach_ball, np.minimum(image_start, image_end) - reach_limb)
    high = np.where(is_ball, image_middle + reach_ball, np.maximum(image_start, image_end) + reach_limb)
    visible = np.minimum(placed.start[..., 2], placed.end[..., 2]) > _NEAR

    def single(array: np.ndarray) -> np.ndarray:
        return array.astype(np.float32)

    return Sprites(
        origin=single(np.where(is_ball, image_middle, image_start)),
        along=single(along),
        length=single(length),
        width=single(width),
        ends=single(ends),
        depth=single(np.stack([placed.start[..., 2], placed.end[..., 2], placed.reach(placed.view)], -1)),
        quadric=single(_quadric(placed, focal)),
        local=single(local),
        normal=single(np.einsum("tpki,tpij->tpkj", local, gradient * half[..., None, None])),
        boxes=_boxes(low, high, visible, camera.size),
        ellipsoid=placed.ellipsoid,
    )


def _boxes(low: np.ndarray, high: np.ndarray, visible: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    low, high = np.clip(np.floor(low), 0, size), np.clip(np.ceil(high), 0, size)
    boxes = np.stack([low[..., 1], high[..., 1], low[..., 0], high[..., 0]], -1)
    return np.where(visible[..., None], boxes, 0).astype(int)


def _limb_vectors(placed: _Placed, crosswise: np.ndarray) -> np.ndarray:
    """Compose a limb's hit from its offset across (alpha), towards the camera (beta) and beyond an end (gamma)."""
    towards = np.einsum("tpij,tpj->tpi", placed.axes / placed.semi[..., None], placed.view)[..., :2]
    seen_end_on = np.linalg.norm(towards, axis=-1, keepdims=True) < 1e-6
    towards = _unit(np.where(seen_end_on, [0.0, 1.0], towards))
    edge = np.stack([-towards[..., 1], towards[..., 0]], -1)
    offset = np.einsum("tpi,tpij->tpj", edge * placed.semi[..., :2], placed.axes[..., :2, :])
    edge = edge * np.where(_dot(offset, crosswise) < 0, -1.0, 1.0)[..., None]
    # Seen end-on, a limb shows its rounded end: its normal leans towards the axis then, but not along the shaft.
    lean = _dot(placed.view, placed.axes[..., 2, :])
    lean = lean**4 * np.sign(lean)
    facing = -_unit(np.concatenate([towards * (1 - np.abs(lean))[..., None], lean[..., None]], -1))
    edge = np.concatenate([edge, np.zeros_like(edge[..., :1])], -1)
    return np.stack([edge, facing, np.broadcast_to([0.0, 0.0, 1.0], facing.shape)], -2)


def _pixel_steps(placed: _Placed, focal: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One pixel to the right and down, and the view, in the space where the ellipsoid is the unit sphere."""
    squeeze = placed.axes / placed.semi[..., None]
    metres = (placed.middle[..., 2] / focal)[..., None]
    right, down, view = (
        np.einsum("tpij,tpj->tpi", squeeze, direction) for direction in (placed.right, placed.down, placed.view)
    )
    return right * metres, down * metres, view


def _ball_vectors(placed: _Placed, focal: float) -> np.ndarray:
    """Compose an ellipsoid's hit from pixels right (alpha), pixels down (beta) and its rounding (gamma)."""
    right, down, view = _pixel_steps(placed, focal)
    view = _unit(view)
    right, down = (step - _dot(step, view)[..., None] * view for step in (right, down))
    return np.stack([right, down, -view], -2)


def _quadric(placed: _Placed, focal: float) -> np.ndarray:
    """Coefficients of an ellipsoid's outline and depth, see :class:`Sprites`."""
    right, down, view = _pixel_steps(placed, focal)
    norm = np.linalg.norm(view, axis=-1)
    vectors = _ball_vectors(placed, focal)
    outline = [_dot(vectors[..., i, :], vectors[..., j, :]) for i, j in ((0, 0), (0, 1), (1, 1))]
    slopes = [-_dot(step, view) / norm**2 for step in (right, down)]
    return np.stack([*outline, *slopes, 1 / norm], -1)
