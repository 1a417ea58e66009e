"""The command on a Human3.6M tree of 108 frames and on a COCO tree of two images."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
import torch

from datamodules.human36m import Human36mSource
from datamodules.stream import WindowLoader
from datamodules.windowing import StreamOptions
from pose_oad.cli.command import compose_config
from pose_oad.cli.evaluate import main
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.breakdown import measure
from pose_oad.poses.skeleton import get_skeleton
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.tracking.errors import UserError
from tests.exports import random_student
from tests.media import counting_frames, write_video

Run = Callable[..., dict[str, dict[str, float]]]


@pytest.fixture(scope="module")
def larger_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of another student, at 96x96 px."""
    torch.manual_seed(1)
    student = build_student(StudentConfig("large", "mobilenetv4_conv_small_050", input_size=(96, 96), sigma=0.05))
    path = tmp_path_factory.mktemp("larger") / "large.ckpt"
    save_student(student, path)
    return path


@pytest.fixture(scope="module")
def coco_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    (root / "annotations").mkdir()
    (root / "tiny").mkdir()
    people = []
    for number in (3, 4):
        cv2.imwrite(str(root / "tiny" / f"{number}.jpg"), np.full((80, 100, 3), 80, np.uint8))
        keypoints = [value for joint in range(17) for value in (20 + 3 * joint, 10 + 3 * joint, 2)]
        people.append(
            {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 4000.0,
             "bbox": [15, 5, 60, 60], "keypoints": keypoints, "num_keypoints": 17, "segmentation": []}
        )  # fmt: skip
    data = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 80} for n in (3, 4)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(get_skeleton("coco-17").joints), "skeleton": []}],
        "annotations": people,
    }
    (root / "annotations" / "person_keypoints_tiny.json").write_text(json.dumps(data))
    return root


@pytest.fixture
def run(human36m_tree: Path, coco_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    fixed = [f"stream.root={human36m_tree}", f"coco.root={coco_tree}", "coco.split=tiny", "threads=1"]
    return lambda *more: main(compose_config("evaluate", [*fixed, *more]))


@pytest.mark.slow
def test_a_stream_is_measured_as_elsewhere_shown_written_and_tracked(
    run: Run, human36m_tree: Path, student_checkpoint: Path, larger_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(student_checkpoint), str(larger_checkpoint)]
    figures = run(f"checkpoints=[{','.join(paths)}]", "output.file=new/out.json", "window.frames=25")
    assert list(figures) == paths
    for path in paths:
        student = load_student(path)
        windows = WindowLoader(Human36mSource(str(human36m_tree)), StreamOptions(50, student.input_size))
        assert figures[path] == pytest.approx(measure(windows, {"a": student}, MissingRule())["a"].values(), rel=1e-5)
    assert {"mpjpe_px/action/Walking", "mpjpe_px/subject/S1", "mpjpe_px/joint/left_knee"} <= figures[paths[0]].keys()

    written = json.loads(Path("new/out.json").read_text())
    assert (written["on"], written["frames"], len(written["videos"])) == ("stream", 108, 3)
    assert [known["checkpoint"] for known in written["checkpoints"]] == paths
    assert written["checkpoints"][1]["input_size"] == [96, 96]
    assert written["checkpoints"][1]["figures"] == pytest.approx(figures[paths[1]])

    client = mlflow.MlflowClient("sqlite:///mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("evaluate").experiment_id])
    assert {logged.data.tags["pose_oad.label"] for logged in runs} == set(paths)
    for logged in runs:
        assert (logged.info.status, logged.data.tags["pose_oad.kind"]) == ("FINISHED", "evaluate")
        wanted = figures[logged.data.tags["pose_oad.label"]]["mpjpe_px"]
        assert logged.data.metrics["final/mpjpe_px"] == pytest.approx(wanted)
    assert "mpjpe_px/action/Walking" in capsys.readouterr().out


def test_a_coco_set_is_measured_with_all_figures_of_pycocotools(run: Run, student_checkpoint: Path) -> None:
    [values] = run(f"checkpoints={student_checkpoint}", "on=coco", "tracking.uri=null").values()
    assert {"AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR_medium", "AR_large", "mpjpe_px"} <= values.keys()
    assert values["AP"] == 0  # of a random student
    assert 0 < values["mpjpe_px"] < 130
    assert not Path("mlruns").exists()
    [one] = run(f"checkpoints={student_checkpoint}", "on=coco", "tracking.uri=null", "coco.images=1").values()
    assert one["mpjpe_px"] != values["mpjpe_px"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["checkpoints=null"], "checkpoints=None"),
        (["checkpoints=[]"], r"checkpoints=\[\]: .*at least 1"),
        (["checkpoints=[a.ckpt,a.ckpt]"], "checkpoints="),
        (["checkpoints=a.pt"], r"checkpoint=a.pt: .*\.onnx"),
        (["checkpoints=a.ckpt"], "a.ckpt"),
        (["on=video"], "on=video: expected stream or coco"),
        (["on=coco", "coco.root=nowhere"], "coco.root=nowhere"),
        (["on=coco", "coco.split=nowhere"], "person_keypoints_nowhere.json"),
        (["on=coco", "coco.images=0"], "coco.images=0"),
        (["on=coco", "coco.images=true"], "coco.images=True: .*at least 1"),
        (["on=coco", "coco.root=2017"], "coco.root=2017"),
        (["checkpoints=2017"], "checkpoints=2017: expected text"),
        (["stream.root=nowhere"], "stream.root=nowhere"),
        (["stream.root=2017"], "stream.root=2017"),
        (["window.camera_rate=0"], "window.camera_rate=0"),
        (["stream.subjects=[S7]"], "stream.subjects=S7"),
        (["window.resize_mode=crop"], "window.resize_mode=crop"),
        (["window.frames=0"], "window.frames=0"),
        (["metric.undetected_joints=ignore"], "metric.undetected_joints=ignore"),
        (["metric.batch_size=0"], "metric.batch_size=0"),
        (["tracking.uri=sqlite:////proc/none/x.db"], "tracking.uri=sqlite"),
        (["output.file=/proc/none/x.json"], "output.file=/proc/none/x.json: cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    run: Run, student_checkpoint: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(f"checkpoints={student_checkpoint}", *more)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_without_truth_and_a_file_in_the_way_are_refused(
    run: Run, student_checkpoint: Path, tmp_path: Path
) -> None:
    write_video(tmp_path / "my.mp4", counting_frames(10, 64))
    with pytest.raises(UserError, match="stream: "):
        main(compose_config("evaluate", [f"checkpoints={student_checkpoint}", "stream=video", "stream.path=my.mp4"]))
    Path("out.json").write_text("old")
    with pytest.raises(UserError, match=r"output.file=out.json: .*overwrite=true"):
        run(f"checkpoints={student_checkpoint}", "output.file=out.json")
    assert Path("out.json").read_text() == "old"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same weights for letterboxed and for squashed frames, at 96x64 px."""
    folder = tmp_path_factory.mktemp("wide")
    student = random_student((96, 64))
    for resize_mode in ("letterbox", "squash"):
        other = build_student(replace(student.config, resize_mode=resize_mode))  # type: ignore[arg-type]
        other.load_state_dict(student.state_dict())
        save_student(other, folder / f"{resize_mode}.ckpt")
    return {resize_mode: folder / f"{resize_mode}.ckpt" for resize_mode in ("letterbox", "squash")}


@pytest.mark.parametrize("on", ["stream", "coco"])
def test_frames_are_laid_into_a_student_as_in_its_training(run: Run, wide: dict[str, Path], on: str) -> None:
    fixed = ["tracking.uri=null", f"on={on}"]
    both = run(f"checkpoints=[{wide['letterbox']},{wide['squash']}]", *fixed)
    told = run(f"checkpoints=[{wide['letterbox']}]", "window.resize_mode=squash", *fixed)
    first, second = (figures["mpjpe_px"] for figures in both.values())
    assert list(both) == [str(wide["letterbox"]), str(wide["squash"])]
    assert second == pytest.approx(told[str(wide["letterbox"])]["mpjpe_px"], abs=1e-4)
    assert first != pytest.approx(second, abs=1e-2)
