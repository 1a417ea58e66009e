"""Mean and interval over seeds, paired comparison with a baseline, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its confidence interval, NaN with fewer than two values, and their number."""

    mean: float
    half_width: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """A mean difference to a baseline over n pairs, negative where that is larger, and p of the paired t-test."""

    difference: Estimate
    p: float


def estimate(values: Iterable[float], confidence: float) -> Estimate:
    """Estimate a mean of values, one per seed, by Student's t interval; those that are not finite are left out."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return Estimate(finite[0] if finite else math.nan, math.nan, len(finite))
    described = DescrStatsW(np.array(finite))
    low, high = described.tconfint_mean(1 - confidence)
    return Estimate(float(described.mean), float(high - low) / 2, len(finite))


def compare(values: Mapping[str, float], baseline: Mapping[str, float], confidence: float) -> Comparison:
    """Compare two groups of runs, seed by seed, over the seeds that both have.

    With fewer than two of them, difference and p-value are NaN; with differences that are all the same the t statistic
    does not exist, and the p-value is NaN.
    """
    differences = (pd.Series(dict(values), dtype=float) - pd.Series(dict(baseline), dtype=float)).sort_index()
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return Comparison(Estimate(math.nan, math.nan, len(differences)), math.nan)
    p = float(stats.ttest_1samp(differences, 0).pvalue) if np.ptp(differences) > 0 else math.nan
    return Comparison(estimate(differences, confidence), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of one table's comparisons by Holm's method; NaN does not count and stays NaN."""
    p = np.asarray(p_values, dtype=np.float64)
    tested = np.isfinite(p)
    if tested.any():
        p[tested] = multipletests(p[tested], method="holm")[1]
    return p.tolist()
