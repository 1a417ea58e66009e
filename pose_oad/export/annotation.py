"""Labelled frames for tools in which people correct them: COCO keypoints, CVAT's skeleton, Label Studio's tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import quoteattr

import torch
from torch import Tensor

from pose_oad.metrics.coco_ap import COCO_PIXEL_CENTRE
from pose_oad.metrics.people import box_sizes
from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.corrected import OCCLUDED

#: What the files are for.
Format = Literal["coco", "cvat", "labelstudio"]
#: Where images lie, below the folder: as CVAT looks for those of a subset.
IMAGES = "images/default"
_ANNOTATIONS = "annotations/person_keypoints_default.json"

# Where joints stand in the drawing of a skeleton, percent; a person's left is on the right.
_PLACES = {
    "nose": (50, 10), "eye": (54, 7), "ear": (57, 10), "neck": (50, 20), "shoulder": (62, 22), "elbow": (69, 38),
    "wrist": (71, 53), "pelvis": (50, 52), "hip": (57, 53), "knee": (59, 74), "ankle": (60, 95),
}  # fmt: skip


class LabelledFrame(NamedTuple):
    """A frame with its people.

    Attributes:
        name: of its image, without a suffix
        size: width and height, px
        people: x, y (px), confidence (0 = not found), shape (people, joints, 3)
        about: where it is from, for the manifest
    """

    name: str
    size: tuple[int, int]
    people: Tensor
    about: dict[str, Any]


def write_labels(
    folder: Path, kind: Format, frames: Sequence[LabelledFrame], skeleton: Skeleton, teacher: str, image_root: str
) -> None:
    """Write pre-annotations, what the tool has to know of the joints, and ``manifest.json``.

    Args:
        folder: where the images lie already, in :data:`IMAGES`
        kind: for which tool
        frames: the frames
        skeleton: joint set of their people
        teacher: who labelled them
        image_root: what Label Studio finds the folder by
    """
    files: dict[str, object] = {"manifest.json": {"teacher": teacher, "frames": [_listed(frame) for frame in frames]}}
    if kind == "labelstudio":
        files["tasks.json"] = label_studio_tasks(frames, skeleton, teacher, image_root)
        (folder / "labels.xml").write_text(label_studio_config(skeleton))
    else:
        files[_ANNOTATIONS] = coco_keypoints(frames, skeleton)
    if kind == "cvat":
        files["labels.json"] = cvat_label(skeleton)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")


def _listed(frame: LabelledFrame) -> dict[str, Any]:
    return {"image": f"{IMAGES}/{frame.name}.jpg", **frame.about}


def _somebody(frame: LabelledFrame) -> Tensor:
    """Return the people of whom anything was found."""
    return frame.people[(frame.people[..., 2] > 0).any(-1)]


def coco_keypoints(frames: Sequence[LabelledFrame], skeleton: Skeleton) -> dict[str, Any]:
    """Write COCO keypoints; every joint that was found counts as visible."""
    annotations: list[dict[str, Any]] = []
    for image, frame in enumerate(frames, start=1):
        people = _somebody(frame)
        found = people[..., 2:] > 0
        at = (people[..., :2] - COCO_PIXEL_CENTRE) * found
        flat = torch.cat([at, found * 2.0], -1).double().flatten(1).numpy().round(3).tolist()
        low = at.masked_fill(~found, torch.inf).amin(1).tolist()
        for points, corner, size, joints in zip(
            flat, low, box_sizes(people).tolist(), found.sum((1, 2)).tolist(), strict=True
        ):
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": 1, "keypoints": points,
                "num_keypoints": joints, "bbox": [*corner, *size], "area": size[0] * size[1], "iscrowd": 0,
                "segmentation": [],
            })  # fmt: skip
    limbs = [[a + 1, b + 1] for a, b in skeleton.limbs]
    return {
        "images": [
            {"id": number, "file_name": f"{frame.name}.jpg", "width": frame.size[0], "height": frame.size[1]}
            for number, frame in enumerate(frames, start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": limbs}],
    }


def cvat_label(skeleton: Skeleton) -> list[dict[str, Any]]:
    """Describe the label that a task of CVAT needs before it takes the annotations, for its "Raw" editor."""
    places = [_place(joint, number) for number, joint in enumerate(skeleton.joints)]
    edges = "".join(
        f'<line x1="{places[a][0]}" y1="{places[a][1]}" x2="{places[b][0]}" y2="{places[b][1]}" stroke="black" '
        f'data-type="edge" data-node-from="{a + 1}" data-node-to="{b + 1}" stroke-width="0.5"></line>'
        for a, b in skeleton.limbs
    )
    nodes = "".join(
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{x}" cy="{y}" stroke-width="0.1" data-type="element node" '
        f'data-element-id="{number}" data-node-id="{number}" data-label-name={quoteattr(joint)}></circle>'
        for number, (joint, (x, y)) in enumerate(zip(skeleton.joints, places, strict=True), start=1)
    )
    joints = [{"name": joint, "type": "points", "attributes": []} for joint in skeleton.joints]
    return [{"name": "person", "type": "skeleton", "attributes": [], "sublabels": joints, "svg": edges + nodes}]


def _place(joint: str, number: int) -> tuple[float, float]:
    """Place a joint in the drawing, percent; one of another name stands in a column of its own."""
    side, _, part = joint.rpartition("_")
    if part not in _PLACES:
        return 5, 5 + 90 * (number % 20) / 20
    x, y = _PLACES[part]
    return (100 - x if side == "right" else x), y


def label_studio_config(skeleton: Skeleton) -> str:
    """Write Label Studio's labelling configuration: a box per person, its joints, and whether one is hidden."""
    labels = "\n".join(f"    <Label value={quoteattr(joint)}/>" for joint in skeleton.joints)
    return f"""<View>
  <Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="person" toName="image"><Label value="person"/></RectangleLabels>
  <KeyPointLabels name="joint" toName="image">
{labels}
  </KeyPointLabels>
  <Choices name="visibility" toName="image" perRegion="true"><Choice value="{OCCLUDED}"/></Choices>
</View>
"""


def label_studio_tasks(
    frames: Sequence[LabelledFrame], skeleton: Skeleton, teacher: str, image_root: str
) -> list[dict[str, Any]]:
    """Write Label Studio's tasks with predictions; coordinates are percent, joints hang on their person's box."""
    tasks = []
    for number, frame in enumerate(frames, start=1):
        result: list[dict[str, Any]] = []
        for row, person in enumerate(_somebody(frame)):
            result += _regions(person, f"{number}-{row + 1}", frame.size, skeleton)
        predictions = [{"model_version": teacher, "result": result}]
        image = f"{image_root}{IMAGES}/{frame.name}.jpg"
        tasks.append({"id": number, "data": {"image": image}, "predictions": predictions})
    return tasks


def _regions(person: Tensor, key: str, size: tuple[int, int], skeleton: Skeleton) -> list[dict[str, Any]]:
    """Write the box of a person, and its joints."""
    shared = {"to_name": "image", "original_width": size[0], "original_height": size[1], "image_rotation": 0}
    percent = person[:, :2].double() / torch.tensor(size) * 100
    found = person[:, 2] > 0
    low, high = percent[found].amin(0).tolist(), percent[found].amax(0).tolist()
    box = {"x": low[0], "y": low[1], "width": high[0] - low[0], "height": high[1] - low[1], "rotation": 0}
    regions: list[dict[str, Any]] = [{
        "id": key, "type": "rectanglelabels", "from_name": "person", "value": {**box, "rectanglelabels": ["person"]},
        **shared,
    }]  # fmt: skip
    for joint, (x, y), there in zip(skeleton.joints, percent.tolist(), found.tolist(), strict=True):
        if there:
            value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [joint]}
            regions.append({
                "id": f"{key}-{joint}", "parentID": key, "type": "keypointlabels", "from_name": "joint",
                "value": value, **shared,
            })  # fmt: skip
    return regions
