"""Write the source domain: photographs of people with COCO keypoint annotations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datamodules.synthetic.appearance import draw_outfit
from datamodules.synthetic.body import Pose, Posed, joint_positions, pose_body, sample_build
from datamodules.synthetic.buffers import Buffers, Light, rasterise, shade
from datamodules.synthetic.camera import Camera, look_at
from datamodules.synthetic.figure import dress
from datamodules.synthetic.motion import ACTIONS, SNAPSHOTS, perform
from datamodules.synthetic.places import occluder, snapshot_scene
from datamodules.synthetic.post import cast_shadow, finish, grain
from datamodules.synthetic.raster import Solids, project_solids
from datamodules.synthetic.scenes import Backdrop, Scene, cast
from pose_oad.poses.skeleton import get_skeleton

_JOINTS = get_skeleton("coco-17").joints
#: What people do in photographs; they sit more often than one action in fifteen would have it.
_EVERYDAY = (*ACTIONS, "Sitting", "Sitting", "SittingDown", "SittingDown")
_MOMENTS = 5  # frames of a performance; the middle one is shown, its neighbours blur a moving person
#: A surface this far in front of a joint hides it (m): more than the flesh around the joint itself.
_HIDDEN_MARGIN = 0.16
_ROOM = 0.5  # m between the middles of two people
_SMALL_AREA = 300  # px: smaller silhouettes are annotated without keypoints, as COCO's smallest people are


@dataclass(frozen=True)
class Photograph:
    """One picture to take.

    Attributes:
        split: ``train2017`` or ``val2017``
        index: number of the picture within its split
        image_id: COCO image id
        seed: seed of the whole data set
        long_side: longer side of the picture, px
    """

    split: str
    index: int
    image_id: int
    seed: int
    long_side: int

    @property
    def file_name(self) -> str:
        """Twelve digits, as COCO's."""
        return f"{self.image_id:012d}.jpg"


@dataclass(frozen=True)
class _Person:
    posed: Posed
    solids: Solids
    atlas: np.ndarray


def take_photograph(folder: Path, photograph: Photograph) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Take one picture and annotate it.

    Args:
        folder: where the JPEG goes
        photograph: which picture

    Returns:
        the picture's entry of COCO's ``images`` and its entries of ``annotations`` (without ids).
    """
    rng = np.random.default_rng([photograph.seed, photograph.split == "val2017", photograph.index])
    size = _picture_size(rng, photograph.long_side)
    crowd = rng.random() < 0.03
    count = int(rng.choice([1, 2, 3, 4, 5], p=[0.38, 0.27, 0.18, 0.10, 0.07]))
    camera, spots = _stage(rng, size, count)
    count = len(spots)
    scene = snapshot_scene(rng)
    if rng.random() < 0.2:
        hides = occluder(rng, spots[rng.integers(count)], camera.position)
        scene = Scene(scene.floor, scene.floor_paint, (*scene.boxes, hides), scene.sky, scene.seed)
    people = [_person(rng, spot, camera) for spot in spots]
    if crowd:
        people += [_person(rng, spot, camera) for spot in _crowd_spots(rng, camera)]
    backdrop = cast(scene, camera)
    image, buffers = _render(rng, people, camera, backdrop, moving=rng.random() < 0.2)
    folder.mkdir(parents=True, exist_ok=True)
    quality = int(rng.integers(72, 95))
    # OpenCV's own writer does not say when the disk is full.
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    (folder / photograph.file_name).write_bytes(encoded.tobytes())
    entry = {"id": photograph.image_id, "file_name": photograph.file_name, "width": size[0], "height": size[1]}
    owner = _owners(people, buffers.solid)
    annotations = []
    for number, person in enumerate(people[:count]):
        annotation = _annotate(rng, person, camera, owner == number, buffers.depth)
        if annotation:
            annotations.append({"image_id": photograph.image_id, **annotation})
    mask = owner >= count
    if mask.sum() > 20:
        annotations.append({"image_id": photograph.image_id, **crowd_annotation(mask)})
    return entry, annotations


def _picture_size(rng: np.random.Generator, long_side: int) -> tuple[int, int]:
    ratio = float(rng.choice([1.0, 4 / 3, 3 / 2, 16 / 9]))
    long = int(long_side * rng.uniform(0.8, 1.0))
    return (long, round(long / ratio)) if rng.random() < 0.65 else (round(long / ratio), long)


def _stage(rng: np.random.Generator, size: tuple[int, int], count: int) -> tuple[Camera, list[np.ndarray]]:
    """Put a camera up and choose where people stand, so that they are between small and larger than the picture.

    Where no room is found there are fewer people than asked for, but always one.
    """
    long = max(size)
    focal = long * rng.uniform(0.75, 1.9)
    share = rng.uniform(0.32, 1.1) if count < 3 else rng.uniform(0.3, 0.75)  # a standing person's part of the height
    distance = max(1.1, 1.72 * focal / (share * size[1]))
    height = float(
        rng.choice([rng.uniform(0.5, 1.2), rng.uniform(1.2, 1.9), rng.uniform(1.9, 3.2)], p=[0.25, 0.55, 0.2])
    )
    position = np.array([rng.uniform(-0.5, 0.5), -distance, height])
    aim = np.array([rng.normal(0, 0.12) * distance * size[0] / focal, 0.0, rng.uniform(0.5, 1.35)])
    camera = Camera(
        position=position,
        rotation=look_at(position, aim, rng.normal(0, 0.05)),
        focal=(focal, focal),
        centre=(size[0] / 2, size[1] / 2),
        distortion=(rng.uniform(-0.15, 0.08) if rng.random() < 0.25 else 0.0, 0.0, 0.0, 0.0, 0.0),
        size=size,
    )
    spots: list[np.ndarray] = []
    for _ in range(count * 6):
        depth = 0.0 if not spots else rng.uniform(-0.25, 1.0) * distance
        wide = 0.42 * size[0] / focal * (distance + depth)
        spot = np.array([rng.uniform(-wide, wide), depth])
        if all(np.linalg.norm(spot - other) > _ROOM for other in spots) and distance + depth > 1.0:
            spots.append(spot)
        if len(spots) == count:
            break
    return camera, spots


def _crowd_spots(rng: np.random.Generator, camera: Camera) -> list[np.ndarray]:
    far = 8 + abs(camera.position[1])
    wide = 0.3 * camera.size[0] / camera.focal[0] * far
    middle = rng.uniform(-wide, wide)
    return [np.array([middle + 0.45 * k + rng.normal(0, 0.1), far - 8 + rng.uniform(6, 9)]) for k in range(8)]


def _person(rng: np.random.Generator, spot: np.ndarray, camera: Camera) -> _Person:
    build = sample_build(rng)
    name = str(rng.choice(["anything", "sport", "running", "everyday"], p=[0.16, 0.08, 0.06, 0.70]))
    action = SNAPSHOTS[name] if name != "everyday" else ACTIONS[_EVERYDAY[rng.integers(len(_EVERYDAY))]]
    moment = rng.uniform(1, 8) + np.arange(_MOMENTS) * 0.012
    pose = perform(action, build, moment, rng, reach=0.0)
    towards = np.arctan2(*(camera.position[:2] - spot)[::-1])
    # People in photographs mostly face the camera.
    heading = towards + (rng.normal(0, 0.7) if rng.random() < 0.6 else rng.uniform(-np.pi, np.pi))
    pose = Pose(np.broadcast_to(spot, (_MOMENTS, 2)), np.full(_MOMENTS, heading), pose.angles, pose.lift)
    posed = pose_body(build, pose)
    solids, atlas = dress(build, posed, draw_outfit(rng), rng)
    return _Person(posed, solids, atlas)


def _render(
    rng: np.random.Generator, people: list[_Person], camera: Camera, backdrop: Backdrop, moving: bool
) -> tuple[np.ndarray, Buffers]:
    angle, steep = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2.0)
    direction = np.array([np.cos(angle), np.sin(angle), steep])
    direction /= np.linalg.norm(direction)
    balance = rng.uniform(0.35, 0.8)  # from an overcast sky to hard sun
    main = np.array([1.0, 0.95, 0.85]) * 1.15 * balance
    ambient = np.array([0.9, 0.95, 1.05]) * (1.05 - balance)
    plate = backdrop.lit(direction, main, ambient)
    for person in people:
        points = {name: value[_MOMENTS // 2] for name, value in person.posed.points.items()}
        cast_shadow(plate, camera, backdrop, points, direction, strength=0.75 * balance)
    sprites = project_solids(Solids.concatenate([person.solids for person in people]), camera)
    atlas = np.concatenate([person.atlas for person in people])
    light = Light(camera.rotation @ direction, camera.rotation @ np.array([0.0, 0.0, 1.0]), main, ambient)
    shots = []
    for moment in (0, _MOMENTS - 1, _MOMENTS // 2) if moving else (_MOMENTS // 2,):
        image, buffers = plate.copy(), Buffers.over(backdrop.depth)
        rasterise(sprites, moment, buffers)
        shade(image, buffers, sprites, moment, atlas, light)
        shots.append(image.astype(np.float32))
    image = np.mean(shots, 0).astype(np.uint8)
    exposure = rng.uniform(0.75, 1.25) * (1 + rng.normal(0, 0.06, 3))
    noise = grain(camera.size, float(rng.uniform(0.5, 5.0)))
    return finish(image, exposure, float(rng.uniform(0.35, 0.8)), noise, rng), buffers


def _owners(people: list[_Person], solid: np.ndarray) -> np.ndarray:
    """Number of the person that each pixel shows, -1 for none."""
    owner = np.concatenate([np.full(person.atlas.shape[0], number) for number, person in enumerate(people)])
    return np.where(solid >= 0, owner[solid], -1)


def _annotate(
    rng: np.random.Generator, person: _Person, camera: Camera, mask: np.ndarray, depth: np.ndarray
) -> dict[str, Any] | None:
    area = int(mask.sum())
    if area < 40:
        return None
    rows, columns = np.nonzero(mask)
    box = [int(columns.min()), int(rows.min()), int(np.ptp(columns) + 1), int(np.ptp(rows) + 1)]
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    segmentation = [outline.reshape(-1).tolist() for outline in outlines if len(outline) >= 3]
    if not segmentation:
        return None
    joints = camera.to_camera(joint_positions(person.posed, _JOINTS)[_MOMENTS // 2])
    visible = visibility(rng, joints, camera, depth)
    if area < _SMALL_AREA or rng.random() < 0.03:
        visible[:] = 0
    points = np.round(camera.project(joints), 2) * (visible > 0)[:, None]
    keypoints = np.concatenate([points, visible[:, None]], 1)
    return {
        "category_id": 1,
        "iscrowd": 0,
        "area": area,
        "bbox": box,
        "segmentation": segmentation,
        "num_keypoints": int((visible > 0).sum()),
        "keypoints": [int(v) if i % 3 == 2 else float(v) for i, v in enumerate(keypoints.ravel())],
    }


def visibility(rng: np.random.Generator, joints: np.ndarray, camera: Camera, depth: np.ndarray) -> np.ndarray:
    """COCO's flag of every joint: 2 visible, 1 hidden but labelled, 0 unlabelled, shape (joints,)."""
    pixels = camera.project(joints)
    width, height = camera.size
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height) & (joints[:, 2] > 0.25)
    x, y = pixels.astype(int).clip(0, [width - 1, height - 1]).T
    hidden = depth[y, x] < joints[:, 2] - _HIDDEN_MARGIN
    unlabelled = hidden & (rng.random(len(joints)) < 0.15)
    return np.where(inside & ~unlabelled, np.where(hidden, 1, 2), 0)


def crowd_annotation(mask: np.ndarray) -> dict[str, Any]:
    """One annotation for a whole group, its mask run-length encoded down the columns as COCO does."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes.tolist(), len(flat)]).tolist()
    rows, columns = np.nonzero(mask)
    return {
        "category_id": 1,
        "iscrowd": 1,
        "area": int(mask.sum()),
        "bbox": [int(columns.min()), int(rows.min()), int(np.ptp(columns) + 1), int(np.ptp(rows) + 1)],
        "segmentation": {"counts": [0, *runs] if flat[0] else runs, "size": list(mask.shape)},
        "num_keypoints": 0,
        "keypoints": [0] * (3 * len(_JOINTS)),
    }
