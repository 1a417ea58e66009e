"""One of our own checkpoints as a teacher."""

from __future__ import annotations

import torch

from pose_oad.errors import check
from pose_oad.geometry import FrameFit
from pose_oad.maps import decode_people
from pose_oad.students import load_student
from pose_oad.teachers.base import Labels, TeacherRequest


class CheckpointTeacher:
    """A network of ours, usually a larger one, that labels frames at its own input size.

    Args:
        path: checkpoint written by pre-training, or at the end of a stream
        batch_size: frames per forward pass
        device: torch device it runs on

    Raises:
        UserError: if the checkpoint cannot be loaded.
    """

    uses_truth = False

    def __init__(self, path: str | None, batch_size: int = 32, device: str = "cpu") -> None:
        check(
            bool(path),
            "teacher.path",
            path,
            "a checkpoint of a student, as teacher.path=checkpoints/densenet121/best.ckpt",
        )
        check(isinstance(batch_size, int) and batch_size >= 1, "teacher.batch_size", batch_size, "1 or more")
        self._network = load_student(str(path)).to(device)
        self._batch_size = batch_size
        self.skeleton = self._network.skeleton
        self.name = f"checkpoint:{self._network.config.name}"

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the frame's picture inside the network's input, px."""
        return FrameFit.of(frame_size, self._network.input_size, "letterbox").content[2:]

    @torch.no_grad()  # not inference mode: its tensors could not become training targets
    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the network's people and maps."""
        if request.images is None:
            raise ValueError("a checkpoint teacher needs images")
        network = self._network
        fit = FrameFit.of(request.frame_size, network.input_size, "letterbox")
        left, top, width, height = fit.content
        frames = torch.zeros(len(request.images), network.input_size[1], network.input_size[0], 3, dtype=torch.uint8)
        frames[:, top : top + height, left : left + width] = torch.from_numpy(request.images)
        outputs = [network(network.normalise(batch)) for batch in frames.split(self._batch_size)]
        maps, fields = (torch.cat(parts).float().cpu() for parts in zip(*outputs, strict=True))
        keypoints = decode_people(maps, fields, self.skeleton).keypoints
        stride = keypoints.new_tensor(
            [i / c for i, c in zip(network.input_size, network.map_size, strict=True)] + [1.0]
        )
        rows, columns = slice(*_cells(top, height, stride[1])), slice(*_cells(left, width, stride[0]))
        return Labels(fit.to_frame(keypoints * stride), maps[..., rows, columns], fields[..., rows, columns])


def _cells(start: int, length: int, stride: torch.Tensor) -> tuple[int, int]:
    """Return the map cells that a stretch of the input covers, to the nearest cell."""
    first = round(start / float(stride))
    return first, max(first + 1, round((start + length) / float(stride)))
