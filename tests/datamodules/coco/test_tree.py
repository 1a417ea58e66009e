from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.coco.tree import CocoTree
from pose_oad.tracking.errors import UserError


@pytest.mark.parametrize(
    ("folders", "split", "annotations", "images"),
    [
        (["train2017", "images"], "train2017", "annotations/person_keypoints_train2017.json", "train2017"),
        (["images/default", "annotations"], "default", "annotations/person_keypoints_default.json", "images/default"),
        (["images"], "default", "annotations/person_keypoints_default.json", "images"),
        ([], "val2017", "annotations/person_keypoints_val2017.json", "val2017"),
        (["2017"], 2017, "annotations/person_keypoints_2017.json", "2017"),
        (["images", "json"], "json/crowdpose_train.json", "json/crowdpose_train.json", "images"),
        (["train"], "train/_annotations.coco.json", "train/_annotations.coco.json", "train"),
    ],
)
def test_layouts(tmp_path: Path, folders: list[str], split: str, annotations: str, images: str) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    tree = CocoTree(tmp_path)
    assert tree.annotations(split) == tmp_path / annotations
    assert tree.images(split) == tmp_path / images
    assert CocoTree(tmp_path, "data").images(split) == tmp_path / "data"


def test_a_missing_root_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.root=.*nowhere: no such folder"):
        CocoTree(tmp_path / "nowhere").category("train2017")
