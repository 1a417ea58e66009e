"""All figures of a report: drawn where their data are there, saved as PNG and SVG."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from pose_oad.reporting.curves import error_against_rate, error_over_stream
from pose_oad.reporting.details import error_by_joint, selection_strip
from pose_oad.reporting.material import Material
from pose_oad.reporting.pictures import NothingToDraw, Picture
from pose_oad.reporting.style import house_style
from pose_oad.reporting.tradeoffs import (
    error_against_calls,
    error_against_seconds,
    error_against_steps,
    pareto_picture,
)

_log = logging.getLogger(__name__)

#: The figures in the order of the page.
PICTURES: tuple[Callable[[Material], Picture], ...] = (
    error_over_stream,
    error_against_rate,
    pareto_picture,
    error_against_calls,
    error_against_steps,
    error_against_seconds,
    error_by_joint,
    selection_strip,
)


def draw_all(material: Material, folder: Path) -> tuple[list[Picture], list[str]]:
    """Draw every figure that has data into a folder, as ``<name>.png`` (150 dpi) and ``<name>.svg``.

    Args:
        material: what to draw
        folder: an existing folder

    Returns:
        The figures; and for each one that was not drawn, what it is and why.
    """
    pictures: list[Picture] = []
    skipped: list[str] = []
    with house_style():
        for draw in PICTURES:
            try:
                picture = draw(material)
            except NothingToDraw as reason:
                skipped.append(f"{draw.__name__.replace('_', ' ').removesuffix(' picture')}: {reason}")
                _log.info("no figure of %s", skipped[-1])
                continue
            picture.figure.savefig(folder / f"{picture.name}.png", dpi=150)
            picture.figure.savefig(folder / f"{picture.name}.svg", dpi=200, metadata={"Date": None})
            pictures.append(picture)
    return pictures, skipped
