"""Fifty labelled frames go to a tool and come back: identical images, joints by name, visibility kept."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pose_oad.export.annotation import LabelledFrame, write_labels
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, Origin, TeacherRequest
from pose_oad.teachers.corrected import CorrectedTeacher, frame_name, read_corrections
from pose_oad.tracking.errors import UserError
from tests.teachers import FixedTeacher

COCO = get_skeleton("coco-17")
SIZE = (320, 240)


@pytest.fixture
def frames() -> list[LabelledFrame]:
    """Fifty frames of a clip, each with one or two people whose every third joint is missing."""
    torch.manual_seed(0)
    made = []
    for number in range(50):
        people = torch.rand(2, 17, 3) * torch.tensor([*SIZE, 1.0])
        people[:, number % 3 :: 3] = 0
        people[1, :, :] *= number % 2
        made.append(LabelledFrame(frame_name("my clip", number), SIZE, people, {"clip": "my clip", "number": number}))
    return made


def written(folder: Path, kind: Any, frames: list[LabelledFrame], file: str) -> Any:
    write_labels(folder, kind, frames, COCO, "teacher", "/data/local-files/?d=")
    return json.loads((folder / file).read_text())


def corrected_by_a_tool(content: Any, path: Path, hide: str) -> Path:
    """Save as the tool exports it: a person has moved nothing, but says that a joint is hidden."""
    if isinstance(content, dict):
        [category] = content["categories"]
        place = 3 * category["keypoints"].index(hide) + 2
        for annotation in content["annotations"]:
            annotation["keypoints"][place] = min(1, annotation["keypoints"][place])
    else:
        for task in content:
            result = task.pop("predictions")[0]["result"]
            task["annotations"] = [{"result": result, "was_cancelled": False}]
            for region in [each for each in result if each["value"].get("keypointlabels") == [hide]]:
                result.append({
                    "id": region["id"], "type": "choices", "from_name": "visibility", "to_name": "image",
                    "value": {"choices": ["occluded"], **region["value"]},
                })  # fmt: skip
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("kind", "file"),
    [("coco", "annotations/person_keypoints_default.json"), ("cvat", "annotations/person_keypoints_default.json"),
     ("labelstudio", "tasks.json")],
)  # fmt: skip
def test_what_goes_to_a_tool_comes_back(kind: str, file: str, frames: list[LabelledFrame], tmp_path: Path) -> None:
    content = written(tmp_path, kind, frames, file)
    back = read_corrections(corrected_by_a_tool(content, tmp_path / "corrected.json", "left_wrist"))
    assert list(back.people) == [frame.name for frame in frames]
    columns = [COCO.index(joint) for joint in back.joints]
    for frame in frames:
        people = frame.people[(frame.people[..., 2] > 0).any(-1)][:, columns].numpy()
        found = people[..., 2] > 0
        seen = np.where(found, 2, 0)
        seen[:, back.joints.index("left_wrist")] //= 2
        assert np.array_equal(back.people[frame.name][..., 2], seen)
        assert np.allclose(back.people[frame.name][..., :2][found], people[..., :2][found], atol=1e-3)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert [entry["number"] for entry in manifest["frames"]] == list(range(50))


def test_cvat_is_told_the_same_label_as_its_file_names(frames: list[LabelledFrame], tmp_path: Path) -> None:
    """Its import matches the category and the joints with a skeleton label of the task, by name."""
    content = written(tmp_path, "cvat", frames, "annotations/person_keypoints_default.json")
    [label] = json.loads((tmp_path / "labels.json").read_text())
    [category] = content["categories"]
    assert (label["name"], label["type"]) == (category["name"], "skeleton")
    assert [each["name"] for each in label["sublabels"]] == category["keypoints"] == list(COCO.joints)
    drawing = ElementTree.fromstring(f"<svg>{label['svg']}</svg>")
    nodes = {node.get("data-node-id"): node.get("data-label-name") for node in drawing.iter("circle")}
    assert list(nodes.values()) == category["keypoints"]
    edges = [[int(edge.get(f"data-node-{end}", 0)) for end in ("from", "to")] for edge in drawing.iter("line")]
    assert edges == category["skeleton"]


def test_label_studio_is_told_every_joint_in_percent(frames: list[LabelledFrame], tmp_path: Path) -> None:
    tasks = written(tmp_path, "labelstudio", frames, "tasks.json")
    view = ElementTree.parse(tmp_path / "labels.xml").getroot()
    controls = {node.get("name"): [one.get("value") for one in node] for node in view}
    assert controls["joint"] == list(COCO.joints)
    assert tasks[7]["data"]["image"].endswith(f"images/default/{frames[7].name}.jpg")
    for region in tasks[7]["predictions"][0]["result"]:
        assert region["from_name"] in controls
        assert region["to_name"] == "image"
        assert (region["original_width"], region["original_height"]) == SIZE
        assert all(0 <= region["value"][axis] <= 100 for axis in "xy")


def test_a_person_goes_before_the_teacher(frames: list[LabelledFrame], tmp_path: Path) -> None:
    content = written(tmp_path, "coco", frames[:3], "annotations/person_keypoints_default.json")
    nose = COCO.index("nose")
    content["annotations"][0]["keypoints"][3 * nose : 3 * nose + 3] = [99.5, 49.5, 1]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != 3]  # nobody is there
    file = tmp_path / "corrected.json"
    file.write_text(json.dumps(content))
    teacher = FixedTeacher(Labels(torch.ones(4, 1, 17, 3), counts={"labels_missing": 1}), COCO)
    origin = Origin("my clip", Path("my.mp4"), np.arange(4))
    labels = CorrectedTeacher(teacher, file).label(TeacherRequest(np.arange(4) + 100, None, SIZE, origin=origin))
    assert labels.keypoints[0, 0, nose].tolist() == [100, 50, 1]
    assert not labels.keypoints[2].any()
    assert labels.keypoints[3, 0].eq(1).all()
    assert labels.counts == {"labels_missing": 1, "labels_corrected": 3}


@pytest.mark.parametrize(
    "content", ["3", '{"images": []}', '[{"data": {}, "annotations": [{"result": []}]}]', '{"categories": 1}']
)
def test_a_file_that_nobody_can_read_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "corrected.json").write_text(content)
    with pytest.raises(UserError, match=r"corrected\.json"):
        CorrectedTeacher(FixedTeacher(Labels(torch.ones(1, 1, 17, 3)), COCO), tmp_path / "corrected.json")


def test_joints_that_the_teacher_does_not_have_are_named(frames: list[LabelledFrame], tmp_path: Path) -> None:
    written(tmp_path, "coco", frames[:1], "manifest.json")
    path = tmp_path / "annotations" / "person_keypoints_default.json"
    with pytest.raises(UserError, match=r"teacher\.corrections.*nose"):
        CorrectedTeacher(FixedTeacher(Labels(torch.ones(1, 1, 12, 3))), path)
