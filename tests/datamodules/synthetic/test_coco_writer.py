from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from datamodules.synthetic import coco_writer
from datamodules.synthetic.camera import Camera
from datamodules.synthetic.coco_writer import Photograph, crowd_annotation, take_photograph, visibility

AHEAD = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
CAMERA = Camera(np.zeros(3), AHEAD, (100.0, 100.0), (50.0, 50.0), (0.0,) * 5, (100, 100))


@pytest.fixture(scope="module")
def pictures(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[tuple[dict[str, Any], list[dict[str, Any]]]]]:
    folder = tmp_path_factory.mktemp("train2017")
    return folder, [take_photograph(folder, Photograph("train2017", i, 10 + i, 5, 200)) for i in range(40)]


def people(pictures: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(image, found) for image, annotations in pictures[1] for found in annotations if not found["iscrowd"]]


def test_files_have_the_size_and_name_their_entries_say(pictures: Any) -> None:
    folder, entries = pictures
    for image, _ in entries:
        assert image["file_name"] == f"{image['id']:012d}.jpg"
        assert cv2.imread(str(folder / image["file_name"])).shape == (image["height"], image["width"], 3)
        assert max(image["height"], image["width"]) <= 200


def test_annotations_agree_with_themselves(pictures: Any) -> None:
    for image, found in people(pictures):
        keypoints = np.array(found["keypoints"]).reshape(17, 3)
        labelled = keypoints[:, 2] > 0
        assert found["num_keypoints"] == labelled.sum()
        assert set(np.unique(keypoints[:, 2])) <= {0, 1, 2}
        assert not keypoints[~labelled].any()
        assert (keypoints[labelled, :2] >= 0).all()
        assert (keypoints[labelled, :2] <= [image["width"], image["height"]]).all()
        x, y, width, height = found["bbox"]
        assert x >= 0 <= y
        assert x + width <= image["width"]
        assert y + height <= image["height"]
        assert 0 < found["area"] <= width * height


def test_a_visible_joint_lies_on_the_persons_silhouette(pictures: Any) -> None:
    on_it = []
    for image, found in people(pictures):
        canvas = np.zeros((image["height"], image["width"]), np.uint8)
        for outline in found["segmentation"]:
            cv2.fillPoly(canvas, [np.array(outline, np.int32).reshape(-1, 2)], 1)
        canvas = np.asarray(cv2.dilate(canvas, np.ones((5, 5), np.uint8)))
        for x, y, flag in np.array(found["keypoints"]).reshape(17, 3):
            if flag == 2:
                on_it.append(canvas[min(int(y), image["height"] - 1), min(int(x), image["width"] - 1)])
    assert len(on_it) > 300
    assert np.mean(on_it) > 0.97


def test_pictures_vary_and_hold_one_to_five_people(pictures: Any) -> None:
    counts = {sum(not found["iscrowd"] for found in annotations) for _, annotations in pictures[1]}
    assert {1, 2, 3} <= counts <= {0, 1, 2, 3, 4, 5}
    assert len({(image["width"], image["height"]) for image, _ in pictures[1]}) > 20
    heights = [found["bbox"][3] / image["height"] for image, found in people(pictures)]
    assert min(heights) < 0.4
    assert max(heights) == 1.0  # somebody is cut off by the picture's border
    flags = np.array([found["keypoints"][2::3] for _, found in people(pictures)])
    assert all(np.mean(flags == flag) > 0.05 for flag in (0, 1, 2))


def test_the_same_seed_takes_the_same_picture(tmp_path: Path) -> None:
    first, again, other = (
        take_photograph(tmp_path / str(n), Photograph("val2017", index, 7, seed, 160))
        for n, (index, seed) in enumerate([(3, 0), (3, 0), (3, 1)])
    )
    assert json.dumps(first) == json.dumps(again)
    assert (tmp_path / "0" / "000000000007.jpg").read_bytes() == (tmp_path / "1" / "000000000007.jpg").read_bytes()
    assert json.dumps(first) != json.dumps(other)


@pytest.mark.parametrize("corner", [0, 1])
def test_crowd_masks_are_run_length_encoded_down_the_columns(corner: int) -> None:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    mask[0, 0] = corner
    annotation = crowd_annotation(mask)
    encoded = annotation["segmentation"]
    decoded = coco_mask.decode(coco_mask.frPyObjects(encoded, *encoded["size"]))
    np.testing.assert_array_equal(decoded, mask)
    assert annotation["area"] == 6 + corner
    assert annotation["iscrowd"] == 1
    assert annotation["num_keypoints"] == 0


def test_visibility_by_hand() -> None:
    joints = np.array([[0.0, 0, 2.0], [0.0, 0, 3.0], [5.0, 0, 2.0], [0.0, 0, -1.0]])  # camera coordinates
    depth = np.full((100, 100), 1.95)
    flags = [visibility(np.random.default_rng(seed), joints, CAMERA, depth) for seed in range(40)]
    # In its own flesh; a metre behind a surface, sometimes left out; beside the picture; behind the camera.
    assert all(flag[0] == 2 and flag[2] == 0 and flag[3] == 0 for flag in flags)
    assert {int(flag[1]) for flag in flags} == {0, 1}


def test_pycocotools_reads_the_written_tree(tiny_world: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tiny_world / "coco" / "annotations" / "person_keypoints_train2017.json"))
    assert len(coco.getImgIds()) == 12
    assert coco.loadCats(1)[0]["keypoints"][0] == "nose"
    for annotation in coco.loadAnns(coco.getAnnIds()):
        area = coco.annToMask(annotation).sum()
        assert area == pytest.approx(annotation["area"], rel=0.35, abs=60)
    on_disk = {path.name for path in (tiny_world / "coco" / "train2017").iterdir()}
    assert on_disk == {image["file_name"] for image in coco.loadImgs(coco.getImgIds())}


def test_a_full_picture_holds_fewer_people(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(coco_writer, "_ROOM", 100.0)  # m: nobody else has room
    for index in range(8):
        _, annotations = take_photograph(tmp_path, Photograph("train2017", index, index, 3, 128))
        assert sum(not found["iscrowd"] for found in annotations) <= 1
