from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch

from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.predict.keypoint_files import (
    check_joints,
    choose_format,
    image_ids,
    make_writer,
    write_image_list,
)  # fmt: skip
from pose_oad.predict.poses import FramePoses
from pose_oad.tracking.errors import UserError

BODY = get_skeleton("body-12")
IMAGES = [Path("000000000785.jpg"), Path("x_12.jpg")]


def poses(*scores: float) -> FramePoses:
    """Return people whose joint j is at (10 j + 0.5, j + 0.5), the last joint not found."""
    joints = torch.arange(12.0)
    one = torch.stack([10 * joints + 0.5, joints + 0.5, torch.full((12,), 0.25)], -1)
    one[-1] = 0
    return FramePoses(one.repeat(len(scores), 1, 1), torch.tensor(scores))


def write(
    kind: str, path: Path, frames: list[FramePoses], images: Sequence[Path] = (), openpose: str = "body-25"
) -> None:
    with make_writer(kind, path, path, BODY, images, openpose, "clip") as add:
        for number, found in enumerate(frames):
            add(number, found)


def test_coco_results_hold_17_joints_as_pixel_indices(tmp_path: Path) -> None:
    write("coco", tmp_path / "a.json", [poses(0.5), poses(), poses(0.75, 0.25)])
    results = json.loads((tmp_path / "a.json").read_text())
    assert [(entry["image_id"], entry["category_id"], entry["score"]) for entry in results] == [
        (0, 1, 0.5), (2, 1, 0.75), (2, 1, 0.25),
    ]  # fmt: skip
    keypoints = results[0]["keypoints"]
    assert keypoints[:15] == [0] * 15  # nose, eyes and ears are none of the student's joints
    assert keypoints[15:21] == [0, 0, 0.25, 10, 1, 0.25]
    assert keypoints[48:] == [0, 0, 0]
    assert len(keypoints) == 51
    assert "-0.0" not in (tmp_path / "a.json").read_text()


def test_people_who_were_followed_are_written_with_their_numbers(tmp_path: Path) -> None:
    found = poses(0.5, 0.25)._replace(ids=torch.tensor([7, 3]))
    for kind, name in (("coco", "a.json"), ("csv", "a.csv"), ("openpose", "folder")):
        if kind == "openpose":
            (tmp_path / name).mkdir()
        write(kind, tmp_path / name, [found])
    assert [entry["track_id"] for entry in json.loads((tmp_path / "a.json").read_text())] == [7, 3]
    assert pd.read_csv(tmp_path / "a.csv")["person"].unique().tolist() == [7, 3]
    [file] = (tmp_path / "folder").iterdir()
    assert [one["person_id"] for one in json.loads(file.read_text())["people"]] == [[7], [3]]


def test_coco_results_of_nobody_are_an_empty_list_and_people_without_a_joint_are_left_out(tmp_path: Path) -> None:
    write("coco", tmp_path / "a.json", [poses(), FramePoses(torch.zeros(1, 12, 3), torch.ones(1))])
    assert json.loads((tmp_path / "a.json").read_text()) == []


def test_images_are_numbered_by_their_names_where_these_say_a_number(tmp_path: Path) -> None:
    assert image_ids(IMAGES) == [785, 12]
    assert image_ids([Path("1.jpg"), Path("a.jpg")]) == [0, 1]
    assert image_ids([Path("a_1.jpg"), Path("b_01.jpg")]) == [0, 1]
    write("coco", tmp_path / "a.json", [poses(1.0), poses(1.0)], IMAGES)
    assert [entry["image_id"] for entry in json.loads((tmp_path / "a.json").read_text())] == [785, 12]
    write_image_list(tmp_path / "images.json", IMAGES)
    assert json.loads((tmp_path / "images.json").read_text())[1] == {"id": 12, "file_name": "x_12.jpg"}


@pytest.mark.parametrize(("kind", "neck", "count"), [("body-25", 1, 25), ("coco-18", 1, 18)])
def test_openpose_has_a_file_per_frame(tmp_path: Path, kind: str, neck: int, count: int) -> None:
    write("openpose", tmp_path, [poses(0.5), poses()], openpose=kind)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["clip_000000000000_keypoints.json", "clip_000000000001_keypoints.json"]
    first, second = (json.loads((tmp_path / name).read_text()) for name in names)
    assert second == {"version": 1.3, "people": []}
    [person] = first["people"]
    assert person["person_id"] == [-1]
    assert person["hand_left_keypoints_2d"] == []
    assert len(person["pose_keypoints_2d"]) == 3 * count
    assert person["pose_keypoints_2d"][:6] == [0, 0, 0, 5.5, 1, 0.25]  # no nose; the neck is between the shoulders


def test_openpose_files_of_images_bear_their_names(tmp_path: Path) -> None:
    write("openpose", tmp_path, [poses(), poses()], IMAGES)
    assert {path.name for path in tmp_path.iterdir()} == {"000000000785_keypoints.json", "x_12_keypoints.json"}


def test_images_whose_files_could_not_be_told_apart_or_named_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"output.keypoints=.*: .*b.jpg and b.png"):
        write("openpose", tmp_path, [], [Path("a.jpg"), Path("b.jpg"), Path("b.png")])
    with pytest.raises(UserError, match=r"output.keypoints=.*csv: .*UTF-8"):
        write("csv", tmp_path / "a.csv", [poses()], [Path("x\udcff.jpg")])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("frames", [3, 300])
def test_tables_have_a_row_per_joint_of_a_person(tmp_path: Path, kind: str, frames: int) -> None:
    path = tmp_path / f"a.{kind}"
    write(kind, path, [poses(0.75, 0.25), poses(), *[poses(0.5)] * (frames - 2)])
    table = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert list(table.columns) == ["frame", "person", "joint", "x", "y", "confidence", "score"]
    assert len(table) == 24 + 12 * (frames - 2)
    second = table[(table.frame == 0) & (table.person == 1)]
    assert tuple(second.joint) == BODY.joints
    assert second.x.tolist() == [10 * j + 0.5 for j in range(11)] + [0]
    assert set(second.score) == {0.25}
    assert table.frame.max() == frames - 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_nobody_have_columns_and_of_images_their_names(tmp_path: Path, kind: str) -> None:
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    write(kind, tmp_path / "none", [poses()])
    assert len(read(tmp_path / "none")) == 0
    write(kind, tmp_path / "some", [poses(), poses(1.0)], IMAGES)
    assert set(read(tmp_path / "some").image) == {"x_12.jpg"}


def test_the_format_goes_by_the_name() -> None:
    chosen = [choose_format(Path(name), "auto") for name in ("a.json", "a.CSV", "a.parquet", "folder")]
    assert chosen == ["coco", "csv", "parquet", "openpose"]
    assert choose_format(Path("a.json"), "coco") == "coco"


@pytest.mark.parametrize(
    ("name", "wanted", "message"),
    [
        ("a.json", "yaml", "output.format=yaml: expected auto or coco"),
        ("a.txt", "auto", r"output.keypoints=a.txt: expected .*json"),
        ("a.json", "openpose", "output.format=openpose: expected auto or coco"),
        ("folder", "csv", "output.format=csv: expected auto or openpose"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(name: str, wanted: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_format(Path(name), wanted)


def test_joints_that_a_format_does_not_know_are_refused() -> None:
    tail = Skeleton("dog", ("tail", "snout"))
    for kind in ("coco", "openpose"):
        with pytest.raises(UserError, match=r"dog "):
            check_joints(kind, tail, "body-25")
    check_joints("csv", tail, "body-25")
