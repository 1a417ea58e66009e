from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pose_oad.offline.frame_store import FrameStore
from pose_oad.online.batch import LabelledBatch
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import UserError

PAIR = Skeleton("pair", ("a", "b"), ((0, 1),))


def batch(count: int, people: int, seed: int) -> LabelledBatch:
    generator = torch.Generator().manual_seed(seed)
    return LabelledBatch(
        torch.randint(0, 256, (count, 8, 16, 3), dtype=torch.uint8, generator=generator),
        torch.rand(count, people, 2, 3, generator=generator),
        torch.rand(count, 2, generator=generator) > 0.5,
        torch.ones(count, 1, dtype=torch.bool),
        torch.arange(count),
        metric_scale=torch.rand(count, 2, generator=generator),
    )


@pytest.mark.parametrize(("memory_mib", "on_disk"), [(1, False), (0, True)])
def test_what_goes_in_comes_out_in_order(tmp_path: Path, memory_mib: int, on_disk: bool) -> None:
    parts = [batch(3, 1, 0), batch(1, 2, 1), batch(2, 0, 2)]
    store = FrameStore(memory_mib, tmp_path)
    for part in parts:
        store.append(part)
    assert store.on_disk == on_disk
    content = store.finish((16, 8), PAIR).content
    assert torch.equal(content.frames, torch.cat([part.frames for part in parts]))
    assert torch.equal(content.known, torch.cat([part.known for part in parts]))
    assert torch.equal(content.metric_scale, torch.cat([part.metric_scale for part in parts]))
    # fewer people are filled up with nobody
    assert content.keypoints.shape == (6, 2, 2, 3)
    assert torch.equal(content.keypoints[:3, 0], parts[0].keypoints[:, 0])
    assert torch.equal(content.keypoints[3], parts[1].keypoints[0])
    assert not content.keypoints[:3, 1].any()
    assert not content.keypoints[4:].any()
    assert not list(tmp_path.iterdir())  # the file has no name


def test_frames_move_to_the_file_when_the_limit_is_passed(tmp_path: Path) -> None:
    store = FrameStore(1, tmp_path)
    parts = [batch(1500, 1, seed) for seed in range(3)]  # 0.55 MiB each
    states = []
    for part in parts:
        store.append(part)
        states.append(store.on_disk)
    assert states == [False, True, True]
    assert torch.equal(store.finish((16, 8), PAIR).content.frames, torch.cat([part.frames for part in parts]))


def test_an_empty_store_gives_an_empty_set(tmp_path: Path) -> None:
    frames = FrameStore(1, tmp_path).finish((16, 8), PAIR)
    assert len(frames) == 0
    assert frames.content.frames.shape == (0, 8, 16, 3)
    assert frames.content.keypoints.shape == (0, 0, 2, 3)


def test_a_loader_gives_every_frame_once_per_epoch_in_seeded_order(tmp_path: Path) -> None:
    store = FrameStore(1, tmp_path)
    store.append(batch(7, 1, 0))
    frames = store.finish((16, 8), PAIR)
    plain = list(frames.loader(3))
    assert [len(part.frames) for part in plain] == [3, 3, 1]
    assert torch.equal(torch.cat([part.frames for part in plain]), frames.content.frames)

    def epochs(seed: int, *order: int) -> list[torch.Tensor]:
        loader = frames.loader(3, seed)
        found = []
        for epoch in order:
            loader.sampler.set_epoch(epoch)
            found.append(torch.cat([part.keypoints for part in loader]))
        return found

    first, [again], other = epochs(1, 0, 1), epochs(1, 1), epochs(2, 0)
    assert torch.equal(first[1], again)  # whichever epochs have been before
    assert not torch.equal(first[0], first[1])
    assert not any(torch.equal(epoch, other[0]) for epoch in first)
    values = frames.content.keypoints[:, 0, 0, 0].sort().values
    assert all(torch.equal(epoch[:, 0, 0, 0].sort().values, values) for epoch in first)


@pytest.mark.parametrize("memory_mib", [-1, 0.5, "much"])
def test_unusable_limits_are_refused(tmp_path: Path, memory_mib: object) -> None:
    with pytest.raises(UserError, match=f"collection.memory_mib={memory_mib}"):
        FrameStore(memory_mib, tmp_path)
