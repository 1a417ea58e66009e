"""What exporting changes: the maps on real frames, and the error on a stream with a ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.breakdown import GroupedErrors
from pose_oad.online.window import FrameWindow
from pose_oad.poses.maps import decode_single
from pose_oad.students import PoseStudent

#: RGB uint8 frames at the input size, shape (frames, height, width, 3), to confidence maps, shape
#: (frames, joints, rows, columns), and part affinity fields, shape (frames, limbs, 2, rows, columns).
Maps = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Parity:
    """How far two networks' maps are apart on the same frames.

    Attributes:
        frames: how many frames they were compared on
        confidence_maps: largest absolute difference of confidence maps, in the maps' own unit (a joint's peak is 1)
        part_affinity_fields: likewise of part affinity fields
    """

    frames: int
    confidence_maps: float
    part_affinity_fields: float

    @property
    def largest(self) -> float:
        """The larger of the two differences; NaN if either is."""
        return float(torch.tensor([self.confidence_maps, self.part_affinity_fields]).max())


def eager(student: PoseStudent) -> Maps:
    """Return a network's maps as a function of frames, without gradients.

    Args:
        student: the network, in evaluation mode
    """

    @torch.inference_mode()
    def maps(frames: Tensor) -> tuple[Tensor, Tensor]:
        return student(student.normalise(frames))

    return maps


def compare_maps(first: Maps, second: Maps, frames: Tensor, batch_size: int) -> Parity:
    """Compare two networks' maps.

    Args:
        first: one network
        second: the other
        frames: what both see, uint8, shape (frames, height, width, 3), at least one
        batch_size: frames per call

    Returns:
        The largest differences; NaN where a map holds one.
    """
    differences = []
    for batch in frames.split(batch_size):
        pairs = zip(first(batch), second(batch), strict=True)
        differences.append(torch.stack([(one.float() - other.float()).abs().max() for one, other in pairs]))
    maps, fields = torch.stack(differences).amax(0).tolist()
    return Parity(len(frames), maps, fields)


def compare_errors(
    windows: Iterable[FrameWindow], networks: Mapping[str, Maps], student: PoseStudent, batch_size: int
) -> dict[str, dict[str, float]]:
    """Measure networks with the same joint set and sizes against the ground truth of the same frames.

    Every labelled joint counts, at its most likely location.

    Args:
        windows: a stream with a ground truth; of each window the candidates are measured
        networks: who is measured, by name
        student: tells their joint set, input and map size
        batch_size: frames per call

    Returns:
        Of each network ``mpjpe_px`` and the other errors of :meth:`GroupedErrors.values`.

    Raises:
        UserError: if the stream has no ground truth.
    """
    errors = {name: GroupedErrors(student.skeleton, MissingRule()) for name in networks}
    stride = torch.tensor([i / c for i, c in zip(student.input_size, student.map_size, strict=True)] + [1.0])
    for window in windows:
        rows = torch.from_numpy(window.candidates)
        if not len(rows):
            continue
        for name, maps in networks.items():
            decoded = [
                decode_single(maps(batch)[0], student.config.foreground).cpu()
                for batch in window.frames[rows].split(batch_size)
            ]
            predicted = torch.cat(decoded) * stride
            errors[name].update_window(window, window.candidates, window.to_frame(predicted, window.candidates))
    return {name: found.values() for name, found in errors.items()}
