"""COCO keypoint annotations: by image, mapped by joint name to the student's joint set."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO

from datamodules.coco.annotation_file import ImageEntry, Person, read_coco
from datamodules.coco.regions import box_mask, outline_mask
from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE, evaluated_joints, make_coco
from pose_oad.poses.skeleton import Skeleton, joint_map, map_keypoints
from pose_oad.tracking.errors import UserError

_LOG = logging.getLogger(__name__)
# People mapped at a time: the intermediate results of a mapping are several times as large as its input.
_BLOCK = 16384


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One annotated image."""

    id: int  #: COCO's image id
    path: Path  #: the image file
    size: tuple[int, int]  #: width and height, px
    #: labelled people in the wanted joint set, float32, shape (people, joints, 3): continuous px, 1 where labelled
    keypoints: np.ndarray


class CocoIndex:
    """The people of a COCO keypoint set, by image.

    People without any labelled joint, crowds, and annotations that say ``ignore`` are not among an image's
    ``keypoints`` but in its :meth:`ignored` area.

    Attributes:
        skeleton: joint set of the keypoints
        source: joint set of the file's category
        images: the images, in the file's order
        missing: how many images of the file are not in the folder
        joints: joints that this set can supply, bool, shape (joints,)
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        skeleton: Skeleton,
        *,
        category: str | None = None,
        skip_missing: bool = False,
    ) -> None:
        """Read and check an annotation file and the folder of its images, of which missing ones may be left out."""
        self.annotations, self.skeleton = annotations, skeleton
        file = read_coco(annotations, category)
        if not images.is_dir():
            raise UserError(f"{images}: no such folder; expected the images that {annotations} lists")
        self._category, self.source = file.category, file.category.joints
        self.category_id, self.joints = file.category.id, _supplied(self.source, skeleton, annotations)
        self._file = file
        there = _there(file.images, images)
        self.missing = len(there) - int(there.sum())
        if self.missing:
            self._report_missing(there, images, skip_missing)
        self._kept = np.flatnonzero(there)
        self.images = self._grouped(images)

    @cached_property
    def ground_truth(self) -> COCO:
        """The people of :attr:`images` as pycocotools wants them for evaluation, with the file's own joints.

        Names of joints are in the project's spelling; ids of annotations are new.
        """
        file, kept = self._file, set(self._kept.tolist())
        category: dict[str, Any] = {
            "id": self.category_id,
            "name": self._category.name,
            "keypoints": list(self.source.joints),
        }
        if self._category.sigmas is not None:
            category["sigmas"] = list(self._category.sigmas)
        people = [
            {
                # pycocotools takes the id 0 for "matched with nobody".
                "id": number,
                "image_id": file.images[person.image].id,
                "category_id": self.category_id,
                "iscrowd": int(person.crowd),
                "area": person.area,
                "bbox": list(person.box),
                "keypoints": keypoints.ravel().tolist(),
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
            }
            for number, (person, keypoints) in enumerate(zip(file.people, file.keypoints, strict=True), 1)
            if person.image in kept
        ]
        listed = [{"id": image.id, "width": image.size[0], "height": image.size[1]} for image in self.images]
        return make_coco({"info": {}, "images": listed, "annotations": people, "categories": [category]})

    def ignored(self, image: CocoImage) -> np.ndarray | None:
        """Mark the area where people are known to be but not labelled: crowds, and people without labelled joints.

        Where such an area overlaps a labelled person, the labelled person wins.

        Returns:
            uint8, shape (height, width), 1 inside the area; None where there is none.
        """
        people = self._around_hidden.get(image.id, [])
        if not people:
            return None
        what = f"{self.annotations}: an annotation of image {image.id}"
        area = np.zeros(image.size[::-1], np.uint8)
        for person in people:
            if person.hidden:
                outline = person.outline
                area |= outline_mask(outline, image.size, what) if outline else box_mask(person.box, image.size)
        for person in people:
            # A box would take a crowd's neighbours along: only a true outline gives area back.
            if not person.hidden and person.outline:
                area &= 1 - outline_mask(person.outline, image.size, what)
        return area

    def _grouped(self, folder: Path) -> list[CocoImage]:
        """Map the labelled people of all images at once, and hand each image its own."""
        file = self._file
        labelled = np.array([not person.hidden for person in file.people], bool)
        places = np.array([person.image for person in file.people], np.int64)
        rows = np.flatnonzero(labelled)
        rows = rows[np.argsort(places[rows], kind="stable")]
        mapped = _mapped(file.keypoints[rows], self.source, self.skeleton)
        bounds = np.searchsorted(places[rows], np.arange(len(file.images) + 1))
        return [
            CocoImage(
                file.images[place].id,
                folder / file.images[place].file_name,
                file.images[place].size,
                mapped[bounds[place] : bounds[place + 1]],
            )
            for place in self._kept.tolist()
        ]

    @cached_property
    def _around_hidden(self) -> dict[int, list[Person]]:
        """All people of the images in which somebody is hidden, by image id."""
        file = self._file
        found: dict[int, list[Person]] = {file.images[person.image].id: [] for person in file.people if person.hidden}
        for person in file.people:
            if (number := file.images[person.image].id) in found:
                found[number].append(person)
        return found

    def _report_missing(self, there: np.ndarray, folder: Path, skip: bool) -> None:
        """Refuse a set of which images are missing, or say how many are left out."""
        listed = self._file.images
        first = folder / listed[int(np.argmin(there))].file_name
        count = f"{self.missing} of its {len(there)} images"
        if not skip:
            raise UserError(f"{first}: no such image ({count} are missing); missing_images=skip leaves them out")
        if not there.any():
            raise UserError(f"{folder}: none of the images that {self.annotations} lists, as {first}")
        _LOG.warning("%s: %s are not in %s; left out, the first is %s", self.annotations, count, folder, first.name)


def _supplied(source: Skeleton, wanted: Skeleton, path: Path) -> np.ndarray:
    """Tell which of the wanted joints a set can supply, bool, shape (joints,); refuse one that supplies none."""
    try:
        weights = joint_map(source, wanted)
    except UserError as error:
        raise UserError(f"{path}: {error}: it has {', '.join(source.joints)} (student.skeleton=data)") from error
    evaluated_joints(source, wanted)  # refuses sets of which nothing could be measured
    return weights.any(1).numpy()


def _there(images: Sequence[ImageEntry], folder: Path) -> np.ndarray:
    """Tell which image files exist, bool, shape (images,): every folder is listed once."""
    listings: dict[str, set[str]] = {}
    found = np.zeros(len(images), bool)
    for at, image in enumerate(images):
        inside, name = os.path.split(image.file_name)
        if inside not in listings:
            listings[inside] = _listing(folder / inside)
        found[at] = name in listings[inside]
    return found


def _listing(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}); expected a folder of images") from error


def _mapped(keypoints: np.ndarray, source: Skeleton, target: Skeleton) -> np.ndarray:
    """Map COCO's numbers to continuous px in another joint set, with confidence 1 where labelled, visible or hidden."""
    people = torch.from_numpy(keypoints)
    labelled = (people[..., 2:] > 0).float()
    people = torch.cat([(people[..., :2] + COCO_PIXEL_CENTRE) * labelled, labelled], -1)
    blocks = [map_keypoints(block, source, target) for block in people.split(_BLOCK)]
    return torch.cat(blocks).numpy()
