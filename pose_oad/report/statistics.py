"""Mean and interval over seeds, paired comparison with a baseline, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its confidence interval.

    Attributes:
        mean: NaN without a value
        half_width: in the unit of the mean; NaN with fewer than two values
        n: how many values there were
    """

    mean: float
    half_width: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """A paired comparison with a baseline.

    Attributes:
        difference: mean difference to the baseline, negative where the baseline is larger; ``n`` counts the pairs
        p: two-sided p-value of the paired t-test; NaN where it does not exist
    """

    difference: Estimate
    p: float


def estimate(values: Iterable[float], confidence: float) -> Estimate:
    """Estimate a mean by Student's t interval.

    Args:
        values: one per seed; those that are not finite are left out
        confidence: level of the interval, in (0, 1)

    Returns:
        The mean and t(n - 1, (1 + confidence) / 2) * s / sqrt(n), s being the sample standard deviation.
    """
    finite = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    n = len(finite)
    if n < 2:
        return Estimate(float(finite[0]) if n else math.nan, math.nan, n)
    half_width = stats.t.ppf((1 + confidence) / 2, n - 1) * stats.sem(finite)
    return Estimate(float(finite.mean()), float(half_width), n)


def compare(values: Mapping[str, float], baseline: Mapping[str, float], confidence: float) -> Comparison:
    """Compare two groups of runs, seed by seed.

    Args:
        values: the value of each seed
        baseline: the baseline's value of each seed
        confidence: level of the interval of the difference, in (0, 1)

    Returns:
        The comparison over the seeds that both have. With fewer than two of them, difference and p-value are NaN; with
        differences that are all the same the t statistic does not exist, and the p-value is NaN.
    """
    seeds = sorted(
        seed
        for seed in values.keys() & baseline.keys()
        if math.isfinite(values[seed]) and math.isfinite(baseline[seed])
    )
    if len(seeds) < 2:
        return Comparison(Estimate(math.nan, math.nan, len(seeds)), math.nan)
    ours = np.array([values[seed] for seed in seeds], dtype=np.float64)
    theirs = np.array([baseline[seed] for seed in seeds], dtype=np.float64)
    difference = estimate(ours - theirs, confidence)
    p = float(stats.ttest_rel(ours, theirs).pvalue) if np.ptp(ours - theirs) > 0 else math.nan
    return Comparison(difference, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method (Holm, Scand. J. Statist. 6, 1979).

    Args:
        p_values: of the comparisons of one table; NaN where a comparison was not possible, which does not count

    Returns:
        Adjusted p-values in the same order: the i-th smallest of m becomes the largest of (m - j + 1) p_j over j ≤ i,
        at most 1. NaN stays NaN.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted.tolist()
