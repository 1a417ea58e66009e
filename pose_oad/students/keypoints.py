"""From frames to poses: the one way, whatever runs the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.maps import People, decode_people, decode_single
from pose_oad.poses.skeleton import Skeleton

if TYPE_CHECKING:
    from pose_oad.students.config import StudentConfig
    from pose_oad.students.exported import ExportMetadata

Decoding = Literal["argmax", "grouped"]
#: In which frames everybody is looked for: none, all, or those of a mask, bool, shape (frames,).
Wanted = Literal["one", "many"] | Tensor


class Poses(NamedTuple):
    """Who is in some frames, on the CPU, in input px."""

    #: one person a frame, shape (frames, joints, 3): where each confidence map is largest, and the confidence there; a
    #: location always exists, and whether it counts as found is the reader's decision. With ``decoding=grouped``: the
    #: best of the people in maps and fields; joints that it lacks are all zero
    single: Tensor
    people: People  #: everybody who is found, in the frames of which that was asked; what was not found is all zero


class PoseNetwork:
    """A network that predicts maps, and how people are read from them: a student, or an exported one."""

    config: StudentConfig | ExportMetadata  #: what the network is
    skeleton: Skeleton  #: joint set of the maps
    name: str  #: how tables call it
    decoding: Decoding = "argmax"  #: how one person is read from its maps, see :class:`Poses`

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the frames it takes, px."""
        return self.config.input_size

    @property
    def map_size(self) -> tuple[int, int]:
        """Width and height of its maps, cells."""
        return self.config.map_size

    @property
    def resize_mode(self) -> ResizeMode:
        """How the original frames lay in the input it was trained on."""
        return self.config.resize_mode

    @property
    def foreground(self) -> float:
        """Additional weight of a joint's cells in its training, by which confidences are read."""
        return self.config.foreground

    def maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the maps of some frames at once, as in use: in evaluation mode and without gradients.

        Args:
            frames: RGB uint8, shape (frames, height, width, 3), at the input size

        Returns:
            confidence maps, shape (frames, joints, rows, columns), and part affinity fields, shape (frames, limbs, 2,
            rows, columns), float32, where the network runs.
        """
        raise NotImplementedError

    @torch.inference_mode()
    def keypoints(
        self, frames: Tensor, people: Wanted = "one", batch_size: int = 64, decoding: Decoding | None = None
    ) -> Poses:
        """Predict one person in every frame, and everybody in some; the maps are computed once.

        Args:
            frames: RGB uint8, shape (frames, height, width, 3), at the input size
            people: in which of them everybody is looked for too
            batch_size: frames per forward pass
            decoding: how the one person is read; None: as :attr:`decoding` says
        """
        chosen = _mask(people, len(frames)).split(batch_size)
        parts = [
            self.decode(self.maps(batch), rows, decoding)
            for batch, rows in zip(frames.split(batch_size), chosen, strict=True)
        ]
        return Poses(torch.cat([part.single for part in parts]), join_people([part.people for part in parts]))

    def decode(self, maps: tuple[Tensor, Tensor], people: Wanted = "one", decoding: Decoding | None = None) -> Poses:
        """Read people from maps that :meth:`maps` has predicted; the other arguments are those of :meth:`keypoints`."""
        confidence_maps, fields = maps
        if (decoding or self.decoding) == "grouped":  # as trt_pose: the best person, of however few joints
            best = decode_people(*maps, self.skeleton, min_parts=1, min_score=0.0, foreground=self.foreground).keypoints
            single = pad(best, (0, 0, 0, 0, 0, 1))[:, 0]
        else:
            single = decode_single(confidence_maps, self.foreground)
        rows, joints = _mask(people, len(single)), len(self.skeleton)
        everybody = People(torch.zeros(0, 0, joints, 3), torch.zeros(0, 0))
        if rows.all() and len(rows):
            everybody = decode_people(*maps, self.skeleton, foreground=self.foreground)
        elif rows.any():
            everybody = decode_people(confidence_maps[rows], fields[rows], self.skeleton, foreground=self.foreground)
        return Poses(
            self._to_input(single).cpu(), People(self._to_input(everybody.keypoints).cpu(), everybody.scores.cpu())
        )

    def _to_input(self, cells: Tensor) -> Tensor:
        """Convert keypoints, shape (..., 3), from cells of the maps to px of the input."""
        (columns, rows), (width, height) = self.map_size, self.input_size
        return cells * cells.new_tensor((width / columns, height / rows, 1.0))


def _mask(people: Wanted, frames: int) -> Tensor:
    """Return in which frames everybody is looked for, bool, shape (frames,)."""
    return people if isinstance(people, Tensor) else torch.full((frames,), people == "many")


def join_people(parts: Sequence[People]) -> People:
    """Concatenate the people of several batches (at least one), padding them to the largest number in a frame."""
    most = max(part.scores.shape[1] for part in parts)
    missing = [most - part.scores.shape[1] for part in parts]
    return People(
        torch.cat([pad(part.keypoints, (0, 0, 0, 0, 0, less)) for part, less in zip(parts, missing, strict=True)]),
        torch.cat([pad(part.scores, (0, less)) for part, less in zip(parts, missing, strict=True)]),
    )
