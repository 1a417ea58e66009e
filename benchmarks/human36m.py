"""What preparing Human3.6M costs beside decoding it with bare PyAV, and what a prepared folder saves a stream."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import av
import cv2
import numpy as np
from omegaconf import DictConfig

from benchmarks.figures import Figure
from benchmarks.paired import alternate
from benchmarks.stream import read_bare, read_windows, timed
from datamodules.human36m import Human36mSource
from datamodules.human36m.doctor import Selection
from datamodules.human36m.prepare import PrepareOptions, examine_folder, prepare_folder
from datamodules.synthetic.human36m_writer import write_pose
from datamodules.windowing import StreamOptions

_PREPARE_LIMIT, _STREAM_LIMIT = 0.7, 3.0
_RECORDINGS, _FRAMES, _SIDE = 2, 375, 1000  # frames of each, px
_INPUT, _WINDOW = (256, 256), 1500
_CAMERA: Final = "55011271"


def bench_human36m(cfg: DictConfig) -> list[Figure]:
    """Measure how fast recordings are prepared, and how much faster they play then.

    Args:
        cfg: ``conf/bench.yaml``; the recordings are the benchmark's own
    """
    with TemporaryDirectory() as folder:
        root, out, again = (Path(folder) / name for name in ("tree", "prepared", "again"))
        for take in range(1, _RECORDINGS + 1):
            write_recording(root, f"Walking {take}", take)
        options = StreamOptions(_WINDOW, _INPUT)
        raw = _source(root)
        frames = _RECORDINGS * _FRAMES
        preparing = alternate(
            {
                "prepare": lambda: _prepare_anew(root, again, frames),
                "bare": lambda: timed(lambda: read_bare(raw, options), frames),
            },
            cfg.repeats,
        )
        _prepare(root, out)
        twice, prepared = _source(root), _source(out)
        for source in (twice, prepared):
            source.clips = source.clips * 2
        playing = alternate(
            {
                "prepared": lambda: timed(lambda: read_windows(prepared, options), 2 * frames),
                "videos": lambda: timed(lambda: read_windows(twice, options), 2 * frames),
            },
            cfg.repeats,
        )
    what = f"{frames} frames of {_SIDE}x{_SIDE} to {_INPUT[0]}x{_INPUT[1]} px"
    return [
        _share("human36m.prepare", preparing, f"frames/s of preparing / of bare PyAV; {what}", _PREPARE_LIMIT),
        _share("human36m.stream", playing, f"frames/s of windows prepared / decoded; {what}", _STREAM_LIMIT),
        *_speeds(preparing, frames),
        *_speeds(playing, 2 * frames),
    ]


def write_recording(root: Path, title: str, seed: int, frames: int = _FRAMES, side: int = _SIDE) -> None:
    """Write one recording as downloaded: a video, noisy enough for some 10 kB a frame, and its 2-D poses.

    Args:
        root: the tree
        title: its name
        seed: of the noise
        frames: its length
        side: width and height, px
    """
    video = root / "S1" / "Videos" / f"{title}.{_CAMERA}.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    room = cv2.resize(rng.integers(40, 200, (side // 25, side // 25, 3), np.uint8), (side, side))
    person = cv2.resize(rng.integers(0, 255, (40, 16, 3), np.uint8), (side // 5, side // 2))
    grain = rng.integers(0, 20, (2 * side, 2 * side, 3), np.uint8)
    height, width = person.shape[:2]
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=50, options={"preset": "ultrafast", "crf": "23"})
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for number, (left, top) in enumerate(rng.integers(0, side, (frames, 2)).tolist()):
            image = room + grain[top : top + side, left : left + side]
            step = number * 2 % (side - width)
            image[side // 4 : side // 4 + height, step : step + width] = person
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    poses = rng.uniform(0, side, (frames, 32, 2))
    write_pose(root / "S1" / "MyPoseFeatures" / "D2_Positions" / f"{title}.{_CAMERA}.cdf", poses)


def _source(root: Path) -> Human36mSource:
    return Human36mSource(str(root), cameras=[_CAMERA], end=1.0)


def _prepare(root: Path, out: Path) -> int:
    """Prepare a tree in an empty folder and return how many frames that were."""
    options = PrepareOptions(root, out, Selection(("S1",), (_CAMERA,)), _INPUT)
    report = examine_folder(options, _silent)
    prepare_folder(options, report, _silent)
    return sum(examination.frames for examination in report.usable)


def _prepare_anew(root: Path, out: Path, frames: int) -> float:
    shutil.rmtree(out, ignore_errors=True)
    return timed(lambda: _prepare(root, out), frames)


def _silent(step: str, done: int, total: int) -> None:
    """Show no progress."""


def _share(name: str, seconds: dict[str, list[float]], how: str, limit: float) -> Figure:
    ours, theirs = seconds.values()
    shares = tuple(other / mine for mine, other in zip(ours, theirs, strict=True))
    return Figure(name, statistics.median(shares), "x", how, limit, "at least", shares)


def _speeds(seconds: dict[str, list[float]], frames: int) -> list[Figure]:
    figures = []
    for case, taken in seconds.items():
        speeds = tuple(frames / value for value in taken)
        figures.append(Figure(f"human36m.{case}_speed", statistics.median(speeds), "frames/s", case, samples=speeds))
    return figures
