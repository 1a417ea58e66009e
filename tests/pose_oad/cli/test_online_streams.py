"""Tiny real runs of the online command on footage of one's own: a folder of images, and what is filmed meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import av
import pytest
import torch
from mlflow import MlflowClient

from pose_oad.cli import evaluate, finetune
from pose_oad.cli.assembly import observers, prepare
from pose_oad.cli.command import compose_config
from pose_oad.cli.online import main
from pose_oad.students import load_student
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames
from tests.servers import serving_live
from tests.videos import write_counting

Run = Callable[..., dict[str, float]]


@pytest.fixture
def overrides(student_checkpoint: Path) -> list[str]:
    return [
        f"checkpoint={student_checkpoint}", "teacher=checkpoint", f"teacher.path={student_checkpoint}", "rate=0.2",
        "student.input_size=[64,64]", "window.seconds=null", "window.frames=20", "metric.teacher_every=5",
        "framework=paper", "training.epochs=1", "trainer.accelerator=cpu", "output.figures=false",
    ]  # fmt: skip


@pytest.fixture
def run(overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    store = f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db"
    return lambda *more: main(compose_config("online", [*overrides, store, *more]))


def ledger() -> list[dict]:
    [folder] = Path("runs/online").iterdir()
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_folder_of_images_is_learned_from(run: Run, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number, image in enumerate(counting_frames(45, 64)):
        av.VideoFrame.from_ndarray(image, format="rgb24").save(str(tmp_path / "images" / f"{number}.png"))
    summary = run("stream=video", "stream.path=images")
    assert (summary["frames"], summary["selected"], summary["teacher_calls"]) == (45, 9, 9)
    assert "frames_dropped" not in summary
    assert [row["clips"][0]["name"] for row in ledger()] == ["images"] * 3


@pytest.mark.slow
def test_a_video_in_which_the_teacher_finds_nobody_leaves_the_student_as_it_was(
    run: Run, student_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_counting(tmp_path / "empty.mp4", 45, 64)
    summary = run("stream=video", "stream.path=empty.mp4")
    # 4 + 4 + 1 frames chosen; of every five candidates one to measure
    assert (summary["frames_without_person"], summary["evaluation_frames_without_person"]) == (9, 9)
    assert (summary["windows_not_trained"], summary["optimizer_steps"]) == (3, 0)
    assert "found nobody in 18 of the 18 frames" in caplog.text
    assert "nan" not in capsys.readouterr().out
    [folder] = Path("runs/online").iterdir()
    before, after = (load_student(path).state_dict() for path in (student_checkpoint, folder / "student.ckpt"))
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_a_rate_too_small_for_the_window_is_said(
    overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_counting(tmp_path / "empty.mp4", 45, 64)
    for rate, strategy, warned in ((0.04, "random", True), (0.05, "random", False), (0.04, "none", False)):
        caplog.clear()
        more = ["stream=video", f"stream.path={tmp_path}/empty.mp4", f"rate={rate}", f"strategy={strategy}"]
        prepare(compose_config("online", [*overrides, *more]))
        assert ("rate=0.04: chooses none of a window's 20 frames" in caplog.text) == warned


@pytest.mark.slow
def test_a_live_stream_is_learned_from_while_it_is_filmed(run: Run, tmp_path: Path) -> None:
    data = write_counting(tmp_path / "live.ts", 120, 64, keyframes=5, kind="mpegts").read_bytes()

    def send(client: BinaryIO) -> None:
        for begin in range(0, len(data), 1880):
            client.write(data[begin : begin + 1880])
            client.flush()
            time.sleep(0.01)

    with serving_live(send) as url:
        summary = run("stream=live", f"stream.path={url}", "stream.reconnects=0", "stream.timeout=2", "logger=local")
    rows = ledger()
    # The first frames of the stream tell FFmpeg what it is; from then on none is lost.
    assert 80 < summary["frames"] <= 120
    assert summary["frames_dropped"] == sum(row["frames_dropped"] for row in rows) == 0
    assert [row["first_frame"] for row in rows] == list(range(0, int(summary["frames"]), 20))
    assert summary["evaluation_teacher_calls"] > 0


@pytest.mark.slow
def test_an_endless_stream_ends_with_its_windows_and_says_what_was_dropped(run: Run) -> None:
    # A generated picture comes as fast as it can be drawn: a small buffer cannot keep it all.
    summary = run(
        "stream=live", "stream.path='testsrc=size=64x64:rate=50'", "stream.kind=lavfi", "stream.buffer_seconds=0.5",
        "trainer.limit_train_batches=4", "logger=local",
    )  # fmt: skip
    assert summary["frames"] == 80
    assert summary["frames_dropped"] == sum(row["frames_dropped"] for row in ledger()) > 0
    for thread in threading.enumerate():
        if thread.name == "camera":  # it has been told to end
            thread.join(5)
            assert not thread.is_alive()


def test_what_needs_a_second_look_is_refused_of_a_live_stream(overrides: list[str], tmp_path: Path) -> None:
    live = ["stream=live", "stream.path='testsrc=size=64x64:rate=50'", "stream.kind=lavfi"]
    with pytest.raises(UserError, match=r"window\.cache=.*: expected null: a live stream plays once"):
        prepare(compose_config("online", [*overrides, *live, f"window.cache={tmp_path}"]))
    cfg = compose_config("online", [*overrides, *live, "metric.final_pass=true"])
    with pytest.raises(UserError, match=r"metric\.final_pass=True: expected false: a live stream plays once"):
        observers(cfg, prepare(cfg))


def test_commands_for_videos_with_a_ground_truth_refuse_a_live_stream(student_checkpoint: Path) -> None:
    live = ["stream=live", "stream.path='testsrc=size=64x64:rate=50'", "stream.kind=lavfi"]
    cfg = compose_config("evaluate", [f"checkpoints={student_checkpoint}", "tracking.uri=null", *live])
    with pytest.raises(UserError, match=r"stream: its videos have no ground truth"):
        evaluate.main(cfg)
    with pytest.raises(UserError, match=r"stream=datamodules\.video\.LiveSource: expected a tree of subjects"):
        finetune.prepare(compose_config("finetune", live))


@pytest.mark.slow
def test_two_people_in_view_are_both_measured(
    overrides: list[str], real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [value for value in overrides if not value.startswith("teacher")]
    cfg = compose_config("online", [
        *given, f"tracking.uri=sqlite:///{tmp_path}/store.db", f"tracking.artifacts={tmp_path}/artifacts",
        f"output.folder={tmp_path}/runs", "stream=video", f"stream.path={real_data}/video/two_people/cam01.mp4",
        "stream.end=0.2", "strategy=none", "teacher=onnx", "teacher.height=184",
        f"teacher.path={real_data}/teacher/human-pose-estimation-0001.onnx",
    ])  # fmt: skip
    summary = main(cfg)
    assert summary["people/frames"] == 4
    assert summary["people/wanted"] > 4
    assert summary["people/AP"] < 0.1  # its weights are random
    assert summary["teacher_distance_px"] > 0
    table = capsys.readouterr().out
    assert "several people, matched by OKS" in table
    assert f"{summary['people/wanted']:.0f} in 4 frames" in " ".join(table.replace("│", " ").split())
    client = MlflowClient(cfg.tracking.uri)
    [run] = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert run.data.metrics["final/people/AP"] == summary["people/AP"]
    assert run.data.tags["pose_oad.measured"] == "several people, matched by OKS"
