"""Networks of ours as teachers: a checkpoint's student, or an exported one."""

from __future__ import annotations

import torch

from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.maps.resample import turn_fields
from pose_oad.students import load_student
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.loading import find_device
from pose_oad.tracking.schema import Count, Text


class NetworkTeacher:
    """A network of ours that labels frames at its own input size and resize mode."""

    uses_truth = False

    def __init__(self, network: PoseNetwork, batch_size: int, name: str) -> None:
        self._network, self._batch_size = network, batch_size
        self.skeleton, self.name = network.skeleton, name

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the frame's picture inside the network's input, px."""
        return self._resize(frame_size).content[2:]

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the network's people, px of the original frames, and its maps without the padding."""
        images, network, resize = request.pixels(), self._network, self._resize(request.frame_size)
        left, top, width, height = resize.content
        frames = torch.zeros(len(images), resize.input_size[1], resize.input_size[0], 3, dtype=torch.uint8)
        frames[:, top : top + height, left : left + width] = torch.from_numpy(images)
        outputs = [network.maps(batch) for batch in frames.split(self._batch_size)]
        maps, fields = (torch.cat(parts).cpu() for parts in zip(*outputs, strict=True))
        keypoints = network.decode((maps, fields), "many").people.keypoints
        stride = [px / cells for px, cells in zip(resize.input_size, network.map_size, strict=True)]
        rows, columns = _cells(top, height, stride[1]), _cells(left, width, stride[0])
        fields = turn_fields(fields[..., rows, columns], (1 / resize.scale[0], 1 / resize.scale[1]))
        return Labels(resize.to_frame(keypoints), maps[..., rows, columns], fields)

    def _resize(self, frame_size: tuple[int, int]) -> FrameResize:
        return FrameResize.of(frame_size, self._network.input_size, self._network.resize_mode)


class CheckpointTeacher(NetworkTeacher):
    """The network of a checkpoint, usually a larger one than the student; see ``conf/teacher/checkpoint.yaml``."""

    def __init__(self, path: Text, batch_size: Count = 32, device: str = "cpu") -> None:
        where = find_device(device)
        network = load_student(path).to(where)
        super().__init__(network, batch_size, f"checkpoint:{network.name}")


def _cells(start: int, length: int, stride: float) -> slice:
    """Return the map cells that a stretch of the input covers, to the nearest cell."""
    first = round(start / stride)
    return slice(first, max(first + 1, round((start + length) / stride)))
