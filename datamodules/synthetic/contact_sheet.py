"""A picture of the data: frames of both domains with their skeletons drawn on them.

It reads the written trees as anybody would (pycocotools, PyAV, cdflib), so what it shows is what a user of the files gets.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import av
import cdflib
import cv2
import numpy as np
from pycocotools.coco import COCO

from pose_oad.skeleton import Skeleton, get_skeleton

_TILE = 320  # px, side of a frame on the sheet
_COLUMNS = 6
_CAPTION = 24  # px
_LEFT, _RIGHT, _MIDDLE = (80, 200, 255), (255, 130, 60), (120, 255, 120)


def write_contact_sheet(root: Path) -> Path:
    """Draw frames of both domains with their skeletons.

    Args:
        root: folder that holds ``coco`` and ``human36m``

    Returns:
        the picture's path, ``<root>/contact_sheet.png``.
    """
    sections = [
        ("source domain: photographs in COCO's format (filled joint: visible, ring: hidden)", _coco_tiles(root / "coco", 18)),
        ("target domain: studio recordings in Human3.6M's format", _human36m_tiles(root / "human36m", 18)),
    ]
    rows = []
    for title, tiles in sections:
        band = np.full((44, _COLUMNS * _TILE, 3), 30, np.uint8)
        cv2.putText(band, title, (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
        rows.append(band)
        blank = np.zeros_like(tiles[0])
        for first in range(0, len(tiles), _COLUMNS):
            row = tiles[first : first + _COLUMNS]
            rows.append(np.concatenate(row + [blank] * (_COLUMNS - len(row)), 1))
    path = root / "contact_sheet.png"
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])
    return path


def draw_skeleton(image: np.ndarray, keypoints: np.ndarray, skeleton: Skeleton) -> None:
    """Draw one person's labelled joints and limbs (in place): left blue, right orange.

    Args:
        image: RGB, uint8, shape (height, width, 3)
        keypoints: shape (joints, 3): x px, y px, COCO's flag (0 unlabelled, 1 hidden, 2 visible)
        skeleton: joint set
    """
    shift = 3  # cv2 draws at fractions of a pixel when given fixed-point numbers, whose (0, 0) is a pixel's centre
    at = np.rint((keypoints[:, :2] - 0.5) * 2**shift).astype(int)

    def colour(*joints: int) -> tuple[int, int, int]:
        sides = {skeleton.joints[joint].split("_")[0] for joint in joints}
        return _LEFT if sides == {"left"} else _RIGHT if sides == {"right"} else _MIDDLE

    for a, b in skeleton.limbs:
        if keypoints[a, 2] and keypoints[b, 2]:
            cv2.line(image, at[a].tolist(), at[b].tolist(), colour(a, b), 1, cv2.LINE_AA, shift)
    for joint, flag in enumerate(keypoints[:, 2]):
        if flag:
            thickness = -1 if flag == 2 else 1
            cv2.circle(image, at[joint].tolist(), int(2.5 * 2**shift), colour(joint), thickness, cv2.LINE_AA, shift)


def _tile(image: np.ndarray, people: list[np.ndarray], skeleton: Skeleton, caption: str) -> np.ndarray:
    """Scale a frame onto a tile and draw its people and caption."""
    scale = _TILE / max(image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=method)
    for keypoints in people:
        draw_skeleton(image, keypoints * [scale, scale, 1], skeleton)
    tile = np.zeros((_TILE + _CAPTION, _TILE, 3), np.uint8)
    height, width = image.shape[:2]
    top, left = (_TILE - height) // 2, (_TILE - width) // 2
    tile[top : top + height, left : left + width] = image
    cv2.putText(tile, caption, (6, _TILE + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
    return tile


def _coco_tiles(root: Path, count: int) -> list[np.ndarray]:
    skeleton, tiles = get_skeleton("coco-17"), []
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco = COCO(str(root / "annotations" / "person_keypoints_train2017.json"))
    ids = sorted(coco.getImgIds())
    for image_id in ids[:: max(1, len(ids) // count)][:count]:
        entry = coco.loadImgs(image_id)[0]
        image = cv2.imread(str(root / "train2017" / entry["file_name"]))[..., ::-1]
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        people = [np.array(a["keypoints"], float).reshape(-1, 3) for a in annotations]
        crowd = ", crowd" if any(a["iscrowd"] for a in annotations) else ""
        tiles.append(_tile(image, people, skeleton, f"{entry['file_name'][4:]}  {len(people)} annotations{crowd}"))
    return tiles


def _human36m_tiles(root: Path, count: int) -> list[np.ndarray]:
    skeleton, tiles = get_skeleton("human36m-32"), []
    videos = sorted(root.glob("*/Videos/*.mp4"))
    # A prime stride goes through subjects, actions and cameras alike.
    chosen = sorted({(7 * index) % len(videos) for index in range(count)})
    for number, index in enumerate(chosen):
        video = videos[index]
        pose_file = video.parents[1] / "MyPoseFeatures" / "D2_Positions" / f"{video.stem}.cdf"
        poses = np.asarray(cdflib.CDF(str(pose_file)).varget("Pose"))[0]
        frame = (len(poses) // 7) * (number % 7)
        joints = poses[frame].reshape(-1, 2)
        keypoints = np.concatenate([joints, np.full((len(joints), 1), 2.0)], 1)
        subject = video.parents[1].name
        tiles.append(_tile(_frame(video, frame), [keypoints], skeleton, f"{subject} {video.stem}  frame {frame}"))
    return tiles


def _frame(video: Path, number: int) -> np.ndarray:
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return frame.to_ndarray(format="rgb24")
    raise ValueError(f"{video} has no frame {number}")
