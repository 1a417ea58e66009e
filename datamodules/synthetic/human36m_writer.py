"""Write the target domain: a Human3.6M tree as downloaded, one sequence and camera at a time."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from cdflib.cdfwrite import CDF

from datamodules.synthetic.appearance import studio_outfit
from datamodules.synthetic.body import Posed, joint_positions, pose_body, sample_build
from datamodules.synthetic.buffers import Buffers, Light, rasterise, shade
from datamodules.synthetic.camera import Camera, human36m_camera
from datamodules.synthetic.figure import dress
from datamodules.synthetic.motion import ACTIONS, perform
from datamodules.synthetic.places import chair, studio_scene
from datamodules.synthetic.post import cast_shadow, finish, grain
from datamodules.synthetic.raster import project_solids
from datamodules.synthetic.scenes import Backdrop, cast
from pose_oad.skeleton import get_skeleton

FRAME_RATE = 50  # Hz
#: Names differ between subjects, as in the original: S1 has its own spellings, and the number after a name varies.
SPELLINGS = {"S1": {}, "others": {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}}


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
    """How the light of one sequence changes: per frame, direction blend 0…1, brightness, RGB gains."""

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
    outfit = studio_outfit(subject_rng)
    action = ACTIONS[sequence.action]
    times = np.arange(sequence.frames) / FRAME_RATE
    pose = perform(action, build, times, sequence.rng(sequence.subject, sequence.name))
    posed = pose_body(build, pose)
    _write_poses(root / sequence.subject / "MyPoseFeatures", sequence.name, camera_name, camera, posed)
    seat = chair((float(pose.place[0, 0]), float(pose.place[0, 1])), float(np.median(pose.heading)), (0.05, 0.05, 0.06))
    scene = studio_scene(sequence.rng("studio"), seat if action.seat else [])
    solids, atlas = dress(build, posed, outfit, sequence.rng(sequence.subject, "clothes"))
    video = root / sequence.subject / "Videos" / f"{sequence.name}.{camera_name}.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    lamps = _lamps(sequence, times)
    backdrop = cast(scene, camera)
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAME_RATE), options={"preset": "veryfast", "crf": "22"})
        stream.width, stream.height = camera.size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        images = _Frames(camera, backdrop, lamps, sequence.rng(sequence.subject, sequence.name, camera_name))
        chunk = 200  # bounds the memory that projected solids take, whatever the length
        for first in range(0, sequence.frames, chunk):
            part = slice(first, min(first + chunk, sequence.frames))
            for image in images.render(solids.frames(part), atlas, posed, part):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


class _Frames:
    """Renders the frames of one camera in order; remembers the last one for the shutter's blur."""

    def __init__(self, camera: Camera, backdrop: Backdrop, lamps: _Lamps, rng: np.random.Generator) -> None:
        self.camera, self.backdrop, self.lamps, self.rng = camera, backdrop, lamps, rng
        self.plates = [backdrop.lit(direction, lamps.main, lamps.ambient) for direction in lamps.directions]
        self.noise = grain(camera.size, 3.0, rng)
        self.sky = camera.rotation @ np.array([0.0, 0.0, 1.0])
        self.last: np.ndarray | None = None

    def render(self, solids, atlas, posed: Posed, part: slice):  # type: ignore[no-untyped-def]
        """Yield the frames of one part of the sequence, RGB uint8."""
        sprites = project_solids(solids, self.camera)
        for index, frame in enumerate(range(part.start, part.stop)):
            blend = float(self.lamps.blend[frame])
            direction = self.lamps.directions[0] * (1 - blend) + self.lamps.directions[1] * blend
            direction = direction / np.linalg.norm(direction)
            image = cv2.addWeighted(self.plates[0], 1 - blend, self.plates[1], blend, 0)
            cast_shadow(image, self.camera, self.backdrop, {k: v[frame] for k, v in posed.points.items()}, direction)
            buffers = Buffers.over(self.backdrop.depth)
            rasterise(sprites, index, buffers)
            light = Light(self.camera.rotation @ direction, self.sky, self.lamps.main, self.lamps.ambient)
            shade(image, buffers, sprites, index, atlas, light)
            sharp = image
            if self.last is not None:  # the shutter is open for half of the time between two frames
                image = cv2.addWeighted(sharp, 0.7, self.last, 0.3, 0)
            self.last = sharp
            yield finish(image, self.lamps.gains[frame], 0.6, self.noise, self.rng)


def _lamps(sequence: Sequence, times: np.ndarray) -> _Lamps:
    rng = sequence.rng(sequence.subject, sequence.name, "light")
    slow = np.stack([np.sin(2 * np.pi * times * rng.uniform(0.02, 0.09) + rng.uniform(0, 6.3)) for _ in range(3)], 1)
    brightness = rng.uniform(0.62, 1.12) * (1 + 0.16 * slow[:, 0])
    warmth = rng.uniform(-0.10, 0.12) + 0.05 * slow[:, 1]
    gains = brightness[:, None] * np.stack([1 + warmth, np.ones_like(warmth), 1 - warmth], 1)
    angle = rng.uniform(0, 2 * np.pi, 2)
    directions = np.stack([np.cos(angle), np.sin(angle), rng.uniform(0.8, 1.6, 2)], 1)
    return _Lamps(
        blend=0.5 + 0.5 * slow[:, 2],
        gains=gains,
        directions=directions / np.linalg.norm(directions, axis=1, keepdims=True),
        main=np.array([0.62, 0.58, 0.48]) * rng.uniform(0.8, 1.2),
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
    partial = path.with_name(f"partial-{zlib.crc32(path.name.encode())}-{id(joints)}.cdf")
    with CDF(str(partial), cdf_spec={"Majority": "row_major", "Encoding": 6}, delete=True) as cdf:
        spec = {
            "Variable": "Pose", "Data_Type": cdf.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True,
            "Dim_Sizes": list(values.shape[1:]), "Var_Type": "zVariable",
        }  # fmt: skip
        cdf.write_var(spec, var_data=values)
    partial.replace(path)
