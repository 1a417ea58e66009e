"""The cache gives the same frames as the decoder, is made once, and never looks complete when it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from datamodules.human36m import Human36mSource
from datamodules.stream import WindowLoader
from datamodules.video import frames, reading
from datamodules.video.clips import Clip, DecodedFrame, FrameSizes
from datamodules.video.frames import FrameCache
from datamodules.video.reading import decode_frames, read_frames
from datamodules.windowing import StreamOptions
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames, write_video

SIZES = FrameSizes(student=(24, 16), teacher=(48, 40))


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    write_video(tmp_path / "clip.mp4", counting_frames(300))
    return Clip("clip", tmp_path / "clip.mp4", (64, 64), 50.0, 5, 290)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    """Every clip that has been decoded."""
    calls: list[Clip] = []

    def counted(clip: Clip, *args: object) -> object:
        calls.append(clip)
        return read_frames(clip, *args)  # type: ignore[arg-type]

    for module in (frames, reading):
        monkeypatch.setattr(module, "read_frames", counted)
    return calls


def assert_same(ours: list[DecodedFrame], theirs: list[DecodedFrame]) -> None:
    assert [frame.number for frame in ours] == [frame.number for frame in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.student, b.student)
        assert (a.teacher is None) == (b.teacher is None)
        if a.teacher is not None and b.teacher is not None:
            np.testing.assert_array_equal(a.teacher, b.teacher)


@pytest.mark.parametrize(("rate", "after"), [(None, None), (None, 140), (20.0, None), (20.0, 100)])
def test_cached_frames_are_the_decoded_ones(clip: Clip, tmp_path: Path, rate: float | None, after: int | None) -> None:
    cache = FrameCache(tmp_path / "cache")
    expected = list(decode_frames(clip, SIZES, rate, after, 1, 1, 0))
    assert expected[0].student.shape == (16, 24, 3)
    for _ in range(2):
        assert_same(list(cache.frames(clip, SIZES, rate, after)), expected)


def test_a_clip_is_decoded_once_for_each_size(clip: Clip, tmp_path: Path, decoded: list[Clip]) -> None:
    for cache in (FrameCache(tmp_path / "cache"), FrameCache(tmp_path / "cache")):
        list(cache.frames(clip, SIZES, None, None))
    assert len(decoded) == 1
    number, student, teacher, _ = next(cache.frames(clip, FrameSizes((8, 8)), None, None))
    assert (len(decoded), number, student.shape, teacher) == (2, 5, (8, 8, 3), None)


def test_a_changed_video_is_decoded_again(clip: Clip, tmp_path: Path, decoded: list[Clip]) -> None:
    cache = FrameCache(tmp_path / "cache")
    before = next(cache.frames(clip, SIZES, None, None))
    write_video(clip.path, counting_frames(300, first=40))
    after = next(cache.frames(clip, SIZES, None, None))
    assert len(decoded) == 2
    assert abs(int(after.student.mean()) - int(before.student.mean())) > 100


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"no hdf5", lambda data: data[: len(data) // 2], lambda data: data[:600] + bytes(300) + data[900:]],
    ids=["replaced", "truncated", "overwritten"],
)
def test_a_damaged_file_is_made_again(
    clip: Clip, tmp_path: Path, decoded: list[Clip], damage: Callable[[bytes], bytes]
) -> None:
    cache = FrameCache(tmp_path / "cache")
    expected = list(cache.frames(clip, SIZES, None, None))
    [file] = (tmp_path / "cache").glob("*.h5")
    file.write_bytes(damage(file.read_bytes()))
    assert_same(list(cache.frames(clip, SIZES, None, None)), expected)
    assert len(decoded) == 2


def test_nothing_is_left_of_a_video_that_breaks(tmp_path: Path, clip: Clip) -> None:
    too_long = Clip("clip", clip.path, clip.frame_size, clip.rate, 0, 900)
    with pytest.raises(UserError, match="300 of 900"):
        list(FrameCache(tmp_path / "cache").frames(too_long, SIZES, None, None))
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, clip: Clip) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"window.cache=.*cache: "):
        list(FrameCache(tmp_path / "cache").frames(clip, SIZES, None, None))


@pytest.mark.parametrize("every", [1, 3])
def test_a_stream_is_the_same_from_the_cache(
    human36m_tree: Path, tmp_path: Path, every: int, decoded: list[Clip]
) -> None:
    def windows(cache: FrameCache | None, seed: int) -> list:
        source = Human36mSource(str(human36m_tree), shuffle=True, seed=seed)
        size: Callable[[tuple[int, int]], tuple[int, int]] = lambda _: (32, 32)  # noqa: E731
        options = StreamOptions(25, (16, 16), teacher_image_size=size, teacher_every=every, cache=cache)
        return list(WindowLoader(source, options))

    cache = FrameCache(tmp_path / "cache")
    for seed in (0, 1):
        for ours, theirs in zip(windows(cache, seed), windows(None, seed), strict=True):
            np.testing.assert_array_equal(ours.frames, theirs.frames)
            for a, b in zip(ours.segments, theirs.segments, strict=True):
                assert a.clip == b.clip
                np.testing.assert_array_equal(a.teacher_images, b.teacher_images)
    assert len(decoded) == 3 + 2 * 3  # once into the cache, and by the two streams without one


def test_images_are_decoded_again_when_one_has_changed_and_urls_are_not_kept(
    tmp_path: Path, decoded: list[Clip]
) -> None:
    folder, cache = tmp_path / "images", FrameCache(tmp_path / "cache")
    folder.mkdir()
    for number, image in enumerate(counting_frames(3, 16)):
        av.VideoFrame.from_ndarray(image, format="rgb24").save(str(folder / f"{number}.png"))
    images = Clip("images", folder, (16, 16), 25.0, 0, 3, names=("0.png", "1.png", "2.png"))
    first = list(cache.frames(images, SIZES, None, None))
    assert [round(float(frame.student.mean()) / 4) for frame in first] == [0, 1, 2]
    av.VideoFrame.from_ndarray(counting_frames(1, 16, 9)[0], format="rgb24").save(str(folder / "1.png"))
    again = list(cache.frames(images, SIZES, None, None))
    assert [round(float(frame.student.mean()) / 4) for frame in again] == [0, 9, 2]
    assert len(decoded) == 2
    remote = Clip("film.mp4", Path("film.mp4"), (16, 16), 25.0, 0, 3, url="http://localhost/film.mp4")
    with pytest.raises(UserError, match=r"window\.cache=.*: expected null: http://localhost/film\.mp4"):
        next(cache.frames(remote, SIZES, None, None))
