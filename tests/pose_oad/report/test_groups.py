from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pose_oad.report.groups import baseline_of, compare_all, group_runs, short_names, varying_params
from pose_oad.report.store import RunData
from tests.pose_oad.report.fake_store import params, tags


def run(
    label: str,
    rate: str = "0.1",
    seed: int = 0,
    error: float = 50.0,
    reference: bool = False,
    point: str = "",
    stream: str = "",
    **more: str,
) -> RunData:
    selected = 0.0 if label == "never adapted" else 100 * float(rate)
    metrics = {"final/mpjpe_px": error, "final/frames": 100.0, "final/selected": selected}
    dotted = {key.replace("__", "."): value for key, value in more.items()}
    of_stream = {"pose_oad.stream": stream} if stream else {}
    return RunData(
        f"{label}-{rate}-{seed}-{error}{stream}", "FINISHED",
        tags(label, reference=reference) | {"pose_oad.point": point} | of_stream,
        params(label, rate, seed, **dotted), metrics, datetime(2026, 1, 1), None,
    )  # fmt: skip


def test_runs_of_other_seeds_are_one_group_and_strategies_come_first() -> None:
    runs = [
        run("never adapted", reference=True),
        run("random", "0.1", 1),
        run("error"),
        run("random", "0.01"),
        run("random"),
    ]
    groups, superseded = group_runs(runs)
    assert [(g.label, g.rate, len(g.runs)) for g in groups] == [
        ("error", 0.1, 1), ("random", 0.01, 1), ("random", 0.1, 2), ("never adapted", None, 1)
    ]  # fmt: skip
    assert superseded == []


def test_of_two_runs_of_one_seed_the_newer_counts() -> None:
    older, newer = run("random", error=50.0), run("random", error=40.0)
    groups, superseded = group_runs([older, newer])
    assert superseded == [(older, newer)]
    assert groups[0].values("mpjpe_px") == {("0", "0"): 40.0}


def test_a_reference_that_obeys_a_rate_keeps_it() -> None:
    obeying = run("oracle", "0.1", reference=True)
    everything = replace(obeying, metrics={**obeying.metrics, "final/selected": 100.0})
    nothing = replace(obeying, metrics={**obeying.metrics, "final/selected": 0.0})
    assert [obeying.rate, everything.rate, nothing.rate] == [0.1, None, None]


def test_one_parameter_stands_for_those_that_change_with_it() -> None:
    small = {"student__name": "small", "student__backbone": "mobilenet", "student__input_size": "[128, 128]"}
    large = {"student__name": "large", "student__backbone": "resnet", "student__input_size": "[256, 256]"}
    runs = [run("random", **small), run("random", **large), run("error", **small)]
    assert varying_params(runs) == ["student.name"]


def test_an_overridden_key_is_preferred_and_seeds_rates_and_folders_are_none() -> None:
    runs = [
        run("random", str(rate), seed, point=f"window.seconds={s} rate={rate}", window__seconds=s, a=s, teacher__seed=s,
            output__folder=s, seed__stream=s, checkpoint=s)
        for seed, rate, s in ((0, 0.1, "3.0"), (1, 0.2, "6.0"))
    ]  # fmt: skip
    assert varying_params(runs) == ["window.seconds"]


def test_a_key_that_is_new_and_how_a_run_was_recorded_tell_nothing_apart() -> None:
    older, newer = run("random", seed=0), run("random", seed=1, metric__new="1", logger="local", threads="2")
    assert varying_params([older, newer]) == []
    assert varying_params([older, newer, run("random", seed=2, metric__new="2")]) == ["metric.new"]


def test_switches_of_a_strategy_split_its_label_only() -> None:
    runs = [
        run("random", strategy__min_gap="5"),
        run("error", strategy__undetected_joints="zero", strategy__min_gap="5"),
        run("error", error=60.0, strategy__undetected_joints="worst", strategy__min_gap="5"),
    ]
    assert varying_params(runs) == ["strategy.undetected_joints"]
    groups, _ = group_runs(runs)
    assert [group.name for group in groups] == [
        "error, undetected_joints worst",
        "error, undetected_joints zero",
        "random",
    ]
    assert [baseline_of(group, groups, "random") for group in groups] == [groups[2], groups[2], None]


def partners(runs: list[RunData], label: str = "random") -> dict[str, str | None]:
    """What each group is tested against, by label."""
    groups, _ = group_runs(runs)
    found = {group.label: baseline_of(group, groups, label) for group in groups}
    return {name: baseline.label if baseline else None for name, baseline in found.items()}


def test_inside_a_variant_the_baseline_has_the_same_settings() -> None:
    plain = {"strategy__min_gap": "1", "training__batch_norm": "frozen"}
    apart, trained = plain | {"strategy__min_gap": "25"}, plain | {"training__batch_norm": "train"}
    runs = [
        run("random", **plain), run("error", **plain, strategy__scorer="frozen"),
        run("random, apart", **apart), run("error, apart", **apart, strategy__scorer="frozen"),
        run("random, trained", **trained), run("error, trained", **trained, strategy__scorer="frozen"),
        run("error, live", **plain, strategy__scorer="live"), run("uniform", training__batch_norm="frozen"),
        run("error, both", **(apart | {"training__batch_norm": "train"}), strategy__scorer="frozen"),
    ]  # fmt: skip
    assert partners(runs) == {
        "random": None, "random, apart": None, "random, trained": None,
        "error": "random", "error, apart": "random, apart", "error, trained": "random, trained",
        "error, live": "random", "uniform": "random", "error, both": None,
    }  # fmt: skip


def test_a_setting_that_differs_between_strategies_alone_is_seen() -> None:
    """It tells no two groups of a label apart, so that no column shows it."""
    assert partners([run("random", strategy__min_gap="1"), run("error", strategy__min_gap="5")])["error"] is None
    oracle = run("oracle", reference=True, training__epochs="20")
    assert partners([run("random", training__epochs="10"), oracle])["oracle"] is None


def test_runs_of_another_checkpoint_are_neither_pooled_nor_paired() -> None:
    def of(sha256: str, label: str, seed: int, error: float = 50.0) -> RunData:
        made = run(label, seed=seed, error=error, checkpoint="checkpoints/small/best.ckpt")
        return replace(made, tags=made.tags | {"checkpoint.sha256": sha256})

    first, second = "a" * 64, "b" * 64
    runs = [of(first, "random", 0), of(first, "random", 1), of(second, "random", 1, 10.0), of(second, "error", 1)]
    groups, superseded = group_runs(runs)
    assert superseded == []
    assert [(g.name, len(g.runs)) for g in groups] == [
        ("error, checkpoint bbbbbbbbbb", 1), ("random, checkpoint aaaaaaaaaa", 2), ("random, checkpoint bbbbbbbbbb", 1)
    ]  # fmt: skip
    assert baseline_of(groups[0], groups, "random") is groups[2]
    assert partners(runs[:2] + runs[3:])["error"] is None
    # Where a parameter tells them apart already, the weights are not named as well.
    both = [replace(r, params=r.params | {"student.name": r.tags["checkpoint.sha256"][0]}) for r in runs]
    assert group_runs(both)[0][0].setting == (("student.name", "b"),)


def test_a_reference_without_a_rate_can_be_the_baseline_of_all() -> None:
    runs = [run("never adapted", reference=True), run("random", "0.1"), run("random", "0.2")]
    groups, _ = group_runs(runs)
    assert [baseline_of(group, groups, "never adapted") for group in groups] == [groups[2], groups[2], None]


def test_groups_are_compared_at_equal_rate_and_condition_only() -> None:
    runs = [
        run(label, rate, seed, error + seed * slope, window__seconds=window)
        for label, rate, window, error, slope in (
            ("random", "0.1", "6.0", 50.0, 1), ("random", "0.1", "30.0", 90.0, 1), ("random", "0.2", "6.0", 10.0, 1),
            ("error", "0.1", "6.0", 53.0, 2), ("error", "0.3", "6.0", 1.0, 1),
        )
        for seed in (0, 1)
    ]  # fmt: skip
    groups, _ = group_runs(runs)
    assert [(g.label, g.rate, dict(g.setting)["window.seconds"]) for g in groups][:2] == [
        ("error", 0.1, "6.0"), ("error", 0.3, "6.0")
    ]  # fmt: skip
    found = compare_all(groups, "mpjpe_px", "random", 0.95)
    assert found[0] is not None
    assert found[0].difference.mean == 3.5
    assert found[0].difference.n == 2
    assert found[1:] == [None] * 4


def test_numbers_are_sorted_by_size() -> None:
    groups, _ = group_runs([run("random", window__seconds=s) for s in ("30.0", "6.0", "120.0")])
    assert [group.setting[0][1] for group in groups] == ["6.0", "30.0", "120.0"]


def test_short_names_are_unambiguous() -> None:
    assert short_names(["student.name", "teacher._target_", "window.seconds"]) == {
        "student.name": "student", "teacher._target_": "teacher", "window.seconds": "seconds"
    }  # fmt: skip
    names = ["metric.undetected_joints", "strategy.undetected_joints", "teacher.rate"]
    assert short_names(names) == {name: name for name in names}


def on_streams(label: str, errors: dict[str, tuple[float, ...]], **more: str) -> list[RunData]:
    """Runs of a label: an error per stream and seed; each stream has a camera of its own."""
    return [
        run(label, "0.01", seed, error, stream=name, stream__cameras=name, **more)
        for name, of_seeds in errors.items()
        for seed, error in enumerate(of_seeds)
    ]


def test_streams_and_their_seeds_are_one_row_in_which_a_stream_counts_once() -> None:
    runs = on_streams("uniform", {"a": (50.0, 52.0), "b": (60.0,)}, trigger___target_="Always")
    runs += on_streams("random", {"a": (48.0, 49.0), "b": (60.5,)}, trigger___target_="Always")
    groups, superseded = group_runs(runs)
    assert [(g.full_name, g.units, len(g.runs)) for g in groups] == [("random at 1 %", 2, 3), ("uniform at 1 %", 2, 3)]
    assert superseded == []
    assert groups[1].estimate("mpjpe_px").mean == (51 + 60) / 2
    found = compare_all(groups, "mpjpe_px", "uniform", 0.95)[0]
    assert found is not None
    assert found.by_unit.to_dict() == {"a": -2.5, "b": 0.5}
    assert found.difference.n == 2


def test_only_seeds_that_both_have_are_compared_on_a_stream() -> None:
    runs = on_streams("uniform", {"a": (50.0, 90.0), "b": (60.0,)}) + on_streams("random", {"a": (49.0,), "b": (59.0,)})
    groups, _ = group_runs(runs)
    found = compare_all(groups, "mpjpe_px", "uniform", 0.95)[0]
    assert found is not None
    assert found.by_unit.to_dict() == {"a": -1.0, "b": -1.0}


def test_a_strategy_with_a_trigger_is_compared_with_the_baseline_without() -> None:
    errors = {"a": (50.0,), "b": (60.0,)}
    runs = on_streams("uniform", errors, trigger___target_="Always")
    runs += on_streams("uniform with AMS", errors, trigger___target_="Ams", trigger__target="0.6")
    assert partners(runs, "uniform") == {"uniform": None, "uniform with AMS": "uniform"}
    both = [
        run(label, trigger___target_=trigger, point=f"trigger={trigger}")
        for label in ("random", "error")
        for trigger in ("Always", "Ams")
    ]
    groups, _ = group_runs(both)
    found = {group.name: baseline_of(group, groups, "random") for group in groups}
    assert {name: other.name if other else None for name, other in found.items()} == {
        "error, trigger Always": "random, trigger Always", "error, trigger Ams": "random, trigger Ams",
        "random, trigger Always": None, "random, trigger Ams": None,
    }  # fmt: skip
