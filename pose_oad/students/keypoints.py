"""Keypoints of many frames, out of a network's maps: batched, on the network's device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from pose_oad.poses.maps import People, decode_people, decode_single
from pose_oad.poses.skeleton import Skeleton
from pose_oad.students import PoseStudent


class Network(Protocol):
    """What maps must be known by to read them: a student, or any predictor."""

    @property
    def skeleton(self) -> Skeleton:
        """Joint set of the maps."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the frames, px."""
        ...

    @property
    def map_size(self) -> tuple[int, int]:
        """Width and height of the maps, cells."""
        ...

    @property
    def foreground(self) -> float:
        """Additional weight of a joint's cells in its training, by which confidences are read."""
        ...


class Poses(NamedTuple):
    """Who is in some frames, on the CPU.

    Attributes:
        single: one person a frame, shape (frames, joints, 3): where each confidence map is largest, and the confidence
            there; a location always exists, and whether it counts as found is the reader's decision. With
            ``decoding=grouped``: the best of the people in maps and fields; joints that it lacks are all zero
        people: everybody who is found, in the frames of which that was asked; what was not found is all zero
    """

    single: Tensor
    people: People


def predict_keypoints(student: PoseStudent, frames: Tensor, batch_size: int = 64) -> Tensor:
    """Predict one person in every frame; see :func:`predict_poses`.

    Returns:
        :attr:`Poses.single`.
    """
    return predict_poses(student, frames, batch_size=batch_size).single


@torch.inference_mode()
def predict_poses(student: PoseStudent, frames: Tensor, grouped: Tensor | None = None, batch_size: int = 64) -> Poses:
    """Predict one person in every frame, and everybody in some.

    The student predicts in evaluation mode and is left in the mode it was in.

    Args:
        student: the network
        frames: RGB uint8, shape (frames, height, width, 3), at the student's input size
        grouped: frames in which everybody is looked for too, bool, shape (frames,); None: in none
        batch_size: frames per forward pass

    Returns:
        Poses in input px.
    """
    training = student.training
    student.eval()
    try:
        return read_poses(
            lambda batch: student(student.normalise(batch)), student, frames, grouped, batch_size, student.decoding
        )
    finally:
        student.train(training)


def read_poses(
    maps: Callable[[Tensor], tuple[Tensor, Tensor]],
    network: Network,
    frames: Tensor,
    grouped: Tensor | None = None,
    batch_size: int = 64,
    decoding: Literal["argmax", "grouped"] = "argmax",
) -> Poses:
    """Read one person out of the maps of every frame, and everybody out of some; the maps are computed once.

    Args:
        maps: returns confidence maps and part affinity fields of a batch of frames
        network: what they belong to
        frames: shape (frames, height, width, 3)
        grouped: as for :func:`predict_poses`
        batch_size: frames per forward pass
        decoding: how the one person is read, see :class:`Poses`

    Returns:
        Poses in input px.
    """
    single, people, joints = [], [], len(network.skeleton)
    nobody = People(torch.zeros(0, 0, joints, 3), torch.zeros(0, 0))
    chosen = torch.zeros(len(frames), dtype=torch.bool) if grouped is None else grouped
    for batch, rows in zip(frames.split(batch_size), chosen.split(batch_size), strict=True):
        confidence_maps, fields = maps(batch)
        if decoding == "grouped":
            one = _best_person(confidence_maps, fields, network)
        else:
            one = decode_single(confidence_maps, network.foreground).float()
        single.append(to_input(one, network).cpu())
        if rows.any():
            found = decode_people(confidence_maps[rows], fields[rows], network.skeleton, foreground=network.foreground)
            people.append(People(to_input(found.keypoints, network).cpu(), found.scores.cpu()))
    return Poses(torch.cat(single), _padded(people or [nobody]))


def _best_person(maps: Tensor, fields: Tensor, network: Network) -> Tensor:
    """Return the best person of each image in cells, shape (images, joints, 3), of however few joints, as trt_pose."""
    people = decode_people(
        maps, fields, network.skeleton, min_parts=1, min_score=0.0, foreground=network.foreground
    ).keypoints
    return torch.nn.functional.pad(people, (0, 0, 0, 0, 0, 1))[:, 0]


def to_input(cells: Tensor, network: Network) -> Tensor:
    """Convert keypoints from cells of a network's maps to px of its input.

    Args:
        cells: shape (..., 3): x, y, confidence
        network: what the maps belong to
    """
    columns, rows = network.map_size
    width, height = network.input_size
    return cells * cells.new_tensor((width / columns, height / rows, 1.0))


def _padded(parts: list[People]) -> People:
    """Concatenate the people of several batches, padding them to the largest number in a frame."""
    most = max(part.scores.shape[1] for part in parts)
    missing = [most - part.scores.shape[1] for part in parts]
    pad = torch.nn.functional.pad
    return People(
        torch.cat([pad(part.keypoints, (0, 0, 0, 0, 0, less)) for part, less in zip(parts, missing, strict=True)]),
        torch.cat([pad(part.scores, (0, less)) for part, less in zip(parts, missing, strict=True)]),
    )
