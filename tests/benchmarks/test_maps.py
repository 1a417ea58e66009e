from __future__ import annotations

import torch

from benchmarks.grouping import group_one
from benchmarks.maps import bench_maps
from pose_oad.cli.command import compose_config
from pose_oad.poses.maps import decode_people, encode
from pose_oad.poses.skeleton import get_skeleton


def test_figures_have_their_limits_and_leave_the_threads_alone() -> None:
    threads = torch.get_num_threads()
    figures = bench_maps(compose_config("bench", ["repeats=1"]))
    assert torch.get_num_threads() == threads
    assert {figure.name: figure.limit for figure in figures} == {
        "maps.encode": 1.0, "maps.decode_single": 0.1, "maps.decode_people": 1.0,
        "maps.decode_one": 0.6, "maps.decode_one_trt_pose": None,
    }  # fmt: skip
    for figure in figures:
        assert figure.unit == "ms/image"
        assert len(figure.samples) == 3
        assert 0 < figure.value < 20 * (figure.limit or 1)


def test_both_ways_find_the_same_people_in_clean_maps() -> None:
    skeleton = get_skeleton("trt-pose-18")
    body = torch.rand(18, 2, generator=torch.Generator().manual_seed(0)) * 100
    people = torch.stack([body, body + 140])
    keypoints = torch.cat([people, torch.ones(2, 18, 1)], -1)
    maps, fields = encode(keypoints[None], skeleton, input_size=(256, 256), map_size=(64, 64))
    ours = decode_people(maps, fields, skeleton).keypoints[0]
    theirs = group_one(maps[0].numpy(), fields[0].numpy(), skeleton.limbs)
    assert len(ours) == len(theirs) == 2
    for person in theirs:
        assert len(person) == 18
        places = torch.tensor([person[joint] for joint in range(18)])
        assert (ours[..., :2] - places).norm(dim=-1).amax(-1).min() < 1  # cells: a centroid is cut off near the edge
