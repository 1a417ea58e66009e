"""A picture of the data: frames of both domains with their skeletons drawn on them.

It reads the written trees as anybody would (pycocotools, PyAV, cdflib), so what it shows is what a user of the files
gets.
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

from pose_oad.poses.skeleton import Skeleton, get_skeleton

_WIDTH, _HEIGHT = 1920, 320  # px: the sheet's width, the height of a frame on it
_CAPTION = 22  # px
_ROWS = 4  # of each domain; tiles that find no room in them are left out
_GREY = 28
_LEFT, _RIGHT, _MIDDLE = (80, 200, 255), (255, 130, 60), (120, 255, 120)


def write_contact_sheet(root: Path) -> Path:
    """Draw frames of both domains with their skeletons.

    Args:
        root: folder that holds ``coco`` and ``human36m``

    Returns:
        the picture's path, ``<root>/contact_sheet.png``.
    """
    sections = [
        ("Source domain: photographs in COCO's format (dot: visible joint, ring: hidden; left blue, right orange)",
         _coco_tiles(root / "coco", 28)),
        ("Target domain: studio recordings in Human3.6M's format (whole frames, then people as filmed and with joints)",
         _human36m_tiles(root / "human36m", 6, 14)),
    ]  # fmt: skip
    bands = []
    for title, tiles in sections:
        bands += [_title(title), *_rows(tiles)] if tiles else []
    path = root / "contact_sheet.png"
    path.write_bytes(cv2.imencode(".png", np.concatenate(bands)[..., ::-1])[1].tobytes())
    return path


def _title(text: str) -> np.ndarray:
    band = np.full((48, _WIDTH, 3), _GREY, np.uint8)
    cv2.putText(band, text, (8, 32), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (255, 255, 255), 1, cv2.LINE_AA)
    return band


def _rows(tiles: list[np.ndarray]) -> list[np.ndarray]:
    """Set tiles of one height beside one another, each in the first row that has room; only the first rows are kept."""
    rows: list[list[np.ndarray]] = []
    for tile in tiles:
        for row in rows:
            if sum(other.shape[1] for other in row) + tile.shape[1] <= _WIDTH:
                row.append(tile)
                break
        else:
            rows.append([tile])
    bands = []
    for row in rows[:_ROWS]:
        band = np.full((_HEIGHT + _CAPTION, _WIDTH, 3), _GREY, np.uint8)
        content = np.concatenate(row, 1)
        band[:, : content.shape[1]] = content
        bands.append(band)
    return bands


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
    scale = _HEIGHT / image.shape[0]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    width = min(round(image.shape[1] * scale), _WIDTH)
    image = cv2.resize(image, (width, _HEIGHT), interpolation=method)
    for keypoints in people:
        draw_skeleton(image, keypoints * [scale, scale, 1], skeleton)
    tile = np.full((_HEIGHT + _CAPTION, width, 3), _GREY, np.uint8)
    tile[:_HEIGHT] = image
    cv2.putText(tile, caption, (4, _HEIGHT + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
    tile[:, -2:] = _GREY
    return tile


def _coco_tiles(root: Path, count: int) -> list[np.ndarray]:
    skeleton = get_skeleton("coco-17")
    tiles: list[np.ndarray] = []
    if not root.is_dir():
        return tiles
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco = COCO(str(root / "annotations" / "person_keypoints_train2017.json"))
    ids = sorted(coco.getImgIds())
    for image_id in ids[:: max(1, len(ids) // count)][:count]:
        entry = coco.loadImgs(image_id)[0]
        image = np.asarray(cv2.imread(str(root / "train2017" / entry["file_name"])))[..., ::-1]
        annotations = coco.loadAnns(coco.getAnnIds(image_id))
        people = [np.array(a["keypoints"], float).reshape(-1, 3) for a in annotations]
        crowd = " crowd" if any(a["iscrowd"] for a in annotations) else ""
        tiles.append(_tile(image, people, skeleton, f"{entry['file_name']}{crowd}"))
    return tiles


def _human36m_tiles(root: Path, whole: int, zoomed: int) -> list[np.ndarray]:
    skeleton = get_skeleton("human36m-32")
    videos = sorted(root.glob("*/Videos/*.mp4"))
    # A prime stride goes through subjects, actions and cameras alike.
    chosen = [videos[7 * index % len(videos)] for index in range(min(whole + zoomed, len(videos)))]
    tiles, close = [], []
    for number, video in enumerate(chosen):
        pose_file = video.parents[1] / "MyPoseFeatures" / "D2_Positions" / f"{video.stem}.cdf"
        poses = np.asarray(cdflib.CDF(str(pose_file)).varget("Pose"))[0]
        index = (len(poses) - 1) * (1 + number % 5) // 6
        joints = poses[index].reshape(-1, 2).astype(float)
        keypoints = np.concatenate([joints, np.full((len(joints), 1), 2.0)], 1)
        caption = f"{video.parents[1].name} {video.stem}  frame {index}"
        image = _frame(video, index)
        if number < whole:
            tiles.append(_tile(image, [keypoints], skeleton, caption))
            continue
        crop, corner = _around(image, joints)
        plain = _tile(crop, [], skeleton, caption)
        close.append(np.concatenate([plain, _tile(crop, [keypoints - [*corner, 0]], skeleton, "")], 1))
    return tiles + close


def _around(image: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Cut a person out with some room; also return the cut's left and top, px."""
    height, width = image.shape[:2]
    reach = 0.62 * float(np.ptp(joints, axis=0).max())
    x, y = (joints.min(0) + joints.max(0)) / 2
    left, right = int(max(x - 0.8 * reach, 0)), int(min(x + 0.8 * reach, width))
    top, bottom = int(max(y - reach, 0)), int(min(y + reach, height))
    return image[top:bottom, left:right], (left, top)


def _frame(video: Path, number: int) -> np.ndarray:
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return frame.to_ndarray(format="rgb24")
    raise ValueError(f"{video} has no frame {number}")
