"""The study of one's own video runs as its page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pose_oad.cli import report, sweep
from pose_oad.cli.command import CONF, compose_config
from pose_oad.tracking.errors import UserError

PAGE = (CONF.parent / "docs" / "studies.md").read_text()


def documented(video: Path, teacher: Path) -> tuple[list[str], str]:
    """The overrides of the study on the page, of files that are there; and the name by which it is reported."""
    [(study, arguments)] = re.findall(r'^make sweep STUDY=(\w+) ARGS="([^"]*my\.mp4[^"]*)"', PAGE, re.MULTILINE)
    files = {"my.mp4": f"'{video}'", "teacher.onnx": f"'{teacher}'"}
    words = arguments.replace("\\\n", " ").split()
    for name, path in files.items():
        words = [word.replace(name, path) for word in words]
    [name] = re.findall(r"^make report STUDY=(my\w+)", PAGE, re.MULTILINE)
    return [f"study={study}", *words], name


def test_a_choice_and_its_keys_are_given_side_by_side() -> None:
    words, name = documented(Path("my.mp4"), Path("teacher.onnx"))
    study = compose_config("sweep", words).study
    assert study.name == name
    assert study.set["stream"] == "video"
    assert study.set["stream.path"] == "my.mp4"


@pytest.mark.slow
def test_a_study_of_a_video_without_truth(
    real_data: Path, student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    teacher = real_data / "teacher" / "human-pose-estimation-0001.onnx"
    words, name = documented(real_data / "video" / "two_people" / "cam01.mp4", teacher)
    store = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    small = [
        store, f"tracking.artifacts={tmp_path}/artifacts", "study.seeds=[0]",
        "study.grid.strategy=[random,confidence]", "study.grid.rate=[0.2]", "study.set.stream.end=0.2",
        f"study.set.checkpoint={student_checkpoint}", "study.set.student.input_size=[64,64]",
        "study.set.window.seconds=null", "study.set.window.frames=10",
        "+study.set.framework=paper", "study.set.training.epochs=1",
        "study.set.metric.teacher_every=5", "study.set.trainer.accelerator=cpu",
    ]  # fmt: skip
    counts = sweep.main(compose_config("sweep", [*words, *small]))
    assert (counts["complete"], counts["fail"]) == (3, 0)
    made = report.main(compose_config("report", [f"study_name={name}", store, f"folder={tmp_path}/report"]))
    assert made.material.error == "teacher_distance_px"
    assert {group.label for group in made.material.online} == {"random", "confidence", "never adapted"}
    assert all(group.estimate("teacher_distance_px").n == 1 for group in made.material.online)
    with pytest.raises(UserError, match=r"study\.objectives=mpjpe_px: expected error_px"):
        sweep.main(compose_config("sweep", [*words, *small, "+study.objectives=[mpjpe_px]"]))
