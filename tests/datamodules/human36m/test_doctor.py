from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from datamodules.human36m.doctor import Selection
from datamodules.human36m.findings import Finding, Report
from datamodules.human36m.prepare import PrepareOptions, examine_folder, write_report
from tests.media import counting_frames, walking_pose, write_cdf, write_full_sequence, write_sequence, write_video

CAMERAS = ("54138969", "55011271")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What the doctor says of a tree with one fault of each kind."""
    root = tmp_path_factory.mktemp("ill")
    write_full_sequence(root, "S1", "Walking 1", CAMERAS, 20)
    write_full_sequence(root, "S1", "Walking 2", CAMERAS[:1], 20)
    write_sequence(root, "S1", "Eating", CAMERAS[0], 20)  # no 3-D poses
    write_sequence(root, "S1", "Eating 2", CAMERAS[0], 20)
    write_cdf(root / f"S1/MyPoseFeatures/D2_Positions/Eating 2.{CAMERAS[0]}.cdf", walking_pose(17).reshape(17, 64))
    write_sequence(root, "S1", "Juggling", CAMERAS[0], 12)
    write_sequence(root, "S1", "Posing", CAMERAS[0], 12)
    (root / f"S1/Videos/Posing.{CAMERAS[0]}.mp4").unlink()
    write_sequence(root, "S1", "Smoking", CAMERAS[0], 12)
    video = root / f"S1/Videos/Smoking.{CAMERAS[0]}.mp4"
    video.write_bytes(b"no video")
    write_sequence(root, "S1", "Waiting", CAMERAS[0], 12)
    (root / f"S1/MyPoseFeatures/D2_Positions/Waiting.{CAMERAS[0]}.cdf").write_bytes(b"no poses")
    write_sequence(root, "S1", "Sitting", CAMERAS[0], 12)
    write_video(root / "S1/Videos/holiday.mp4", counting_frames(3))
    write_video(root / f"S1/Videos/_ALL.{CAMERAS[0]}.mp4", counting_frames(3))
    selection = Selection(("S1", "S5"), CAMERAS, ("Walking", "Eating", "Juggling", "Posing", "Smoking", "Waiting",
                          "Sitting"), ("S1/Sitting*",))  # fmt: skip
    return examine_folder(PrepareOptions(root, root / "out", selection), lambda step, done, total: None)


@pytest.mark.parametrize(
    ("kind", "where", "what"),
    [
        ("missing", "S5", "no video of the cameras and actions asked for"),
        ("missing", "S1/Walking 2.55011271", "no video of this camera"),
        ("missing", "S1/Posing.54138969", "poses in MyPoseFeatures/D2_Positions, but no video"),
        ("missing", "S1/Eating.54138969", "no poses of kind world"),
        ("missing", "S1/Waiting", "1 of 2 sequences"),
        ("odd", "S1/Eating", "irregular numbers: Eating, Eating 2"),
        ("odd", "S1/Eating 2.54138969", "17 poses for 20 frames; the smaller number counts"),
        ("odd", "S1/Juggling", "not an action of the data set"),
        ("odd", "S1/holiday.mp4", "not the name of a recording; not used"),
        ("left out", "S1/Sitting.54138969", "on the list human36m.skip"),
    ],
)
def test_what_is_wrong_is_found(report: Report, kind: str, where: str, what: str) -> None:
    assert Finding(kind, where.partition("/")[0], where, what) in report.findings  # type: ignore[arg-type]


def test_damaged_files_are_named_and_the_rest_is_usable(report: Report) -> None:
    damaged = {finding.where: finding.what for finding in report.findings if finding.kind == "damaged"}
    assert set(damaged) == {"S1/Smoking.54138969", "S1/Waiting.54138969"}
    assert "Smoking.54138969.mp4" in damaged["S1/Smoking.54138969"]
    assert "Waiting.54138969.cdf" in damaged["S1/Waiting.54138969"]
    assert {examination.name.title: examination.frames for examination in report.usable} == {
        "Walking 1": 20, "Walking 2": 20, "Eating": 20, "Eating 2": 17, "Juggling": 12,
    }  # fmt: skip


def test_regular_numbers_are_not_odd_and_collections_are_passed_over(report: Report) -> None:
    about = [finding.where for finding in report.findings]
    assert "S1/Walking" not in about
    assert not [where for where in about if "_ALL" in where]


def test_the_table_counts_by_subject(report: Report) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(report.table())
    console.print(report.details(2))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    row = next(line for line in text.splitlines() if "S1" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][:4] == ["S1", "7 × 2", "6 of 8", "109"]
    assert f"and {len(report.findings) - 2} more" in text


def test_brackets_in_findings_are_shown() -> None:
    finding = Finding("damaged", "S1", "/data/[/old]/annot.h5", "has shape [3], expected [frames, 32, 2]")
    text = io.StringIO()
    Console(file=text, width=120).print(Report(("S1",), general=[finding]).details(1))
    assert finding.where in text.getvalue()
    assert finding.what in text.getvalue()


def test_the_report_is_plain_json(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "doctor.json", report)
    content = json.loads((tmp_path / "new" / "doctor.json").read_text())
    assert len(content["usable"]) == 6
    assert content["frames"] == 109
    assert {"kind", "subject", "where", "what"} == set(content["findings"][0])


def test_a_video_that_ends_early_is_damaged(tmp_path: Path) -> None:
    import av

    name = f"Walking.{CAMERAS[0]}"
    write_sequence(tmp_path, "S1", "Walking", CAMERAS[0], 60)
    video = tmp_path / "S1" / "Videos" / f"{name}.mp4"
    # The index in front, the pictures behind it: what an interrupted download of a streamable file looks like.
    with (
        av.open(str(video)) as old,
        av.open(str(tmp_path / "front.mp4"), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    content = (tmp_path / "front.mp4").read_bytes()
    video.write_bytes(content[: len(content) * 2 // 3])
    (tmp_path / "front.mp4").unlink()
    options = PrepareOptions(tmp_path, tmp_path / "out", Selection(("S1",), CAMERAS[:1]))
    [examination] = examine_folder(options, lambda step, done, total: None).examined
    assert not examination.usable
    assert f"{name}.mp4: truncated video" in examination.findings[0].what
