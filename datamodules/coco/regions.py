"""Areas of COCO annotations: polygons, run lengths, boxes."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as run_length

from pose_oad.tracking.errors import UserError

#: ``segmentation`` in a compact form: polygons, int32, shape (points, 2), px; or pycocotools' compressed run lengths.
Outline = list[np.ndarray] | dict[str, Any]

# What pycocotools raises for run lengths that are none.
_DAMAGE = (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError)
_FARTHEST = 1e6  # px; what lies farther out is no annotation


def read_outline(segmentation: object, size: tuple[int, int], what: str) -> Outline | None:
    """Check a ``segmentation`` and make it compact.

    Args:
        segmentation: as the file has it: polygons (x and y in turn, px), or run lengths (``counts`` and ``size``)
        size: width and height of the image, px
        what: how messages call the annotation

    Returns:
        None where it is empty or absent.

    Raises:
        UserError: if it is neither, or has run lengths of another image size.
    """
    if not segmentation:
        return None
    outline: Outline | None = None
    if isinstance(segmentation, dict):
        outline = _run_lengths(segmentation, size)
    elif isinstance(segmentation, list):
        polygons = [_polygon(polygon) for polygon in segmentation]
        found = [polygon for polygon in polygons if polygon is not None]
        outline = found if len(found) == len(polygons) else None
    if outline is None:
        raise UserError(f"{what}: segmentation: expected polygons, or run lengths of {size[0]} by {size[1]} px")
    return outline


def outline_mask(outline: Outline, size: tuple[int, int], what: str) -> np.ndarray:
    """Draw an outline in an image of a width and height, px: uint8, shape (height, width), 1 inside.

    Raises:
        UserError: if run lengths do not fill the image; ``what`` is how the message calls the annotation.
    """
    width, height = size
    if isinstance(outline, list):
        return cv2.fillPoly(np.zeros((height, width), np.uint8), outline, 1)
    try:
        mask, inside = run_length.decode(outline), int(run_length.area(outline))
    except _DAMAGE as error:
        raise UserError(f"{what}: run lengths cannot be decoded ({error})") from error
    # Run lengths that end too early leave the rest of pycocotools' memory as it was.
    if int(np.count_nonzero(mask)) != inside or mask.max(initial=0) > 1:
        raise UserError(f"{what}: run lengths do not fill the image's {width} by {height} px")
    return mask


def box_mask(box: tuple[float, ...], size: tuple[int, int]) -> np.ndarray:
    """Draw a box (left, top, width, height, px): uint8, shape (height, width), 1 in every pixel it touches."""
    x, y, w, h = box
    mask = np.zeros(size[::-1], np.uint8)
    mask[max(0, int(y)) : max(0, math.ceil(y + h)), max(0, int(x)) : max(0, math.ceil(x + w))] = 1
    return mask


def _run_lengths(segmentation: dict[str, Any], size: tuple[int, int]) -> dict[str, Any] | None:
    counts, (width, height) = segmentation.get("counts"), size
    if segmentation.get("size") != [height, width]:
        return None
    if isinstance(counts, str):
        return {"size": [height, width], "counts": counts}
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        return None
    return run_length.frPyObjects(segmentation, height, width) if sum(counts) == width * height else None


def _polygon(polygon: object) -> np.ndarray | None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return None
    try:
        with np.errstate(over="ignore"):
            points = np.array(polygon, np.float32).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError):
        return None
    # Also false for what is not a number at all.
    return points.round().astype(np.int32) if (np.abs(points) < _FARTHEST).all() else None
