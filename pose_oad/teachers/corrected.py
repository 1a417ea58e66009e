"""What a person has corrected goes before the teacher's word: from COCO keypoints or Label Studio's export."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Labels, Teacher, TeacherAround, TeacherRequest, stack_people
from pose_oad.teachers.label_files import read_json, read_people
from pose_oad.tracking.errors import UserError, nearest

#: Name of the choice by which Label Studio says of a joint that it is hidden.
OCCLUDED = "occluded"


class Corrections(NamedTuple):
    """People in corrected images.

    Attributes:
        joints: names of the joints
        people: by the image's name without its suffix, float64, shape (people, joints, 3): x, y, px of the image, and
            COCO's visibility (0: not labelled, 1: hidden, 2: visible)
    """

    joints: tuple[str, ...]
    people: Mapping[str, np.ndarray]


def frame_name(clip: str, number: int) -> str:
    """Name the image of a frame, without a suffix, by its clip and its number in that."""
    plain = re.sub(r"[^\w.-]+", "_", clip)
    return f"{plain}-{number:08d}"


class CorrectedTeacher(TeacherAround):
    """A teacher whose labels give way to a person's, where there are any; counted as ``labels_corrected``.

    A corrected joint has the confidence 1, hidden or not; one that the person did not label was not found. The
    teacher's maps, which nobody corrected, are dropped.

    Args:
        teacher: who labels all other frames
        path: a file of corrections: COCO keypoints, or Label Studio's JSON export
    """

    def __init__(self, teacher: Teacher, path: Path) -> None:
        super().__init__(teacher)
        corrections = read_corrections(path)
        for joint in corrections.joints:
            if joint not in self.skeleton.joints:
                known = nearest(joint, self.skeleton.joints)
                raise UserError(f"teacher.corrections={path}: the teacher has no joint '{joint}'{known}")
        self._people = {
            name: torch.from_numpy(_arranged(people, corrections.joints, self.skeleton)).float()
            for name, people in corrections.people.items()
        }

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames, a person's word first; the teacher is asked for all, so that its cache stays whole."""
        labels, origin = self._teacher.label(request), request.origin
        names = [] if origin is None else [frame_name(origin.clip, number) for number in origin.numbers.tolist()]
        rows = [row for row, name in enumerate(names) if name in self._people]
        people, unusable = list(labels.keypoints), labels.unusable
        for row in rows:
            people[row] = self._people[names[row]]
        if rows and unusable is not None:
            unusable = unusable.clone()
            unusable[rows] = False
        counts = {**labels.counts, "labels_corrected": len(rows)}
        return Labels(stack_people(people, len(self.skeleton)), counts=counts, unusable=unusable)


def _arranged(people: np.ndarray, joints: Sequence[str], skeleton: Skeleton) -> np.ndarray:
    """Bring people into a joint set, with confidences for visibilities, shape (people, joints, 3)."""
    arranged = np.zeros((len(people), len(skeleton), 3))
    arranged[:, [skeleton.index(joint) for joint in joints]] = people
    arranged[..., 2] = arranged[..., 2] > 0
    return arranged


def read_corrections(path: Path) -> Corrections:
    """Read what a person has corrected.

    Raises:
        UserError: if the file is neither COCO keypoints nor Label Studio's JSON export, or is damaged.
    """
    content = read_json(path)
    try:
        if isinstance(content, dict):
            return _read_coco(content, path)
        if isinstance(content, list):
            return _read_label_studio(content)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error}); expected corrected keypoints") from error
    raise UserError(f"{path}: expected COCO keypoints (CVAT's export), or Label Studio's JSON export")


def _read_coco(content: Mapping[str, Any], path: Path) -> Corrections:
    """Read COCO keypoints by the joints' names; every image listed counts as looked at."""
    category = next(category for category in content["categories"] if category.get("keypoints"))
    joints = tuple(category["keypoints"])
    names = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
    rows: dict[str, list[object]] = {name: [] for name in names.values()}
    for annotation in content["annotations"]:
        if annotation["category_id"] == category["id"] and any(annotation.get("keypoints", [])[2::3]):
            rows[names[annotation["image_id"]]].append(annotation["keypoints"])
    people = {name: read_people(found, len(joints), path) for name, found in rows.items()}
    for found in people.values():
        found[..., :2] += COCO_PIXEL_CENTRE * (found[..., 2:] > 0)
    return Corrections(joints, people)


def _read_label_studio(tasks: Sequence[Mapping[str, Any]]) -> Corrections:
    """Read the annotations of Label Studio's tasks; those without one, or whose one was cancelled, are left out."""
    of_image: dict[str, dict[str, dict[str, tuple[float, float, int]]]] = {}
    for task in tasks:
        done = [each for each in task.get("annotations", []) if not each.get("was_cancelled")]
        if not done:
            continue
        persons = of_image.setdefault(Path(str(task["data"]["image"]).replace("=", "/")).stem, {})
        hidden = {
            item["id"] for item in done[-1]["result"]
            if item["type"] == "choices" and OCCLUDED in item["value"]["choices"]
        }  # fmt: skip
        for item in done[-1]["result"]:
            if item["type"] == "keypointlabels":
                value, size = item["value"], (item["original_width"], item["original_height"])
                x, y = (value[axis] / 100 * px for axis, px in zip("xy", size, strict=True))
                [joint] = value["keypointlabels"]
                persons.setdefault(item.get("parentID") or "", {})[joint] = (x, y, 1 if item["id"] in hidden else 2)
    joints = tuple(sorted({joint for persons in of_image.values() for found in persons.values() for joint in found}))
    people = {
        name: np.array([[found.get(joint, (0, 0, 0)) for joint in joints] for found in persons.values()], float)
        .reshape(-1, len(joints), 3)
        for name, persons in of_image.items()
    }  # fmt: skip
    return Corrections(joints, people)
