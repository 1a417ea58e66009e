"""From a video of one's own to a verdict, a page, frames to correct, and back; on 40 frames of 64x64 px."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import pytest

from pose_oad.api import Adaptation
from pose_oad.cli import adapt, frames, look
from pose_oad.cli.command import compose_config
from pose_oad.cli.online import main
from pose_oad.cli.run_config import read_config
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames, write_video


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "clips").mkdir()
    for name in ("a", "b"):
        write_video(folder / "clips" / f"{name}.mp4", counting_frames(20, 64))
    return folder


@pytest.fixture(scope="module")
def run(place: Path, student_checkpoint: Path) -> Adaptation:
    return adapt.main(compose_config("adapt", [
        f"video={place}/clips", f"teacher_from={student_checkpoint}", f"checkpoint={student_checkpoint}", "rate=0.2",
        f"folder={place}/adapted", f"labels={place}/labels", f"tracking.uri=sqlite:///{place}/store.db",
        f"tracking.artifacts={place}/artifacts",
        "options={framework: paper, training.epochs: 1, trainer.accelerator: cpu, objective: map_regression}",
    ]))  # fmt: skip


@pytest.mark.slow
def test_everything_is_in_one_folder(run: Adaptation, place: Path) -> None:
    kept = {path.name for path in run.folder.iterdir()}
    assert {"student.ckpt", "student.onnx", "overlay.mp4", "look.html", "error.png", "ledger.jsonl"} <= kept
    assert run.folder.parent == place / "adapted"
    assert run.summary["frames"] == 40
    assert run.summary["selected"] == 8  # of windows of five frames, one each
    with av.open(run.folder / "overlay.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 20


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(run: Adaptation) -> None:
    page = (run.folder / "look.html").read_text()
    assert run.verdict
    assert run.verdict.split("→")[0][:40] in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert page.count("<svg") >= 8
    assert "left knee" in page


@pytest.mark.slow
def test_look_finds_the_page(run: Adaptation, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("last", run.folder.name[:8], str(run.folder)):
        found = look.main(compose_config("look", [f"run='{name}'", f"folder={place}/adapted", "open=false"]))
        assert found == run.folder / "look.html"
        assert str(found) in capsys.readouterr().out
    with pytest.raises(UserError, match="run=nobody"):
        look.main(compose_config("look", ["run=nobody", f"folder={place}/adapted"]))


@pytest.mark.slow
def test_frames_are_corrected_and_learned_from(run: Adaptation, place: Path) -> None:
    options = [f"folder={place}/adapted", f"output={place}/frames", "count=5"]
    folder = frames.main(compose_config("frames", options))
    file = folder / "annotations" / "person_keypoints_default.json"
    content = json.loads(file.read_text())
    names = {image["file_name"] for image in content["images"]}
    assert len(names) == 5
    assert {path.name for path in (folder / "images" / "default").iterdir()} == names
    content["annotations"] = []  # a person looked at them all, and nobody is there
    file.write_text(json.dumps(content))
    cfg = read_config(run.folder / "config.yaml", "online")
    cfg.teacher.corrections, cfg.output.figures = str(file), False
    assert main(cfg)["labels_corrected"] == 5
    cfg.training.labels = "maps"
    with pytest.raises(UserError, match=r"training\.labels.*teacher\.corrections"):
        main(cfg)


@pytest.mark.parametrize(
    ("frames_written", "rate", "seconds", "window"), [(20, 0.2, None, 5), (20, 0.5, None, 4), (20, 0.5, 0.4, 20)]
)
def test_windows_fit_the_source(place: Path, frames_written: int, rate: float, seconds: float, window: int) -> None:
    files = adapt.find_files(f"{place}/clips/*.mp4")
    assert [Path(file).stem for file in files] == ["a", "b"]
    assert adapt.fitting(files, rate, seconds)["window.frames"] == window


def test_what_is_no_source_is_named(tmp_path: Path) -> None:
    assert adapt.find_files("0") == adapt.find_files("rtsp://camera/stream") == []
    with pytest.raises(UserError, match="video="):
        adapt.find_files(str(tmp_path / "absent.mp4"))
