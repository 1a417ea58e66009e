"""Reading a COCO annotation file: every entry is checked once, and what nobody asks for again is dropped."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from datamodules.coco.category import Category, choose_category
from datamodules.coco.regions import Outline, outline_mask, read_outline
from pose_oad.tracking.errors import UserError

_LOG = logging.getLogger(__name__)
# Share of its box that a person covers, where a file gives no areas: as CrowdPose's evaluation takes it.
_COVERED = 0.53
_LARGEST_ID = 2**63 - 1
_LARGEST_NUMBER = 1e12
_LARGEST_SIDE = 2**16  # px; no image format in use goes beyond


class ImageEntry(NamedTuple):
    """An image as the file lists it: COCO's id, its file name, and width and height, px."""

    id: int
    file_name: str
    size: tuple[int, int]


class Person(NamedTuple):
    """An annotation, but for its keypoints."""

    image: int  #: position of its image in the file's list
    crowd: bool  #: ``iscrowd``
    hidden: bool  #: known to be there but not to be learnt: a crowd, ``ignore``, or somebody without a labelled joint
    box: tuple[float, ...]  #: left, top, width and height, px
    area: float  #: px²
    outline: Outline | None  #: ``segmentation``; kept where an image's ignored area depends on it


@dataclass(frozen=True)
class CocoFile:
    """What an annotation file holds of one category."""

    path: Path  #: the file
    category: Category  #: what is annotated
    images: list[ImageEntry]  #: all images of the file, in its order
    people: list[Person]  #: the annotations of the category, in the file's order
    keypoints: np.ndarray  #: theirs, float32, shape (people, joints, 3): COCO's px indices and visibility


def read_category(path: Path, wanted: str | None = None) -> Category:
    """Read nothing but the category of an annotation file; see :func:`choose_category`."""
    return choose_category(_read(path)["categories"], path, wanted)


def read_coco(path: Path, category: str | None = None) -> CocoFile:
    """Read and check an annotation file in COCO's keypoint format; see :func:`choose_category` for the category.

    Annotations of images that the file does not list are left out, counted, and logged.
    """
    data = _read(path)
    chosen = choose_category(data["categories"], path, category)
    images = [_image(entry, path) for entry in data["images"]]
    places = {image.id: place for place, image in enumerate(images)}
    if len(places) < len(images):
        twice = next(image.id for place, image in enumerate(images) if places[image.id] != place)
        raise UserError(f"{path}: two images have the id {twice}; expected a different id for each")
    entries, of_image = _of_category(data["annotations"], chosen, places, path)
    keypoints = _keypoints(entries, len(chosen.joints), path)
    labelled: list[bool] = np.any(keypoints[..., 2] > 0, axis=1).tolist()
    hidden = [
        not any_labelled or bool(entry.get("iscrowd")) or bool(entry.get("ignore"))
        for entry, any_labelled in zip(entries, labelled, strict=True)
    ]
    masked = {place for place, is_hidden in zip(of_image, hidden, strict=True) if is_hidden}
    people = [
        _person(entry, place, is_hidden, place in masked, images[place].size, joints, path)
        for entry, place, is_hidden, joints in zip(entries, of_image, hidden, keypoints, strict=True)
    ]
    return CocoFile(path, chosen, images, people, keypoints)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected COCO keypoint annotations (data.root, data.train, data.val)")
    try:
        data = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); expected COCO keypoint annotations") from error
    except (OSError, ValueError) as error:  # the latter for a number of thousands of digits
        raise UserError(f"{path}: cannot be read ({error}); expected COCO keypoint annotations") from error
    sections = ("images", "annotations", "categories")
    missing = [name for name in sections if not (isinstance(data, dict) and _list_of_objects(data.get(name)))]
    if missing:
        raise UserError(f"{path}: not COCO annotations; expected lists of objects under {', '.join(missing)}")
    return data


def _list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _image(entry: dict[str, Any], path: Path) -> ImageEntry:
    if not {"id", "file_name", "width", "height"} <= entry.keys():
        raise UserError(f"{path}: an image entry holds {sorted(entry)}; expected id, file_name, width and height")
    number, name, size = entry["id"], entry["file_name"], (entry["width"], entry["height"])
    if not _whole(number):
        raise UserError(f"{path}: image id {number!r}; expected a whole number")
    if not (isinstance(name, str) and name and "\0" not in name):
        raise UserError(f"{path}: file_name {name!r} of image {number}; expected the name of a file")
    if not all(_whole(side) and 0 < side < _LARGEST_SIDE for side in size):
        raise UserError(f"{path}: image {number} is {size[0]!r} by {size[1]!r}; expected width and height in px")
    return ImageEntry(int(number), name, (int(size[0]), int(size[1])))


def _of_category(
    annotations: list[dict[str, Any]], category: Category, places: dict[int, int], path: Path
) -> tuple[list[dict[str, Any]], list[int]]:
    """Pick the annotations of a category whose images are listed, each with the position of its image."""
    chosen: list[dict[str, Any]] = []
    of_image: list[int] = []
    unlisted = 0
    for entry in annotations:
        what = f"{path}: annotation {entry.get('id')}"
        if not {"image_id", "category_id"} <= entry.keys():
            raise UserError(f"{what} has no image_id or no category_id")
        if not (_whole(entry["image_id"]) and _whole(entry["category_id"])):
            raise UserError(f"{what}: image_id or category_id is no whole number")
        if entry["category_id"] not in category.ids:
            continue
        if entry["image_id"] in places:
            chosen.append(entry)
            of_image.append(places[entry["image_id"]])
        else:
            unlisted += 1
    if unlisted:
        _LOG.warning("%s: %d annotations are of images that it does not list; left out", path, unlisted)
    return chosen, of_image


def _keypoints(entries: Sequence[dict[str, Any]], joints: int, path: Path) -> np.ndarray:
    """Stack the keypoints of all annotations; those without any have no labelled joint."""
    nobody = [0] * (3 * joints)
    rows = [entry.get("keypoints", nobody) or nobody for entry in entries]
    for entry, row in zip(entries, rows, strict=True):
        if not isinstance(row, list) or len(row) != 3 * joints:
            count = len(row) if isinstance(row, list) else row
            raise UserError(f"{path}: annotation {entry.get('id')} holds {count} numbers; expected {3 * joints}")
    try:
        with np.errstate(over="ignore"):
            stacked = np.array(rows, np.float32).reshape(-1, joints, 3)
    except (ValueError, TypeError, OverflowError):
        stacked = None
    if stacked is None or not np.isfinite(stacked).all():
        at = next(at for at, row in enumerate(rows) if not all(_number(value) for value in row))
        raise UserError(f"{path}: keypoints of annotation {entries[at].get('id')} are not all finite numbers")
    return stacked


def _person(
    entry: dict[str, Any],
    place: int,
    hidden: bool,
    masked: bool,
    size: tuple[int, int],
    keypoints: np.ndarray,
    path: Path,
) -> Person:
    """Check what an annotation says of where somebody is, and find out what it does not say."""
    box, area, outline, what = entry.get("bbox"), entry.get("area"), None, f"{path}: annotation {entry.get('id')}"
    if masked or box is None or area is None:
        outline = read_outline(entry.get("segmentation"), size, what)
    if box is None:
        around = cv2.boundingRect(outline_mask(outline, size, what)) if outline else _box_of_joints(keypoints)
        box = list(map(float, around))
    elif not (isinstance(box, list) and len(box) == 4 and all(map(_number, box))):
        raise UserError(f"{what}: bbox {box}; expected [left, top, width, height] in px")
    if area is None:
        area = float(outline_mask(outline, size, what).sum()) if outline else _COVERED * box[2] * box[3]
        if area <= 0:
            raise UserError(f"{what}: neither area nor bbox nor segmentation nor labelled joints give its size")
    elif not _number(area):
        raise UserError(f"{what}: area {area}; expected px²")
    return Person(place, bool(entry.get("iscrowd")), hidden, tuple(box), float(area), outline if masked else None)


def _box_of_joints(keypoints: np.ndarray) -> list[float]:
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    if not len(labelled):
        return [0.0, 0.0, 0.0, 0.0]
    left_top = labelled.min(0)
    return [*left_top.tolist(), *(labelled.max(0) - left_top).tolist()]


def _whole(value: object) -> bool:
    if isinstance(value, float):
        return value.is_integer() and abs(value) <= _LARGEST_ID
    return type(value) is int and abs(value) <= _LARGEST_ID


def _number(value: object) -> bool:
    """Return True for a number that px can be reckoned with: not NaN, not infinite, not near overflow."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER
