"""What a study is: its description in ``conf/study``, and the trials that follow from it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from omegaconf import DictConfig
from optuna import Trial
from pydantic import Field, PositiveFloat

from pose_oad.cli.assembly import plays_once
from pose_oad.cli.command import build, compose_config, plain
from pose_oad.cli.overrides import override
from pose_oad.tracking.errors import UserError, check, nearest
from pose_oad.tracking.schema import Finite, Number, Text, build_options
from pose_oad.tracking.store import flatten

Overrides = Mapping[str, Any]

_ERRORS = tuple(f"{{}}{part}_px" for part in ("", "_second_half", "_last_third"))

#: What may be minimised: figures of a run's summary. ``error_px`` is the error against the truth where there is one,
#: else against the teacher.
OBJECTIVES = (
    *(error.format(name) for name in ("error", "mpjpe", "teacher_distance") for error in _ERRORS),
    "teacher_calls", "selected", "optimizer_steps", "wall_clock_s", "seconds/train",
)  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """A run that strategies are compared with: once a seed, or for all values of keys of the grid."""

    label: Text
    set: Overrides
    per: Sequence[str] = ()


@dataclass(frozen=True)
class Variant:
    """A change under which the grid is repeated ``when`` keys of the grid have certain values; everywhere if empty."""

    label: Text
    set: Overrides
    when: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def fits(self, point: Overrides) -> bool:
        """Return whether it makes sense at a point of the grid."""
        return all(point.get(key) in values for key, values in self.when.items())


@dataclass(frozen=True)
class Range:
    """Numbers that a search draws from; whole ones where both ends are."""

    low: int | Finite
    high: int | Finite
    log: bool = False

    def suggest(self, trial: Trial, key: str) -> Any:
        """Let Optuna's sampler choose one."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return (trial.suggest_int if whole else trial.suggest_float)(key, self.low, self.high, log=self.log)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Choices:
    """Values that a search draws from."""

    choices: Annotated[Sequence[Any], Field(min_length=1)]

    def suggest(self, trial: Trial, key: str) -> Any:
        """Let Optuna's sampler choose one."""
        return trial.suggest_categorical(key, self.choices)


@dataclass(frozen=True)
class Preparation:
    """A file that trials share, made before the first of them unless it is there, by a command and its overrides."""

    make: Text
    command: Text
    set: Overrides = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A study as described in ``conf/study/<name>.yaml``.

    Attributes:
        name: its name; also the name of its experiment in the tracking store
        question: what it answers, in a sentence
        set: overrides of every trial
        seeds: values of ``seed.base``
        streams: overrides by name of a stream, such as a subject before a camera; every trial is run on each of them
        tuning: streams that settings are tuned on, kept apart from those
        split: which of the two are run
        baseline: label of what the others are tested against, stream by stream
        equivalence_px: differences of the error up to this, px, are none that matter
        arms: changes that go together, by label; the grid is repeated under each of them
        grid: values by config key, all combinations of which are run
        variants: changes under which the grid is repeated, beside the grid as it is
        references: what is compared with
        space: for a search instead of a grid: what is drawn from, by config key
        sampler: Optuna's sampler of a search, as a ``_target_`` node
        trials: how many points a search tries
        objectives: figures of the summary to minimise
        prune: whether trials are given up that do no better than a student that never learns
        prepare: files that are made first
    """

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    question: str
    set: Overrides = field(default_factory=dict)
    seeds: Annotated[Sequence[Number], Field(min_length=1)] = (0,)
    streams: Mapping[str, Overrides] = field(default_factory=dict)
    tuning: Mapping[str, Overrides] = field(default_factory=dict)
    split: Literal["streams", "tuning"] = "streams"
    baseline: Text | None = None
    equivalence_px: PositiveFloat | None = None
    arms: Mapping[str, Overrides] = field(default_factory=dict)
    grid: Mapping[str, Annotated[list[Any], Field(min_length=1)]] = field(default_factory=dict)
    variants: Sequence[Variant] = ()
    references: Sequence[Reference] = ()
    space: Mapping[str, Range | Choices] = field(default_factory=dict)
    sampler: Mapping[str, Any] | None = None
    trials: Number = 0
    objectives: Annotated[Sequence[str], Field(min_length=1)] = ("error_px",)
    prune: bool = False
    prepare: Sequence[Preparation] = ()

    @classmethod
    def of(cls, node: DictConfig) -> Study:
        """Read a config node, where a key that is null counts as absent; refuse unknown keys and values."""
        values = {key: value for key, value in plain(node).items() if value is not None}
        expected = "streams by name, as study.streams.hall.stream.path=hall.mp4"
        check(values.get("streams") != "???", "study.streams", "???", expected)
        return build_options(cls, values, "study")

    def __post_init__(self) -> None:
        """Refuse values that do not go together, naming the config key."""
        check(len(self.seeds) == len(set(self.seeds)), "study.seeds", self.seeds, "different numbers")
        grid = bool(self.grid or self.arms)
        check(grid != bool(self.space), "study.space", dict(self.space), "either a grid or a space")
        check(grid or not self.streams, "study.streams", list(self.streams), "no streams with study.space")
        shared = sorted(name for name in self.tuning if self.tuning[name] in self.streams.values())
        check(not shared, "study.tuning", shared, "streams that are not among study.streams")
        check(self.split == "streams" or bool(self.tuning), "study.split", self.split, "streams: there are no others")
        check(not self.space or self.trials > 0, "study.trials", self.trials, "at least 1 with study.space")
        for objective in self.objectives:
            if objective not in OBJECTIVES:
                raise UserError(f"study.objectives={objective}: unknown figure{nearest(objective, OBJECTIVES)}")

    @property
    def played(self) -> Mapping[str, Overrides]:
        """The streams that are run; one without a name and overrides if there are none."""
        return (self.tuning if self.split == "tuning" else self.streams) or {"": {}}

    @property
    def settings(self) -> list[str]:
        """What cannot be changed any more when the study has begun."""
        stated: dict[str, Any] = {"study.split": "tuning"} if self.split == "tuning" else {}
        stated |= {} if self.equivalence_px is None else {"study.equivalence_px": self.equivalence_px}
        return [*overrides(self.set), *self.objectives, *overrides(stated)]


@dataclass(frozen=True)
class Slot:
    """A trial to be run.

    Attributes:
        key: what tells it from every other trial of the study
        point: the same without stream and seeds: runs of one point are repetitions
        label: how reports call it
        role: ``strategy`` or ``reference``
        overrides: its own, as on a command line, without those of the whole study and the seed
        seeds: the runs it is made of
        sampled: whether Optuna's sampler adds values of the search space
        stream: name of its stream, whose overrides are among its own; empty in a study without streams
    """

    key: str
    point: str
    label: str
    role: str
    overrides: tuple[str, ...]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    sampled: bool = False
    stream: str = ""


def slots(study: Study) -> list[Slot]:
    """List the trials of a study: references first (the longest are among them), then the grid or the search."""
    listed = list(_references(study))
    if study.space:
        points = (f"sample {number}" for number in range(study.trials))
        return listed + [Slot(point, point, "", "strategy", (), tuple(study.seeds), True) for point in points]
    arms = study.arms or {"": {}}
    for seed, stream in itertools.product(study.seeds, study.played):
        for arm, values in itertools.product(arms, _combinations(study.grid)):
            point = {**arms[arm], **values}
            label = arm or str(point.get("strategy", ""))
            listed.append(_slot(study, label, "strategy", point, stream, seed))
            for variant in study.variants:
                if variant.fits(point):
                    named = f"{label}, {variant.label}" if label else variant.label
                    listed.append(_slot(study, named, "strategy", {**point, **variant.set}, stream, seed))
    return listed


def check_slots(study: Study, settings: Sequence[str], listed: Sequence[Slot]) -> list[DictConfig]:
    """Compose the configuration of every point and every stream, so that a wrong key is found before the first trial.

    Returns:
        The different streams that are played.
    """
    streams: dict[str, DictConfig] = {}
    one_of_each = {slot.point: slot for slot in listed} | {f"stream {slot.stream}": slot for slot in listed}
    for point in dict.fromkeys(slot.overrides for slot in one_of_each.values()):
        stream = compose_config("online", [*settings, *point]).stream
        check(not plays_once(stream), "study.set.stream", "live", "videos: every trial sees the same frames")
        streams[str(stream)] = stream
    for key, entry in study.space.items():
        usual = entry.low if isinstance(entry, Range) else entry.choices[0]
        compose_config("online", [*settings, override(key, usual)])
    return list(streams.values())


def with_measurable_objectives(study: Study, streams: Sequence[DictConfig]) -> Study:
    """Name the error that the study's streams can be measured by: to the truth, or else to the teacher."""
    truths = {build(stream).skeleton is not None for stream in streams}
    check(len(truths) == 1, "study.grid.stream", "mixed", "streams with a ground truth, or streams without one")
    true, other = ("mpjpe", "teacher_distance") if True in truths else ("teacher_distance", "mpjpe")
    objectives = [re.sub(r"^error_", f"{true}_", name) for name in study.objectives]
    refused = {error.format(other) for error in _ERRORS} - {"teacher_distance_px"}
    for name in objectives:
        has = "a" if True in truths else "no"
        check(name not in refused, "study.objectives", name, f"error_px, …: the stream has {has} ground truth")
    return replace(study, objectives=objectives)


def overrides(values: Overrides) -> list[str]:
    """Write values by key as overrides of a command line; nested mappings become dotted keys."""
    return [override(key, value) for key, value in flatten(dict(values))]


def _references(study: Study) -> Iterator[Slot]:
    for reference in study.references:
        for key in reference.per:
            if key not in study.grid:
                raise UserError(f"study.references: per={key}: the grid has no such key{nearest(key, study.grid)}")
        for seed, stream in itertools.product(study.seeds, study.played):
            for point in _combinations({key: study.grid[key] for key in reference.per}):
                yield _slot(study, reference.label, "reference", {**point, **reference.set}, stream, seed)


def _slot(study: Study, label: str, role: str, values: Overrides, stream: str, seed: int) -> Slot:
    written = overrides(values)
    own = (*written, *overrides(study.played[stream]))
    key = f"{label}: {' '.join(own)} seed {seed}"
    return Slot(key, " ".join(written), label, role, own, (seed,), stream=stream)


def _combinations(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))
