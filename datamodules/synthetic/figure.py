"""Flesh on the bones: the solids of a clothed person and the texture of each.

Solids come in a fixed order (:data:`PARTS` plus what the outfit adds), so that a pixel's solid tells the body part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.synthetic import appearance
from datamodules.synthetic.appearance import Outfit
from datamodules.synthetic.body import SIDES, Build, Posed
from datamodules.synthetic.raster import Solids


@dataclass(frozen=True)
class _Part:
    """One solid: ends and front (frames, 3), sizes in m, and its texture."""

    start: np.ndarray
    end: np.ndarray
    front: np.ndarray
    radius: tuple[float, float]
    texture: np.ndarray
    flat: float = 1.0
    bulge: float = 0.0
    cap: float = 1.0


def dress(build: Build, posed: Posed, outfit: Outfit, rng: np.random.Generator) -> tuple[Solids, np.ndarray]:
    """Build the solids and textures of a clothed body.

    Args:
        build: proportions
        posed: where the skeleton is
        outfit: what the person wears
        rng: source of randomness for folds and strands

    Returns:
        the solids, and their textures of shape (solids, rows, columns, 3), linear 0…1.
    """
    parts = [*_trunk(build, posed, outfit, rng), *_head(build, posed, outfit, rng)]
    for side, sign in SIDES:
        parts += _arm(build, posed, outfit, rng, side)
        parts += _leg(build, posed, outfit, rng, side, sign)
    solids = Solids(
        start=np.stack([part.start for part in parts], 1),
        end=np.stack([part.end for part in parts], 1),
        front=np.stack([part.front for part in parts], 1),
        radius=np.array([part.radius for part in parts]),
        flat=np.array([part.flat for part in parts]),
        bulge=np.array([part.bulge for part in parts]),
        cap=np.array([part.cap for part in parts]),
    )
    return solids, np.stack([part.texture for part in parts]).astype(np.float32)


def _offset(frame: np.ndarray, forward: float = 0.0, left: float = 0.0, up: float = 0.0) -> np.ndarray:
    return frame @ np.array([forward, left, up])


def _ball(centre: np.ndarray, frame: np.ndarray, semi: tuple[float, float, float], texture: np.ndarray) -> _Part:
    """Ellipsoid with semi-axes forward, left and up, m."""
    up = _offset(frame, up=semi[2])
    return _Part(centre - up, centre + up, frame[..., 0], (semi[1], semi[1]), texture, flat=semi[0] / semi[1], cap=0.0)


def _trunk(build: Build, posed: Posed, outfit: Outfit, rng: np.random.Generator) -> list[_Part]:
    g, points, frames = build.girth, posed.points, posed.frames
    wide, loose = build.shoulders, outfit.loose
    chest, pelvis, belly = frames["chest"], frames["pelvis"], frames["belly"]
    shirt, turn = appearance.cloth(rng, outfit.top), np.abs(np.linspace(-np.pi, np.pi, appearance.COLUMNS))[None]
    if outfit.open_jacket:
        shirt = np.where((turn < 0.3)[..., None], np.array(outfit.top[1]) * 0.9, shirt)
    lower = appearance.cloth(rng, outfit.trousers)
    below_neck = np.linspace(1.0, 0.0, appearance.ROWS)[:, None]
    cut_out = (below_neck < outfit.neckline) & (turn < 0.5 - 0.5 * below_neck / max(outfit.neckline, 0.01))
    front = np.where(cut_out[..., None], np.array(outfit.skin), shirt)
    yoke = appearance.cloth(rng, (outfit.top[0], outfit.top[1], "plain"))
    waist, ribs = 0.118 * g + 0.012 + loose, 0.80 * wide
    parts = [
        _ball(points["pelvis"] - _offset(pelvis, up=0.01), pelvis,
              (0.112 * g + loose, 0.088 + 0.078 * g + loose, 0.125), lower),
        _Part(points["pelvis"] + _offset(pelvis, up=0.05), points["spine"] - _offset(belly, up=0.02), belly[..., 0],
              (waist * 1.16, waist * 1.05), shirt, flat=0.72, cap=0.3),
        _Part(points["spine"] - _offset(belly, up=0.06), points["neck"] - _offset(chest, up=0.14), chest[..., 0],
              (waist * 1.08, ribs), front, flat=0.70, bulge=0.012 * g, cap=0.85),
        _Part(points["left_shoulder"] + _offset(chest, forward=-0.012, left=-0.05, up=-0.012), points["right_shoulder"]
              + _offset(chest, forward=-0.012, left=0.05, up=-0.012), -chest[..., 2],
              (0.066 * g + loose, 0.066 * g + loose), yoke, flat=1.25, bulge=0.016),
        _Part(points["neck"] - _offset(chest, up=0.03),
              points["chin"] + _offset(frames["head"], forward=-0.02, up=0.04), frames["head"][..., 0],
              (0.056 * g**0.5, 0.052 * g**0.5), appearance.flesh(rng, outfit.skin)),
    ]  # fmt: skip
    if outfit.skirt:
        hem = (posed.points["left_knee"] + posed.points["right_knee"]) / 2
        parts.append(_Part(points["pelvis"] + _offset(pelvis, up=0.06), points["pelvis"] * 0.12 + hem * 0.88,
                           pelvis[..., 0], (0.15 * g, 0.22), lower, flat=0.85, cap=0.1))  # fmt: skip
    if outfit.bag:
        parts.append(_ball(points["spine"] + _offset(chest, forward=-0.17, up=0.08), chest, (0.10, 0.15, 0.23),
                           appearance.plain(rng, outfit.top[1])))  # fmt: skip
    return parts


def _head(build: Build, posed: Posed, outfit: Outfit, rng: np.random.Generator) -> list[_Part]:
    unit, frame, skull = build.head, posed.frames["head"], posed.points["skull"]
    hair = appearance.plain(rng, outfit.hair, 0.3)
    skin = appearance.flesh(rng, outfit.skin)
    parts = [
        _ball(skull, frame, (0.44 * unit, 0.345 * unit, 0.52 * unit), appearance.head(rng, outfit)),
        _ball(
            posed.points["nose"] - _offset(frame, forward=0.06 * unit),
            frame,
            (0.10 * unit, 0.055 * unit, 0.10 * unit),
            skin,
        ),
        *(
            _ball(posed.points[f"{side}_ear"], frame, (0.07 * unit, 0.04 * unit, 0.12 * unit), skin)
            for side, _ in SIDES
        ),
    ]
    if outfit.haircut in ("short", "long", "bun"):
        parts.append(_ball(skull + _offset(frame, forward=-0.085 * unit, up=0.10 * unit), frame,
                           (0.44 * unit, 0.38 * unit, 0.46 * unit), hair))  # fmt: skip
    if outfit.haircut == "long":
        parts.append(_Part(skull + _offset(frame, forward=-0.16 * unit),
                           skull + _offset(frame, forward=-0.26 * unit, up=-0.78 * unit), frame[..., 0],
                           (0.36 * unit, 0.28 * unit), hair, flat=0.55))  # fmt: skip
    if outfit.haircut == "bun":
        parts.append(
            _ball(skull + _offset(frame, forward=-0.42 * unit, up=0.38 * unit), frame, (0.2 * unit,) * 3, hair)
        )
    if outfit.haircut == "cap":
        cap = appearance.plain(rng, outfit.top[1])
        parts.append(
            _ball(
                skull + _offset(frame, forward=-0.02 * unit, up=0.2 * unit),
                frame,
                (0.47 * unit, 0.385 * unit, 0.37 * unit),
                cap,
            )
        )
        parts.append(_ball(skull + _offset(frame, forward=0.45 * unit, up=0.24 * unit), frame,
                           (0.3 * unit, 0.25 * unit, 0.04 * unit), cap))  # fmt: skip
    return parts


def _covered(cloth: np.ndarray, bare: np.ndarray, reach: float) -> np.ndarray:
    """Cloth from the start of a limb to ``reach`` (0…1) along it, skin beyond."""
    return np.where((np.arange(len(cloth)) < reach * len(cloth))[:, None, None], cloth, bare)


def _arm(build: Build, posed: Posed, outfit: Outfit, rng: np.random.Generator, side: str) -> list[_Part]:
    g, points, frames = build.girth, posed.points, posed.frames
    bare, sleeve = appearance.flesh(rng, outfit.skin), appearance.cloth(rng, outfit.top, 0.6)
    upper = _covered(sleeve, bare, outfit.sleeve)
    lower = _covered(sleeve, bare, outfit.sleeve - 1.0)
    thick = outfit.loose if outfit.sleeve > 1 else 0.4 * outfit.loose
    up, fore, hand = (frames[f"{side}_{part}"] for part in ("upper_arm", "forearm", "hand"))
    shoulder, elbow, wrist = (points[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
    palm = wrist + 0.48 * (points[f"{side}_hand"] - wrist)
    reach = 0.7 * build.forearm
    return [
        _Part(shoulder, elbow, up[..., 0], (0.056 * g + outfit.loose, 0.041 * g + thick), upper, bulge=0.004),
        _Part(elbow, wrist, fore[..., 0], (0.040 * g + thick, 0.027 * g + 0.5 * thick), lower, bulge=0.006 * g),
        _ball(palm, hand, (0.042, 0.022, 0.56 * reach), bare),
        _Part(
            wrist + _offset(hand, forward=0.02, up=-0.03), points[f"{side}_thumb"], hand[..., 1], (0.014, 0.011), bare
        ),
    ]


def _leg(build: Build, posed: Posed, outfit: Outfit, rng: np.random.Generator, side: str, sign: float) -> list[_Part]:
    g, points, frames = build.girth, posed.points, posed.frames
    bare, trouser = appearance.flesh(rng, outfit.skin), appearance.cloth(rng, outfit.trousers, 0.9)
    upper, lower = _covered(trouser, bare, outfit.leg), _covered(trouser, bare, outfit.leg - 1.0)
    thick = outfit.loose if outfit.leg > 1 else 0.0
    thigh, shank, foot = (frames[f"{side}_{part}"] for part in ("thigh", "shank", "foot"))
    hip, knee, ankle = (points[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
    shoe = appearance.plain(rng, outfit.shoes)
    return [
        _Part(hip + _offset(thigh, left=0.012 * sign), knee, thigh[..., 0],
              (0.086 * g + outfit.loose, 0.054 * g + thick), upper, bulge=0.006),
        _Part(knee, ankle, shank[..., 0], (0.053 * g + thick, 0.035 * g + 0.9 * thick), lower, bulge=0.012 * g),
        _Part(points[f"{side}_heel"] + _offset(foot, forward=0.03, up=0.014),
              points[f"{side}_toe"] - _offset(foot, forward=0.04), foot[..., 2], (0.046, 0.040), shoe,
              flat=0.95, bulge=0.004),
    ]  # fmt: skip
