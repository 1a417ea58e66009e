"""Did adapting help on this camera? One sentence at the end of a run, with the likely reason where it did not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from callbacks.observer import Observer
from pose_oad.online.record import WindowRecord
from pose_oad.poses.skeleton import Skeleton

#: Share of the frozen student's error by which it must have changed before anybody calls it a change.
NOTICED = 0.05
#: Labelled frames below which too few is the likely reason.
FEW = 12
# Shares of frames from which on something is the likely reason.
_OFTEN, _SWAPPED = 0.5, 0.2


class Verdict(Observer):
    """Compare the adapting student with the one that never adapts, over the last third of the stream.

    Args:
        skeleton: joint set of the student
        against: what errors are measured against
    """

    def __init__(self, skeleton: Skeleton, against: Literal["truth", "teacher"]) -> None:
        self._skeleton = skeleton
        self._view = "teacher's view" if against == "teacher" else "ground truth"
        self._seen: Counter[str] = Counter()
        self._last: Tensor | None = None

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Look at the labels of a window for what makes learning hard."""
        if record.labels is not None:
            self._seen["labelled"] += len(record.labels.keypoints)
            self._seen["nobody"] += int(record.labels.nobody.sum())
            everybody = (record.labels.keypoints[..., 2] > 0).any(-1)
            self._seen["several"] += int((everybody.sum(1) > 1).sum())
            for person in record.labels.person(self._skeleton):
                self._follow(person)
        return {}

    def _follow(self, person: Tensor) -> None:
        """Compare a label with the one before it: is it nearer once left and right change places?"""
        sided = [joint for joint, other in enumerate(self._skeleton.flip) if joint != other]
        if self._last is not None and sided:
            both = (person[sided, 2] > 0) & (self._last[sided, 2] > 0)
            mirrored = person[list(self._skeleton.flip)]
            both &= mirrored[sided, 2] > 0
            if both.any():
                as_is, swapped = ((of[sided] - self._last[sided])[both, :2].norm(dim=-1) for of in (person, mirrored))
                self._seen["followed"] += 1
                self._seen["swapped"] += bool(swapped.mean() < 0.5 * as_is.mean())
        if bool((person[:, 2] > 0).any()):
            self._last = person

    def state_dict(self) -> dict[str, Any]:
        """Return what the labels were like so far."""
        return {"seen": dict(self._seen), "last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._seen, self._last = Counter(state_dict["seen"]), state_dict["last"]
        if self._last is not None and not isinstance(self._last, Tensor):
            raise ValueError("the last label is no pose")

    def sentence(self, summary: Mapping[str, float]) -> str:
        """Say what adapting has done.

        Args:
            summary: the figures of the finished run, by logged name

        Returns:
            The sentence; empty where no frozen student was measured.
        """
        frozen = next((value for name, value in summary.items() if _is_frozen_error(name)), None)
        if frozen is None:
            return ""
        gain, labels = summary["gain_last_third_px"], int(summary["selected"])
        with_labels = f"with {labels:,} labelled frame{'s' * (labels != 1)}"
        if math.isnan(gain):
            return f"Nobody can tell: nobody was there to measure in the last third. {self._reason(summary)}"
        moved = f"from {frozen:.0f} to {frozen - gain:.0f} px ({self._view}, last third) {with_labels}"
        moved += _people(summary)
        if gain > NOTICED * frozen:
            return f"On this camera the error fell {moved}."
        went = "rose" if gain < -NOTICED * frozen else "went"
        return f"It did not help: the error {went} {moved}. {self._reason(summary)}"

    def _reason(self, summary: Mapping[str, float]) -> str:
        """Name the likely reason for a student that has not become better; the first that holds, gravest first."""
        seen, trained = self._seen, summary.get("training_events", 0)
        labels = max(1, seen["labelled"])
        reasons = {
            "the rate is too small, no frame was labelled": not seen["labelled"],
            f"the teacher found nobody in {seen['nobody']:,} of {labels:,} labelled frames": (
                seen["nobody"] > _OFTEN * labels
            ),
            f"training diverged in {summary.get('windows_rejected', 0):,.0f} of {trained:,.0f} windows and was undone; "
            "a smaller training.learning_rate may help": summary.get("windows_rejected", 0) > _OFTEN * trained,
            f"the teacher disagrees with itself, left and right change places in {seen['swapped']:,} of "
            f"{seen['followed']:,} labels that follow each other": seen["swapped"] > _SWAPPED * seen["followed"],
            f"the rate is too small, {labels:,} frames are little to learn from": seen["labelled"] < FEW,
            f"several people are in view in {seen['several']:,} of {labels:,} labelled frames, whom the student has "
            "to tell apart": seen["several"] > _OFTEN * labels,
        }
        likely = next((reason for reason, holds in reasons.items() if holds), None)
        return f"Likely reason: {likely}." if likely else "No reason stands out: look at the frames."


def _is_frozen_error(name: str) -> bool:
    return name.startswith("frozen_") and name.endswith("_last_third_px")


def _people(summary: Mapping[str, float]) -> str:
    """Say how many people were found, and how precisely, before and after; empty where one is measured."""
    if "frozen_people/AP_last_third" not in summary:
        return ""
    said = []
    for name, words, form in (("AP", "AP", ".2f"), ("recall", "people found", ".0%")):
        before, after = (summary[f"{prefix}people/{name}_last_third"] for prefix in ("frozen_", ""))
        said.append(f"{words} {before:{form}} → {after:{form}}")
    return f"; {', '.join(said)}"
