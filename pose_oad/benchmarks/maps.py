"""What keypoints to maps and back cost: one thread, batches of 64 images of the size the paper trains at."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pose_oad.maps import decode_people, decode_single, encode
from pose_oad.skeleton import get_skeleton

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


def bench_maps(repeats: int = 15) -> list[dict[str, str | float]]:
    """Time encoding and both decoders.

    Args:
        repeats: runs of each, of which the median is reported

    Returns:
        A row for each figure: ``name``, ``value``, ``unit``, ``limit`` it should stay under, and ``how`` it was taken.
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
    size = f"{len(_SKELETON)} joints, {len(_SKELETON.limbs)} limbs, {_MAP_SIZE[0]}x{_MAP_SIZE[1]} cells"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            {
                "name": f"maps.{name}",
                "value": _milliseconds(call, repeats) / _BATCH,
                "unit": "ms/image",
                "limit": limit,
                "how": f"median of {repeats} batches of {_BATCH}, one thread, {size}, {people}",
            }
            for name, call, limit, people in cases
        ]
    finally:
        torch.set_num_threads(threads)


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


def _milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)
