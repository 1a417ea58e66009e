"""What is wrong in a COCO tree, or with a number, is said by name."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pose_oad.tracking.errors import UserError
from tests.coco import (
    open_set,
    small_set,
)


def _broken(change: str, tree: Path) -> None:
    """Damage the training split of a tree."""
    annotations = tree / "annotations" / "person_keypoints_train2017.json"
    data = small_set()
    if change == "no json":
        annotations.unlink()
    elif change == "no folder":
        for image in (tree / "train2017").iterdir():
            image.unlink()
        (tree / "train2017").rmdir()
    elif change == "not json":
        annotations.write_text('{"images": [')
    elif change == "not coco":
        annotations.write_text('{"frames": []}')
    elif change == "no keypoints":
        data["categories"] = [{"id": 1, "name": "person"}]
    elif change == "missing image":
        (tree / "train2017" / "9.jpg").unlink()
    elif change == "wrong count":
        data["annotations"][1]["keypoints"] = [0] * 48
    elif change == "unreadable":
        (tree / "train2017" / "9.jpg").write_bytes(b"not a picture")
    elif change == "truncated":
        image = tree / "train2017" / "9.jpg"
        image.write_bytes(image.read_bytes()[:-10])
    elif change == "a folder":
        (tree / "train2017" / "9.jpg").unlink()
        (tree / "train2017" / "9.jpg").mkdir()
    elif change == "empty":
        (tree / "train2017" / "9.jpg").write_bytes(b"")
    elif change == "other size":
        cv2.imwrite(str(tree / "train2017" / "9.jpg"), np.zeros((50, 50, 3), np.uint8))
    elif change == "nobody":
        data["annotations"] = []
    elif change == "no common joint":
        data["categories"][0]["keypoints"] = [f"whisker_{n}" for n in range(17)]
    if data != small_set():
        annotations.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no json", "person_keypoints_train2017.json: no such file"),
        ("no folder", "train2017: no such folder"),
        ("not json", "person_keypoints_train2017.json: not JSON"),
        ("not coco", "train2017.json: .*images, ann"),
        ("no keypoints", "train2017.json: categories .*keypoints"),
        ("missing image", "9.jpg: .*missing_images=skip"),
        ("wrong count", "annotation 2 .*48.*; expected 51"),
        ("unreadable", "9.jpg: "),
        ("truncated", r"9.jpg: .*\d+ bytes"),
        ("a folder", "9.jpg: "),
        ("empty", "9.jpg: .*0 bytes"),
        ("other size", r"9.jpg: \(50, 50\) px; expected \(160, 100\)"),
        ("nobody", "train2017.json: "),
        ("no common joint", "train2017.json: .*whisker_0, .*student.skeleton=data"),
    ],
)  # fmt: skip
def test_a_damaged_tree_is_refused_by_name(tree: Path, change: str, said: str) -> None:
    _broken(change, tree)
    with pytest.raises(UserError, match=said):
        open_set(tree)


def test_a_missing_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root=.*nowhere: no such folder"):
        open_set(tmp_path / "nowhere")
