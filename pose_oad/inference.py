"""A finished student from Python: load it, show it a picture or a video, get people back.

What it does is what ``pose-oad predict`` does: the same readers, batches and pipeline.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pose_oad.tracking.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from PIL.Image import Image

    from pose_oad.predict.batches import Batch
    from pose_oad.predict.poses import FramePoses
    from pose_oad.predict.result import Poses
    from pose_oad.students import PoseNetwork

_IMAGE_RATE = 10.0  # of a folder; a rate that nothing here reads


class Student:
    """A network that finds people: a checkpoint's student, or an exported one.

    Attributes:
        network: the network itself; of a checkpoint a :class:`torch.nn.Module`
    """

    def __init__(self, network: PoseNetwork) -> None:
        self.network = network

    @classmethod
    def load(cls, path_or_name: str | Path, *, device: str = "cpu", threads: int | None = None) -> Student:
        """Load a student.

        Args:
            path_or_name: a checkpoint (``.ckpt``, ``.safetensors``, trt_pose's ``.pth``), an exported network
                (``.onnx``), the folder of a run, or a name of ``conf/student``: the weights that come with the package,
                or those that ``make pretrain`` made
            device: torch device of a checkpoint's student, as ``cuda``
            threads: threads of an exported network; None: onnxruntime's choice

        Raises:
            UserError: if there is none, or it cannot be used.
        """
        from pose_oad.predict.networks import load_predictor

        return cls(load_predictor(weights_of(path_or_name), device, threads))

    def __repr__(self) -> str:
        width, height = self.network.input_size
        return f"Student({self.network.name}, {self.network.skeleton.name}, {width} x {height} px)"

    def predict(
        self,
        source: str | Path | np.ndarray | Image,
        *,
        people: Literal["auto", "single", "many"] = "auto",
        limit: int | None = None,
        batch_size: int = 16,
    ) -> Poses:
        """Find the people in an image, or in every frame of a video.

        Args:
            source: an image, a video or a folder of images by its path; a camera's number or a URL; or pixels: RGB
                uint8, shape (height, width, 3), or (frames, height, width, 3), or an image of Pillow
            people: ``single``: one person a frame, each joint where its map is largest; ``many``: everybody who is
                found; ``auto``: many from the first frame on in which several are found
            limit: most frames that are looked at; a camera without one goes on until it is interrupted
            batch_size: frames per forward pass

        Raises:
            UserError: if the source cannot be read, or an argument not be used.
        """
        from pose_oad.predict import pipeline
        from pose_oad.predict.batches import read_batches
        from pose_oad.predict.poses import Counting, FollowingReader, StudentReader
        from pose_oad.predict.result import Poses
        from pose_oad.tracking.schema import Count, check_value

        check_value(Count | None, limit, "limit")
        student = StudentReader(self.network, self.network.resize_mode, check_value(Counting, people, "people"))
        reader = FollowingReader(student)
        found: dict[int, FramePoses] = {}

        def look(batch: Batch) -> None:
            read = reader.read(batch.inputs[0], batch.sizes, batch.first)
            found.update(enumerate(read, batch.first))

        with closing(_frames(source)) as frames:
            batches = read_batches(
                islice(frames, limit), [reader.resize], check_value(Count, batch_size, "batch_size"), False
            )
            pipeline.run(batches, look, lambda _: None, stoppable=_goes_on(source))
        return Poses(found, self.network.skeleton, self.network.name, partial(_picture, source))


def weights_of(path_or_name: str | Path) -> Path:
    """Find the file of a student that is given as :meth:`Student.load` says."""
    from pose_oad.cli.command import CONF, default_weights

    path = Path(path_or_name)
    if path.is_dir():
        return path / "student.ckpt"
    known = (CONF / "student" / f"{path_or_name}.yaml").is_file()
    return Path(default_weights(str(path_or_name))) if known else path


def _goes_on(source: Any) -> bool:
    """Tell whether a source has no end, so that an interrupt is one."""
    from datamodules.video.connections import is_connection

    return isinstance(source, str) and is_connection(source)


def _frames(source: Any) -> Generator[tuple[int, VideoFrame]]:
    """Read the frames of a source with their numbers."""
    if isinstance(source, str | Path):
        from pose_oad.cli.predict import open_source

        yield from open_source(str(source), _IMAGE_RATE)[1]
        return
    import av
    import numpy as np

    pixels = np.asarray(source.convert("RGB") if hasattr(source, "convert") else source)
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise UserError(
            f"source={pixels.dtype}{list(pixels.shape)}: expected a path, or RGB uint8 of height x width x 3"
        )
    for number, image in enumerate(pixels if pixels.ndim == 4 else pixels[None]):
        yield number, av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")


def _picture(source: Any, frame: int) -> VideoFrame:
    """Read one frame again; refuse a camera, which shows another one by now."""
    if _goes_on(source):
        raise UserError(f"source={source}: expected a file or pixels to draw on: what a camera has shown is gone")
    with closing(_frames(source)) as frames:
        return next(picture for number, picture in frames if number == frame)
