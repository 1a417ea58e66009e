"""What adapting has gained: the student as it was before the stream plays beside the one that learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer

from callbacks.observer import Observer
from callbacks.prequential import PrequentialEvaluation
from pose_oad.metrics.keypoints import Mpjpe
from pose_oad.metrics.people import PeopleScores
from pose_oad.metrics.stream import joint_mean, spans_at_changes, stream_means, stream_parts
from pose_oad.online.distillation import OnlineDistillation, as_distillation
from pose_oad.online.record import WindowRecord
from pose_oad.online.window import FrameWindow

#: Labels of a clip whose changes are also reported apart.
KINDS = ("action", "subject")


class FrozenTwin(Observer):
    """Measure the never-adapted student on the frames, and by the rule, by which the adapting one is measured.

    The gain is the frozen student's error less the adapting one's: clips that are easy or hard are so for both. It is
    also taken right before and right after each change of clip, where it shows how much of what was learnt carries
    over. It costs a forward pass over the measured frames, none as long as nothing has been learnt.

    Args:
        evaluation: the errors of the adapting student, and their rule
        rate_hz: frames of the stream per second
        span_s: time before and after a change of clip over which the gain is averaged, s
    """

    def __init__(self, evaluation: PrequentialEvaluation, rate_hz: float, span_s: float = 2.0) -> None:
        self.evaluation, self.span = evaluation, max(1, round(span_s * rate_hz))
        self._module: OnlineDistillation | None = None
        self._errors: list[np.ndarray] = []
        self._joints: list[np.ndarray] = []
        self._by_joint, self._people = Mpjpe(len(evaluation.skeleton)), PeopleScores()
        self._changes: list[int] = []
        self._kinds: dict[str, list[bool]] = {kind: [] for kind in KINDS}
        self._clip: dict[str, str] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the student as it is before the stream."""
        self._module = as_distillation(pl_module)

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Measure the frozen student on a window."""
        if self._module is None:
            raise RuntimeError("the run has not begun")
        self._follow(record.window)
        measured = record.measured
        if record.steps_before:
            measured = self.evaluation.measurement.measure_like(record.window, self._module.pretrained)
        self._errors.append(measured.frame_errors)
        self._joints.append(measured.frame_joints)
        self._by_joint.update(measured.errors)
        if measured.people is not None:
            self._people.update(measured.ids, measured.people)
        return {f"frozen_{self.evaluation.prefix}_px": joint_mean(self._errors[-1], self._joints[-1])}

    def summary(self) -> dict[str, float]:
        """Return the run's figures, NaN where undefined.

        ``frozen_<error>`` is the frozen student's error, by joint and over the parts of the stream over which the
        adapting one's is reported; where several people were measured, ``frozen_people/AP`` and ``…/recall`` are its,
        and ``people/recall_last_third`` is the adapting one's. ``gain_px``, ``gain_second_half_px``, … are the
        differences. ``gain_before_change_px`` and
        ``gain_after_change_px`` are means over changes of clip; ``…/action`` and ``…/subject`` over those changes at
        which that label changed.
        """
        ids, errors, joints = self.evaluation.measured()
        frozen = _joined(self._errors, np.float32), _joined(self._joints, np.int64)
        before = stream_means(ids, *frozen)
        values = {f"frozen_{self.evaluation.prefix}{part}_px": error for part, error in before.items()}
        after = stream_means(ids, errors, joints)
        values |= {f"gain{part}_px": error - after[part] for part, error in before.items()}
        by_joint, names = self._by_joint.compute().tolist(), self.evaluation.skeleton.joints
        values |= {f"frozen_{self.evaluation.prefix}_px/{name}": px for name, px in zip(names, by_joint, strict=False)}
        if self.evaluation.measurement.several_from is not None:
            for part, begin in stream_parts(ids).items():
                own, theirs = self.evaluation.people_scores.since(begin), self._people.since(begin)
                values |= {f"frozen_people/{name}{part}": theirs[name] for name in ("AP", "recall")}
                values[f"people/recall{part}"] = own["recall"]
        gains = np.array([
            [joint_mean(*(of[at] for of in frozen)) - joint_mean(errors[at], joints[at]) for at in both]
            for both in spans_at_changes(ids, np.array(self._changes), self.span)
        ]).reshape(-1, 2)  # fmt: skip
        chosen = {"": np.ones(len(gains), dtype=bool)}
        chosen |= {f"/{kind}": np.array(changed, dtype=bool) for kind, changed in self._kinds.items()}
        for kind, rows in chosen.items():
            for column, name in enumerate(("before", "after")):
                known = gains[rows, column][~np.isnan(gains[rows]).any(1)]
                values[f"gain_{name}_change_px{kind}"] = float(known.mean()) if len(known) else math.nan
        return values

    def state_dict(self) -> dict[str, Any]:
        """Return what has been measured and noted so far."""
        return {
            "errors": [torch.from_numpy(errors) for errors in self._errors],
            "joints": [torch.from_numpy(joints) for joints in self._joints],
            "by_joint": dict(self._by_joint.metric_state), "people": dict(self._people.metric_state),
            "changes": self._changes, "kinds": self._kinds, "clip": self._clip,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            ValueError: if it contradicts itself.
        """
        self._errors = [errors.numpy() for errors in state_dict["errors"]]
        self._joints = [joints.numpy() for joints in state_dict["joints"]]
        for name in ("by_joint", "people"):
            metric = getattr(self, f"_{name}")
            for key, value in state_dict[name].items():
                setattr(metric, key, value)
            metric._update_count = len(self._errors)
        self._changes, self._kinds = state_dict["changes"], state_dict["kinds"]
        self._clip = state_dict["clip"]
        if {len(changed) for changed in self._kinds.values()} - {len(self._changes)}:
            raise ValueError("changes of clips and what changed are not of one number")
        if self._clip is not None and "clip" not in self._clip:
            raise ValueError("the clip has no name")

    def _follow(self, window: FrameWindow) -> None:
        """Note where a clip follows another, and what changes with it."""
        for clip in window.segments:
            recording = clip.recording or clip.clip
            before, self._clip = self._clip, {"clip": recording, **clip.labels}
            if before is None or before["clip"] == recording:
                continue
            self._changes.append(int(window.ids[clip.start]))
            for kind, changed in self._kinds.items():
                changed.append(before.get(kind) != clip.labels.get(kind))


def _joined(parts: list[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype=kind), *parts])
