from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pose_oad.report.statistics import compare, estimate, holm


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
    found = compare({"c": 13.0, "a": 2.0, "b": 7.0, "alone": 99.0}, {"a": 1.0, "b": 5.0, "c": 10.0}, 0.95)
    assert found.difference.mean == pytest.approx(2.0)
    assert found.difference.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert found.difference.n == 3
    assert found.p == pytest.approx(2 * stats.t.sf(math.sqrt(12), 2))


def test_pairing_removes_what_seeds_share() -> None:
    shared = {"a": 0.0, "b": 100.0, "c": 200.0}
    better = {"a": -1.0, "b": 98.5, "c": 199.2}
    assert compare(better, shared, 0.95).p < 0.05
    assert stats.ttest_ind(list(better.values()), list(shared.values())).pvalue > 0.9


@pytest.mark.parametrize("baseline", [{}, {"a": 1.0}, {"a": 1.0, "b": math.nan}])
def test_fewer_than_two_pairs_are_no_comparison(baseline: dict[str, float]) -> None:
    found = compare({"a": 2.0, "b": 3.0}, baseline, 0.95)
    assert math.isnan(found.difference.mean)
    assert math.isnan(found.p)
    assert found.difference.n == min(1, len(baseline))


def test_equal_differences_have_a_mean_but_no_p_value() -> None:
    found = compare({"a": 2.0, "b": 3.0}, {"a": 1.0, "b": 2.0}, 0.95)
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
