"""What the final student makes of the stream it has been through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
from lightning import LightningModule, Trainer

from callbacks.observer import Observer
from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.stream import joint_mean
from pose_oad.online.distillation import as_distillation
from pose_oad.online.window import FrameWindow
from pose_oad.tracking.errors import check


class BackwardTransfer(Observer):
    """Play the stream once more when training has ended, measure it with the final weights, and train no more.

    Only the windows that the run has met are played. Errors are measured as they were the first time: where there is no
    ground truth the teacher is asked again, and those calls count as evaluation calls.

    Args:
        source_loader_factory: makes a fresh pass over the run's windows
        evaluation: the errors of the first time

    Raises:
        UserError: if it is not the student that is measured.
    """

    def __init__(
        self, source_loader_factory: Callable[[], Iterable[FrameWindow]], evaluation: PrequentialEvaluation
    ) -> None:
        check(evaluation.measurement.predictor == "student", "metric.final_pass", True, "false with predictor=teacher")
        self.source_loader_factory, self.evaluation = source_loader_factory, evaluation
        self._summary: dict[str, float] = {}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure every window again."""
        student = as_distillation(pl_module).loop.weights.newest()
        ids: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
        errors: list[np.ndarray] = [np.empty(0, dtype=np.float32)]
        joints: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
        for window in islice(self.source_loader_factory(), len(self.evaluation.frame_ids)):
            measured = self.evaluation.measurement.measure_like(window, student)
            ids.append(measured.ids)
            errors.append(measured.frame_errors)
            joints.append(measured.frame_joints)
        final, counted = np.concatenate(errors), np.concatenate(joints)
        met_ids, met, met_joints = self.evaluation.measured()
        _, first, again = np.intersect1d(met_ids, np.concatenate(ids), assume_unique=True, return_indices=True)
        # Not the backward transfer of Lopez-Paz and Ranzato (2017), which starts from the accuracy after learning a
        # task and shows forgetting alone: this starts before learning, and averages over frames instead of tasks.
        met_error = joint_mean(met[first], met_joints[first])
        self._summary = {
            f"backward_{self.evaluation.prefix}_px": joint_mean(final, counted),
            "backward_transfer_px": met_error - joint_mean(final[again], counted[again]),
        }

    def summary(self) -> dict[str, float]:
        """Return the mean error of the final weights over the stream, and how much lower than the first time it is."""
        return self._summary
