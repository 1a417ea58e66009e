from __future__ import annotations

import numpy as np
import pytest
import torch

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import TeacherRequest
from pose_oad.teachers.bottom_up import (
    PaddedMaps,
    field_channels,
    label_frames,
    order_channels,
    pad_to_cells,
    size_at_height,
)

SKELETON = get_skeleton("coco-18")
CHANNELS = len(SKELETON) + 2 * len(SKELETON.limbs)


@pytest.mark.parametrize(
    ("frame_size", "seen"), [((1920, 1080), (654, 368)), ((480, 640), (276, 368)), ((1, 1000), (1, 368))]
)
def test_frames_keep_their_aspect_ratio(frame_size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert size_at_height(frame_size, 368) == seen


def test_channels_are_turned_around_for_bgr() -> None:
    image = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]], dtype=torch.uint8)
    assert order_channels(image, bgr=True).tolist() == [[[[3.0, 6.0]], [[2.0, 5.0]], [[1.0, 4.0]]]]
    assert order_channels(image, bgr=False).tolist() == [[[[1.0, 4.0]], [[2.0, 5.0]], [[3.0, 6.0]]]]


def test_padding_is_on_the_right_and_below() -> None:
    padded = pad_to_cells(torch.zeros(1, 3, 9, 16), 0.5)
    assert padded.shape == (1, 3, 16, 16)
    assert not padded[:, :, :9].any()
    assert (padded[:, :, 9:] == 0.5).all()
    whole = torch.zeros(1, 3, 8, 16)
    assert pad_to_cells(whole, 0.5) is whole


@pytest.mark.parametrize("name", ["coco-18", "body-25"])
def test_every_field_channel_belongs_to_one_limb(name: str) -> None:
    skeleton = get_skeleton(name)
    assert sorted(field_channels(skeleton)) == list(range(2 * len(skeleton.limbs)))


def test_maps_of_a_frame_that_fills_its_cells_are_handed_on_as_they_are() -> None:
    maps = torch.rand(2, CHANNELS, 4, 6, generator=torch.Generator().manual_seed(0)) * 0.05
    request = TeacherRequest(np.arange(2), np.zeros((2, 32, 48, 3), np.uint8), (96, 64))
    labels = label_frames(lambda frames: [PaddedMaps(maps, (48, 32))], request, (48, 32), SKELETON, 8, 2)
    assert labels.confidence_maps is not None
    assert labels.part_affinity_fields is not None
    torch.testing.assert_close(labels.confidence_maps, maps[:, :18])
    torch.testing.assert_close(labels.part_affinity_fields.flatten(1, 2), maps[:, 18:])


def test_maps_of_two_scales_are_averaged_over_the_frame_not_over_the_padding() -> None:
    # The picture ends in the middle of a cell: a ramp in px of the frame must be the same ramp in both scales' maps.
    def ramp(columns: int, width: int) -> torch.Tensor:
        return ((torch.arange(columns) + 0.5) * 8 / width).expand(1, CHANNELS, 8, columns) * 0.05

    scales = [PaddedMaps(ramp(13, 100), (100, 64)), PaddedMaps(ramp(7, 50), (50, 64))]
    request = TeacherRequest(np.arange(1), np.zeros((1, 64, 100, 3), np.uint8), (100, 64))
    labels = label_frames(lambda frames: scales, request, (100, 64), SKELETON, 8, 1)
    assert labels.confidence_maps is not None
    assert labels.confidence_maps.shape == (1, 18, 8, 12)
    expected = (torch.arange(12) + 0.5) / 12 * 0.05
    inside = labels.confidence_maps[0, 0, 4, 2:-2]  # bicubic samples bend a ramp a little, more so at the border
    torch.testing.assert_close(inside, expected[2:-2], atol=4e-4, rtol=0)  # over the padding: 1.6e-3


def test_frames_are_shown_in_batches() -> None:
    calls: list[int] = []

    def predict(frames: torch.Tensor) -> list[PaddedMaps]:
        calls.append(len(frames))
        return [PaddedMaps(torch.zeros(len(frames), CHANNELS, 4, 4), (32, 32))]

    request = TeacherRequest(np.arange(5), np.zeros((5, 32, 32, 3), np.uint8), (32, 32))
    assert label_frames(predict, request, (32, 32), SKELETON, 2, 2).keypoints.shape == (5, 0, 18, 3)
    assert calls == [2, 2, 1]


def test_read_only_frames_are_taken(recwarn: pytest.WarningsRecorder) -> None:
    image = np.broadcast_to(np.uint8(7), (1, 32, 32, 3))
    maps = [PaddedMaps(torch.zeros(1, CHANNELS, 4, 4), (32, 32))]
    label_frames(lambda frames: maps, TeacherRequest(np.arange(1), image, (32, 32)), (32, 32), SKELETON, 1, 1)
    assert not [warning for warning in recwarn if "not writable" in str(warning.message)]
