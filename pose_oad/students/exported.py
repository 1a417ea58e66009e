"""A student in an ONNX file that this project exported."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pose_oad.students.keypoints import PoseNetwork
from pose_oad.students.onnx_metadata import CONFIDENCE_MAPS, FRAMES, PART_AFFINITY_FIELDS, ExportMetadata
from pose_oad.students.onnx_session import ORT_ERRORS, describe, first_line, open_session
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import Count, check_value


class ExportedStudent(PoseNetwork):
    """Run an exported student with onnxruntime, on a GPU where it has one. It cannot be trained.

    Args:
        path: ONNX file that ``make export`` wrote
        threads: threads on a CPU; None leaves it to onnxruntime

    Raises:
        UserError: if the file is missing, is no ONNX network, or not one of ours.
    """

    config: ExportMetadata

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self._what, path = f"exported student {path}", Path(path)
        check_value(Count | None, threads, "threads")
        self._session = open_session(path, threads, self._what)
        try:
            strings = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise UserError(f"{self._what}: damaged metadata ({error}); export the student again") from error
        self.config = ExportMetadata.from_strings(strings, self._what)
        self.skeleton, self.name = self.config.skeleton, f"{self.config.name} ({path.name})"
        self._check_graph()

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some frames, on the CPU; see :meth:`PoseNetwork.maps`."""
        width, height = self.input_size
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1:] != (height, width, 3):
            raise ValueError(
                f"frames {frames.dtype} {tuple(frames.shape)}: expected uint8 (frames, {height}, {width}, 3)"
            )
        if not len(frames):  # a batch of nothing is more than some of its operations can do
            (columns, rows), limbs = self.map_size, len(self.skeleton.limbs)
            return torch.zeros(0, len(self.skeleton), rows, columns), torch.zeros(0, limbs, 2, rows, columns)
        names = [CONFIDENCE_MAPS, PART_AFFINITY_FIELDS]
        try:
            maps, fields = self._session.run(names, {FRAMES: frames.cpu().contiguous().numpy()})
        except ORT_ERRORS as error:
            raise UserError(f"{self._what}: cannot be run here; {first_line(error)}") from error
        return torch.from_numpy(maps), torch.from_numpy(fields)

    def _check_graph(self) -> None:
        """Refuse a graph that is not what its metadata say."""
        width, height = self.input_size
        inputs = {node.name: (node.type, list(node.shape[1:])) for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        known = inputs == {FRAMES: ("tensor(uint8)", [height, width, 3])}
        if not known or outputs != {CONFIDENCE_MAPS, PART_AFFINITY_FIELDS}:
            raise UserError(
                f"{self._what}: expected an input {FRAMES} [N, {height}, {width}, 3] of uint8 and the outputs "
                f"{CONFIDENCE_MAPS} and {PART_AFFINITY_FIELDS}; it has {describe(self._session)}"
            )
