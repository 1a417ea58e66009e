"""What every stage of learning has in common: the moments at which it is called, and a state for the checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pose_oad.students import PoseStudent


class Stage:
    """A part of the run that is chosen by one config file, and may remember something from window to window.

    The learner calls a stage at the moments below; each call does nothing unless it is overridden. The checkpoint walks
    over the stages: whatever a stage returns from :meth:`state_dict` (tensors and plain values) is handed to
    :meth:`load_state_dict` of its like when the run goes on. A stage that remembers nothing needs neither.

    Attributes:
        unlabelled_frames: frames of the current window, labelled or not, that it wants to see beside every batch
    """

    unlabelled_frames: int = 0

    def started(self, student: PoseStudent) -> None:
        """Look at the student as it is before the stream, and before any state is taken on."""

    def window_started(self, student: PoseStudent) -> None:
        """Look at the student before the first step of a window, or change its weights."""

    def after_step(self, student: PoseStudent) -> None:
        """Look at the weights after an optimiser step, or change them."""

    def window_closed(self, student: PoseStudent) -> None:
        """Look at the weights after the last step of a window, or change them."""

    def counts(self) -> Mapping[str, int]:
        """Return what happened in the window that was closed last, by the name under which a run adds it up."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what it has to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""


class Several(Stage):
    """Stages of one kind at once, each with its weight: what is called is called on each of them.

    Args:
        kind: what messages call them
        stages: the stages by name
        weights: how much each counts, by the same names; 1 where nothing is said

    Raises:
        ValueError: if there is no stage, or a weight has none.
    """

    def __init__(self, kind: str, stages: Mapping[str, Stage], weights: Mapping[str, float] | None) -> None:
        unknown = (weights or {}).keys() - stages.keys()
        if not stages or unknown:
            raise ValueError(f"weights={sorted(unknown)}: expected names of {kind} out of {sorted(stages)}")
        self._stages = dict(stages)
        self.weights = dict.fromkeys(stages, 1.0) | dict(weights or {})
        self.unlabelled_frames = max(stage.unlabelled_frames for stage in stages.values())

    def started(self, student: PoseStudent) -> None:
        """Call each."""
        for stage in self._stages.values():
            stage.started(student)

    def window_started(self, student: PoseStudent) -> None:
        """Call each."""
        for stage in self._stages.values():
            stage.window_started(student)

    def after_step(self, student: PoseStudent) -> None:
        """Call each."""
        for stage in self._stages.values():
            stage.after_step(student)

    def window_closed(self, student: PoseStudent) -> None:
        """Call each."""
        for stage in self._stages.values():
            stage.window_closed(student)

    def counts(self) -> Mapping[str, int]:
        """Return what happened to all of them."""
        return {name: count for stage in self._stages.values() for name, count in stage.counts().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return their states by name."""
        return {name: stage.state_dict() for name, stage in self._stages.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hand each its state."""
        for name, stage in self._stages.items():
            stage.load_state_dict(state[name])


def frozen_copy(student: PoseStudent) -> PoseStudent:
    """Return a copy of a student that does not learn; its layers are in the mode in which the student's are."""
    return copy.deepcopy(student).requires_grad_(False)


def beside(network: PoseStudent, student: PoseStudent) -> PoseStudent:
    """Return a network, now on the device on which a student is; the stages are made before the device is known."""
    return network.to(student.scale.device)
