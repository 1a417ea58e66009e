"""A student of ours in an ONNX file as a teacher."""

from __future__ import annotations

from pathlib import Path

from pose_oad.poses.geometry import FrameFit
from pose_oad.students.exported import ExportedStudent
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.student import label_frames


class ExportedTeacher:
    """An exported student that labels frames at its own input size, as its file says they lie in it.

    Args:
        path: ONNX file that ``make export`` wrote
        batch_size: frames per run of the network
        threads: threads of the network on a CPU; None leaves it to onnxruntime

    Raises:
        UserError: if the file cannot be loaded.
    """

    uses_truth = False

    def __init__(self, path: Path, batch_size: int = 8, threads: int | None = None) -> None:
        self._student, self._batch_size = ExportedStudent(path, threads), batch_size
        self.skeleton = self._student.skeleton
        self.name = f"onnx:{path.stem}"

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the frame's picture inside the network's input, px."""
        return self._fit(frame_size).content[2:]

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with the network's people and maps."""
        student, fit = self._student, self._fit(request.frame_size)
        return label_frames(
            student.maps, self.skeleton, student.map_size, fit, request, self._batch_size, student.foreground
        )

    def _fit(self, frame_size: tuple[int, int]) -> FrameFit:
        return FrameFit.of(frame_size, self._student.input_size, self._student.fit)
