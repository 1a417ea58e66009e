"""Small media files in the real formats, written by tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cdflib
import cv2
import h5py
import numpy as np


def write_video(path: Path, frames: np.ndarray, rate: int = 50) -> None:
    """Write RGB frames, uint8, shape (frames, height, width, 3), as an mp4 whose frames can be told apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "1", "preset": "ultrafast"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def counting_frames(count: int, size: int = 64, first: int = 0) -> np.ndarray:
    """Return frames whose grey level is about (first + number) * 4, shape (count, size, size, 3)."""
    # The video's colours come back up to 2 levels darker.
    levels = ((first + np.arange(count)) * 4 % 240 + 1).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, size, size, 3)).copy()


def write_cdf(path: Path, pose: np.ndarray) -> None:
    """Write one pose array, shape (frames, 32 * dimensions), as the released files do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = {
        "Variable": "Pose", "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(pose.shape), "Dim_Vary": [True, True],
    }  # fmt: skip
    cdf = cdflib.cdfwrite.CDF(path, delete=True)
    cdf.write_var(spec, var_data=pose[None].astype(np.float64))
    cdf.close()


def walking_pose(count: int, size: int = 64, first: int = 0) -> np.ndarray:
    """Return 32 joints on a grid that moves one px to the right every 10 frames, shape (count, 32, 2), px."""
    grid = np.stack(np.meshgrid(np.linspace(8, size - 16, 4), np.linspace(8, size - 8, 8)), -1).reshape(32, 2)
    shift = (first + np.arange(count)) / 10
    return grid[None] + np.stack([shift % 8, np.zeros(count)], -1)[:, None]


def write_sequence(root: Path, subject: str, name: str, camera: str, count: int, size: int = 64) -> None:
    """Write one sequence of a Human3.6M tree: a counting video and a walking pose."""
    write_video(root / subject / "Videos" / f"{name}.{camera}.mp4", counting_frames(count, size))
    folder = root / subject / "MyPoseFeatures"
    write_cdf(folder / "D2_Positions" / f"{name}.{camera}.cdf", walking_pose(count, size).reshape(count, 64))


def write_full_sequence(
    root: Path, subject: str, name: str, cameras: Sequence[str], count: int, size: int = 64
) -> None:
    """Write one sequence of a Human3.6M tree as several cameras see it, with 3-D poses that fit the 2-D ones."""
    folder = root / subject / "MyPoseFeatures"
    depth = 4000 + 100 * np.sin(np.arange(count * 32)).reshape(count, 32)
    for camera in cameras:
        write_sequence(root, subject, name, camera, count, size)
        local = unproject(walking_pose(count, size), depth)
        write_cdf(folder / "D3_Positions_mono" / f"{name}.{camera}.cdf", local.reshape(count, 96))
    write_cdf(folder / "D3_Positions" / f"{name}.cdf", (local[..., [0, 2, 1]] * [1, 1, -1] + 500).reshape(count, 96))


def unproject(pixels: np.ndarray, depth: np.ndarray, focal: float = 70.0, centre: float = 32.0) -> np.ndarray:
    """Return the points (mm) that a pinhole camera sees at px, shape (..., 2), and depths, (...); shape (..., 3)."""
    return np.concatenate([(pixels - centre) / focal, np.ones((*depth.shape, 1))], -1) * depth[..., None]


def write_fetch_sequence(root: Path, subject: str, name: str, cameras: Sequence[str], frames: Sequence[int]) -> None:
    """Write one sequence as h36m-fetch does: annotations of all cameras in one file, a JPEG file for each frame.

    Args:
        root: folder that will hold ``processed``
        subject: ``S1``, …
        name: as ``Walking-1``
        cameras: camera numbers
        frames: numbers of the frames that are kept, from 1
    """
    folder, numbers = root / "processed" / subject / name, np.array(frames)
    pixels = walking_pose(numbers[-1])[numbers - 1]
    local = unproject(pixels, np.full((len(numbers), 32), 4000.0))
    for camera in cameras:
        images = folder / "imageSequence" / camera
        images.mkdir(parents=True)
        for number in numbers:
            picture = counting_frames(1, first=int(number) - 1)[0]
            cv2.imwrite(str(images / f"img_{number:06d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    with h5py.File(folder / "annot.h5", "w") as file:
        file["pose/2d"], file["pose/3d"] = np.tile(pixels, (len(cameras), 1, 1)), np.tile(local, (len(cameras), 1, 1))
        file["frame"] = np.tile(numbers, len(cameras))
        file["camera"] = np.repeat([int(camera) for camera in cameras], len(numbers))
