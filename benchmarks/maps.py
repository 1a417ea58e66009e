"""What keypoints to maps and back cost with one thread, in batches and image by image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from benchmarks.figures import Figure
from benchmarks.grouping import group_one
from datamodules.video.images import decode_image, list_images
from pose_oad.cli.teachers import make_teacher
from pose_oad.poses.maps import decode_people, decode_single, encode
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.teachers.base import Teacher, TeacherRequest
from pose_oad.tracking.errors import UserError, check

_BATCH = 64
_INPUT_SIZE = (256, 256)  # px
_MAP_SIZE = (64, 64)  # cells
_SKELETON = get_skeleton("trt-pose-18")  # 18 joints, 21 limbs
_NOISE = 0.02  # of the maps to be decoded, as a network's are never clean

# A standing person: joints of the right side and the middle, fractions of the body's height from its centre.
_BODY = {
    "nose": (0.0, -0.42), "eye": (0.02, -0.45), "ear": (0.05, -0.43), "neck": (0.0, -0.3),
    "shoulder": (0.11, -0.3), "elbow": (0.17, -0.12), "wrist": (0.2, 0.04),
    "hip": (0.08, 0.02), "knee": (0.1, 0.26), "ankle": (0.1, 0.48),
}  # fmt: skip


def bench_maps(cfg: DictConfig) -> list[Figure]:
    """Time encoding and both decoders, in batches, and grouping one image at a time.

    Args:
        cfg: ``conf/bench.yaml``

    Raises:
        UserError: if the photographs or their teacher cannot be used.
    """
    one, several = _crowd(torch.ones(_BATCH, dtype=torch.long)), _crowd(torch.arange(_BATCH) % 3 + 1)
    maps_of_one = _render(one)[0]
    maps, fields = _render(several)
    noise = torch.Generator().manual_seed(0)
    maps_of_one += _NOISE * torch.randn(maps_of_one.shape, generator=noise)
    maps += _NOISE * torch.randn(maps.shape, generator=noise)
    fields += _NOISE * torch.randn(fields.shape, generator=noise)
    cases: list[tuple[str, Callable[[], object], float, str]] = [
        ("encode", lambda: _render(one), 1.0, "one person an image"),
        ("decode_single", lambda: decode_single(maps_of_one), 0.1, "one person an image"),
        ("decode_people", lambda: decode_people(maps, fields, _SKELETON), 1.0, "one to three people an image"),
    ]
    images = [(maps[number : number + 1], fields[number : number + 1]) for number in range(_BATCH)]
    rounds = 3 * cfg.repeats
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        figures = [
            _figure(
                name, [_milliseconds(call) / _BATCH for _ in range(rounds + 1)][1:], limit, f"{_BATCH} at once, {who}"
            )
            for name, call, limit, who in cases
        ]
        figures += _one_by_one("decode_one", images, _SKELETON, rounds)
        if cfg.photographs is not None:
            teacher = make_teacher(cfg.teacher, None)
            figures += _one_by_one("photographs", _maps_of(cfg.photographs, teacher), teacher.skeleton, rounds)
        return figures
    finally:
        torch.set_num_threads(threads)


def _one_by_one(name: str, images: list[tuple[Tensor, Tensor]], skeleton: Skeleton, rounds: int) -> list[Figure]:
    """Time grouping of one image at a time, and trt_pose's way of it: the median over the images in each round."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds + 1):
        pairs = [
            (
                _milliseconds(decode_people, maps, fields, skeleton),
                _milliseconds(group_one, maps[0].numpy(), fields[0].numpy(), skeleton.limbs),
            )
            for maps, fields in images
        ]
        for series, values in zip((ours, theirs), zip(*pairs, strict=True), strict=True):
            series.append(statistics.median(values))
    what = f"{len(images)} images one at a time, {len(skeleton)} joints, {len(skeleton.limbs)} limbs"
    return [
        _figure(name, ours[1:], 0.6, what),
        _figure(f"{name}_trt_pose", theirs[1:], None, f"{what}: trt_pose's way in NumPy and SciPy"),
    ]


def _maps_of(folder: str, teacher: Teacher) -> list[tuple[Tensor, Tensor]]:
    """Let a teacher's network see each image of a folder, and keep its maps."""
    check(Path(folder).is_dir(), "photographs", folder, "a folder of images, or null")
    found = []
    for path in list_images(Path(folder), "photographs"):
        image = decode_image(path).to_ndarray(format="rgb24")
        request = TeacherRequest(np.zeros(1, dtype=np.int64), image[None], (image.shape[1], image.shape[0]))
        labels = teacher.label(request.seen_by(teacher))
        maps, fields = labels.confidence_maps, labels.part_affinity_fields
        if maps is None or fields is None:
            raise UserError(f"teacher={teacher.name}: photographs needs a network of maps and fields")
        found.append((maps, fields))
    return found


def _figure(name: str, samples: list[float], limit: float | None, how: str) -> Figure:
    return Figure(
        f"maps.{name}", statistics.median(samples), "ms/image", f"{how}; one thread", limit, samples=tuple(samples)
    )


def _render(people: Tensor) -> tuple[Tensor, Tensor]:
    return encode(people, _SKELETON, input_size=_INPUT_SIZE, map_size=_MAP_SIZE)


def _crowd(counts: Tensor) -> Tensor:
    """Place people at random, 40 to 90 % of the image high and leaning a little.

    Args:
        counts: people in each image, shape (images,)

    Returns:
        px of the input, shape (images, people, joints, 3).
    """
    generator = torch.Generator().manual_seed(0)
    sides = [(-1 if joint.startswith("left_") else 1, _BODY[joint.split("_")[-1]]) for joint in _SKELETON.joints]
    body = torch.tensor([(side * x, y) for side, (x, y) in sides])
    shape = (len(counts), int(counts.max()))
    random = torch.rand(*shape, 4, 1, generator=generator)
    height, lean, left, top = random.unbind(-2)
    height, lean = 0.4 + 0.5 * height, lean - 0.5
    x = body[:, 0] * lean.cos() - body[:, 1] * lean.sin()
    y = body[:, 0] * lean.sin() + body[:, 1] * lean.cos()
    x = height * x + 0.5 + (left - 0.5) * (1 - 0.5 * height)
    y = height * y + 0.5 + (top - 0.5) * (1 - height)
    present = (torch.arange(shape[1]) < counts.unsqueeze(-1)).unsqueeze(-1).expand_as(x)
    return torch.stack([x * _INPUT_SIZE[0], y * _INPUT_SIZE[1], torch.ones_like(x)], -1) * present.unsqueeze(-1)


def _milliseconds(call: Callable[..., object], *given: object) -> float:
    """Return the wall time of a call."""
    start = time.perf_counter()
    call(*given)
    return 1e3 * (time.perf_counter() - start)
