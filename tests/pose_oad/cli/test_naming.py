from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datamodules.video import VideoFileSource
from pose_oad.cli.command import compose_config
from pose_oad.cli.naming import run_name, stream_dataset
from tests.media import counting_frames, write_video


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (["stream=video", "stream.path='/a b/my clip.mp4'"], "uniform-0.1-my_clip-onnx:net-seed3"),
        (["stream=live", "stream.path=0"], "uniform-0.1-camera0-onnx:net-seed3"),
        (["stream=human36m"], "uniform-0.1-human36m-onnx:net-seed3"),
        (["stream=video", "stream.path=[a.mp4,b.mp4]"], "uniform-0.1-video-onnx:net-seed3"),
    ],
)
def test_a_run_is_named_by_what_it_is_made_of(stream: list[str], name: str) -> None:
    cfg = compose_config("online", [*stream, "seed.base=3", "rate=0.1"])
    assert run_name(cfg, "uniform", "onnx:net") == name


def test_a_stream_has_a_digest_that_follows_its_clips(tmp_path: Path) -> None:
    write_video(tmp_path / "my.mp4", counting_frames(6))
    node = compose_config("online", ["stream=video", f"stream.path={tmp_path}/my.mp4"]).stream
    clips = VideoFileSource(str(tmp_path / "my.mp4")).clips
    whole, again = stream_dataset(node, clips), stream_dataset(node, clips)
    assert whole == again
    assert whole["name"] == "my"
    assert stream_dataset(node, [replace(clips[0], stop=3)])["digest"] != whole["digest"]
