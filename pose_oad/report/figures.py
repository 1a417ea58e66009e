"""All figures of a report: drawn where their data are there, saved as PNG and SVG."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pose_oad.report.curves import error_against_rate, error_over_stream
from pose_oad.report.details import error_by_joint, selection_strip
from pose_oad.report.material import Material
from pose_oad.report.pictures import NothingToDraw, Picture, at_one_condition
from pose_oad.report.settings import error_against_setting, varied_settings
from pose_oad.report.style import house_style
from pose_oad.report.tradeoffs import (
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

    Where other parameters than the rate vary, the error is drawn against each of them, and all other figures show the
    one setting that most groups have.

    Args:
        material: what to draw
        folder: an existing folder

    Returns:
        The figures; and for each one that was not drawn, what it is and why.
    """
    pictures: list[Picture] = []
    skipped: list[str] = []
    groups, where = at_one_condition(material.online)
    one = replace(material, online=tuple(groups))
    draws = [
        (f"error against {key}", partial(error_against_setting, material, key), "")
        for key in varied_settings(material.online)
    ]
    draws += [(draw.__name__.replace("_", " "), partial(draw, one), where) for draw in PICTURES]
    with house_style():
        for name, draw, shown_where in draws:
            try:
                picture = draw()
            except NothingToDraw as reason:
                skipped.append(f"{name}: {reason}")
                _log.info("no figure of %s", skipped[-1])
                continue
            picture.figure.savefig(folder / f"{picture.name}.png", dpi=150)
            picture.figure.savefig(folder / f"{picture.name}.svg", dpi=200, metadata={"Date": None})
            pictures.append(replace(picture, caption=picture.caption + shown_where))
    return pictures, skipped
