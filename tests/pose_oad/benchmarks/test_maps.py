from __future__ import annotations

import torch

from pose_oad.benchmarks.maps import bench_maps


def test_rows_say_what_was_measured_and_leave_the_threads_alone() -> None:
    threads = torch.get_num_threads()
    rows = bench_maps(repeats=1)
    assert torch.get_num_threads() == threads
    assert [row["name"] for row in rows] == ["maps.encode", "maps.decode_single", "maps.decode_people"]
    for row in rows:
        assert row["unit"] == "ms/image"
        assert 0 < float(row["value"]) < 20 * float(row["limit"])
