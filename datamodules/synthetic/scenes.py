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
        sky = ~self.normal.any(-1)
        cosine[sky] = 1.0
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
    safe = np.where(np.abs(rays[..., 2]) < 1e-6, np.float32(-1e-6), rays[..., 2])
    depth = -origin[2] / safe
    floor = (depth > 0) & (depth < far)
    depth = np.where(floor, depth, far)
    spots = origin[:2] + depth[..., None] * rays[..., :2]
    albedo = _floor_paint(scene, spots, noise)
    length = np.sqrt(np.einsum("hwc,hwc->hw", rays, rays))
    rise = np.clip(rays[..., 2] / length * 2.2, 0, 1)[..., None]
    clouds = _sample(noise, rays[..., 0] * 30, rays[..., 1] * 30 + rays[..., 2] * 50)[..., None]
    sky = np.array(scene.sky[0]) * (1 - rise) + np.array(scene.sky[1]) * rise
    albedo = np.where(floor[..., None], albedo, sky * (1 + 0.3 * (clouds - 1))).astype(np.float32)
    normal = np.zeros_like(rays)
    normal[..., 2] = floor
    closeness = np.ones(depth.shape, np.float32)
    for box in scene.boxes:
        _cast_box(box, origin, rays, noise, albedo, normal, depth, floor, closeness)
        if box.low < 0.05:
            _darken_around(box, origin, rays, depth, floor, closeness)
    return Backdrop(albedo, normal, depth, floor, closeness)


def _noise(seed: int) -> np.ndarray:
    """Tileable rough noise around 1, shape (tile, tile)."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(np.pad(rng.normal(0, 1, (n, n)), (0, 1), mode="wrap"), (_TILE, _TILE), interpolation=cv2.INTER_LINEAR)
        for n in (8, 32)
    ]
    return (1 + 0.07 * layers[0] + 0.07 * layers[1] + 0.08 * rng.normal(0, 1, (_TILE, _TILE))).astype(np.float32)


def _sample(noise: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return noise[np.mod(y, _TILE).astype(np.int32) % _TILE, np.mod(x, _TILE).astype(np.int32) % _TILE]


def _floor_paint(scene: Scene, spots: np.ndarray, noise: np.ndarray) -> np.ndarray:
    x, y = spots[..., 0], spots[..., 1]
    first, second = np.array(scene.floor_paint[0], np.float32), np.array(scene.floor_paint[1], np.float32)
    grain = _sample(noise, x * 40, y * 40)
    if scene.floor == "wood":
        plank = np.floor(x * 6)
        share = 0.5 + 0.5 * np.sin(plank * 12.9) * 0.8
        grain = _sample(noise, x * 90, y * 9 + plank * 17)
    elif scene.floor == "tiles":
        share = ((np.floor(x * 1.7) + np.floor(y * 1.7)) % 2).astype(np.float32)
    elif scene.floor in ("grass", "sand"):
        share = np.clip((_sample(noise, x * 5, y * 5) - 0.8) * 2.5, 0, 1)
        grain = grain**2
    else:
        share = (np.abs(np.mod(x * 0.3, 1) - 0.5) < 0.012).astype(np.float32) if scene.floor == "asphalt" else 0.0 * x
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


def _darken_around(
    box: Box, origin: np.ndarray, rays: np.ndarray, depth: np.ndarray, floor: np.ndarray, closeness: np.ndarray
) -> None:
    """Darken the floor next to a box that stands on it, in place."""
    spots = origin[:2] + depth[floor][:, None] * rays[floor][:, :2] - np.array(box.centre, np.float32)
    cos, sin = np.cos(box.turn), np.sin(box.turn)
    local = np.abs(spots @ np.array([[cos, -sin], [sin, cos]], np.float32)) - np.array(box.half, np.float32)
    distance = np.hypot(np.maximum(local[:, 0], 0), np.maximum(local[:, 1], 0))
    closeness[floor] *= 1 - 0.45 * np.exp(-distance / 0.18)


def paint(rng: np.random.Generator, saturation: float = 0.5, low: float = 0.05, high: float = 0.6) -> Colour:
    """Draw a surface colour."""
    return colour(rng, (0.0, saturation), (low, high))
