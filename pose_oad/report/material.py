"""What tables and figures are made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pose_oad.report.groups import Group, Repetition, group_runs
from pose_oad.report.layout import show
from pose_oad.report.statistics import Estimate
from pose_oad.report.store import RunData, Selection
from pose_oad.tracking.errors import UserError, nearest

#: Errors by which runs are judged where none is asked for: to the truth, and where there is none to the teacher.
ERRORS = ("mpjpe_px", "teacher_distance_px")

_PART = re.compile(r"_(second_half|last_third)(?=_px$)")


@dataclass(frozen=True)
class Material:
    """The groups of a report and how they are to be judged.

    Attributes:
        error: the final metric that counts, without ``final/``
        baseline: label of the groups that the others are tested against
        confidence: level of the intervals, in (0, 1)
        bound: differences up to this, px, count as none; None where the study states no such bound
        ledger: returns a run's ledger, a row per window
        superseded: runs left out, each with the newer one that repeats it
    """

    online: tuple[Group, ...]
    offline: tuple[Group, ...]
    error: str
    baseline: str
    confidence: float
    ledger: Callable[[RunData], list[dict[str, Any]]]
    superseded: tuple[Repetition, ...] = ()
    bound: float | None = None

    @property
    def unit(self) -> str:
        """What means and intervals are taken over: ``streams``, in which seeds are nested, or ``seeds``."""
        return "streams" if any(run.stream for group in self.online for run in group.runs) else "seeds"

    @property
    def window_error(self) -> str:
        """The error's name in the ledger, where it belongs to one window: without the part of the stream it covers."""
        return _PART.sub("", self.error)

    def estimate(self, group: Group, metric: str) -> Estimate:
        """Return mean and interval of a group's final metric."""
        return group.estimate(metric, self.confidence)

    def metrics_below(self, groups: Sequence[Group], prefix: str) -> set[str]:
        """Return the rest of the names of those final metrics of groups that begin with a prefix."""
        names = {name for group in groups for run in group.runs for name in run.metrics}
        prefix = f"final/{prefix}"
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    def superseded_text(self) -> str:
        """Name the runs that were played twice, with the error of both; empty if there is none."""
        named = []
        for old, new in self.superseded:
            error = f"test_{self.error}" if old.kind == "finetune" else self.error
            before, now = (f"{run.run_id[:8]} ({run.final(error):.1f} px)" for run in (old, new))
            named.append(f"{old.label}, {old.repetition}: {before} by {now}")
        return f"{len(named)} superseded by a newer run of the same settings: {'; '.join(named)}" if named else ""

    def lowest(self, groups: Sequence[Group], metric: str) -> str:
        """Say which strategy's error is lowest: what to look for first in a table or figure."""
        known = [(self.estimate(group, metric), group) for group in groups if not group.is_reference]
        known = [(found, group) for found, group in known if found.n]
        if not known:
            return ""
        best, group = min(known, key=lambda pair: pair[0].mean)
        return f"Lowest mean among the strategies: {group.full_name}, {show(best, 'px')} px."


def gather(
    selection: Selection,
    error: str | None,
    baseline: str | None,
    confidence: float,
    ledger: Callable[[RunData], list[dict[str, Any]]],
) -> Material:
    """Group the runs of a report; an error that none of them has is refused, None is the first of :data:`ERRORS`.

    Without a ``baseline`` it is the one that the study states, or else random.
    """
    known = {
        name.removeprefix("final/").removeprefix("test_")
        for run in selection.runs
        for name in run.metrics
        if name.startswith("final/") and name.endswith("_px")
    }
    error = error or next((name for name in ERRORS if name in known), ERRORS[0])
    if error not in known:
        raise UserError(f"error={error}: no selected run has such a final metric{nearest(error, known)}")
    online, again = group_runs(selection.of_kind("online"))
    offline, offline_again = group_runs(selection.of_kind("finetune"))
    stated = selection.parent.tags if selection.parent else {}
    baseline = baseline or stated.get("pose_oad.baseline") or "random"
    bound = float(stated["pose_oad.equivalence_px"]) if "pose_oad.equivalence_px" in stated else None
    again = [*again, *offline_again]
    return Material(tuple(online), tuple(offline), error, baseline, confidence, ledger, tuple(again), bound)


def error_title(error: str) -> str:
    """Phrase the name of an error for an axis or a column, as ``MPJPE, px``."""
    found = _PART.search(error)
    part = f", {found[1].replace('_', ' ')}" if found else ""
    name = _PART.sub("", error).removesuffix("_px").removeprefix("test_")
    name = {"mpjpe": "MPJPE", "teacher_distance": "distance to the teacher"}.get(name, name.replace("_", " "))
    return f"{name}{part}, px"
