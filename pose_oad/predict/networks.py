"""Anything that turns frames into maps: a checkpoint's student on a torch device, or an exported ONNX file.

Commands that only look (predict, evaluate) and the registered model work with either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor

from pose_oad.poses.geometry import FITS, Fit
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students import load_student
from pose_oad.tracking.errors import UserError, check


class Predictor(Protocol):
    """Frames in, maps out.

    Attributes:
        name: how tables call it
        skeleton: joint set of its maps
        input_size: width and height of the frames it takes, px
        map_size: width and height of its maps, cells
        fit: how the original frames lay in the input it was trained on
        foreground: additional weight of a joint's cells in its training, by which its confidences are read
    """

    name: str
    skeleton: Skeleton
    input_size: tuple[int, int]
    map_size: tuple[int, int]
    fit: Fit
    foreground: float

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some frames, in evaluation mode and without gradients.

        Args:
            frames: RGB uint8, shape (frames, height, width, 3), at the input size

        Returns:
            confidence maps, shape (frames, joints, rows, columns), and part affinity fields, shape
            (frames, limbs, 2, rows, columns), float32, where the network runs.
        """
        ...


class StudentPredictor:
    """The student of a checkpoint.

    Args:
        path: checkpoint written by pre-training, fine-tuning, or at the end of a stream, or trt_pose's weights
        device: torch device it runs on

    Raises:
        UserError: if the checkpoint cannot be loaded, or the device does not exist.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        path = Path(path)
        student = load_student(path)
        try:
            self._student = student.to(torch.device(device))
        except (RuntimeError, AssertionError) as error:  # an unknown name, or a device that this torch or machine lacks
            reason = " ".join(str(error).split())[:120]
            raise UserError(f"device={device}: expected a torch device of this machine, as cpu ({reason})") from error
        self.name = f"{path.parent.name}/{path.stem}" if path.parent.name else path.stem
        self.skeleton = student.skeleton
        self.input_size, self.map_size, self.fit = student.input_size, student.map_size, student.config.fit
        self.foreground = student.config.foreground

    @torch.inference_mode()
    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some frames; see :meth:`Predictor.maps`."""
        maps, fields = self._student(self._student.normalise(frames))
        return maps.float(), fields.float()


def load_predictor(path: str | Path, device: str = "cpu", threads: int | None = None) -> Predictor:
    """Load a predictor of any kind; the file's suffix says which.

    Args:
        path: a checkpoint (.ckpt), trt_pose's weights (.pth) or an exported network (.onnx)
        device: torch device of a checkpoint's student
        threads: threads of an exported network on a CPU; None leaves it to onnxruntime

    Raises:
        UserError: if the suffix is neither, or the file cannot be loaded.
    """
    suffix = Path(str(path)).suffix.lower()
    check(
        suffix in (".ckpt", ".pth", ".onnx"),
        "checkpoint",
        path,
        "a checkpoint (.ckpt, .pth) or an exported network (.onnx)",
    )
    if suffix != ".onnx":
        return StudentPredictor(path, device)
    from pose_oad.students.exported import ExportedStudent

    return ExportedStudent(path, threads)


def choose_fit(predictor: Predictor, key: str, fit: str | None) -> Fit:
    """Choose how frames lie in a network's input.

    Args:
        predictor: the network
        key: config key of ``fit``
        fit: ``letterbox`` or ``squash``; None takes what the network was trained with

    Raises:
        UserError: naming the key, if there is no such fit, or an exported network was made for the other one.
    """
    if fit is None:
        return predictor.fit
    # Checkpoints of older versions do not say what they were trained with, so a user may know better.
    known = not isinstance(predictor, StudentPredictor)
    check(fit in FITS, key, fit, "letterbox or squash, or null")
    check(not known or fit == predictor.fit, key, fit, f"{predictor.fit}, for which {predictor.name} was exported")
    return cast("Fit", fit)
