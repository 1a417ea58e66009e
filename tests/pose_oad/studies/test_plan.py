"""A study's description becomes the right list of trials."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from pose_oad.cli.command import CONF, compose_config
from pose_oad.cli.overrides import override
from pose_oad.studies.plan import (
    Choices,
    Range,
    Reference,
    Study,
    Variant,
    check_slots,
    overrides,
    slots,
    with_measurable_objectives,
)
from pose_oad.tracking.errors import UserError

# Streams that are the user's.
NAMED = {"real_video": ["study.streams.hall.stream.path=a.mp4", "study.streams.yard.stream.path=b.mp4"]}
ALL = sorted(path.stem for path in (CONF / "study").glob("*.yaml"))


def make(**values: object) -> Study:
    return Study(**{"name": "s", "question": "?", "grid": {"strategy": ["random", "error"]}, **values})  # type: ignore[arg-type]


def test_a_grid_is_every_combination_with_every_seed() -> None:
    listed = slots(make(grid={"strategy": ["random", "error"], "rate": [0.01, 0.05, 0.1]}, seeds=[4, 7]))
    assert len(listed) == len({slot.key for slot in listed}) == 2 * 3 * 2
    first = listed[0]
    assert (first.label, first.role, first.overrides, first.seeds) == (
        "random", "strategy", ("strategy=random", "rate=0.01"), (4,)
    )  # fmt: skip
    points = {slot.point for slot in listed}
    assert len(points) == 6
    assert "strategy=error rate=0.1" in points


def test_references_come_first_and_are_repeated_where_asked() -> None:
    grid = {"student": ["small", "resnet18"], "strategy": ["random"]}
    references = [Reference("never", {"strategy": "none"}, ["student"]), Reference("all", {"strategy": "all"})]
    listed = slots(make(grid=grid, seeds=[0, 1], references=references))
    assert [slot.label for slot in listed] == ["never"] * 4 + ["all"] * 2 + ["random"] * 4
    assert [slot.role for slot in listed] == ["reference"] * 6 + ["strategy"] * 4
    assert {slot.overrides for slot in listed[:4]} == {
        ("student=small", "strategy=none"), ("student=resnet18", "strategy=none")
    }  # fmt: skip


def test_variants_repeat_the_grid_where_they_make_sense() -> None:
    worst = Variant("worst", {"strategy.undetected_joints": "worst"}, {"strategy": ["error"]})
    kept = Variant("kept", {"training.optimizer_state": "kept"})
    listed = slots(make(variants=[worst, kept]))
    assert [slot.label for slot in listed] == ["random", "random, kept", "error", "error, worst", "error, kept"]
    assert listed[3].overrides == ("strategy=error", "strategy.undetected_joints=worst")


def test_a_search_has_as_many_slots_as_trials() -> None:
    listed = slots(make(grid={}, space={"rate": Range(0.01, 0.1)}, trials=3, seeds=[0, 1]))
    assert [slot.sampled for slot in listed] == [True] * 3
    assert len({slot.key for slot in listed}) == 3
    assert listed[0].seeds == (0, 1)


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("rate", 0.01, 0.01),
        ("window.seconds", None, None),
        ("metric.final_pass", True, True),
        ("stream.subjects", ["S1", "S5"], ["S1", "S5"]),
        ("output.folder", "runs/a b, (c)=d's", "runs/a b, (c)=d's"),
        ("training.learning_rate", 1e-5, 1e-5),
        ("stream.cameras", ["55011271", "null"], ["55011271", "null"]),
        ("output.folder", "1e3", "1e3"),
        ("output.folder", "True", "True"),
    ],
)
def test_overrides_are_read_back_as_they_were(key: str, value: object, read: object) -> None:
    cfg = compose_config("online", [override(key, value)])
    for part in key.split("."):
        cfg = cfg[part]
    assert cfg == read


def test_nested_overrides_become_dotted_keys() -> None:
    assert overrides({"training": {"epochs": 3, "labels": "maps"}, "window.frames": 5}) == [
        "training.epochs=3", "training.labels=maps", "window.frames=5",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_the_studies_that_come_along_can_be_composed(name: str) -> None:
    study = Study.of(compose_config("sweep", [f"study={name}", *NAMED.get(name, [])]).study)
    assert study.name == name
    listed = slots(study)
    assert len({slot.key for slot in listed}) == len(listed) > 0
    check_slots(study, overrides(study.set), listed)


def test_the_rates_are_the_papers() -> None:
    study = Study.of(compose_config("sweep", ["study=sampling_rate"]).study)
    assert study.grid["rate"] == [0.01, 0.05, 0.10, 0.20, 0.40]
    assert study.grid["strategy"] == ["uniform", "random", "error", "confidence"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["study.name=a/b"], r"study.name=a/b: expected .*\["),
        (["study.seeds=[]"], r"study.seeds=\[\]"),
        (["study.seeds=[1,1]"], "study.seeds"),
        (["study.seeds=[-1]"], "study.seeds"),
        (["~study.grid"], "study.space={}"),
        (["study.grid.strategy=random"], "study.grid.strategy=random: expected a list"),
        (["+study.space={rate: {low: 1, high: 2}}"], "study.space=.*'rate'"),
        (["+study.objectives=[mpjpe]"], "study.objectives=mpjpe: .*'mpjpe_px'"),
        (["+study.sedes=[0]"], "study.sedes=.*'seeds'"),
        (["study.references=[{labels: x}]"], "study.references=.*'labels': 'x'"),
        (["study.references=[{label: x, set: {}, per: [rates]}]"], "study.references: per=rates"),
        (["+study.trials=-1"], "study.trials=-1: expected .*at least 0"),
        (["+study.prepare=[{make: x}]"], "study.prepare"),
        (["+study.grid.rat=[0.1]"], "'rat'.*'rate'"),
        (["+study.grid.teacher=[oracle]"], "teacher=oracle"),
    ],
)
def test_a_wrong_description_is_refused(changes: list[str], message: str) -> None:
    def read() -> None:
        study = Study.of(compose_config("sweep", ["study=sampling_rate", *changes]).study)
        check_slots(study, [], slots(study))

    with pytest.raises(UserError, match=message):
        read()


@pytest.mark.parametrize("entry", ["{low: 1}", "{low: 1, high: 2, step: 1}", "{}", "{choices: []}"])
def test_a_wrong_range_is_refused(entry: str) -> None:
    changes = ["study=sampling_rate", "~study.grid", f"+study.space={{rate: {entry}}}", "+study.trials=1"]
    node = compose_config("sweep", changes).study
    with pytest.raises(UserError, match=r"study\.space"):
        Study.of(node)


@pytest.mark.parametrize(
    ("entry", "drawn_from"),
    [
        (Choices([3, 6]), optuna.distributions.CategoricalDistribution([3, 6])),
        (Range(1, 8), optuna.distributions.IntDistribution(1, 8)),
        (Range(1, 8, log=True), optuna.distributions.IntDistribution(1, 8, log=True)),
        (Range(0.1, 8, log=True), optuna.distributions.FloatDistribution(0.1, 8, log=True)),
    ],
)
def test_a_search_draws_from_the_range_written_down(entry: Range | Choices, drawn_from: object) -> None:
    trial = optuna.create_study().ask()
    entry.suggest(trial, "x")
    assert trial.distributions["x"] == drawn_from


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("+study.set.stream.path=a.mp4", {"stream.path": "a.mp4"}),
        ("study.set.rate=0.3", {"rate": 0.3}),
        ("++study.set.training.epochs=5", {"training.epochs": 5}),
        ("study.set.metric.final_pass=false", {"metric.final_pass": False}),
        ("+study.set.stream.path=[a.mp4,b.mp4]", {"stream.path": ["a.mp4", "b.mp4"]}),
        ("+study.set.stream.path='a b, c.mp4'", {"stream.path": "a b, c.mp4"}),
    ],
)
def test_keys_of_a_studys_settings_are_not_taken_apart(change: str, expected: dict[str, object]) -> None:
    settings = compose_config("sweep", ["study=compare_strategies", change]).study.set
    assert {key: settings[key] for key in expected} == expected
    assert len(settings) == len({"rate", "metric.final_pass", "retention.root"} | expected.keys())
    grid = compose_config("sweep", ["study=window", "study.grid.window.seconds=[1]"]).study.grid
    assert (grid["window.seconds"], len(grid)) == ([1], 3)


@pytest.mark.parametrize(
    "asked", [["error_px"], ["error_last_third_px", "selected"], ["mpjpe_px", "teacher_distance_px"]]
)
def test_the_error_of_a_study_is_the_one_its_stream_can_be_measured_by(human36m_tree: Path, asked: list[str]) -> None:
    study = make(objectives=asked)
    streams = check_slots(study, [f"stream.root={human36m_tree}"], slots(study))
    assert len(streams) == 1
    found = with_measurable_objectives(study, streams)
    assert found.objectives == [name.replace("error", "mpjpe") for name in asked]
    with pytest.raises(UserError, match=r"teacher_distance_last_third_px: expected error_px"):
        with_measurable_objectives(make(objectives=["teacher_distance_last_third_px"]), streams)


def test_every_study_says_what_it_asks() -> None:
    for name in ALL:
        assert Path(CONF / "study" / f"{name}.yaml").read_text().startswith("# ")


def test_a_stream_that_plays_once_is_no_study() -> None:
    study = make()
    with pytest.raises(UserError, match=r"study\.set\.stream=live: expected videos"):
        check_slots(study, ["stream=live", "stream.path=0"], slots(study))
    with pytest.raises(UserError, match=r"_target_=datamodules\.video\.Nothing: "):
        check_slots(study, ["stream._target_=datamodules.video.Nothing"], slots(study))


STREAMS = {"S6-a": {"stream.subjects": ["S6"]}, "S7-a": {"stream.subjects": ["S7"]}}


def test_every_point_is_run_on_every_stream_with_every_seed() -> None:
    study = make(streams=STREAMS, seeds=[0, 1], references=[Reference("never", {"strategy": "none"})])
    listed = slots(study)
    assert len({slot.key for slot in listed}) == len(listed) == 3 * 2 * 2
    assert [(slot.label, slot.stream, slot.seeds) for slot in listed[4:7]] == [
        ("random", "S6-a", (0,)), ("error", "S6-a", (0,)), ("random", "S7-a", (0,))
    ]  # fmt: skip
    assert listed[4].overrides == ("strategy=random", "stream.subjects=[S6]")
    # Repetitions of one point: whatever the stream and the seed.
    assert {slot.point for slot in listed} == {"strategy=none", "strategy=random", "strategy=error"}
    more = slots(make(streams={**STREAMS, "S8-a": {"stream.subjects": ["S8"]}}, seeds=[0, 1]))
    assert {slot.key for slot in listed[4:]} < {slot.key for slot in more}


def test_streams_to_tune_on_are_played_when_asked_for_and_kept_apart() -> None:
    tuning = {"S1-a": {"stream.subjects": ["S1"]}}
    assert {slot.stream for slot in slots(make(streams=STREAMS, tuning=tuning))} == set(STREAMS)
    tuned = make(streams=STREAMS, tuning=tuning, split="tuning")
    assert {slot.stream for slot in slots(tuned)} == {"S1-a"}
    # A study that was begun on one of the two refuses the other.
    assert tuned.settings != make(streams=STREAMS, tuning=tuning).settings
    with pytest.raises(UserError, match=r"study\.tuning=\['S6-b'\]"):
        Study.of(OmegaConf.create({**BARE, "streams": STREAMS, "tuning": {"S6-b": STREAMS["S6-a"]}}))
    with pytest.raises(UserError, match=r"study\.split=tuning: expected streams"):
        Study.of(OmegaConf.create({**BARE, "streams": STREAMS, "split": "tuning"}))


BARE = {"name": "s", "question": "?", "grid": {"strategy": ["random"]}}


def test_arms_are_changes_that_go_together() -> None:
    arms = {"k-centre of poses": {"strategy": "k_centre", "strategy.by": "pose"}, "uniform": {"strategy": "uniform"}}
    listed = slots(make(arms=arms, grid={"rate": [0.01, 0.1]}))
    assert [(slot.label, slot.overrides) for slot in listed[:3]] == [
        ("k-centre of poses", ("strategy=k_centre", "strategy.by=pose", "rate=0.01")),
        ("k-centre of poses", ("strategy=k_centre", "strategy.by=pose", "rate=0.1")),
        ("uniform", ("strategy=uniform", "rate=0.01")),
    ]
    assert len(slots(make(arms=arms, grid={}))) == 2


def test_which_frames_has_twelve_streams_apart_from_those_it_is_tuned_on() -> None:
    study = Study.of(compose_config("sweep", ["study=which_frames"]).study)
    assert (len(study.streams), len(study.tuning), len(study.arms)) == (12, 8, 8)
    subjects = [{one["stream.subjects"][0] for one in streams.values()} for streams in (study.streams, study.tuning)]
    assert subjects == [{"S6", "S7", "S8"}, {"S1", "S5"}]
    assert (study.baseline, study.equivalence_px, study.set["stream.shuffle"]) == ("uniform", 2, False)
    # 1 % of a window of 50 frames a second.
    assert 0.01 * 50 * study.set["window.seconds"] >= 15


def test_a_study_of_the_users_files_says_how_to_name_them() -> None:
    with pytest.raises(UserError, match=r"study\.streams=\?\?\?: expected .*study\.streams\.hall\.stream\.path="):
        Study.of(compose_config("sweep", ["study=real_video"]).study)


def test_streams_can_be_named_on_the_command_line() -> None:
    study = compose_config("sweep", ["study=sampling_rate", "study.streams.hall.stream.path=a.mp4"]).study
    assert Study.of(study).streams == {"hall": {"stream.path": "a.mp4"}}
