"""COCO keypoint annotations: read, checked, and mapped by joint name to the student's joint set."""

from __future__ import annotations

import contextlib
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools import mask as run_length
from pycocotools.coco import COCO

from pose_oad.errors import UserError
from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.skeleton import Skeleton, get_skeleton, joint_map, map_keypoints


@dataclass(frozen=True)
class CocoImage:
    """One annotated image.

    Attributes:
        id: COCO's image id
        path: the image file
        size: width and height, px
        keypoints: labelled people in the wanted joint set, float32, shape (people, joints, 3): continuous px, 1 where
            labelled
    """

    id: int
    path: Path
    size: tuple[int, int]
    keypoints: np.ndarray


class CocoIndex:
    """The people of a COCO keypoint set, by image.

    People without any labelled joint and crowds are not among an image's ``keypoints`` but in its
    :meth:`ignored` area.

    Attributes:
        annotations: the JSON file
        skeleton: joint set of the keypoints
        source: joint set of the file's person category
    """

    def __init__(self, annotations: Path, images: Path, skeleton: Skeleton) -> None:
        """Read and check an annotation file.

        Args:
            annotations: JSON file in COCO's keypoint format
            images: folder of the image files
            skeleton: joint set wanted

        Raises:
            UserError: if the file or the folder is missing, the file is not COCO's format, an annotation does not hold
                its category's number of joints, an image file is missing, or no joint is common to both sets.
        """
        self.annotations, self.skeleton = annotations, skeleton
        self._data = _read(annotations)
        if not images.is_dir():
            raise UserError(f"{images}: no such folder; expected the images that {annotations} lists")
        self._category = _category(self._data, annotations)
        self.source = _source_skeleton(self._category["keypoints"])
        joint_map(self.source, skeleton)  # refuses sets without a common joint
        self._people: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in self._data["annotations"]:
            if annotation.get("category_id") == self.category_id:
                self._check(annotation)
                self._people[annotation["image_id"]].append(annotation)
        self.images = [self._image(entry, images) for entry in self._data["images"]]

    @property
    def category_id(self) -> int:
        """COCO's id of the category "person" in this set."""
        return int(self._category["id"])

    @property
    def joints(self) -> np.ndarray:
        """Joints that this set can supply, bool, shape (joints,)."""
        return joint_map(self.source, self.skeleton).any(1).numpy()

    @cached_property
    def ground_truth(self) -> COCO:
        """The people as pycocotools wants them for evaluation, with COCO's 17 joints whatever the file's joint set."""
        coco17 = get_skeleton("coco-17")
        people = [person for of_image in self._people.values() for person in of_image]
        if self.source != coco17:
            people = [self._converted(person, coco17) for person in people]
        coco = COCO()
        coco.dataset = {**self._data, "annotations": people, "categories": [self._category]}
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports to standard output
            coco.createIndex()
        return coco

    def ignored(self, image: CocoImage) -> np.ndarray | None:
        """Mark the area where people are known to be but not labelled: crowds, and people without labelled joints.

        Where such an area overlaps a labelled person, the labelled person wins.

        Args:
            image: one of :attr:`images`

        Returns:
            uint8, shape (height, width), 1 inside the area; None where there is none.
        """
        people = self._people[image.id]
        hidden = [person for person in people if not _labelled(person)]
        if not hidden:
            return None
        area = np.zeros(image.size[::-1], np.uint8)
        for person in hidden:
            area |= _region(person, image.size)
        for person in people:
            # A box would take a crowd's neighbours along: only a true outline gives area back.
            if _labelled(person) and person.get("segmentation"):
                area &= 1 - _region(person, image.size)
        return area

    def _check(self, annotation: dict[str, Any]) -> None:
        keypoints = annotation.setdefault("keypoints", [0] * (3 * len(self.source)))
        if not isinstance(keypoints, list) or len(keypoints) != 3 * len(self.source):
            count = len(keypoints) if isinstance(keypoints, list) else keypoints
            raise UserError(
                f"{self.annotations}: annotation {annotation.get('id')} holds {count} numbers; expected "
                f"{3 * len(self.source)}, three for each of the category's {len(self.source)} keypoints"
            )
        annotation.setdefault("num_keypoints", sum(value > 0 for value in keypoints[2::3]))
        annotation.setdefault("iscrowd", 0)

    def _image(self, entry: dict[str, Any], folder: Path) -> CocoImage:
        path = folder / entry["file_name"]
        if not path.is_file():
            raise UserError(f"{path}: no such image, but {self.annotations} lists it")
        labelled = [person["keypoints"] for person in self._people[entry["id"]] if _labelled(person)]
        keypoints = _to_tensor(labelled, self.source)
        mapped = (
            map_keypoints(keypoints, self.source, self.skeleton)
            if labelled
            else keypoints.new_zeros(0, len(self.skeleton), 3)
        )
        return CocoImage(entry["id"], path, (entry["width"], entry["height"]), mapped.numpy())

    def _converted(self, annotation: dict[str, Any], target: Skeleton) -> dict[str, Any]:
        mapped = map_keypoints(_to_tensor([annotation["keypoints"]], self.source), self.source, target)[0]
        found = mapped[:, 2:] > 0
        mapped[:, :2] = (mapped[:, :2] - COCO_PIXEL_CENTRE) * found
        counted = int(found.sum()) if not annotation["iscrowd"] else annotation["num_keypoints"]
        return {**annotation, "keypoints": mapped.flatten().tolist(), "num_keypoints": counted}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected COCO keypoint annotations (data.root, data.train, data.val)")
    try:
        data = json.loads(path.read_bytes())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not JSON ({error}); expected COCO keypoint annotations") from error
    sections = ("images", "annotations", "categories")
    missing = [name for name in sections if not (isinstance(data, dict) and _list_of_objects(data.get(name)))]
    if missing:
        raise UserError(f"{path}: not COCO annotations; expected lists of objects under {', '.join(missing)}")
    for entry in data["images"]:
        if not {"id", "file_name", "width", "height"} <= entry.keys():
            raise UserError(f"{path}: an image entry holds {sorted(entry)}; expected id, file_name, width and height")
    for annotation in data["annotations"]:
        if not {"image_id", "category_id"} <= annotation.keys():
            raise UserError(f"{path}: annotation {annotation.get('id')} has no image_id or no category_id")
    return data


def _list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def _category(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """Find the one category that has keypoints (COCO has only "person"; others may have more)."""
    named = [category for category in data["categories"] if category.get("keypoints")]
    people = [category for category in named if category.get("name") == "person"]
    chosen = people or named
    if len(chosen) != 1:
        names = [category.get("name") for category in data["categories"]]
        raise UserError(f"{path}: categories {names}; expected one with keypoints, or one of these called person")
    return chosen[0]


def _source_skeleton(joints: list[str]) -> Skeleton:
    coco17 = get_skeleton("coco-17")
    return coco17 if tuple(joints) == coco17.joints else Skeleton("of the annotation file", tuple(joints))


def _labelled(annotation: dict[str, Any]) -> bool:
    return not annotation["iscrowd"] and any(value > 0 for value in annotation["keypoints"][2::3])


def _to_tensor(keypoints: list[list[float]], source: Skeleton) -> torch.Tensor:
    """COCO's numbers as continuous px with confidence 1 where labelled (whether visible or hidden)."""
    people = torch.tensor(keypoints, dtype=torch.float32).view(-1, len(source), 3)
    labelled = (people[..., 2:] > 0).float()
    return torch.cat([(people[..., :2] + COCO_PIXEL_CENTRE) * labelled, labelled], -1)


def _region(annotation: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Area of an annotation: its polygons or run lengths, its box where it has none; uint8, shape (height, width)."""
    width, height = size
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        packed = run_length.frPyObjects(segmentation, height, width) if isinstance(counts, list) else segmentation
        return run_length.decode(packed)
    area = np.zeros((height, width), np.uint8)
    if segmentation:
        polygons = [np.asarray(polygon, np.float32).reshape(-1, 2).round().astype(np.int32) for polygon in segmentation]
        return cv2.fillPoly(area, polygons, 1)
    if annotation.get("bbox"):
        x, y, w, h = annotation["bbox"]
        area[max(0, int(y)) : int(np.ceil(y + h)), max(0, int(x)) : int(np.ceil(x + w))] = 1
    return area
