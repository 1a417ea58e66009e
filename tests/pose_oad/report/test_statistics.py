from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pose_oad.report.statistics import (
    bootstrap,
    compare,
    detectable,
    equivalence,
    estimate,
    holm,
    per_unit,
    units_needed,
)


def by_seed(values: dict[str, float]) -> dict[tuple[str, str], float]:
    """Values of units of one seed each."""
    return {(name, name): value for name, value in values.items()}


def test_interval_of_three_values_by_hand() -> None:
    # mean 4, sample standard deviation 2, standard error 2 / sqrt(3); t(2, 0.975) = 4.3027
    found = estimate([2.0, 4.0, 6.0], 0.95)
    assert found.mean == 4.0
    assert found.half_width == pytest.approx(4.302653 * 2 / math.sqrt(3), rel=1e-6)
    assert found.n == 3


def test_a_lower_level_gives_a_narrower_interval() -> None:
    # t(2, 0.75) = 0.8165
    assert estimate([2.0, 4.0, 6.0], 0.5).half_width == pytest.approx(0.816497 * 2 / math.sqrt(3), rel=1e-5)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    one, none = estimate([3.0], 0.95), estimate([], 0.95)
    assert (one.mean, one.n) == (3.0, 1)
    assert math.isnan(one.half_width)
    assert math.isnan(none.mean)
    assert none.n == 0


def test_values_that_are_not_finite_do_not_count() -> None:
    assert estimate([1.0, math.nan, 3.0, math.inf], 0.95).n == 2
    assert estimate([1.0, math.nan, 3.0, math.inf], 0.95).mean == 2.0


def test_pairs_are_formed_by_seed_whatever_the_order() -> None:
    # differences of seeds a, b, c: 1, 2, 3; t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom
    found = compare(
        by_seed({"c": 13.0, "a": 2.0, "b": 7.0, "alone": 99.0}), by_seed({"a": 1.0, "b": 5.0, "c": 10.0}), 0.95
    )
    assert found.difference.mean == pytest.approx(2.0)
    assert found.difference.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert found.difference.n == 3
    assert found.p == pytest.approx(2 * stats.t.sf(math.sqrt(12), 2))


def test_pairing_removes_what_seeds_share() -> None:
    shared = {"a": 0.0, "b": 100.0, "c": 200.0}
    better = {"a": -1.0, "b": 98.5, "c": 199.2}
    assert compare(by_seed(better), by_seed(shared), 0.95).p < 0.05
    assert stats.ttest_ind(list(better.values()), list(shared.values())).pvalue > 0.9


@pytest.mark.parametrize("baseline", [{}, {"a": 1.0}, {"a": 1.0, "b": math.nan}])
def test_fewer_than_two_pairs_are_no_comparison(baseline: dict[str, float]) -> None:
    found = compare(by_seed({"a": 2.0, "b": 3.0}), by_seed(baseline), 0.95)
    assert math.isnan(found.difference.mean)
    assert math.isnan(found.p)
    assert found.difference.n == min(1, len(baseline))


def test_equal_differences_have_a_mean_but_no_p_value() -> None:
    found = compare(by_seed({"a": 2.0, "b": 3.0}), by_seed({"a": 1.0, "b": 2.0}), 0.95)
    assert found.difference.mean == 1.0
    assert math.isnan(found.p)


def test_holm_by_hand() -> None:
    # sorted: 0.01 x 4 = 0.04, 0.02 x 3 = 0.06, 0.03 x 2 = 0.06, 0.9 x 1 = 0.9
    assert holm([0.03, 0.9, 0.01, 0.02]) == pytest.approx([0.06, 0.9, 0.04, 0.06])


def test_holm_stops_at_one_and_does_not_count_what_was_not_tested() -> None:
    found = holm([0.6, math.nan, 0.7])
    assert [found[0], found[2]] == [1.0, 1.0]
    assert np.isnan(found[1])
    assert holm([0.04, math.nan]) == pytest.approx([0.04, math.nan], nan_ok=True)
    assert holm([]) == []


def test_a_unit_counts_once_however_many_seeds_it_has() -> None:
    values = {("a", "0"): 1.0, ("a", "1"): 3.0, ("b", "0"): 10.0, ("b", "1"): math.nan}
    assert per_unit(values).to_dict() == {"a": 2.0, "b": 10.0}
    # Differences: a is 1 and 3 - 2, on average 1; b is 10 - 5. As a share of 1.5 and 5: 2/3 and 1.
    found = compare(values, {("a", "0"): 0.0, ("a", "1"): 2.0, ("b", "0"): 5.0}, 0.95)
    assert found.by_unit.to_dict() == {"a": 1.0, "b": 5.0}
    assert found.share.mean == pytest.approx((1 / 1 + 5 / 5) / 2)


def test_equivalence_by_hand() -> None:
    # mean 0, standard error 1 / 2 over 4 units: t = 2 / .5 = 4 on both sides, 3 degrees of freedom
    differences = pd.Series([-1.0, 1.0, -0.5, 0.5]) * math.sqrt(3 / 2.5)
    assert equivalence(differences, 2.0) == pytest.approx(stats.t.sf(4, 3))
    assert math.isnan(equivalence(pd.Series([1.0, 1.0]), 2.0))


def test_power_by_hand() -> None:
    # Cohen's table: 34 pairs find half a standard deviation with 80 % power, two-sided at 5 %.
    unit = pd.Series([-1.0, 1.0] * 17)
    unit /= unit.std()
    assert units_needed(unit, 0.5, 0.95) == 34
    assert detectable(unit, 0.95) == pytest.approx(0.495, abs=0.005)


def test_the_bootstrap_draws_the_same_again() -> None:
    differences = pd.Series([-3.0, -1.0, -2.0, -4.0, -2.5])
    low, high = bootstrap(differences, 0.95)
    assert -4 < low < -2.5 < high < -1
    assert bootstrap(differences, 0.95) == (low, high)
