"""A simulated teacher: the ground truth with adjustable faults."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from pose_oad.poses.skeleton import Skeleton
from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.schema import NotNegative, Share


class TruthTeacher:
    """Label frames with the ground truth, displaced, thinned and mixed up as ``conf/teacher/truth.yaml`` asks.

    A frame's faults depend on ``seed`` and the frame's number only, so that every strategy meets the same teacher. A
    stream without ground truth is refused.
    """

    name = "truth"
    uses_truth = True

    def __init__(
        self,
        skeleton: Skeleton | None,
        noise: NotNegative = 0.0,
        misses: Share = 0.0,
        swaps: Share = 0.0,
        seed: Annotated[int, Field(gt=-(2**63), lt=2**63)] = 0,
    ) -> None:
        if skeleton is None:
            raise UserError("teacher=truth: this stream has no ground truth; choose another teacher, as teacher=onnx")
        self.skeleton = skeleton
        self.noise, self.misses, self.swaps, self.seed = noise, misses, swaps, seed
        self._pairs = np.array([(a, b) for a, b in enumerate(skeleton.flip) if a < b])

    def image_size(self, frame_size: tuple[int, int]) -> None:
        """Return None: it reads no pixels."""
        return

    def label(self, request: TeacherRequest) -> Labels:
        """Label frames with their truth and this teacher's faults."""
        if request.truth is None:
            raise UserError("teacher=truth: these frames have no ground truth")
        keypoints = request.truth.numpy().copy()
        sigma = self.noise * max(request.frame_size)
        for row, number in enumerate(request.ids):
            self._spoil(keypoints[row], np.random.Generator(np.random.Philox(key=[self.seed, int(number)])), sigma)
        return Labels(torch.from_numpy(keypoints))

    def _spoil(self, people: np.ndarray, rng: np.random.Generator, sigma: float) -> None:
        """Apply the faults to one frame in place, shape (people, joints, 3)."""
        # All numbers are drawn whatever the settings, so that one setting does not change another's faults.
        shift = rng.standard_normal((*people.shape[:2], 2), dtype=np.float32)
        missed = rng.random(people.shape[:2]) < self.misses
        swapped = rng.random((len(people), len(self._pairs))) < self.swaps
        people[..., :2] += sigma * shift
        for person, pairs in zip(people, swapped, strict=True):
            chosen = self._pairs[pairs]
            person[chosen] = person[chosen[:, ::-1]]
        people[missed] = 0.0
