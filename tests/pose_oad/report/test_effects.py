"""What a study over streams has found, on numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pose_oad.report.effects import effects, effects_by_stream, verdicts
from pose_oad.report.groups import group_runs
from pose_oad.report.material import Material
from pose_oad.report.pictures import NothingToDraw
from pose_oad.report.store import RunData
from pose_oad.report.tables import online_matrix, online_table
from tests.pose_oad.report.test_groups import on_streams

#: Errors of uniform on twelve streams.
UNIFORM = {f"S{number}": (50.0 + number,) for number in range(12)}


def judged(differences: list[float], calls: float = 15.0, bound: float | None = 2.0) -> Material:
    """A study in which random differs from uniform so much on each stream, px."""
    random = {name: (UNIFORM[name][0] + d,) for name, d in zip(UNIFORM, differences, strict=True)}
    runs = [costing(run, 15.0) for run in on_streams("uniform", UNIFORM)]
    runs += [costing(run, calls) for run in on_streams("random", random)]
    groups, _ = group_runs(runs)
    return Material(tuple(groups), (), "mpjpe_px", "uniform", 0.95, lambda run: [], bound=bound)


def costing(run: RunData, calls: float) -> RunData:
    return replace(run, metrics={**run.metrics, "final/teacher_calls": calls, "final/gain_px": 5.0 + float(calls)})


def test_better_is_said_with_its_size_and_how_sure_it_is() -> None:
    # Differences -2 and -4 in turns: mean -3, standard deviation sqrt(12 / 11), t(11, .975) = 2.20099.
    material = judged([-2.0, -4.0] * 6)
    half = 2.20099 * (12 / 11) ** 0.5 / 12**0.5
    said = verdicts(material)
    interval = f"95 % interval +{3 - half:.1f} to +{3 + half:.1f} px"
    assert said[0] == f"At 1 % random beats uniform by 3.0 px (5 %; {interval}; 12 streams)."
    [effect] = effects(material)
    assert effect.p == pytest.approx(effect.found.p)
    assert "loses to uniform by 3.0 px" in verdicts(judged([2.0, 4.0] * 6))[0]
    assert "less than the 2 px that were to matter" in verdicts(judged([-0.4, -0.6] * 6))[0]
    assert verdicts(judged([-2.0, -4.0] * 6, calls=9.0))[0].endswith("12 streams), with 60 % of its teacher calls.")


def test_equivalence_is_an_answer() -> None:
    # Mean 0, standard error 1 / sqrt(11): 2 px are six standard errors away; t(11, .95) = 1.79588.
    half = 1.79588 / 11**0.5
    said = verdicts(judged([-1.0, 1.0] * 6))[0]
    interval = f"90 % interval −{half:.1f} to +{half:.1f} px"
    assert said == f"At 1 % random and uniform cannot be told apart within ±2 px ({interval}; 12 streams)."


def test_what_is_not_decided_says_how_many_streams_it_would_take() -> None:
    # Standard deviation 6 sqrt(12 / 11) = 6.27 px: 2 px are .319 of it, for which 80 % power takes 79 or 80 pairs.
    said = verdicts(judged([-6.0, 6.0] * 6))[0]
    assert said.startswith(
        "At 1 % it is not decided whether random is better or worse than uniform: 95 % interval −4.0 to +4.0 px; 12"
    )
    assert any(f"to see a difference of 2 px, {n} streams" in said for n in (79, 80))
    assert "would be needed" not in verdicts(judged([-6.0, 6.0] * 6, bound=None))[0]


def test_power_and_the_gain_over_never_adapting_are_said() -> None:
    *_, power, gain = verdicts(judged([-6.0, 6.0] * 6))
    assert "5.6 to 5.6 px" in power
    assert gain.startswith("At 1 % uniform gains 20.0 px over the student that never adapts (95 % interval +20.0")


def test_the_table_has_what_the_sentences_say() -> None:
    table = online_table(judged([-2.0, -4.0] * 6))
    names = [column.name for column in table.columns]
    row = dict(zip(names, table.shown()[0], strict=True))
    assert [row[name] for name in ("strategy", "streams", "difference_px", "p_equivalence")] == [
        "random",
        "12",
        "−3.0 ± 0.7",
        "0.997",
    ]
    assert row["bootstrap_px"].startswith("−3.5 to −2")
    assert float(row["detectable_px"]) == pytest.approx(0.93, abs=0.02)
    assert online_matrix(judged([-2.0, -4.0] * 6)).shown() == [["random", "52.5 ± 2.3"], ["uniform", "55.5 ± 2.3"]]


def test_effects_are_drawn_stream_by_stream() -> None:
    picture = effects_by_stream(judged([-2.0, -4.0] * 6))
    [axes] = picture.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["random at 1 %"]
    assert max(len(line.get_xdata()) for line in axes.lines) == 12
    with pytest.raises(NothingToDraw):
        effects_by_stream(replace(judged([0.0] * 12), baseline="nobody"))


def test_a_study_without_streams_has_no_such_sentences(material: Material) -> None:
    assert verdicts(material) == []
    assert effects(material) == []
