"""Backgrounds: floors, walls, furniture and open air, ray-cast once per camera into colour, depth and a floor mask."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from datamodules.synthetic.appearance import Colour, colour
from datamodules.synthetic.camera import Camera

FLOORS = ("wood", "tiles", "plain", "grass", "asphalt", "sand")
WALLS = ("plain", "panels", "bricks", "shelves", "windows")
_TILE = 128


@dataclass(frozen=True)
class Box:
    """An upright box: a piece of furniture, a wall, a house.

    Attributes:
        centre: middle of its footprint, m
        half: half its extent along its own x and y, m
        low: height of its lower face, m
        high: height of its upper face, m
        turn: rotation about the vertical, rad
        paint: colour, linear 0…1
        pattern: one of :data:`WALLS`
    """

    centre: tuple[float, float]
    half: tuple[float, float]
    low: float
    high: float
    turn: float
    paint: Colour
    pattern: str = "plain"


@dataclass(frozen=True)
class Scene:
    """Everything in a picture that does not move.

    Attributes:
        floor: pattern, one of :data:`FLOORS`
        floor_paint: two colours of the floor
        boxes: upright things
        sky: colours at the horizon and overhead where nothing is hit
        seed: seed of the surface noise
    """

    floor: str
    floor_paint: tuple[Colour, Colour]
    boxes: tuple[Box, ...]
    sky: tuple[Colour, Colour]
    seed: int = 0


@dataclass
class Backdrop:
    """A scene seen by a camera.

    Attributes:
        albedo: surface colour, linear 0…1, shape (height, width, 3)
        normal: world normals, shape (height, width, 3); zero for the sky
        depth: distance along the optical axis, m, shape (height, width)
        floor: whether a pixel shows the floor, shape (height, width)
        closeness: darkening near edges where surfaces meet, 0…1, shape (height, width)
    """

    albedo: np.ndarray
    normal: np.ndarray
    depth: np.ndarray
    floor: np.ndarray
    closeness: np.ndarray = field(repr=False)

    def lit(self, direction: np.ndarray, main: np.ndarray, ambient: np.ndarray) -> np.ndarray:
        """Light the backdrop.

        Args:
            direction: unit vector towards the main light, world, shape (3,)
            main: colour of the main light, RGB
            ambient: colour of the light from everywhere, RGB

        Returns:
            RGB, uint8, shape (height, width, 3).
        """
        cosine = np.maximum(self.normal @ direction.astype(np.float32), 0)[..., None]
        cosine[
            ~self.normal[..., 2].astype(bool) & ~self.normal[..., 0].astype(bool) & ~self.normal[..., 1].astype(bool)
        ] = 1.0
        light = cosine * main.astype(np.float32) + ambient.astype(np.float32) * self.closeness[..., None]
        return (np.sqrt((self.albedo * light).clip(0, 1)) * 255).astype(np.uint8)


def cast(scene: Scene, camera: Camera) -> Backdrop:
    """Ray-cast a scene.

    Args:
        scene: what to show
        camera: who looks

    Returns:
        the scene's surfaces pixel by pixel.
    """
    rays = camera.rays()
    origin = camera.position.astype(np.float32)
    noise = _noise(scene.seed)
    far = np.float32(60.0)
    depth = -origin[2] / np.where(np.abs(rays[..., 2]) < 1e-6, np.float32(-1e-6), rays[..., 2])
    floor = (depth > 0) & (depth < far)
    depth = np.where(floor, depth, far)
    x, y = (origin[k] + depth * rays[..., k] for k in (0, 1))
    albedo = _floor_paint(scene, x, y, noise)
    albedo[~floor] = _sky_paint(scene, rays[~floor])
    normal = np.zeros_like(rays)
    normal[..., 2] = floor
    closeness = np.ones(depth.shape, np.float32)
    for box in scene.boxes:
        window = _window(box, camera)
        _cast_box(box, origin, rays[window], noise, albedo[window], normal[window], depth[window], floor[window],
                  closeness[window])  # fmt: skip
        if box.low < 0.05 and max(box.half) < 3:
            _darken_around(box, x, y, floor, closeness)
    return Backdrop(albedo, normal, depth, floor, closeness)


def _window(box: Box, camera: Camera) -> tuple[slice, slice]:
    """Rows and columns that a box may show in; the whole frame where part of it is behind the camera."""
    cos, sin = np.cos(box.turn), np.sin(box.turn)
    corners = np.array([[i * box.half[0], j * box.half[1]] for i in (-1, 1) for j in (-1, 1)])
    corners = corners @ np.array([[cos, sin], [-sin, cos]]) + box.centre
    corners = np.concatenate([np.c_[corners, np.full(4, height)] for height in (box.low, box.high)])
    seen = camera.to_camera(corners)
    width, height = camera.size
    if seen[:, 2].min() < 0.3:
        return slice(0, height), slice(0, width)
    pixels = camera.project(seen)
    low, high = np.floor(pixels.min(0)) - 2, np.ceil(pixels.max(0)) + 2  # distortion bends edges a little
    (left, top), (right, bottom) = low.clip(0, [width, height]).astype(int), high.clip(0, [width, height]).astype(int)
    return slice(top, bottom), slice(left, right)


def _sky_paint(scene: Scene, rays: np.ndarray) -> np.ndarray:
    """Colour of rays that hit nothing, shape (rays, 3): a gradient with soft clouds."""
    rise = np.clip(rays[:, 2] / np.sqrt(np.einsum("rc,rc->r", rays, rays)) * 2.2, 0, 1)[:, None]
    spread = rays / (np.abs(rays[:, 2:]) + 0.15)
    clouds = sum(np.sin(spread[:, :1] * a + spread[:, 1:2] * b + scene.seed % 7) for a, b in ((2, 1), (-1, 3), (4, -3)))
    share = np.clip(0.25 * clouds - 0.1, 0, 0.6) * rise
    return (np.array(scene.sky[0]) * (1 - rise) + np.array(scene.sky[1]) * rise) * (1 - share) + 0.9 * share


def _noise(seed: int) -> np.ndarray:
    """Tileable rough noise around 1, shape (tile, tile)."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(
            np.pad(rng.normal(0, 1, (n, n)), (0, 1), mode="wrap"), (_TILE, _TILE), interpolation=cv2.INTER_LINEAR
        )
        for n in (8, 32)
    ]
    return (1 + 0.07 * layers[0] + 0.07 * layers[1] + 0.08 * rng.normal(0, 1, (_TILE, _TILE))).astype(np.float32)


def _sample(noise: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return noise[y.astype(np.int32) & (_TILE - 1), x.astype(np.int32) & (_TILE - 1)]


def _floor_paint(scene: Scene, x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    first, second = np.array(scene.floor_paint[0], np.float32), np.array(scene.floor_paint[1], np.float32)
    grain = _sample(noise, x * 40, y * 40)
    if scene.floor == "wood":
        plank = np.floor(x * 6)
        share = 0.5 + 0.4 * np.sin(plank * 12.9)
        grain = _sample(noise, x * 90, y * 9 + plank * 17)
    elif scene.floor == "tiles":
        share = ((np.floor(x * 1.7) + np.floor(y * 1.7)) % 2).astype(np.float32)
    elif scene.floor in ("grass", "sand"):
        share = np.clip((_sample(noise, x * 5, y * 5) - 0.8) * 2.5, 0, 1)
        grain = grain**2
    elif scene.floor == "asphalt":
        share = (np.abs(np.mod(x * 0.3, 1) - 0.5) < 0.012).astype(np.float32)
    else:
        share = np.zeros_like(x)
    return (first + (second - first) * share[..., None]) * grain[..., None]


def _wall_paint(box: Box, u: np.ndarray, height: np.ndarray, noise: np.ndarray) -> np.ndarray:
    tone = _sample(noise, u * 14, height * 14)
    if box.pattern == "panels":
        tone = tone * (0.82 + 0.25 * np.abs(np.sin(u * 9.0 + 0.6 * np.sin(u * 3.1))))
    elif box.pattern == "bricks":
        row = np.floor(height * 5)
        joint = (np.mod(height * 5, 1) < 0.14) | (np.mod(u * 2.4 + 0.5 * (row % 2), 1) < 0.06)
        tone = np.where(joint, 1.35, tone)
    elif box.pattern == "shelves":
        book = np.floor(u * 14 + np.floor(height * 2.6) * 7.3)
        tone = np.where(np.mod(height * 2.6, 1) < 0.12, 0.9, 0.35 + 1.0 * np.abs(np.sin(book * 78.2)))
    elif box.pattern == "windows":
        pane = (np.mod(u * 0.55, 1) > 0.4) & (np.mod(height * 0.33, 1) > 0.45)
        tone = np.where(pane, 0.4, tone)
    return np.array(box.paint, np.float32) * tone[..., None].astype(np.float32)


def _cast_box(
    box: Box, origin: np.ndarray, rays: np.ndarray, noise: np.ndarray, albedo: np.ndarray, normal: np.ndarray,
    depth: np.ndarray, floor: np.ndarray, closeness: np.ndarray,
) -> None:  # fmt: skip
    """Intersect rays with one box (slab method) and keep what is nearer than before, in place."""
    cos, sin = np.cos(box.turn), np.sin(box.turn)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32)
    low = np.array([-box.half[0], -box.half[1], box.low], np.float32)
    high = np.array([box.half[0], box.half[1], box.high], np.float32)
    start = turn @ (origin - np.array([*box.centre, 0], np.float32))
    entries, leaves, directions = [], [], []
    for k in range(3):  # component by component: reductions over an axis of three are slow
        direction = turn[k, 0] * rays[..., 0] + turn[k, 1] * rays[..., 1] + turn[k, 2] * rays[..., 2]
        direction[np.abs(direction) < 1e-6] = 1e-6
        inverse = 1 / direction
        to_low, to_high = (low[k] - start[k]) * inverse, (high[k] - start[k]) * inverse
        entries.append(np.minimum(to_low, to_high))
        leaves.append(np.maximum(to_low, to_high))
        directions.append(direction)
    entry = np.maximum(np.maximum(entries[0], entries[1]), entries[2])
    leave = np.minimum(np.minimum(leaves[0], leaves[1]), leaves[2])
    seen = (entry < leave) & (entry > 0.25) & (entry < depth)
    if not seen.any():
        return
    entry_axis = np.stack([values[seen] for values in entries], -1)
    direction = np.stack([values[seen] for values in directions], -1)
    axis = entry_axis.argmax(-1)
    hit = start + entry[seen][:, None] * direction
    u = np.where(axis == 0, hit[:, 1], hit[:, 0])
    height = np.where(axis == 2, hit[:, 1], hit[:, 2])
    albedo[seen] = _wall_paint(box, u + box.centre[0] * 3.7, height, noise)
    side = np.zeros((len(axis), 3), np.float32)
    side[np.arange(len(axis)), axis] = -np.sign(direction[np.arange(len(axis)), axis])
    normal[seen] = side @ turn
    closeness[seen] = 0.72 + 0.28 * np.clip((hit[:, 2] - box.low) / 0.6, 0, 1)
    depth[seen] = entry[seen]
    floor[seen] = False


def _darken_around(box: Box, x: np.ndarray, y: np.ndarray, floor: np.ndarray, closeness: np.ndarray) -> None:
    """Darken the floor (its points' world x and y, m) next to a box that stands on it, in place."""
    near = floor & (np.abs(x - box.centre[0]) + np.abs(y - box.centre[1]) < 2 * max(box.half) + 0.7)
    dx, dy = x[near] - box.centre[0], y[near] - box.centre[1]
    cos, sin = np.cos(box.turn), np.sin(box.turn)
    out_x = np.maximum(np.abs(dx * cos + dy * sin) - box.half[0], 0)
    out_y = np.maximum(np.abs(dy * cos - dx * sin) - box.half[1], 0)
    closeness[near] *= 1 - 0.45 * np.exp(-np.hypot(out_x, out_y) / 0.18)


def paint(rng: np.random.Generator, saturation: float = 0.5, low: float = 0.05, high: float = 0.6) -> Colour:
    """Draw a surface colour; strong colours are rarer than greys and browns."""
    return colour(rng, (0.0, saturation * rng.random()), (low, high))
