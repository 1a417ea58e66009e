from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from datamodules.human36m import Human36mSource
from datamodules.human36m.doctor import Selection
from datamodules.human36m.findings import Report
from datamodules.human36m.prepare import PrepareOptions, examine_folder, prepare_folder
from datamodules.stream import WindowLoader
from datamodules.windowing import StreamOptions
from pose_oad.online.window import reveal
from pose_oad.tracking.errors import RefusedError, UserError
from pose_oad.tracking.locks import holding
from tests.media import walking_pose, write_full_sequence

CAMERAS = ("54138969", "55011271")


def options_for(root: Path, out: Path, **changes: Any) -> PrepareOptions:
    return replace(PrepareOptions(root, out, Selection(("S1",), CAMERAS), size=(32, 32)), **changes)


def prepare(root: Path, out: Path, **changes: Any) -> tuple[int, Report]:
    options = options_for(root, out, **changes)
    report = examine_folder(options, quiet)
    return prepare_folder(options, report, quiet), report


def quiet(step: str, done: int, total: int) -> None:
    pass


def windows(root: Path, size: int = 32, **options: Any) -> list[dict[str, Any]]:
    """Everything a run sees of a stream."""
    rate, extra = options.pop("rate", None), options.pop("teacher_image_size", lambda size: None)
    source = Human36mSource(str(root), cameras=CAMERAS, **options)
    stream = StreamOptions(10, (size, size), rate=rate, teacher_image_size=extra)
    return [
        {
            "frames": window.frames,
            "truth": reveal(window),
            "ids": window.ids.tolist(),
            "segments": [(s.clip, s.start, s.stop, s.resize, dict(s.labels), s.recording) for s in window.segments],
            "numbers": [s.origin.numbers.tolist() for s in window.segments if s.origin],
            "scale": window.metric_scale.tolist(),
        }
        for window in WindowLoader(source, stream)
    ]


def assert_same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.pop("frames"), other.pop("frames"))
        assert torch.equal(one.pop("truth"), other.pop("truth"))
        assert one == other


@pytest.fixture(scope="module")
def prepared(full_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    made, _ = prepare(full_tree, out)
    assert made == 4
    return out


@pytest.mark.parametrize("options", [{}, {"rate": 20.0, "start": 0.3}, {"cameras_together": True, "end": 1.0}])
def test_the_prepared_folder_plays_the_same_stream(full_tree: Path, prepared: Path, options: dict) -> None:
    assert_same(windows(full_tree, **options), windows(prepared, **options))


@pytest.mark.parametrize("compression", [None, "lzf"])
def test_frames_that_fill_several_chunks_are_the_same(full_tree: Path, tmp_path: Path, compression: str | None) -> None:
    prepare(full_tree, tmp_path, size=(256, 256), compression=compression)
    with h5py.File(tmp_path / "S1" / "Walking.55011271.h5") as file:
        assert file["frames/256x256"].chunks == (5, 256, 256, 3)
    assert_same(windows(full_tree, size=256, start=0.1), windows(tmp_path, size=256, start=0.1))


def test_neither_videos_nor_poses_are_needed_then(full_tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    shutil.copytree(full_tree, root)
    prepare(root, tmp_path / "out")
    expected = windows(root)
    shutil.rmtree(root)
    assert_same(expected, windows(tmp_path / "out"))
    message = r"holds frames of 32x32, not of 48x48 px, and .* is not there; prepare .* human36m.frames.size=\[48,48\]"
    with pytest.raises(UserError, match=message):
        windows(tmp_path / "out", size=48)


def test_other_sizes_are_decoded_from_the_original(full_tree: Path, prepared: Path) -> None:
    assert_same(windows(full_tree, size=48), windows(prepared, size=48))


def test_a_file_holds_poses_cameras_and_where_it_comes_from(full_tree: Path, prepared: Path) -> None:
    with h5py.File(prepared / "S1" / "Walking 1.55011271.h5") as file:
        np.testing.assert_allclose(file["pose/2d"][:], walking_pose(24), rtol=1e-6)
        world, local = file["pose/world"][:], file["pose/camera"][:]
        camera, facts = dict(file["camera"].attrs), dict(file.attrs)
        assert file["frames/32x32"].shape == (24, 32, 32, 3)
    assert (world.shape, local.shape) == ((24, 32, 3), (24, 32, 3))
    np.testing.assert_allclose([*camera["focal"], *camera["centre"]], [70, 70, 32, 32], rtol=1e-3)
    assert camera["origin"] == "least squares of the poses"
    np.testing.assert_allclose((world - camera["position"]) @ camera["rotation"].T, local, atol=0.1)
    assert (facts["subject"], facts["action"], facts["title"], facts["rate"]) == ("S1", "Walking", "Walking 1", 50)
    assert bool(facts["complete"])
    video = full_tree / "S1" / "Videos" / "Walking 1.55011271.mp4"
    assert json.loads(facts["made_from"])["files"]["video"][:2] == [video.name, video.stat().st_size]


def test_a_second_run_makes_only_what_is_missing_or_changed(full_tree: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "tree", tmp_path / "out"
    shutil.copytree(full_tree, root)
    prepare(root, out)
    assert prepare(root, out)[0] == 0
    (out / "S1" / "Walking.54138969.h5").unlink()
    os.utime(root / "S1" / "Videos" / "Walking 1.55011271.mp4", (1, 1))
    damaged = out / "S1" / "Walking.55011271.h5"
    damaged.write_bytes(damaged.read_bytes()[:5000])
    assert prepare(root, out)[0] == 3
    assert prepare(root, out, size=(16, 16))[0] == 4
    assert [recording.sizes for recording in Human36mSource(str(out))._catalogue.recordings("S1")] == [((16, 16),)] * 4  # type: ignore[attr-defined]


@pytest.mark.slow
def test_processes_do_not_change_the_result(full_tree: Path, prepared: Path, tmp_path: Path) -> None:
    assert prepare(full_tree, tmp_path, workers=2)[0] == 4
    assert contents(tmp_path) == contents(prepared)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("**/*")) if path.suffix in (".h5", ".json")}


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_that_looks_complete(full_tree: Path, prepared: Path, tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=prepare_slowly, args=(full_tree, tmp_path))
    process.start()
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("S1/*.h5"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert 2 <= len(list(tmp_path.glob("S1/*.h5"))) < 4
    assert not (tmp_path / "human36m.json").exists()
    with pytest.raises(RefusedError, match="root="):
        Human36mSource(str(tmp_path))
    assert prepare(full_tree, tmp_path)[0] in (1, 2)
    assert contents(tmp_path) == contents(prepared)


def prepare_slowly(root: Path, out: Path) -> None:
    """Prepare with a pause in every file, runs in a process that is killed."""
    from datamodules.video import frames

    resize = frames.resize_frame

    def slow(*arguments: Any) -> np.ndarray:
        time.sleep(0.02)
        return resize(*arguments)

    frames.resize_frame = slow
    prepare(root, out)


def test_a_disk_that_is_too_small_is_said_beforehand(
    full_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(UserError, match=r"human36m.out=.*: 0.0 GB .*0.0 GB"):
        prepare(full_tree, tmp_path / "out")
    assert not list(tmp_path.glob("out/**/*.h5"))


def test_a_damaged_recording_does_not_stop_the_rest(full_tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    shutil.copytree(full_tree, root)
    video = root / "S1" / "Videos" / "Walking.54138969.mp4"
    video.write_bytes(video.read_bytes()[:1000])
    (root / "S1/MyPoseFeatures/D3_Positions_mono/Walking 1.55011271.cdf").write_bytes(b"nothing")
    made, report = prepare(root, tmp_path / "out")
    assert made == 3
    damaged = [finding for finding in report.findings if finding.kind == "damaged"]
    assert {finding.where for finding in damaged} == {"S1/Walking.54138969", "S1/Walking 1.55011271"}
    assert any("Walking.54138969.mp4" in finding.what for finding in damaged)
    with h5py.File(tmp_path / "out" / "S1" / "Walking 1.55011271.h5") as file:
        assert sorted(file["pose"]) == ["2d", "world"]
        assert "camera" not in file


def test_frames_lost_in_a_video_are_counted(tmp_path: Path) -> None:
    write_full_sequence(tmp_path / "tree", "S1", "Eating", CAMERAS[:1], 40)
    video = tmp_path / "tree" / "S1" / "Videos" / f"Eating.{CAMERAS[0]}.mp4"
    content = bytearray(video.read_bytes())
    middle = content.index(b"mdat") + (content.index(b"moov") - content.index(b"mdat")) // 2
    content[middle : middle + 60] = bytes(60)
    video.write_bytes(content)
    made, report = prepare(tmp_path / "tree", tmp_path / "out")
    what = [finding.what for finding in report.findings if finding.where == f"S1/Eating.{CAMERAS[0]}"]
    assert made == 1
    with h5py.File(tmp_path / "out" / "S1" / f"Eating.{CAMERAS[0]}.h5") as file:
        kept = len(file["frames/number"])
    assert 30 < kept < 40
    assert f"{40 - kept} of 40 frames damaged or missing: skipped" in what


def test_two_processes_on_one_folder_are_refused(full_tree: Path, tmp_path: Path) -> None:
    with holding(tmp_path / "out"), pytest.raises(UserError, match=rf"out: held by process {os.getpid()} "):
        prepare(full_tree, tmp_path / "out")


def test_a_folder_that_holds_nothing_of_the_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"root=.*: expected .*Human3.6M"):
        prepare(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_a_damaged_file_is_named_while_streaming(full_tree: Path, tmp_path: Path, damage: str) -> None:
    prepare(full_tree, tmp_path)
    path = tmp_path / "S1" / "Walking.55011271.h5"
    content = bytearray(path.read_bytes())
    content[8:80] = bytes(byte ^ 64 for byte in content[8:80])
    path.write_bytes({"truncated": path.read_bytes()[:3000], "empty": b"", "text": b"text", "flipped": content}[damage])
    with pytest.raises(UserError, match=r"Walking.55011271.h5: "):
        windows(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "other", "version": 1}', '{"recordings": [1]}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "human36m.json").write_text(content)
    with pytest.raises(UserError, match=r"human36m.json: "):
        Human36mSource(str(tmp_path))
