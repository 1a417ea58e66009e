"""Annotation files with one entry that is not what it should be: taken as documented, or refused in one line."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.coco.annotation_file import read_coco
from pose_oad.tracking.errors import UserError

RUNS = {"size": [40, 60], "counts": [40 * 10, 40 * 5, 40 * 45]}  # columns 10 to 14 of 60 by 40 px


def _person(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 7, "category_id": 1, "keypoints": [10, 20, 2, 30, 25, 1, 0, 0, 0], **more}


def _data(*people: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 60, "height": 40} for n in (7, 9)],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_hip", "right_hip"]}],
        "annotations": list(people),
        **more,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "set.json"


def _write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def test_what_the_file_says_is_kept(path: Path) -> None:
    file = read_coco(_write(path, _data(_person(area=50.5, bbox=[1, 2, 3.5, 4]))))
    assert [image.id for image in file.images] == [7, 9]
    assert (file.images[0].file_name, file.images[0].size) == ("7.jpg", (60, 40))
    [person] = file.people
    assert (person.image, person.crowd, person.hidden, person.box, person.area) == (
        0,
        False,
        False,
        (1, 2, 3.5, 4),
        50.5,
    )
    assert file.keypoints.tolist() == [[[10, 20, 2], [30, 25, 1], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("more", "box", "area"),
    [
        ({}, (10, 20, 20, 5), 53.0),  # around the labelled joints, 0.53 of it
        ({"bbox": [0, 0, 10, 10]}, (0, 0, 10, 10), 53.0),
        ({"segmentation": RUNS}, (10, 0, 5, 40), 200.0),
        ({"segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]}, (0, 0, 10, 10), 100.0),
        ({"segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]], "bbox": [1, 1, 2, 2]}, (1, 1, 2, 2), 100.0),
        ({"segmentation": None, "bbox": None, "area": None}, (10, 20, 20, 5), 53.0),
    ],
)
def test_size_is_computed_where_it_is_not_given(path: Path, more: dict, box: tuple, area: float) -> None:
    [person] = read_coco(_write(path, _data(_person(**more)))).people
    assert person.box == box
    assert person.area == pytest.approx(area)


def test_who_is_hidden(path: Path) -> None:
    size = {"area": 5.0, "bbox": [0, 0, 5, 5]}
    people = [
        _person(1, **size),
        _person(2, **size, iscrowd=1),
        _person(3, **size, ignore=1),
        _person(4, **size | {"keypoints": [0] * 9}),
        {key: value for key, value in _person(5, **size).items() if key != "keypoints"},
        _person(6, **size | {"keypoints": []}),
    ]
    file = read_coco(_write(path, _data(*people)))
    assert [person.hidden for person in file.people] == [False, True, True, True, True, True]
    assert [person.crowd for person in file.people] == [False, True, False, False, False, False]
    assert not file.keypoints[3:].any()


def test_outlines_are_kept_where_the_ignored_area_depends_on_them(path: Path) -> None:
    shape = {"area": 5.0, "bbox": [0, 0, 5, 5], "segmentation": RUNS}
    file = read_coco(
        _write(path, _data(_person(1, **shape), _person(2, **shape, iscrowd=1), _person(3, **shape, image_id=9)))
    )
    assert [person.outline is not None for person in file.people] == [True, True, False]


def test_annotations_of_other_images_are_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        file = read_coco(_write(path, _data(_person(1), _person(2, image_id=8), _person(3, image_id=8))))
    assert len(file.people) == 1
    assert caplog.messages == [f"{path}: 2 annotations are of images that it does not list; left out"]


def test_ids_of_annotations_may_be_anything(path: Path) -> None:
    people = [_person(1), _person(1), _person("a"), {key: value for key, value in _person().items() if key != "id"}]  # type: ignore[arg-type]
    assert len(read_coco(_write(path, _data(*people))).people) == 4


def test_other_categories_are_left_alone(path: Path) -> None:
    file = read_coco(_write(path, _data(_person(1), _person(2, category_id=5, keypoints="no keypoints of a person"))))
    assert len(file.people) == 1


def test_nobody_is_legal(path: Path) -> None:
    assert read_coco(_write(path, _data())).keypoints.shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("person", "said"),
    [
        ({"image_id": "7"}, "annotation 1: image_id"),
        ({"category_id": [1]}, "annotation 1: .*category_id"),
        ({"keypoints": [1] * 8}, "annotation 1 .*8.*; expected 9"),
        ({"keypoints": "x" * 9}, "annotation 1 .*xxxxxxxxx.*9"),
        ({"keypoints": [1, 2, None] * 3}, "keypoints of annotation 1 .*finite"),
        ({"keypoints": [1, 2, [3]] * 3}, "keypoints of annotation 1 .*finite"),
        ({"keypoints": [1, 2, float("nan")] * 3}, "keypoints of annotation 1 .*finite"),
        ({"keypoints": [1, 2, 10**400] * 3}, "keypoints of annotation 1 .*finite"),
        ({"keypoints": [1, 2, 1e300] * 3}, "keypoints of annotation 1 .*finite"),
        ({"bbox": [1, 2, 3]}, r"annotation 1: bbox \[1, 2, 3\]; .*left, top, width, height"),
        ({"bbox": [1, 2, 3, float("inf")]}, "annotation 1: bbox"),
        ({"area": "large"}, "annotation 1: area large; .*px²"),
        ({"segmentation": [[1, 2]]}, "annotation 1: segmentation: .*polygons"),
        ({"keypoints": [0] * 9}, "annotation 1: .*area"),
    ],
    ids=str,
)
def test_people_that_are_none_are_refused(path: Path, person: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=rf"set\.json.* {said}"):
        read_coco(_write(path, _data(_person(**person))))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"id": 9}, ".*id 9"),
        ({"id": "a"}, "image id 'a'"),
        ({"id": 2**70}, "image id"),
        ({"file_name": ""}, "file_name '' of image 3"),
        ({"file_name": "a\0b"}, "file_name"),
        ({"width": 0}, "image 3 .*0 by 40"),
        ({"height": 10**9}, "image 3 .*60 by 1000000000"),
        ({"height": None}, "image 3 .*60 by None"),
    ],
    ids=str,
)
def test_images_that_are_none_are_refused(path: Path, image: dict[str, Any], said: str) -> None:
    data = _data()
    data["images"].append({"id": 3, "file_name": "3.jpg", "width": 60, "height": 40, **image})
    with pytest.raises(UserError, match=rf"set\.json: {said}"):
        read_coco(_write(path, data))


def test_damaged_files_end_in_one_line(path: Path) -> None:
    whole = json.dumps(_data(_person(1, segmentation=RUNS, iscrowd=1), _person(2))).encode()
    rng = np.random.default_rng(0)
    damaged = [whole[: rng.integers(len(whole))] for _ in range(40)]
    for _ in range(160):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    damaged += [b"", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b"null", b'"a"', b"[[]]"]
    said = []
    for content in damaged:
        path.write_bytes(content)
        try:
            read_coco(path)
        except UserError as error:
            said.append(str(error))
    assert len(said) > 100  # the others have another name, another number
    assert all("set.json" in line and "\n" not in line for line in said)
