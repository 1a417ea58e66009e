from __future__ import annotations

import pytest

from benchmarks.predict import bench_predict
from pose_oad.tracking.errors import UserError


@pytest.mark.slow
def test_speeds_and_their_ratio(configure) -> None:
    share, ours, bare = bench_predict(configure("metric.batch_size=8"))
    assert (share.name, share.limit, share.bound) == ("predict.share", 0.85, "at least")
    assert [figure.name for figure in (ours, bare)] == ["predict.predict", "predict.bare"]
    assert share.samples[0] == pytest.approx(ours.samples[0] / bare.samples[0])
    assert "frames of 64x64 px" in share.how


def test_a_video_that_is_not_there_is_named(configure) -> None:
    with pytest.raises(UserError, match=r"video=nowhere.mp4: expected an existing video file"):
        bench_predict(configure("video=nowhere.mp4"))
