"""Tiny real runs of the command on a video of 30 frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from datamodules.human36m.poses import read_poses
from datamodules.human36m.tree import with_confidence
from datamodules.stream import WindowLoader
from datamodules.video import VideoFileSource
from datamodules.windowing import StreamOptions
from pose_oad.cli.command import compose_config
from pose_oad.cli.predict import main, open_source
from pose_oad.poses.skeleton import get_skeleton, map_keypoints
from pose_oad.predict.drawing import Panels
from pose_oad.students import load_student
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames, write_video
from tests.servers import serving_files, serving_live
from tests.videos import damage, level, lose_second_half, write_counting

Run = Callable[..., dict[str, float]]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    frames = counting_frames(30, 96)[:, :, :, :]
    frames[:, 20:60, 30:50] = 255 - frames[:, 20:60, 30:50]
    write_video(tmp_path / "in" / "my clip.mp4", frames[:, :64], rate=25)
    return tmp_path / "in" / "my clip.mp4"


@pytest.fixture
def run(student_checkpoint: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    fixed = [f"checkpoint={student_checkpoint}", f"source='{video}'", "batch_size=8", "threads=1"]
    return lambda *more: main(compose_config("predict", [*fixed, *more]))


def left() -> set[str]:
    return {path.name for path in Path().iterdir()}


def header(path: str) -> tuple[int, int, float, int]:
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = sum(1 for _ in container.decode(stream))
        return stream.codec_context.width, stream.codec_context.height, float(stream.average_rate or 0), frames


@pytest.mark.slow
def test_keypoints_are_those_of_the_stream_and_the_overlay_is_as_large_and_fast_as_the_source(
    run: Run, video: Path, student_checkpoint: Path
) -> None:
    summary = run("output.video=new/out.mp4", "output.keypoints=out.parquet")
    assert summary["frames"] == 30
    assert left() == {"new", "out.parquet"}
    assert header("new/out.mp4") == (96, 64, 25.0, 30)
    table = pd.read_parquet("out.parquet")
    student = load_student(student_checkpoint)
    [window] = WindowLoader(VideoFileSource(str(video)), StreamOptions(30, student.input_size))
    expected = window.to_frame(student.keypoints(window.frames).single)
    found = table[["x", "y", "confidence"]].to_numpy().reshape(30, 12, 3)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-3)


@pytest.mark.slow
def test_panels_stand_side_by_side_and_errors_are_those_of_the_metric(
    human36m_tree: Path, student_checkpoint: Path, run: Run
) -> None:
    name = "Eating 2.55011271"
    clip = human36m_tree / "S1" / "Videos" / f"{name}.mp4"
    truth = human36m_tree / "S1" / "MyPoseFeatures" / "D2_Positions" / f"{name}.cdf"
    summary = run(
        f"source='{clip}'", f"truth='{truth}'", f"compare={student_checkpoint}", "teacher=truth",
        "output.video=out.mp4", "metric_width=1000", "limit=20",
    )  # fmt: skip
    assert header("out.mp4") == (4 * 64, 64, 50.0, 20)
    student = load_student(student_checkpoint)
    [window] = WindowLoader(VideoFileSource(str(clip)), StreamOptions(45, student.input_size))
    found = window.to_frame(student.keypoints(window.frames[:20]).single)
    wanted = map_keypoints(
        torch.from_numpy(with_confidence(read_poses(truth)))[:20, 0],
        get_skeleton("human36m-32"),
        get_skeleton("body-12"),
    )
    expected = float((found - wanted)[..., :2].norm(dim=-1).mean()) * 1000 / 64
    assert summary[f"error_px/{student_checkpoint.parent.name}/best"] == pytest.approx(expected, rel=1e-4)
    name = f"error_px/{student_checkpoint.parent.name}/best"
    assert summary[f"{name} (compare)"] == summary[name]
    assert summary["error_px/teacher truth"] == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
def test_a_folder_of_images_of_any_size(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in (("shot_7.jpg", (50, 31)), ("shot_12.png", (20, 80))):
        cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 90, np.uint8))
    run(f"source={folder}", "output.keypoints=out.json", "output.video=out.mp4", "output.image_rate=5", "people=many")
    assert left() == {"out.json", "out.images.json", "out.mp4"}
    assert json.loads(Path("out.images.json").read_text())[0] == {"id": 7, "file_name": "shot_7.jpg"}
    assert header("out.mp4") == (50, 32, 5.0, 2)
    run(f"source={folder / 'shot_7.jpg'}", "output.keypoints=poses")
    assert [path.name for path in Path("poses").iterdir()] == ["shot_7_keypoints.json"]
    run(f"source={folder / 'shot_7.jpg'}", "output.video=odd.mp4")
    assert header("odd.mp4")[:2] == (50, 32)


@pytest.mark.slow
def test_behind_a_damaged_frame_the_others_keep_their_numbers(run: Run) -> None:
    video = write_counting(Path("counting.mp4"), 24, size=64)
    run(f"source={video}", "output.keypoints=whole.csv")
    damage(video, [9, 10])
    assert run(f"source={video}", "output.keypoints=rest.csv", "output.video=rest.mp4")["frames"] == 22
    kept = pd.read_csv("whole.csv").query("frame not in (9, 10)").reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_csv("rest.csv"), kept, atol=1e-3)
    with av.open("rest.mp4") as container:
        stamps = [frame.time for frame in container.decode(video=0)]
    assert stamps == pytest.approx([number / 25 for number in range(24) if number not in (9, 10)])


@pytest.mark.slow
def test_a_source_that_breaks_leaves_nothing(run: Run, video: Path) -> None:
    lose_second_half(video)
    with pytest.raises(UserError, match=r"my clip.mp4: "):
        run("output.video=out.mp4", "output.keypoints=out.csv")
    assert left() == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, UserError("output.video=out.mp4: cannot be written (No space left on device)")]
)
def test_an_interrupt_or_a_full_disk_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    draw, drawn = Panels.draw, []

    def fail(self: Panels, picture: av.VideoFrame, *rest: Any) -> av.VideoFrame:
        drawn.append(picture.width)
        if len(drawn) == 12:
            raise error
        return draw(self, picture, *rest)

    monkeypatch.setattr(Panels, "draw", fail)
    Path("out.csv").write_text("old")
    with pytest.raises(type(error) if isinstance(error, UserError) else KeyboardInterrupt):
        run("output.video=out.mp4", "output.keypoints=out.csv", "overwrite=true")
    assert left() == {"out.csv"}
    assert Path("out.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "output.video=None: .*output.keypoints"),
        (["output.video=out.avi"], "output.video=out.avi: expected .*mp4"),
        (["output.video=out.mp4", "output.crf=99"], "output.crf=99: expected .*at least 0, at most 51"),
        (["output.keypoints=out.yaml"], "output.keypoints=out.yaml: .*json"),
        (["output.keypoints=out.csv", "output.format=yaml"], "output.format=yaml"),
        (["output.keypoints=folder", "output.openpose=hands"], "output.openpose=hands"),
        (["output.keypoints=out.csv", "source=null"], "source=None: "),
        (["output.keypoints=out.csv", "source=nowhere.mp4"], "source=nowhere.mp4: "),
        (["output.keypoints=out.csv", "source=93"], "source=93: "),
        (["output.keypoints=out.csv", "checkpoint=null"], "checkpoint=None"),
        (["output.keypoints=out.csv", "checkpoint=a.pt"], "checkpoint=a.pt: .*onnx"),
        (["output.keypoints=out.csv", "checkpoint=a.ckpt"], "a.ckpt: "),
        (["output.keypoints=out.csv", "compare=a.onnx"], "a.onnx"),
        (["output.keypoints=out.csv", "teacher=truth"], "teacher=truth: "),
        (["output.keypoints=out.csv", "teacher=onnx", "teacher.every=0"], "teacher.every=0"),
        (["output.keypoints=out.csv", "truth=a.cdf"], "truth=a.cdf: .*cdf"),
        (["output.keypoints=out.csv", "people=two"], "people=two: expected auto"),
        (["output.keypoints=out.csv", "resize_mode=crop"], "resize_mode=crop: expected letterbox or squash"),
        (["output.keypoints=out.csv", "threshold=2"], "threshold=2"),
        (["output.keypoints=out.csv", "limit=0"], "limit=0"),
        (["output.keypoints=out.csv", "batch_size=0"], "batch_size=0"),
        (["output.keypoints=out.csv", "device=toaster"], "device=toaster"),
        (["output.keypoints=out.csv", "truth=2017"], "truth=2017: "),
        (["output.keypoints=out.csv", "compare=2017"], "checkpoint=2017: "),
        (["output.keypoints=out.csv", "overwrite=perhaps"], "overwrite=perhaps: expected true or false"),
        (["output.keypoints=/proc/none/out.csv"], r"output.keypoints=/proc/none/out.csv: cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(run: Run, more: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(*more)
    assert left() == set()


def test_files_in_the_way_are_kept(run: Run, video: Path, human36m_tree: Path) -> None:
    Path("text.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"output.video=text.mp4: .*overwrite=true"):
        run("output.video=text.mp4")
    with pytest.raises(UserError, match=r"text.mp4: "):
        run("source=text.mp4", "output.keypoints=out.csv")
    with pytest.raises(UserError, match=r"output.video=.*my clip"):
        run(f"output.video='{video}'", "overwrite=true")
    poses = human36m_tree / "S1" / "MyPoseFeatures" / "D2_Positions" / "Walking 1.55011271.cdf"
    with pytest.raises(UserError, match=r"truth=.* 60 poses .* 30 frames"):
        run(f"truth='{poses}'", "output.keypoints=out.csv")
    assert left() == {"text.mp4"}


def test_a_url_is_a_file_or_what_is_being_filmed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(90)
        for image in counting_frames(6)[:, :32]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with serving_files(tmp_path) as url:
        film, frames = open_source(f"{url}/phone.mp4", 25.0)
        assert (film.frame_size, film.rate, film.stop) == ((32, 64), 25, 6)
        assert [(frame.width, frame.height) for _, frame in frames] == [(32, 64)] * 6
    data = write_counting(tmp_path / "live.ts", kind="mpegts").read_bytes()
    with serving_live(lambda client: client.write(data)) as url:
        filmed, frames = open_source(url, 25.0)
        assert (filmed.frame_size, filmed.rate, filmed.stop) == ((32, 32), 25, 0)
        levels = [level(frame) for _, frame in frames]
        assert len(levels) > 20
        assert levels == list(range(len(levels)))
        assert "lost after frame" in caplog.text
