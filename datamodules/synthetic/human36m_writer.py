"""Write the target domain: a Human3.6M tree as downloaded, one sequence and camera at a time."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from cdflib.cdfwrite import CDF

from datamodules.synthetic.appearance import draw_outfit
from datamodules.synthetic.body import Posed, joint_positions, pose_body, sample_build
from datamodules.synthetic.buffers import Buffers, Light, rasterise, shade
from datamodules.synthetic.camera import Camera, human36m_camera
from datamodules.synthetic.figure import dress
from datamodules.synthetic.motion import ACTIONS, perform
from datamodules.synthetic.places import chair, studio_scene
from datamodules.synthetic.post import cast_shadow, finish, grain
from datamodules.synthetic.raster import Solids, Sprites, project_solids
from datamodules.synthetic.scenes import Backdrop, cast
from pose_oad.poses.skeleton import get_skeleton

FRAME_RATE = 50  # Hz
#: Fast to write and to read; at the usual frame size about 1.5 kB a frame.
_ENCODER = {"preset": "ultrafast", "crf": "21"}
_CHUNK = 200  # frames projected at once: bounds memory whatever the length
_NOISE = 3.0  # standard deviation of the sensor's noise, grey levels
_SOFTNESS = 0.6  # standard deviation of the lens's blur, px


@dataclass(frozen=True)
class Sequence:
    """One recording.

    Attributes:
        subject: ``S1``, ``S5``, …
        name: file name stem, with the irregular spelling and number of the original
        action: canonical action, a key of :data:`~datamodules.synthetic.motion.ACTIONS`
        frames: its length
        seed: seed of the whole data set
        width: frame width, px
    """

    subject: str
    name: str
    action: str
    frames: int
    seed: int
    width: int

    def rng(self, *purpose: str) -> np.random.Generator:
        """Make the source of randomness for one purpose, the same in every process."""
        words = [zlib.crc32(word.encode()) for word in ("human36m", *purpose)]
        return np.random.default_rng([self.seed, *words])


@dataclass(frozen=True)
class _Lamps:
    """How the light of one sequence changes.

    Attributes:
        blend: where the main light is between its two directions, 0…1, shape (frames,)
        gains: exposure and colour temperature as factors of red, green and blue, shape (frames, 3)
        directions: two unit vectors towards the main light, world, shape (2, 3)
        main: colour of the main light
        ambient: colour of the light from everywhere
    """

    blend: np.ndarray
    gains: np.ndarray
    directions: np.ndarray
    main: np.ndarray
    ambient: np.ndarray


def write_sequence(root: Path, sequence: Sequence, camera_name: str) -> None:
    """Record one sequence with one camera: its video and its pose files.

    Args:
        root: the tree's root; folders are made
        sequence: what to record
        camera_name: camera number
    """
    camera = human36m_camera(camera_name, sequence.width)
    subject_rng = sequence.rng(sequence.subject)
    build = sample_build(subject_rng, (1.60, 1.88), (0.9, 1.2))
    outfit = draw_outfit(subject_rng, muted=True)
    action = ACTIONS[sequence.action]
    times = np.arange(sequence.frames) / FRAME_RATE
    pose = perform(action, build, times, sequence.rng(sequence.subject, sequence.name))
    posed = pose_body(build, pose)
    _write_poses(root / sequence.subject / "MyPoseFeatures", sequence.name, camera_name, camera, posed)
    seat = chair((float(pose.place[0, 0]), float(pose.place[0, 1])), float(np.median(pose.heading)), (0.05, 0.05, 0.06))
    scene = studio_scene(sequence.rng(sequence.subject, "studio"), seat if action.seat else [])
    solids, atlas = dress(build, posed, outfit, sequence.rng(sequence.subject, "clothes"))
    film = _Film(
        camera, cast(scene, camera), posed, solids, atlas, _lamps(sequence, times),
        sequence.rng(sequence.subject, sequence.name, camera_name),
    )  # fmt: skip
    video = root / sequence.subject / "Videos" / f"{sequence.name}.{camera_name}.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAME_RATE), options=_ENCODER)
        stream.width, stream.height = camera.size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # several sequences are written at once
        for image in film.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


@dataclass(frozen=True)
class _Film:
    """Everything that one camera records of one sequence."""

    camera: Camera
    backdrop: Backdrop
    posed: Posed
    solids: Solids
    atlas: np.ndarray
    lamps: _Lamps
    rng: np.random.Generator

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames in order, RGB, uint8, shape (height, width, 3)."""
        plates = [
            self.backdrop.lit(direction, self.lamps.main, self.lamps.ambient) for direction in self.lamps.directions
        ]
        noise = grain(self.camera.size, _NOISE)
        last: np.ndarray | None = None
        for first in range(0, len(self.lamps.blend), _CHUNK):
            sprites = project_solids(self.solids.frames(slice(first, first + _CHUNK)), self.camera)
            for index in range(len(sprites.boxes)):
                sharp = self._expose(plates, sprites, first, index)
                # The shutter is open for part of the time between two frames.
                image = sharp if last is None else cv2.addWeighted(sharp, 0.7, last, 0.3, 0)
                last = sharp
                yield finish(image, self.lamps.gains[first + index], _SOFTNESS, noise, self.rng)

    def _expose(self, plates: list[np.ndarray], sprites: Sprites, first: int, index: int) -> np.ndarray:
        """Render frame ``first + index``, which is frame ``index`` of the sprites, without the camera's faults."""
        lamps, frame = self.lamps, first + index
        blend = float(lamps.blend[frame])
        direction = (1 - blend) * lamps.directions[0] + blend * lamps.directions[1]
        direction = direction / np.linalg.norm(direction)
        image = np.asarray(cv2.addWeighted(plates[0], 1 - blend, plates[1], blend, 0))
        points = {name: value[frame] for name, value in self.posed.points.items()}
        cast_shadow(image, self.camera, self.backdrop, points, direction)
        buffers = Buffers.over(self.backdrop.depth)
        rasterise(sprites, index, buffers)
        rotation = self.camera.rotation
        light = Light(rotation @ direction, rotation @ np.array([0.0, 0.0, 1.0]), lamps.main, lamps.ambient)
        shade(image, buffers, sprites, index, self.atlas, light)
        return image


def _lamps(sequence: Sequence, times: np.ndarray) -> _Lamps:
    rng = sequence.rng(sequence.subject, sequence.name, "light")
    slow = np.stack([np.sin(2 * np.pi * times * rng.uniform(0.02, 0.09) + rng.uniform(0, 6.3)) for _ in range(3)], 1)
    brightness = rng.uniform(0.8, 1.35) * (1 + 0.16 * slow[:, 0])
    warmth = rng.uniform(-0.10, 0.12) + 0.05 * slow[:, 1]
    gains = brightness[:, None] * np.stack([1 + warmth, np.ones_like(warmth), 1 - warmth], 1)
    angle = rng.uniform(0, 2 * np.pi, 2)
    directions = np.stack([np.cos(angle), np.sin(angle), rng.uniform(0.8, 1.6, 2)], 1)
    return _Lamps(
        blend=0.5 + 0.5 * slow[:, 2],
        gains=gains,
        directions=directions / np.linalg.norm(directions, axis=1, keepdims=True),
        main=np.array([0.78, 0.73, 0.62]) * rng.uniform(0.8, 1.2),
        ambient=np.array([0.46, 0.47, 0.50]) * rng.uniform(0.8, 1.1),
    )


def _write_poses(folder: Path, name: str, camera_name: str, camera: Camera, posed: Posed) -> None:
    world = joint_positions(posed, get_skeleton("human36m-32").joints)
    local = camera.to_camera(world)
    write_pose(folder / "D2_Positions" / f"{name}.{camera_name}.cdf", camera.project(local))
    write_pose(folder / "D3_Positions" / f"{name}.cdf", world * 1000)
    write_pose(folder / "D3_Positions_mono" / f"{name}.{camera_name}.cdf", local * 1000)


def write_pose(path: Path, joints: np.ndarray) -> None:
    """Write one pose file as Human3.6M's: variable ``Pose``, one record of all frames.

    Several processes may write the same (world) pose; each writes a file of its own and renames it.

    Args:
        path: where to; folders are made
        joints: shape (frames, joints, dimensions), px or mm
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    values = joints.reshape(1, len(joints), -1).astype(np.float32)
    partial = path.with_name(f"partial-{zlib.crc32(path.name.encode())}-{os.getpid()}.cdf")
    with CDF(str(partial), cdf_spec={"Majority": "row_major", "Encoding": 6}, delete=True) as cdf:
        spec = {
            "Variable": "Pose", "Data_Type": cdf.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True,
            "Dim_Sizes": list(values.shape[1:]), "Var_Type": "zVariable",
            "Compress": 0,  # gzip's header would hold the time of day
        }  # fmt: skip
        cdf.write_var(spec, var_data=values)
    partial.replace(path)
