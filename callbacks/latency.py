"""What lateness costs: poses that are old when they are there, weights that are late, windows that are dropped."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from callbacks.observer import Observer
from pose_oad.metrics.keypoints import MissingRule, joint_errors
from pose_oad.metrics.latency import highest_rate, serve
from pose_oad.online.clocks import Clock
from pose_oad.online.record import WindowRecord

#: Parts of a window's work that grow with its labels; training does, too, unless the number of steps is given.
_PER_LABEL = ("up", "teacher")
_PARTS = ("select", "up", "teacher", "train", "down", "swap")
_WINDOWS = ("", "_ready", "_late", "_dropped", "_rejected")


class Latency(Observer):
    """Follow the trainer by the clock, and what a consumer of poses holds.

    sMPJPE is the mean, over the measured frames, of the distance between the pose that a consumer holds when a frame
    arrives, the newest that is there, and that frame's reference; frames before the first pose are counted apart. It is
    the error of the same frames plus the *staleness*. How much late weights add to the error is the difference to a run
    with ``clock=instant``. Where several people are measured there is none.

    Args:
        clock: the clock
        rule: what becomes of joints that are not found
        fixed_steps: whether the number of steps does not grow with that of labels
    """

    def __init__(self, clock: Clock, rule: MissingRule, fixed_steps: bool = False) -> None:
        self.clock, self.rule, self.fixed_steps = clock, rule, fixed_steps
        self._sums: dict[str, float] = defaultdict(float)
        self._slack = math.inf  # the smallest
        self._free_s = 0.0
        # Outputs that a consumer holds or will: when each is there, of which time it is, the pose.
        self._outputs = torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, 0, 3)

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Return a window's figures: seconds of the stream, px, counts."""
        charge, window, nan = record.charge, record.window, math.nan
        parts = {} if charge is None else charge.parts
        values = {f"latency/{name}_s": parts.get(name, 0.0) for name in _PARTS} | {
            "latency/closed_s": window.closed_s,
            "latency/started_s": nan if charge is None or charge.started_s is None else charge.started_s,
            "latency/ready_s": nan if charge is None else charge.ready_s,
            "latency/slack_s": record.slack_s,
        }
        late, trained = record.slack_s < 0, record.training.made
        counts = {
            "windows": 1, "windows_dropped": charge is None, "windows_late": late,
            "windows_ready": charge is not None and not late, "windows_rejected": trained and record.ready_s is None,
        }  # fmt: skip
        traffic = {} if charge is None else charge.traffic
        self._add(counts | {f"{name}_s": seconds for name, seconds in parts.items()})
        self._add({f"{name}_bytes": number for name, number in traffic.items()})
        self._add({"window_s": window.closed_s - window.opened_s, "frames": len(window)})
        if charge is not None:
            self._slack = min(self._slack, record.slack_s)
            self._add({"joules": charge.joules, "labels": len(record.choice.positions), "slack_s": record.slack_s})
        served = {} if self.clock.student_s is None else self._serve(record, self.clock.student_s)
        return values | {"latency/dropped": float(charge is None), **served}

    def _serve(self, record: WindowRecord, student_s: float) -> dict[str, float]:
        """Follow the student through a window; return what a consumer gets."""
        window, measured = record.window, record.measured
        served = serve(window.arrivals, window.closed_s, student_s, self._free_s)
        self._free_s = served.free_s
        times = torch.from_numpy(np.stack([served.finished_s, window.arrivals[served.positions]], 1))
        poses = measured.predictions[torch.from_numpy(served.positions)].float().cpu()
        earlier = self._outputs[1].view(-1, *poses.shape[1:])
        times, poses = torch.cat([self._outputs[0], times]), torch.cat([earlier, poses])
        held = np.searchsorted(times[:, 0].numpy(), window.arrivals, side="right") - 1
        ages = window.arrivals[held >= 0] - times[held[held >= 0], 1].numpy()
        figures: dict[str, float] = {
            "skipped": len(window) - len(served.positions), "age_sum_s": float(ages.sum()), "held": len(ages)
        }  # fmt: skip
        if measured.people is None:
            rows = held[np.searchsorted(window.ids, measured.ids)]
            there = torch.from_numpy(rows >= 0)
            stale = joint_errors(
                poses[rows[rows >= 0]], measured.labelled[there], self.rule, torch.as_tensor(measured.scale)[there]
            )
            figures |= {"stale_px": float((stale.distance * stale.counted).sum()), "stale": float(stale.counted.sum())}
            fresh, counted = measured.errors.distance[there], measured.errors.counted[there]
            figures |= {"fresh_px": float((fresh * counted).sum()), "fresh": float(counted.sum())}
        self._add(figures)
        kept = max(int(np.searchsorted(times[:, 0].numpy(), window.closed_s, side="right")) - 1, 0)
        self._outputs = times[kept:], poses[kept:]
        stale_px = _ratio(figures.get("stale_px", 0.0), figures.get("stale", 0.0))
        return {
            "latency/smpjpe_px": stale_px,
            "latency/staleness_px": stale_px - _ratio(figures.get("fresh_px", 0.0), figures.get("fresh", 0.0)),
            "latency/age_s": _ratio(figures["age_sum_s"], figures["held"]),
            "latency/frames_skipped": figures["skipped"],
        }

    def _add(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._sums[name] += value

    def summary(self) -> dict[str, float]:
        """Return the run's figures, NaN where undefined; see ``docs/triggers-and-time.md``."""
        of = self._sums
        charged, windows = of["windows"] - of["windows_dropped"], of["windows"]
        growing = [of[f"{part}_s"] for part in (*_PER_LABEL, *(() if self.fixed_steps else ("train",)))]
        fixed = _ratio(sum(of[f"{part}_s"] for part in _PARTS) - sum(growing), charged)
        each = _ratio(sum(growing), of["labels"])
        values: dict[str, float] = {f"windows{part}": of[f"windows{part}"] for part in _WINDOWS}
        values |= {
            "highest_rate": highest_rate(_ratio(of["window_s"], windows), _ratio(of["frames"], windows), fixed, each),
            "slack_s": _ratio(of["slack_s"], charged),
            "smallest_slack_s": self._slack if charged else math.nan,
            "teacher_utilisation": _ratio(of["teacher_s"], of["window_s"]),
            "training_utilisation": _ratio(of["train_s"], of["window_s"]),
            "up_mb": of["up_bytes"] / 1e6, "down_mb": of["down_bytes"] / 1e6, "joules": float(of["joules"]),
        }  # fmt: skip
        if self.clock.student_s is not None:
            stale, fresh = _ratio(of["stale_px"], of["stale"]), _ratio(of["fresh_px"], of["fresh"])
            values |= {
                "smpjpe_px": stale, "staleness_px": stale - fresh, "age_s": _ratio(of["age_sum_s"], of["held"]),
                "frames_skipped": of["skipped"], "frames_before_first_pose": of["frames"] - of["held"],
            }  # fmt: skip
        return {f"latency/{name}": float(value) for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what has been added up, and what a consumer holds."""
        return {"sums": dict(self._sums), "slack": self._slack, "free_s": self._free_s, "outputs": list(self._outputs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._sums = defaultdict(float, state_dict["sums"])
        self._slack, self._free_s = state_dict["slack"], state_dict["free_s"]
        times, poses = state_dict["outputs"]
        self._outputs = times, poses


def _ratio(total: float, count: float) -> float:
    return total / count if count else math.nan
