from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.human36m import Human36mSource
from datamodules.stream import WindowLoader
from datamodules.video import VideoFileSource
from datamodules.windowing import StreamOptions, window_length
from pose_oad.cli.assembly import stream_options
from pose_oad.cli.command import compose_config
from pose_oad.cli.overrides import override
from pose_oad.online.window import FrameWindow, reveal
from pose_oad.tracking.errors import UserError
from tests.media import walking_pose, write_sequence
from tests.videos import damage, write_counting


def loader_of(root: Path, **options) -> WindowLoader:
    return WindowLoader(
        Human36mSource(str(root)), StreamOptions(**{"window_frames": 25, "input_size": (32, 32), **options})
    )


def levels(window: FrameWindow) -> list[int]:
    return (window.frames.float().mean((1, 2, 3)) / 4).round().int().tolist()


def test_windows_run_across_sequences_and_the_last_is_short(human36m_tree: Path) -> None:
    loader = loader_of(human36m_tree)
    windows = list(loader)
    assert len(loader) == len(windows) == 5  # 36 + 24 + 48 frames in windows of 25
    assert [len(window) for window in windows] == [25, 25, 25, 25, 8]
    assert np.concatenate([window.ids for window in windows]).tolist() == list(range(108))
    assert [(s.clip, s.start, s.stop) for s in windows[1].segments] == [
        ("S1/Eating 2.55011271", 0, 11), ("S1/TakingPhoto.55011271", 11, 25)
    ]  # fmt: skip
    assert levels(windows[1]) == [*range(25, 36), *range(14)]


def test_truth_belongs_to_its_frame(human36m_tree: Path) -> None:
    window = list(loader_of(human36m_tree))[1]
    truth = reveal(window)
    assert truth is not None
    expected = np.concatenate([walking_pose(36)[25:36], walking_pose(14)])
    np.testing.assert_allclose(truth[:, 0, :, :2].numpy(), expected, rtol=1e-5)


def test_state_restored_in_mid_stream_gives_the_same_windows(human36m_tree: Path) -> None:
    whole = list(loader_of(human36m_tree, rate=25.0))
    for done in range(1, len(whole)):
        first, second = loader_of(human36m_tree, rate=25.0), loader_of(human36m_tree, rate=25.0)
        windows = iter(first)
        for _ in range(done):
            next(windows)
        second.load_state_dict(first.state_dict())
        rest = list(second)
        assert [window.index for window in rest] == list(range(done, len(whole)))
        for restored, expected in zip(rest, whole[done:], strict=True):
            assert torch.equal(restored.frames, expected.frames)
            assert restored.ids.tolist() == expected.ids.tolist()
            assert [s.clip for s in restored.segments] == [s.clip for s in expected.segments]
        windows.close()  # type: ignore[attr-defined]


def test_a_second_pass_starts_at_the_beginning(human36m_tree: Path) -> None:
    loader = loader_of(human36m_tree)
    assert [w.index for w in loader] == [w.index for w in loader]


def test_the_teacher_sees_its_own_size_and_rate(human36m_tree: Path) -> None:
    window = next(iter(loader_of(human36m_tree, teacher_image_size=lambda size: (48, 40), teacher_every=4)))
    assert window.candidates.tolist() == [0, 4, 8, 12, 16, 20, 24]
    images = window.segments[0].teacher_images
    assert images is not None
    assert images.shape == (7, 40, 48, 3)
    assert (images.mean((1, 2, 3)) / 4).round().astype(int).tolist() == window.candidates.tolist()


def test_decoding_is_one_window_ahead_and_no_more(human36m_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    finish = WindowLoader._finish
    monkeypatch.setattr(
        WindowLoader, "_finish", lambda self, builder, start: built.append(0) or finish(self, builder, start)
    )
    windows = iter(loader_of(human36m_tree))
    next(windows)
    deadline = time.monotonic() + 5
    while len(built) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(built) == 2
    windows.close()  # type: ignore[attr-defined]


def test_leaving_early_ends_the_decoding_thread(human36m_tree: Path) -> None:
    windows = iter(loader_of(human36m_tree))
    next(windows)
    windows.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_an_error_while_decoding_reaches_the_loop(human36m_tree: Path, tmp_path: Path) -> None:
    loader = loader_of(human36m_tree)
    (broken := tmp_path / "broken.mp4").write_bytes(b"no video")
    loader.source.clips[1] = loader.source.clips[1].__class__(**{**loader.source.clips[1].__dict__, "path": broken})
    with pytest.raises(UserError, match=r"broken.mp4"):
        list(loader)


def test_px_are_reported_at_the_sources_width(human36m_tree: Path) -> None:
    assert next(iter(loader_of(human36m_tree))).metric_scale.unique().tolist() == pytest.approx([1000 / 64])


def test_each_clip_of_a_window_is_reported_at_its_own_scale(tmp_path: Path) -> None:
    paths = [write_counting(tmp_path / f"{size}.mp4", 3, size=size, rate=50) for size in (64, 128)]
    source = VideoFileSource([str(path) for path in paths], metric_width=1000)
    window = next(iter(WindowLoader(source, StreamOptions(6, (32, 32)))))
    assert window.metric_scale.tolist() == [1000 / 64] * 3 + [1000 / 128] * 3


@pytest.mark.parametrize(("seconds", "frames", "length"), [(6, None, 300), (0.02, None, 1), (None, 7, 7)])
def test_window_length(seconds: float | None, frames: int | None, length: int) -> None:
    assert window_length(seconds, frames, 50.0) == length


@pytest.mark.parametrize(
    ("seconds", "frames", "key"),
    [(0.001, None, "window.seconds=0.001: .*one frame"), (None, 0, "window.frames=0"),
     (None, 2.5, "window.frames=2.5"), (1, 1, "window.seconds=1: .*window.frames"), (None, None, "window.seconds=None"),
     ("long", None, "window.seconds=long: expected a number")],
)  # fmt: skip
def test_unusable_window_lengths_are_refused(seconds, frames, key: str) -> None:
    with pytest.raises(UserError, match=key):
        window_length(seconds, frames, 50.0)


def test_cameras_side_by_side_share_windows_and_instants(tmp_path: Path) -> None:
    for name, frames in (("Eating 2", 20), ("Walking 1", 12)):
        for camera in ("54138969", "55011271"):
            write_sequence(tmp_path, "S1", name, camera, frames)
    sources = [Human36mSource(str(tmp_path), cameras=[camera], end=1.0) for camera in ("54138969", "55011271")]
    both = sources[0]
    both.clips = [clip for pair in zip(*(source.clips for source in sources), strict=True) for clip in pair]
    both.together = 2
    loader = WindowLoader(both, StreamOptions(16, (32, 32)))
    windows = list(loader)
    assert [len(window) for window in windows] == [16, 16, 16, 16]
    first, second = [*range(4, 8)], [*range(8, 12)]
    # 20 instants of one recording, then 12 of the other: 8 instants a window, the third with four of each.
    assert levels(windows[2]) == [*range(16, 20), *range(16, 20), *range(4), *range(4)]
    assert levels(windows[3]) == [*first, *second, *first, *second]
    assert [(s.clip.partition(".")[2], s.start, s.stop) for s in windows[3].segments] == [
        ("54138969", 0, 8), ("55011271", 8, 16)
    ]  # fmt: skip
    origin = windows[3].segments[1].origin
    assert origin is not None
    assert origin.numbers.tolist() == [*first, *second]
    truth = reveal(windows[2])
    assert truth is not None
    np.testing.assert_allclose(truth[4:8, 0, :, :2].numpy(), walking_pose(20)[16:], rtol=1e-5)
    with pytest.raises(UserError, match=r"window\.frames=15: expected a multiple of 2"):
        WindowLoader(both, StreamOptions(15, (32, 32)))

    again = WindowLoader(both, StreamOptions(16, (32, 32)))
    again.load_state_dict({"window": 1, "frame": 16, "clip": 0, "source_frame": 7})
    assert [levels(window) for window in again] == [levels(window) for window in windows[1:]]


def test_what_one_camera_has_lost_is_left_out_of_the_others_beside_it(tmp_path: Path) -> None:
    cameras = ("54138969", "55011271")
    for camera in cameras:
        write_sequence(tmp_path, "S1", "Walking 1", camera, 24)
    broken = tmp_path / "S1" / "Videos" / "Walking 1.55011271.mp4"
    damage(write_counting(broken, 24, size=64, rate=50), [5, 6])
    source = Human36mSource(str(tmp_path), cameras=cameras, cameras_together=True, end=1.0)
    loader = WindowLoader(source, StreamOptions(12, (32, 32)))
    seen = [[segment.origin.numbers.tolist() for segment in window.segments if segment.origin] for window in loader]
    kept = [number for number in range(24) if number not in (5, 6)]
    assert seen == [[kept[begin : begin + 6]] * 2 for begin in range(0, 22, 6)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0}, "window.camera_rate=0: expected a number, above 0, or null"),
        ({"rate": "slow"}, "window.camera_rate=slow"),
        ({"decoder_threads": -3}, "window.decoder_threads=-3: expected a whole number"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        StreamOptions(25, (32, 32), **options)


@pytest.mark.parametrize(("rate", "frames"), [(None, 250), (10, 50), (100, 250)])
def test_a_window_in_seconds_follows_the_rate_at_which_frames_come(
    human36m_tree: Path, rate: float | None, frames: int
) -> None:
    cfg = compose_config("online", [override("window.camera_rate", rate), "window.seconds=5"])
    student = SimpleNamespace(input_size=(32, 32))
    teacher = SimpleNamespace(image_size=lambda size: None)
    source = Human36mSource(str(human36m_tree))
    assert stream_options(cfg, source, student, teacher).window_frames == frames  # type: ignore[arg-type]


def test_a_camera_rate_that_is_no_number_is_refused_before_the_window_is_cut(human36m_tree: Path) -> None:
    cfg = compose_config("online", ["window.camera_rate=slow"])
    with pytest.raises(UserError, match=r"window.camera_rate=slow"):
        stream_options(cfg, Human36mSource(str(human36m_tree)), None, None)  # type: ignore[arg-type]
