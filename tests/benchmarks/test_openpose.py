from __future__ import annotations

import pytest
import torch

from benchmarks import openpose
from benchmarks.openpose import bench_openpose


@pytest.mark.slow
def test_seconds_and_their_ratio(configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openpose, "_SIDE", 32)
    before = torch.get_num_threads()
    ratio, teacher, bare = bench_openpose(configure("threads=1"))
    assert (ratio.name, ratio.limit, ratio.bound) == ("openpose.ratio", 1.15, "at most")
    assert [figure.name for figure in (teacher, bare)] == ["openpose.teacher", "openpose.bare"]
    assert ratio.samples[0] == pytest.approx(teacher.samples[0] / bare.samples[0])
    assert "2 frames of 32x32 px, 1 torch threads" in ratio.how
    assert torch.get_num_threads() == before
