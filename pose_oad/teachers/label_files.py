"""What teachers share whose labels were made elsewhere: reading their JSON, and frames of which a file says nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pose_oad.teachers.base import Labels, Origin, stack_people
from pose_oad.tracking.errors import UserError

#: What becomes of a frame without labels: the run stops; it teaches nothing; it is background.
Missing = Literal["refuse", "skip", "nobody"]


def read_json(path: Path) -> Any:
    """Read a JSON file; one that cannot be read or is damaged is refused by its name."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged, or no JSON file ({error})") from error


def read_people(lists: Sequence[object], joints: int, path: Path) -> np.ndarray:
    """Turn lists of x, y, confidence of one joint after another into shape (people, joints, 3), float64."""
    for row in lists:
        if not isinstance(row, list) or len(row) != 3 * joints:
            given = f"{len(row)} numbers" if isinstance(row, list) else type(row).__name__
            raise UserError(f"{path}: keypoints of {given}: expected {3 * joints}, three for each of {joints} joints")
        if not {type(value) for value in row} <= {int, float}:
            raise UserError(f"{path}: keypoints that are not numbers")
    try:
        people = np.array(lists, dtype=np.float64).reshape(len(lists), joints, 3)
    except OverflowError as error:
        raise UserError(f"{path}: keypoints beyond every frame") from error
    if not (np.abs(people) < np.finfo(np.float32).max).all():  # false for what is not a number, too
        raise UserError(f"{path}: keypoints that are not finite")
    return people


def assemble(frames: Sequence[np.ndarray | None], missing: Missing, joints: int, source: str) -> Labels:
    """Put the people of some frames together, best first, px; the labels count ``labels_missing``.

    A frame of which nothing is known is None; ``missing`` says what becomes of it (:data:`Missing`). ``source`` is
    whose labels these are and which frames are asked for, for the message.
    """
    unlabelled = torch.tensor([people is None for people in frames], dtype=torch.bool)
    count = int(unlabelled.sum())
    if count and missing == "refuse":
        raise UserError(
            f"{source}: {count} of {len(frames)} frames have no labels; expected labels of every frame, or "
            "teacher.missing_labels=skip (such frames teach nothing) or nobody (they are background)"
        )
    nobody = np.zeros((0, joints, 3))
    people = [torch.from_numpy(nobody if part is None else part).float() for part in frames]
    keypoints = stack_people(people, joints)
    return Labels(keypoints, unusable=unlabelled if missing == "skip" else None, counts={"labels_missing": count})


def known_origin(origin: Origin | None, source: str) -> tuple[Origin, Path]:
    """Return where frames come from, and their file or folder; a camera's frames have no labels beforehand."""
    if origin is None or origin.path is None:
        raise UserError(f"{source}: labels made beforehand fit recorded frames only; expected a video file or images")
    return origin, origin.path
