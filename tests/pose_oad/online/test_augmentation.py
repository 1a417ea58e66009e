from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pose_oad.cli.command import build, compose_config
from pose_oad.online.augmentation import NoAugmentation, RandomViews, views_generator
from pose_oad.online.batch import LabelledBatch
from pose_oad.online.learner import Learner
from pose_oad.online.options import TrainingOptions
from pose_oad.poses.maps import encode, known_cells
from pose_oad.poses.skeleton import Skeleton, get_skeleton
from pose_oad.students import StudentConfig, build_student
from pose_oad.tracking.errors import UserError

BODY = get_skeleton("body-12")
CORNERS = [(20.5, 30.5), (50.5, 25.5), (25.5, 50.5), (45.5, 45.5)]
WIDTH, HEIGHT = 80, 64


def dots(frames: int = 6) -> LabelledBatch:
    """Black frames with a bright disc at each of the first four joints; the others are missing."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    picture, keypoints = np.zeros((HEIGHT, WIDTH, 3), np.uint8), torch.zeros(1, 12, 3)
    for joint, (across, down) in enumerate(CORNERS):
        picture[(x - across) ** 2 + (y - down) ** 2 < 12] = 60 * (joint + 1)
        keypoints[0, joint] = torch.tensor([across, down, 1.0])
    known, limbs = torch.ones(frames, 12, dtype=torch.bool), torch.ones(frames, len(BODY.limbs), dtype=torch.bool)
    pictures = torch.from_numpy(picture).expand(frames, -1, -1, -1).contiguous()
    return LabelledBatch(pictures, keypoints.expand(frames, -1, -1, -1).clone(), known, limbs, torch.arange(frames))


def views(batch: LabelledBatch, seed: int = 0, **ranges: Any) -> LabelledBatch:
    return RandomViews(BODY, **ranges)(batch, views_generator(seed, 0))


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_people_move_with_the_picture(mirror: float) -> None:
    before = dots()
    seen = views(before, rotation=0.4, scale=(0.8, 1.25), shift=0.1, mirror=mirror)
    assert seen.frames.shape == before.frames.shape
    assert seen.frames.dtype == torch.uint8
    assert len({tuple(frame.flatten().tolist()) for frame in seen.keypoints}) == 6
    sides = BODY.flip if mirror else range(12)
    for frame, people in zip(seen.frames, seen.keypoints, strict=True):
        assert not people[0, [sides[joint] for joint in range(4, 12)]].any()  # what is missing stays missing
        for joint in range(4):
            x, y, confidence = people[0, sides[joint]].tolist()
            assert confidence == 1
            weight = (frame[..., 0].float() - 60 * (joint + 1)).abs() < 20
            rows, columns = weight.nonzero(as_tuple=True)
            near = ((columns + 0.5 - x).abs() < 8) & ((rows + 0.5 - y).abs() < 8)
            if near.sum() > 12:
                assert abs(float(columns[near].float().mean()) + 0.5 - x) < 1
                assert abs(float(rows[near].float().mean()) + 0.5 - y) < 1


def test_without_ranges_a_view_is_the_frame() -> None:
    before = dots(2)
    seen = views(before)
    assert torch.equal(seen.frames, before.frames)
    assert torch.allclose(seen.keypoints, before.keypoints)


def test_ranges_are_kept_and_reached() -> None:
    seen = views(dots(400), rotation=0.3, scale=(0.5, 2.0))
    first, second = seen.keypoints[:, 0, 0, :2], seen.keypoints[:, 0, 1, :2]
    ends = torch.tensor(CORNERS[1]) - torch.tensor(CORNERS[0])
    grown = (second - first).norm(dim=1) / ends.norm()
    turned = torch.atan2(*(second - first).flip(1).unbind(1)) - math.atan2(float(ends[1]), float(ends[0]))
    assert 0.49 < float(grown.min()) < 0.55
    assert 1.85 < float(grown.max()) < 2.01
    assert abs(float((grown < 1).float().mean()) - 0.5) < 0.08  # as many smaller as larger
    assert 0.28 < float(turned.abs().max()) < 0.301


def test_a_mirror_image_exchanges_sides_and_what_is_known_of_them() -> None:
    before = dots(1)
    before.known[0, 0] = False  # of the left shoulder
    seen = views(before, mirror=1.0)
    other = BODY.flip[0]
    assert seen.keypoints[0, 0, other].tolist() == pytest.approx([WIDTH - CORNERS[0][0], CORNERS[0][1], 1.0], abs=1e-4)
    assert not seen.known[0, other]
    assert seen.known[0, 0]
    assert torch.equal(seen.frames, before.frames.flip(2))
    with pytest.raises(UserError, match=r"augmentation\.mirror=0\.5"):
        RandomViews(Skeleton("hand", ("thumb",)), mirror=0.5)


def test_a_joint_that_leaves_the_picture_is_absent_and_nothing_is_masked() -> None:
    before = dots(1)
    before.keypoints[:] = torch.tensor([40.0, 32.0, 1.0])  # whole, so that only a view could lose a joint
    before.keypoints[0, 0, 3] = torch.tensor([2.0, 2.0, 1.0])
    seen = views(before, scale=(2.0, 2.0))
    assert (seen.keypoints[0, 0, 3, :2] < 0).any()
    target = encode(seen.keypoints, BODY, input_size=(WIDTH, HEIGHT), map_size=(20, 16))
    assert not target.confidence_maps[0, 3].any()
    assert target.confidence_maps[0, 2].any()
    assert known_cells(seen.keypoints, target, BODY, (WIDTH, HEIGHT)) is None


def test_colours_change_within_their_ranges() -> None:
    grey = LabelledBatch(torch.full((300, 4, 4, 3), 100, dtype=torch.uint8), torch.zeros(300, 0, 12, 3),
                         torch.ones(300, 12, dtype=torch.bool), torch.ones(300, 12, dtype=torch.bool),
                         torch.arange(300))  # fmt: skip
    light = views(grey, brightness=0.2).frames.float()
    assert 80 <= float(light.min()) < 83
    assert 117 < float(light.max()) <= 120
    dull = views(grey, saturation=0.9, hue=1.0).frames
    assert (dull - 100).to(torch.int8).abs().max() <= 1  # grey has no colour
    flat = views(grey, contrast=0.4).frames.float()
    assert 88 <= float(flat.min()) < 91  # 127.5 + 1.4 (100 - 127.5)
    assert 109 < float(flat.max()) <= 112
    red = torch.tensor([200, 0, 0], dtype=torch.uint8).expand(300, 4, 4, 3).contiguous()
    turned = views(LabelledBatch(red, grey.keypoints, grey.known, grey.known_limbs, grey.frame_ids), hue=0.5).frames
    assert turned[:, 0, 0, 1].max() > 40


def test_boxes_cover_some_of_the_picture_and_people_stay() -> None:
    before = dots(200)
    seen = views(before, boxes=2, box_size=0.5)
    covered = (seen.frames != before.frames).any(-1).flatten(1).float().mean(1)
    assert 0.1 < float((covered == 0).float().mean()) < 0.5
    assert 0.1 < float(covered.max()) <= 0.5
    assert torch.equal(seen.keypoints, before.keypoints)


def test_views_follow_from_seed_and_window() -> None:
    augment, before = RandomViews(BODY, rotation=0.1), dots()
    first, again, other = (augment(before, views_generator(3, window)) for window in (5, 5, 6))
    assert torch.equal(first.frames, again.frames)
    assert torch.equal(first.keypoints, again.keypoints)
    assert not torch.equal(first.frames, other.frames)
    empty = replace(before, keypoints=torch.zeros(6, 0, 12, 3))
    assert augment(empty, views_generator(3, 5)).keypoints.shape == (6, 0, 12, 3)


def test_mixed_precision_moves_nothing() -> None:
    ranges: dict[str, Any] = {"rotation": 0.3, "scale": (0.7, 1.4), "shift": 0.2, "hue": 0.2}
    plain = views(dots(), **ranges)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = views(dots(), **ranges)
    assert torch.equal(plain.keypoints, mixed.keypoints)
    assert torch.equal(plain.frames, mixed.frames)


def test_every_step_or_every_window_has_its_views() -> None:
    torch.manual_seed(0)
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
    drawn: list[int] = []

    class Counting(NoAugmentation):
        def __call__(self, batch: LabelledBatch, generator: torch.Generator) -> LabelledBatch:
            drawn.append(int(torch.randint(2**30, (1,), generator=generator)))
            return batch

    counting: Any = Counting()
    frames, ones = torch.zeros(3, 32, 32, 3, dtype=torch.uint8), torch.ones(3, 12, dtype=torch.bool)
    limbs = torch.ones(3, len(BODY.limbs), dtype=torch.bool)
    batch = LabelledBatch(frames, torch.full((3, 1, 12, 3), 9.0), ones, limbs, torch.arange(3))
    for kind, times in (("window", 1), ("step", 4)):
        drawn.clear()
        counting.views = kind
        options = TrainingOptions(unit="steps", steps=4, batch_size=2, batch_norm="frozen")
        Learner(student, options, augment=counting).learn(batch, 1, lambda loss: None)
        first = list(drawn)
        drawn.clear()
        Learner(student, options, augment=counting).learn(batch, 1, lambda loss: None)
        assert drawn == first
        assert len(set(drawn)) == times
    with pytest.raises(UserError, match="augmentation"):
        Learner(student, TrainingOptions(labels="maps"), augment=counting)


@pytest.mark.parametrize("choice", ["none", "mild", "strong", "mirror", "paper"])
def test_every_choice_is_built(choice: str) -> None:
    augment = build(compose_config("online", [f"augmentation={choice}"]).augmentation, skeleton=BODY)
    assert len(augment(dots(2), views_generator(0, 0))) == 2


@pytest.mark.parametrize("value", ["scale=[2.0,0.5]", "rotation=-1", "mirror=2", "boxes=1000", "views=epoch"])
def test_a_refused_value_is_named(value: str) -> None:
    with pytest.raises(UserError, match=rf"^augmentation\.{value.partition('=')[0]}="):
        build(compose_config("online", ["augmentation=mild", f"augmentation.{value}"]).augmentation, skeleton=BODY)
