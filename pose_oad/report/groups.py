"""Runs that differ in nothing but stream and seed, and the parameters that tell such groups apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from pose_oad.report.statistics import Comparison, Estimate, compare, estimate, per_unit
from pose_oad.report.store import RunData

# What differs from run to run without being what a study is about.
_BOOKKEEPING = ("seed.", "output.", "tracking.", "trainer.accelerator")
_BOOKKEEPING_KEYS = (
    "rate", "checkpoint", "strategy._target_", "trigger.rate", "experiment", "study", "folder", "logger", "resume",
    "threads", "label_cache", "window.cache", "window.decoder_threads", "metric.batch_size",
)  # fmt: skip

# What belongs to the way of choosing, which the runs that are compared may differ in.
_CHOICE = ("strategy.", "trigger.")


@dataclass(frozen=True)
class Group:
    """Runs of one label, rate, setting and checkpoint, one per stream and seed.

    Attributes:
        rate: share of frames that may be labelled; None for a reference without a budget
        setting: value of every other parameter that varies within the report, by its dotted key
    """

    label: str
    is_reference: bool
    rate: float | None
    setting: tuple[tuple[str, str], ...]
    runs: tuple[RunData, ...]

    @property
    def condition(self) -> tuple[tuple[str, str], ...]:
        """The part of the setting that is not the way of choosing; equal where two groups can be compared."""
        return tuple((key, value) for key, value in self.setting if not key.startswith(_CHOICE))

    @property
    def name(self) -> str:
        """Label with the setting, without the rate."""
        names = short_names([key for key, _ in self.setting])
        return ", ".join([self.label, *(f"{names[key]} {value}" for key, value in self.setting if value != "–")])

    @property
    def full_name(self) -> str:
        """Label with the setting and the rate."""
        return self.name if self.rate is None else f"{self.name} at {100 * self.rate:.4g} %"

    @property
    def units(self) -> int:
        """Number of streams, or of seeds where there are no streams."""
        return len({run.unit[0] for run in self.runs})

    def values(self, metric: str) -> dict[tuple[str, str], float]:
        """Return a final metric of every run, by unit and seed; NaN where a run has none."""
        return {run.unit: run.final(metric) for run in self.runs}

    def estimate(self, metric: str, confidence: float = 0.95) -> Estimate:
        """Return mean and interval of a final metric over the units."""
        return estimate(per_unit(self.values(metric)), confidence)


#: A run, and the newer one that repeats it.
Repetition = tuple[RunData, RunData]


def group_runs(runs: Sequence[RunData]) -> tuple[list[Group], list[Repetition]]:
    """Group runs of one kind, oldest first, by label, rate, checkpoint and every parameter that varies among them.

    Returns:
        The groups, strategies by name before references by name, then by setting and rate; and the runs left out
        because a newer one has the same label, parameters, checkpoint, stream and seed.
    """
    if not runs:
        return [], []
    keys = varying_params(runs)
    frame = pd.DataFrame({
        "reference": [run.is_reference for run in runs],
        "label": [run.label for run in runs],
        **{f"key {key}": [shown_value(key, run.params.get(key)) for run in runs] for key in keys},
        "rate": [-1.0 if run.rate is None else run.rate for run in runs],
        "checkpoint": [run.checkpoint for run in runs],
        "unit": [run.unit for run in runs],
        "run": runs,
    })  # fmt: skip
    identity = [column for column in frame if column not in ("unit", "run")]
    newest = frame.groupby([*identity, "unit"])["run"].transform("last")
    repeated = [(old, new) for old, new in zip(frame["run"], newest, strict=True) if old is not new]
    # The weights are named where nothing else tells two groups apart.
    others = [column for column in identity if column != "checkpoint"]
    named = len(frame.drop_duplicates(others)) < len(frame.drop_duplicates(identity))
    groups = []
    for (reference, label, *values, rate, checkpoint), members in frame.groupby(identity):
        setting = [*zip(keys, values, strict=True), *([("checkpoint", checkpoint[:10])] if named else [])]
        # One of each unit, the newest, where the first of them stood.
        by_unit = {row.unit: row.run for row in members.itertuples()}
        groups.append(
            Group(label, reference, None if rate < 0 else float(rate), tuple(setting), tuple(by_unit.values()))
        )
    groups.sort(key=lambda group: (group.is_reference, group.label, [_natural(value) for _, value in group.setting]))
    return groups, repeated


def varying_params(runs: Sequence[RunData]) -> list[str]:
    """Find the fewest parameters that tell the settings of runs of one kind apart; streams, seeds and rate aside.

    Choosing ``student=resnet18`` changes a dozen parameters at once; the one that names the choice is enough. A
    parameter counts if it splits a group that those before it leave together. Those of strategy and trigger count where
    they vary within one label. References take no part unless there is nothing else: they may be run on other terms.
    """
    deciding = [run for run in runs if not run.is_reference] or list(runs)
    overridden = {word.partition("=")[0] for run in deciding for word in run.tags.get("pose_oad.point", "").split()}
    params = pd.DataFrame([dict(run.params) for run in deciding])
    # A key that only some runs have, with one value, has come into being since the others were logged.
    varies = params.groupby([run.stream for run in deciding]).nunique().gt(1).any()
    names = [key for key in params if varies[key] and not _is_bookkeeping(key)]

    def preference(key: str) -> tuple[object, ...]:
        parent, _, last = key.rpartition(".")
        explicit = key in overridden or parent in overridden
        return not explicit, last != "name", last != "_target_", key.count("."), key

    frame = params[sorted(names, key=preference)].assign(label=[run.label for run in deciding])
    chosen: list[str] = []
    for of_strategy, known in ((False, []), (True, ["label"])):
        for key in frame.columns[:-1]:
            if key.startswith(_CHOICE) == of_strategy:
                # groupby would leave one group of no columns; duplicates of none are all rows but the first.
                before = len(frame.drop_duplicates([*known, *chosen])) if known or chosen else 1
                if len(frame.drop_duplicates([*known, *chosen, key])) > before:
                    chosen.append(key)
    return chosen


def _is_bookkeeping(key: str) -> bool:
    # Lightning logs the student's description a second time, with slashes.
    return key.startswith(_BOOKKEEPING) or key in _BOOKKEEPING_KEYS or key.endswith(".seed") or "/" in key


def short_names(keys: Sequence[str], taken: Iterable[str] = ("strategy", "rate", "seeds", "label")) -> dict[str, str]:
    """Give each dotted key the shortest of its endings that no other key and no other column has.

    ``student.name`` and ``teacher._target_`` are called by what they choose, ``student`` and ``teacher``.
    """
    paths = {key: [part for part in key.split(".") if part not in ("name", "_target_")] or [key] for key in keys}
    lengths = dict.fromkeys(keys, 1)
    while True:
        names = {key: ".".join(path[-lengths[key] :]) for key, path in paths.items()}
        used = [*names.values(), *taken]
        clashing = [key for key in keys if used.count(names[key]) > 1 and lengths[key] < len(paths[key])]
        if not clashing:
            return {key: name if used.count(name) == 1 else key for key, name in names.items()}
        for key in clashing:
            lengths[key] += 1


def shown_value(key: str, value: str | None) -> str:
    """Phrase a parameter's value for a table: a class by its last name, a missing one as a dash."""
    if value is None:
        return "–"
    return value.rpartition(".")[2] if key.endswith("._target_") else value


def _natural(value: str) -> tuple[int, float, str]:
    """Sort numbers by size, before words by the alphabet."""
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)


def baseline_of(group: Group, groups: Sequence[Group], label: str) -> Group | None:
    """Find the group that a group is tested against: the baseline with the same settings, rate and checkpoint.

    Inside a variant of a study that is the baseline's own variant, where it has one. Of the strategies' settings those
    that both have must be the same. None for the baseline itself, a reference without a rate, and where there is none.
    """
    strategy, _, variant = group.label.partition(", ")
    if label in (group.label, strategy) or group.rate is None:
        return None
    same = [
        other
        for other in groups
        if label in (other.label, other.label.partition(", ")[0])
        and other.rate in (group.rate, None)
        and other.condition == group.condition
        and _same_terms(other, group)
    ]
    for alike in (
        lambda other: _trigger(other) == _trigger(group),
        lambda other: other.label.partition(", ")[2] == variant,
    ):
        if len(same) > 1:
            same = [other for other in same if alike(other)]
    return same[0] if len(same) == 1 else None


def _trigger(group: Group) -> str | None:
    return group.runs[0].params.get("trigger._target_")


def _same_terms(group: Group, another: Group) -> bool:
    """Return whether runs on the same stream agree in all that is not the way of choosing."""
    for one, other in itertools.product(group.runs, another.runs):
        if one.stream == other.stream:
            shared = (one.params.keys() & other.params.keys()) - {"trigger._target_"}
            return one.checkpoint == other.checkpoint and all(
                one.params[key] == other.params[key] for key in shared if not _is_bookkeeping(key)
            )
    return False


def compare_all(groups: Sequence[Group], metric: str, label: str, confidence: float) -> list[Comparison | None]:
    """Compare a final metric of every group with its baseline's, unit by unit; None where there is no baseline."""
    partners = [baseline_of(group, groups, label) for group in groups]
    return [
        compare(group.values(metric), partner.values(metric), confidence) if partner else None
        for group, partner in zip(groups, partners, strict=True)
    ]
