"""How people look: skin, hair, clothes, and the textures these are painted into.

A texture belongs to one solid of the figure: rows follow its axis from start to end, columns go round it with the front
in the middle. Colours are linear, 0…1.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

ROWS, COLUMNS = 48, 64
_ANGLES = ((np.arange(COLUMNS) + 0.5) / COLUMNS - 0.5) * 2 * np.pi  # 0 is the front
_HEIGHTS = ((np.arange(ROWS) + 0.5) / ROWS)[:, None]

SKINS = ((0.80, 0.55, 0.42), (0.72, 0.46, 0.33), (0.58, 0.35, 0.23), (0.40, 0.23, 0.14), (0.22, 0.12, 0.08))
HAIRS = ((0.03, 0.02, 0.02), (0.09, 0.05, 0.03), (0.22, 0.12, 0.05), (0.50, 0.34, 0.14), (0.35, 0.33, 0.32))
PATTERNS = ("plain", "plain", "hoops", "stripes", "checks", "print", "blocks", "dots")
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Outfit:
    """What one person looks like.

    Attributes:
        skin: colour of the skin
        hair: colour of the hair
        haircut: ``short``, ``long``, ``bald``, ``bun`` or ``cap``
        beard: whether there is one
        top: colours and pattern of the upper garment
        sleeve: how far the sleeves reach: 0 shoulder, 1 elbow, 2 wrist
        trousers: colours and pattern of the lower garment
        leg: how far it reaches: 0.5 mid-thigh, 1 knee, 2 ankle
        skirt: whether the lower garment is a skirt
        open_jacket: whether the upper garment is open in front over a second colour
        shoes: colour of the shoes
        loose: extra thickness of the clothes, m
        bag: whether the person carries a rucksack
        neckline: how deep the upper garment is cut out in front, as a share of the upper trunk
    """

    skin: Colour
    hair: Colour
    haircut: str
    beard: bool
    top: tuple[Colour, Colour, str]
    sleeve: float
    trousers: tuple[Colour, Colour, str]
    leg: float
    skirt: bool
    open_jacket: bool
    shoes: Colour
    loose: float
    bag: bool
    neckline: float


def colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """Draw a colour of any hue; ``saturation`` and ``value`` are ranges of 0…1."""
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))


def draw_outfit(rng: np.random.Generator, muted: bool = False) -> Outfit:
    """Draw what somebody wears.

    Args:
        rng: source of randomness
        muted: as in the studio: darker, less colourful, without hats, bags and skirts
    """
    vivid, bright = (0.5, 0.55) if muted else (0.85, 0.85)
    skirt, denim = not muted and rng.random() < 0.12, (0.05, 0.09, 0.2)
    cuts = ("short", "short", "long", "bun", "cap", "bald")
    common = [0.4, 0.2, 0.25, 0.1, 0.0, 0.05] if muted else [0.25, 0.2, 0.28, 0.08, 0.12, 0.07]
    lower = denim if rng.random() < 0.35 else colour(rng, (0.0, 0.5), (0.04, 0.6 * bright))
    weave = str(rng.choice(["plain", "plain", "plain", "stripes", "checks"]))
    return Outfit(
        skin=SKINS[rng.integers(len(SKINS))],
        hair=HAIRS[rng.integers(len(HAIRS))],
        haircut=str(rng.choice(cuts, p=common)),
        beard=bool(rng.random() < 0.15),
        top=(colour(rng, (0.0, vivid), (0.06, bright)), colour(rng, (0.0, vivid), (0.1, bright)),
             str(rng.choice(PATTERNS))),
        sleeve=float(rng.choice([0.25, 0.6, 0.75, 1.3, 1.9, 2.0])),
        trousers=(lower, colour(rng, (0, 0.6), (0.1, 0.6)), weave),
        leg=0.9 if skirt else float(rng.choice([0.5, 0.8, 1.6, 2.0, 2.0])),
        skirt=skirt,
        open_jacket=bool(rng.random() < 0.25),
        shoes=colour(rng, (0, 0.6), (0.02, 0.8)),
        loose=float(rng.uniform(0.004, 0.02)),
        bag=not muted and bool(rng.random() < 0.12),
        neckline=float(rng.choice([0.0, 0.16, 0.3])),
    )  # fmt: skip


def cloth(rng: np.random.Generator, dress: tuple[Colour, Colour, str], repeats: float = 1.0) -> np.ndarray:
    """Paint a piece of cloth with its pattern and folds.

    Args:
        rng: source of randomness; the same state gives the same pattern phase and folds
        dress: two colours and the pattern's name
        repeats: pattern repeats along the axis relative to a trunk

    Returns:
        shape (rows, columns, 3).
    """
    first, second, pattern = (np.array(dress[0]), np.array(dress[1]), dress[2])
    count = rng.integers(3, 8)
    rows, around = np.sin(2 * np.pi * count * repeats * _HEIGHTS), np.sin(count * 2 * _ANGLES)[None]
    masks: dict[str, Callable[[], np.ndarray]] = {
        "plain": lambda: np.zeros((ROWS, COLUMNS)),
        "hoops": lambda: (rows > 0.1) * np.ones((1, COLUMNS)),
        "stripes": lambda: (around > 0.2) * np.ones((ROWS, 1)),
        "checks": lambda: 0.5 * (rows > 0.3) + 0.5 * (around > 0.3),
        "print": lambda: ((np.abs(_ANGLES)[None] < 0.55) & (np.abs(_HEIGHTS - 0.6) < 0.16)) * 1.0,
        "blocks": lambda: (_HEIGHTS > 0.55) * np.ones((1, COLUMNS)),
        "dots": lambda: (rows * around > 0.45) * 1.0,
    }
    mask = masks[pattern]()
    texture = first + mask[..., None] * (second - first)
    folds = cv2.resize(rng.normal(1, 0.16, (7, 9)), (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
    folds = folds * rng.normal(1, 0.05, (ROWS, COLUMNS))
    return (texture * folds[..., None]).clip(0.005, 0.95)


def flesh(rng: np.random.Generator, skin: Colour) -> np.ndarray:
    """Paint bare skin, shape (rows, columns, 3)."""
    tone = cv2.resize(rng.normal(1, 0.07, (5, 5)), (COLUMNS, ROWS), interpolation=cv2.INTER_CUBIC)
    return np.array(skin) * tone[..., None].clip(0.7, 1.3)


def plain(rng: np.random.Generator, shade: Colour, spread: float = 0.1) -> np.ndarray:
    """Paint a rough surface of one colour, shape (rows, columns, 3)."""
    return np.array(shade) * rng.normal(1, spread, (ROWS, COLUMNS, 1)).clip(0.4, 1.6)


def head(rng: np.random.Generator, outfit: Outfit) -> np.ndarray:
    """Paint a head: hair above a hairline that falls towards the back; brows, eyes, lips and cheeks in front."""
    texture = flesh(rng, outfit.skin)
    turn = np.abs(_ANGLES)[None]
    strands = rng.normal(1, 0.25, (1, COLUMNS, 1)) * np.ones((ROWS, 1, 1))
    line = np.interp(turn, [0.0, 0.7, 1.0, 1.35, 1.8, np.pi], [0.84, 0.80, 0.68, 0.50, 0.36, 0.20])
    top = 0.62 if outfit.haircut == "bald" else 1.0  # a rim of hair round the back is left
    texture = np.where(
        ((line < _HEIGHTS) & (top > _HEIGHTS))[..., None], np.array(outfit.hair) * strands.clip(0.5, 1.8), texture
    )
    if outfit.haircut == "cap":
        fabric = np.array(outfit.top[1])
        texture = np.where((np.maximum(line, 0.66) < _HEIGHTS)[..., None], fabric, texture)

    def spot(angle: float, height: float, wide: float, high: float) -> np.ndarray:
        return (((_ANGLES[None] - angle) / wide) ** 2 + ((_HEIGHTS - height) / high) ** 2 < 1)[..., None]

    skin = np.array(outfit.skin)
    if outfit.beard:
        jaw = (turn < 1.15) & (_HEIGHTS < 0.30) & (_HEIGHTS > 0.02)
        texture = np.where(jaw[..., None], np.array(outfit.hair) * 1.1, texture)
    for side in (-1, 1):
        texture = np.where(spot(0.42 * side, 0.57, 0.24, 0.055), skin * 0.55, texture)  # the eye's socket
        texture = np.where(spot(0.42 * side, 0.565, 0.17, 0.032), 0.75, texture)
        texture = np.where(spot(0.42 * side, 0.565, 0.08, 0.034), 0.02, texture)
        texture = np.where(spot(0.42 * side, 0.655, 0.24, 0.022), np.array(outfit.hair) * 0.8, texture)
    texture = np.where(spot(0.0, 0.24, 0.30, 0.028), skin * np.array([0.75, 0.38, 0.38]), texture)
    return np.where(spot(0.0, 0.36, 0.15, 0.02), skin * 0.6, texture)
