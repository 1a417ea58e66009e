"""A trial is given up only where a student that never learns does better."""

from __future__ import annotations

import math

import optuna
import pytest

from pose_oad.studies.pruning import ErrorCurve, is_hopeless, never_adapted

POINT = ("strategy=random", "rate=0.1")


def curve(*windows: tuple[int, float]) -> ErrorCurve:
    made = ErrorCurve()
    for frames, error in windows:
        made.add(frames, error)
    return made


def test_the_mean_so_far_weighs_windows_by_their_frames() -> None:
    made = curve((10, 4.0), (30, 8.0), (10, math.nan), (50, 1.0))
    assert made.frames == [10, 40, 50, 100]
    assert made.errors == pytest.approx([4.0, 7.0, 7.0, (7 * 50 + 50) / 100])


def test_a_beginning_without_anything_measured_is_unknown() -> None:
    made = curve((10, math.nan), (10, 6.0))
    assert math.isnan(made.errors[0])
    assert made.errors[1] == 6.0


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([(20, 99.0)], False),  # too early
        ([(50, 22.0)], True),  # 20 px at frame 50: 22 is more than 5 % worse
        ([(50, 20.5)], False),
        ([(40, 10.0), (20, 60.0)], True),  # mean 26.7 at frame 60
        ([(100, 99.0)], False),  # the stream has ended: nothing to be saved
        ([(50, math.nan)], False),
    ],
)
def test_hopeless_is_worse_than_never_learning(windows: list[tuple[int, float]], expected: bool) -> None:
    reference = curve((25, 10.0), (50, 25.0), (25, 20.0)).plain()  # 10 px to frame 25, 20 px to frame 75 and 100
    assert reference["errors"] == pytest.approx([10, 20, 20])
    reference = {"frames": [25, 50, 100], "errors": [10, 20, 20]}
    assert is_hopeless(curve(*windows), reference) is expected


def test_the_reference_is_the_one_of_the_same_seeds() -> None:
    study = optuna.create_study()
    for strategy, seed in (("random", 0), ("none", 1), ("none", 0)):
        attributes = {"overrides": [f"strategy={strategy}"], "seeds": [seed], "curves": [{"seed": seed}]}
        study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs=attributes))
    assert never_adapted(study, (0,), POINT) == {"seed": 0}
    assert never_adapted(study, (1,), POINT) == {"seed": 1}
    assert never_adapted(study, (2,), POINT) is None
    salvaged = {"overrides": ["strategy=none"], "seeds": [3]}  # of a worker that died before it could tell the curve
    study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs=salvaged))
    assert never_adapted(study, (3,), POINT) is None


@pytest.mark.parametrize("other", ["predictor=teacher", "checkpoint=finetuned.ckpt", "student=resnet18"])
def test_the_reference_is_the_trials_own_student_and_nobody_else(other: str) -> None:
    study = optuna.create_study()
    for overrides, name in ((["strategy=none", other], "other"), (["strategy=none"], "frozen")):
        attributes = {"overrides": overrides, "seeds": [0], "curves": [{"who": name}]}
        study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs=attributes))
    assert never_adapted(study, (0,), POINT) == {"who": "frozen"}
    assert never_adapted(study, (0,), (*POINT, other)) == {"who": "other"}
