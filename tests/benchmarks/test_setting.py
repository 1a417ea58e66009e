from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.setting import describe_student, online_config, silence
from pose_oad.cli.command import compose_config
from pose_oad.students import load_student
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.machine import machine


def test_a_run_plays_part_of_the_stream_in_a_folder_of_its_own(configure, tmp_path: Path) -> None:
    cfg = configure("stream.start=0.2", "stream.end=0.6")
    online = online_config(cfg, tmp_path, share=0.25)
    assert online.stream.end == pytest.approx(0.3)
    assert cfg.stream.end == 0.6
    assert all(
        str(tmp_path) in value for value in (online.tracking.uri, online.tracking.artifacts, online.output.folder)
    )
    assert online.trainer.accelerator == "cpu"
    expected = compose_config("online")
    assert online.keys() == expected.keys()
    assert online.output.keys() == expected.output.keys()


@pytest.mark.parametrize("share", [0, -0.5, 1.5, "half"])
def test_a_share_out_of_range_is_refused(configure, tmp_path: Path, share: object) -> None:
    with pytest.raises(UserError, match=f"share={share}: expected a part of the stream"):
        online_config(configure(), tmp_path, share)  # type: ignore[arg-type]


def test_a_student_that_is_not_trained_yet_gets_random_weights_and_says_so(configure, tmp_path: Path) -> None:
    cfg = configure("checkpoint=nowhere.ckpt")
    first = load_student(online_config(cfg, tmp_path, 1.0).checkpoint)
    (tmp_path / "again").mkdir()
    second = load_student(online_config(cfg, tmp_path / "again", 1.0).checkpoint)
    assert first.input_size == (64, 64)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])
    assert describe_student(cfg) == "small, random weights (nowhere.ckpt does not exist)"


def test_a_trained_student_is_the_one_measured(configure, tmp_path: Path, student_checkpoint: Path) -> None:
    cfg = configure()
    assert online_config(cfg, tmp_path, 1.0).checkpoint == str(student_checkpoint)
    assert describe_student(cfg) == f"small, {student_checkpoint}"


def test_silence_ends_with_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    with silence():
        sys.stdout.write("inside")
        sys.stderr.write("inside")
    sys.stdout.write("outside")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("outside", "")


def test_the_machine_is_described_in_plain_values() -> None:
    facts = machine()
    assert facts["cores"] >= 1
    assert facts["torch_threads"] == torch.get_num_threads()
    assert torch.__version__.startswith(facts["torch"].split("+")[0])
