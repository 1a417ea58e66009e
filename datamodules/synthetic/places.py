"""The scenes themselves: the recording studio of the target domain, and the many places of the source domain."""

from __future__ import annotations

import numpy as np

from datamodules.synthetic.appearance import Colour
from datamodules.synthetic.scenes import WALLS, Box, Scene, paint

SEAT_HEIGHT = 0.46  # m


def chair(spot: tuple[float, float], heading: float, shade: tuple[float, float, float]) -> list[Box]:
    """Build a chair for somebody who sits at ``spot`` (m) and faces ``heading`` (rad)."""
    ahead = np.array([np.cos(heading), np.sin(heading)])
    across = np.array([-ahead[1], ahead[0]])
    middle = np.array(spot) + 0.06 * ahead

    def part(forward: float, left: float, half: tuple[float, float], low: float, high: float) -> Box:
        centre = middle + forward * ahead + left * across
        return Box((float(centre[0]), float(centre[1])), half, low, high, heading, shade)

    seat = part(0.0, 0.0, (0.22, 0.22), SEAT_HEIGHT - 0.14, SEAT_HEIGHT - 0.10)
    legs = [part(f, s, (0.02, 0.02), 0.0, SEAT_HEIGHT - 0.12) for f in (-0.2, 0.2) for s in (-0.2, 0.2)]
    back = part(-0.30, 0.0, (0.02, 0.22), SEAT_HEIGHT - 0.05, 0.86)
    return [seat, back, *legs]


def studio_scene(rng: np.random.Generator, extra: list[Box]) -> Scene:
    """Furnish a studio: walls, and what stands along them (curtains, tables, screens, tripods).

    Args:
        rng: source of randomness
        extra: what this recording adds (a chair)
    """

    def wall() -> Colour:
        return paint(rng, 0.35, 0.08, 0.42)

    floor = paint(rng, 0.5, 0.1, 0.32)
    walls = [
        Box((0, 7.6), (7, 0.1), 0, 3.6, 0, wall(), "plain"),
        Box((0, -7.6), (7, 0.1), 0, 3.6, 0, wall(), "panels"),
        Box((6.0, 0), (0.1, 8), 0, 3.6, 0, wall(), "panels"),
        Box((-6.0, 0), (0.1, 8), 0, 3.6, 0, wall(), "plain"),
        Box((0, 0), (8, 9), 3.6, 3.7, 0, (0.24, 0.23, 0.21)),
    ]
    things = [
        Box((5.2, 3.5), (0.4, 0.9), 0, 0.76, 0.1, (0.30, 0.20, 0.10)),
        Box((-5.3, -2.6), (0.35, 1.1), 0, 1.9, 0, (0.13, 0.15, 0.20), "shelves"),
        Box((3.2, -7.0), (0.9, 0.3), 0, 0.9, 0, paint(rng, 0.8)),
        Box((-3.0, 6.9), (0.7, 0.4), 0, 1.3, 0, paint(rng, 0.8)),
        Box((0.4, 7.3), (0.8, 0.1), 0.9, 2.2, 0, (0.03, 0.03, 0.035)),
        Box((-2.0, -7.3), (0.5, 0.1), 0.0, 2.05, 0, paint(rng, 0.8)),
    ]
    for x, y in ((3.4, 5.6), (-3.6, -5.6), (3.6, -5.4), (-3.5, 5.2)):  # tripods
        things.append(Box((x + rng.uniform(-0.3, 0.3), y), (0.035, 0.035), 0, 1.5, 0.3, (0.03, 0.03, 0.03)))
        things.append(Box((x, y), (0.25, 0.02), 1.5, 1.75, 0.4, (0.05, 0.05, 0.05)))
    grey = (0.1, 0.1, 0.1)
    pattern = str(rng.choice(["plain", "wood", "tiles"], p=[0.6, 0.25, 0.15]))
    return Scene(pattern, _two_tones(rng, floor), (*walls, *things, *extra), (grey, grey), int(rng.integers(1 << 30)))


def snapshot_scene(rng: np.random.Generator) -> Scene:
    """Invent a place where somebody might take a photograph: a room or the open air."""
    boxes: list[Box] = []
    if rng.random() < 0.5:
        width, depth = rng.uniform(2.5, 6, 2)
        pattern = [str(rng.choice(WALLS[:4], p=[0.5, 0.2, 0.2, 0.1])) for _ in range(2)]
        tint = paint(rng, 0.45, 0.15, 0.7)
        boxes += [
            Box((0, depth + 2), (14, 0.1), 0, 3.2, 0, tint, pattern[0]),
            Box((width, 0), (0.1, 14), 0, 3.2, 0, tint, pattern[1]),
            Box((-width, 0), (0.1, 14), 0, 3.2, 0, tint, pattern[1]),
            Box((0, 0), (14, 14), 3.2, 3.3, 0, (0.6, 0.6, 0.58)),
        ]
        floor, sky = (
            str(rng.choice(["wood", "tiles", "plain"], p=[0.45, 0.2, 0.35])),
            ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        )
        floor_paint = _two_tones(rng, paint(rng, 0.5, 0.1, 0.5))
        for _ in range(rng.integers(0, 4)):  # pictures and doors
            boxes.append(Box((rng.uniform(-4, 4), depth + 1.88), (rng.uniform(0.2, 0.7), 0.05), rng.choice([0.0, 1.1]),
                             rng.uniform(1.6, 2.2), 0, paint(rng, 0.8), str(rng.choice(WALLS))))  # fmt: skip
    else:
        floor = str(rng.choice(["grass", "asphalt", "sand", "tiles"], p=[0.35, 0.3, 0.2, 0.15]))
        greens = ((0.07, 0.16, 0.03), (0.14, 0.22, 0.06))
        sands = ((0.5, 0.42, 0.28), (0.4, 0.33, 0.22))
        floor_paint = {"grass": greens, "sand": sands}.get(floor, _two_tones(rng, paint(rng, 0.15, 0.1, 0.4)))
        sky = ((0.75, 0.8, 0.85), (0.25, 0.42, 0.75)) if rng.random() < 0.7 else ((0.6, 0.6, 0.62), (0.5, 0.5, 0.55))
        for _ in range(rng.integers(0, 6)):  # houses and hedges
            house = rng.random() < 0.5
            boxes.append(Box((rng.uniform(-14, 14), rng.uniform(8, 22)), (rng.uniform(1.5, 4), rng.uniform(0.5, 3)), 0,
                             rng.uniform(4, 10) if house else rng.uniform(0.8, 3), rng.uniform(-0.3, 0.3),
                             paint(rng, 0.5, 0.15, 0.6) if house else (0.05, rng.uniform(0.08, 0.2), 0.03),
                             str(rng.choice(["windows", "bricks"])) if house else "shelves"))  # fmt: skip
    boxes += [_thing(rng, rng.uniform(-4, 4), rng.uniform(-1.5, 6)) for _ in range(rng.integers(0, 5))]
    return Scene(floor, floor_paint, tuple(boxes), sky, int(rng.integers(1 << 30)))


def _two_tones(rng: np.random.Generator, first: Colour) -> tuple[Colour, Colour]:
    """A colour and a lighter or darker relative of it."""
    factor = rng.uniform(0.5, 1.7)
    red, green, blue = (min(channel * factor, 0.85) for channel in first)
    return first, (red, green, blue)


def _thing(rng: np.random.Generator, x: float, y: float) -> Box:
    """Anything that stands about: a crate, a table, a post."""
    size = rng.choice(["crate", "table", "post"], p=[0.5, 0.3, 0.2])
    half = {
        "crate": rng.uniform(0.12, 0.45, 2), "table": rng.uniform(0.4, 0.8, 2), "post": rng.uniform(0.03, 0.08, 2)
    }[size]  # fmt: skip
    high = {"crate": rng.uniform(0.3, 1.1), "table": 0.75, "post": rng.uniform(0.9, 3.0)}[size]
    low = 0.69 if size == "table" and rng.random() < 0.5 else 0.0
    return Box((x, y), (float(half[0]), float(half[1])), low, high, rng.uniform(0, 3), paint(rng, 0.8, 0.04, 0.7),
               str(rng.choice(WALLS[:4], p=[0.85, 0.05, 0.05, 0.05])))  # fmt: skip


def occluder(rng: np.random.Generator, spot: np.ndarray, camera_position: np.ndarray) -> Box:
    """Build a thing between a person at ``spot`` (m, on the floor) and the camera."""
    share = rng.uniform(0.12, 0.35)
    where = spot + share * (camera_position[:2] - spot) + rng.normal(0, 0.25, 2)
    return _thing(rng, float(where[0]), float(where[1]))
