"""A COCO tree of two images: one person with a known pose, a crowd, and somebody without labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datamodules.coco import CocoDataModule, PoseBatch
from datamodules.coco.augmentation import AugmentationConfig
from pose_oad.poses.skeleton import Skeleton, get_skeleton

COCO17 = get_skeleton("coco-17")
BODY = get_skeleton("body-12")
STILL = AugmentationConfig(rotation=0, scale=(1, 1), shift=0, flip=0, colour="none")
LEFT_SHOULDER, RIGHT_HIP = (40, 30), (60, 70)  # pixel indices, as COCO writes them


def person(image: int, number: int, joints: dict[str, tuple[int, int]], **more: Any) -> dict[str, Any]:
    keypoints = [0] * 51
    for name, (x, y) in joints.items():
        at = 3 * COCO17.index(name)
        keypoints[at : at + 3] = [x, y, 2]
    person = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 2000.0, "bbox": [30, 20, 40, 60]}
    return {**person, "keypoints": keypoints, "num_keypoints": len(joints), "segmentation": [], **more}


def small_set() -> dict[str, Any]:
    rows, columns = 100, 160
    crowd = np.zeros((rows, columns), np.uint8)
    crowd[:50, 80:] = 1
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[2], crowd.flatten(order="F"), [2]]))))
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": columns, "height": rows} for n in (7, 9)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}],
        "annotations": [
            person(7, 1, {"left_shoulder": LEFT_SHOULDER, "right_hip": RIGHT_HIP, "nose": (50, 10)}),
            person(9, 2, {"left_knee": (20, 80)}),
            person(9, 3, {}, iscrowd=1, segmentation={"size": [rows, columns], "counts": runs.tolist()}),
            person(9, 4, {}, segmentation=[[0, 0, 20, 0, 20, 20, 0, 20]], bbox=[0, 0, 20, 20]),
        ],
    }  # fmt: skip


def write_tree(root: Path, data: object) -> Path:
    for split in ("train2017", "val2017"):
        (root / split).mkdir(parents=True, exist_ok=True)
        for number in (7, 9):
            picture = np.full((100, 160, 3), 40, np.uint8)
            cv2.circle(picture, LEFT_SHOULDER, 3, (0, 0, 255), -1)  # red, in OpenCV's order of colours
            cv2.imwrite(str(root / split / f"{number}.jpg"), picture)
        annotations = root / "annotations" / f"person_keypoints_{split}.json"
        annotations.parent.mkdir(exist_ok=True)
        annotations.write_text(data if isinstance(data, str) else json.dumps(data))
    return root


def open_set(root: Path, skeleton: Skeleton = BODY, **options: Any) -> CocoDataModule:
    settings: dict[str, Any] = {"augmentation": STILL, "workers": 0, "batch_size": 2, "cache_mib": 16, **options}
    data = CocoDataModule(root, skeleton, (64, 64), (16, 16), **settings)
    data.setup()
    return data


def only_batch(loader: Any) -> PoseBatch:
    batches = list(loader)
    assert len(batches) == 1
    return batches[0]
