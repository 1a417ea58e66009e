"""Readers of frames: whoever says where people are, a student, a teacher or the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.geometry import FrameResize, ResizeMode
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.students.keypoints import PoseNetwork
from pose_oad.teachers.base import Origin, Teacher, TeacherRequest
from pose_oad.teachers.following import Follower

Counting = Literal["auto", "single", "many"]


class FramePoses(NamedTuple):
    """The people of one frame, best first.

    Attributes:
        keypoints: px of the original frame, shape (people, joints, 3), on the CPU; confidence 0 = not found
        scores: how sure the reader is of each person, shape (people,)
        located: whether every joint has a location that counts, however small its confidence
        ids: number of each person, the same from frame to frame, shape (people,); None where nobody was followed
        held: whether they are those of an earlier frame, to be looked at and not to be measured by
    """

    keypoints: Tensor
    scores: Tensor
    located: bool = False
    ids: Tensor | None = None
    held: bool = False


class PoseReader(Protocol):
    """Frames in, people out; a picture calls it by its name."""

    name: str
    skeleton: Skeleton

    def resize(self, frame_size: tuple[int, int]) -> FrameResize | None:
        """Say how it wants a frame of some size (width and height, px); None if it reads no pixels."""
        ...

    def read(self, images: list[np.ndarray], sizes: Sequence[tuple[int, int]], first: int) -> list[FramePoses]:
        """Find the people of frames, of which ``first`` is the first one's number.

        Args:
            images: RGB uint8, shape (height, width, 3) each, as :meth:`resize` says; none for a reader of no pixels
            sizes: width and height of the original frames, px
            first: number of the first frame
        """
        ...


class StudentReader:
    """A student, or an exported one.

    Args:
        network: the network
        resize_mode: how frames lie in its input
        people: ``single``: each joint at the maximum of its map; ``many``: assembled; ``auto``: that from the first
            frame on in which several are found
    """

    def __init__(
        self, network: PoseNetwork, resize_mode: ResizeMode = "letterbox", people: Counting = "single"
    ) -> None:
        self._network, self._resize_mode, self._people = network, resize_mode, people
        self.name, self.skeleton = network.name, network.skeleton

    def resize(self, frame_size: tuple[int, int]) -> FrameResize:
        """Place a frame in the network's input."""
        return FrameResize.of(frame_size, self._network.input_size, self._resize_mode)

    def read(self, images: list[np.ndarray], sizes: Sequence[tuple[int, int]], first: int) -> list[FramePoses]:
        """Find people in the network's maps."""
        alone, frames = self._people == "single", torch.from_numpy(np.stack(images))
        poses = self._network.keypoints(frames, "one" if alone else "many", len(images))
        if alone:
            return [self._located(person, size) for person, size in zip(poses.single, sizes, strict=True)]
        read = []
        for person, people, scores, size in zip(poses.single, *poses.people, sizes, strict=True):
            found = scores > 0
            if self._people == "auto" and found.sum() > 1:
                self._people = "many"
            read.append(
                FramePoses(_on_frame(self.resize(size), people[found]), scores[found])
                if self._people == "many"
                else self._located(person, size)
            )
        return read

    def _located(self, person: Tensor, size: tuple[int, int]) -> FramePoses:
        """Return one person as found; a location counts however small its confidence, so none is cleared."""
        return FramePoses(self.resize(size).to_frame(person[None]), person[None, :, 2].mean(-1), located=True)


class TeacherReader:
    """A teacher, asked about one frame in so many; in between its last people are held.

    Args:
        teacher: the teacher
        every: of how many frames it is asked about one, that whose number divides by it
        people: ``single`` keeps the best person of a frame, the others everybody
        truth: people for a simulated teacher, original px, shape (frames, people, joints, 3)
        place: the video file, or the folder of images, by which labels made elsewhere are found; None for a camera
        images: the files, where every frame is one of its own
    """

    def __init__(
        self,
        teacher: Teacher,
        people: Counting = "single",
        every: int = 1,
        truth: Tensor | None = None,
        place: Path | None = None,
        images: Sequence[Path] = (),
    ) -> None:
        self._teacher, self._people, self._every = teacher, people, every
        self._truth, self._place, self._images = truth, place, images
        self._last = FramePoses(torch.zeros(0, len(teacher.skeleton), 3), torch.zeros(0), held=True)
        self.name, self.skeleton = f"teacher {teacher.name}", teacher.skeleton

    def resize(self, frame_size: tuple[int, int]) -> FrameResize | None:
        """Scale a frame to the size that the teacher wants."""
        size = self._teacher.image_size(frame_size)
        return None if size is None else FrameResize.of(frame_size, size, "squash")

    def read(self, images: list[np.ndarray], sizes: Sequence[tuple[int, int]], first: int) -> list[FramePoses]:
        """Ask the teacher, once for neighbours of the same size."""
        asked = [row for row in range(len(sizes)) if (first + row) % self._every == 0]
        poses: dict[int, FramePoses] = {}
        for size, group in groupby(asked, key=sizes.__getitem__):
            rows = list(group)
            ids = first + np.array(rows)
            request = TeacherRequest(
                ids,
                np.stack([images[row] for row in rows]) if images else None,
                size,
                None if self._truth is None else _of_frames(self._truth, ids),
                None if self._place is None else self._origin(self._place, ids),
            )
            poses |= zip(rows, map(self._best, self._teacher.label(request).keypoints), strict=True)
        read = []
        for row in range(len(sizes)):
            read.append(poses.get(row, self._last))
            self._last = read[-1]._replace(held=True)
        return read

    def _origin(self, place: Path, ids: np.ndarray) -> Origin:
        names = tuple(self._images[number].name for number in ids if self._images)
        return Origin(place.name if place.is_dir() else place.stem, place, ids, names)

    def _best(self, people: Tensor) -> FramePoses:
        people = people[(people[..., 2] > 0).any(-1)]
        if self._people == "single":
            people = people[:1]
        return FramePoses(people, people[..., 2].mean(-1))


class FollowingReader:
    """Another reader whose people keep their numbers from frame to frame; a single person has none."""

    def __init__(self, reader: PoseReader) -> None:
        self._reader, self._follower = reader, Follower(reader.skeleton)
        self.name, self.skeleton, self.resize = reader.name, reader.skeleton, reader.resize
        self._held: Tensor | None = None

    def read(self, images: list[np.ndarray], sizes: Sequence[tuple[int, int]], first: int) -> list[FramePoses]:
        """Find people, and number them."""
        read = []
        for number, poses in enumerate(self._reader.read(images, sizes, first), start=first):
            if not (poses.located or poses.held):
                self._held = self._follower.follow(number, poses.keypoints)
            read.append(poses if poses.located else poses._replace(ids=self._held))
        return read


class TruthReader:
    """The ground truth, original px, shape (frames, people, joints, 3); frames beyond it hold nobody."""

    name = "truth"

    def __init__(self, keypoints: Tensor, skeleton: Skeleton) -> None:
        self.keypoints, self.skeleton = keypoints, skeleton

    def resize(self, frame_size: tuple[int, int]) -> None:
        """Return None: it reads no pixels."""
        return

    def read(self, images: list[np.ndarray], sizes: Sequence[tuple[int, int]], first: int) -> list[FramePoses]:
        """Look the people up."""
        people = _of_frames(self.keypoints, first + np.arange(len(sizes)))
        return [FramePoses(person, person[..., 2].mean(-1)) for person in people]


def distances(found: FramePoses, wanted: FramePoses, skeleton: Skeleton, wanted_skeleton: Skeleton) -> Tensor:
    """Measure the people found in one frame against those that should be there.

    Each wanted person is compared with the nearest one found; of one of either the mean over people is its MPJPE.

    Returns:
        Mean distance of each wanted person over joints, px of the frame, shape (people,); NaN where there is nothing to
        compare.

    Raises:
        UserError: if the two joint sets have no joint in common.
    """
    target = map_keypoints(wanted.keypoints, wanted_skeleton, skeleton)[:, None]
    counted = target[..., 2] > 0
    if not found.located:
        counted = counted & (found.keypoints[None, ..., 2] > 0)
    distance = torch.linalg.vector_norm(target[..., :2] - found.keypoints[None, ..., :2], dim=-1)
    pairs = (distance * counted).sum(-1) / counted.sum(-1)  # NaN where two people share no joint
    if pairs.shape[1] == 0:
        return torch.full((len(pairs),), torch.nan)
    return pairs.where(~pairs.isnan(), torch.inf).amin(1).where(~pairs.isnan().all(1), torch.nan)


def _on_frame(resize: FrameResize, keypoints: Tensor) -> Tensor:
    """Convert people to px of the frame; what was not found stays all zero."""
    return resize.to_frame(keypoints) * (keypoints[..., 2:] > 0)


def _of_frames(keypoints: Tensor, ids: np.ndarray) -> Tensor:
    """Take some frames of a recording; those beyond its end are all zero."""
    inside = torch.from_numpy(ids < len(keypoints))
    taken = keypoints[torch.from_numpy(np.minimum(ids, len(keypoints) - 1))]
    return taken * inside.view(-1, 1, 1, 1)
