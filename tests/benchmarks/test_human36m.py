from __future__ import annotations

from functools import partial

import pytest

from benchmarks import human36m
from benchmarks.human36m import bench_human36m, write_recording


def test_the_shares_are_those_of_the_speeds(configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(human36m, "_FRAMES", 30)
    monkeypatch.setattr(human36m, "write_recording", partial(write_recording, frames=30, side=100))
    prepare, stream, *speeds = bench_human36m(configure("repeats=2"))
    assert (prepare.limit, prepare.bound, stream.limit, stream.bound) == (0.7, "at least", 3.0, "at least")
    by_name = {figure.name: figure.samples for figure in speeds}
    for share, ours, theirs in ((prepare, "prepare", "bare"), (stream, "prepared", "videos")):
        assert share.samples == pytest.approx(
            [
                mine / other
                for mine, other in zip(
                    by_name[f"human36m.{ours}_speed"], by_name[f"human36m.{theirs}_speed"], strict=True
                )
            ]
        )
