"""Mean and interval over seeds or streams, paired comparison with a baseline, equivalence, power, Holm's correction.

Values come by unit and seed: the unit is the stream, in which seeds are nested, or without streams the seed. Those of a
unit are averaged first, so that a unit counts once however many seeds it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its confidence interval, NaN with fewer than two values, and their number."""

    mean: float
    half_width: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """A mean difference to a baseline over n units, negative where that is larger, and p of the paired t-test.

    Attributes:
        share: the difference as a share of the baseline
        by_unit: the difference of every unit
    """

    difference: Estimate
    p: float
    share: Estimate = field(default=Estimate(math.nan, math.nan, 0))
    by_unit: pd.Series = field(default_factory=pd.Series, compare=False)


def per_unit(values: Mapping[tuple[str, str], float]) -> pd.Series:
    """Average values by unit and seed over the seeds of each unit; those that are not finite are left out."""
    known = pd.Series({key: value for key, value in values.items() if math.isfinite(value)}, dtype=float)
    return known.groupby(level=0, sort=False).mean()


def estimate(values: Iterable[float], confidence: float) -> Estimate:
    """Estimate a mean of values, one per unit, by Student's t interval; those that are not finite are left out."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return Estimate(finite[0] if finite else math.nan, math.nan, len(finite))
    described = DescrStatsW(np.array(finite))
    low, high = described.tconfint_mean(1 - confidence)
    return Estimate(float(described.mean), float(high - low) / 2, len(finite))


def compare(
    values: Mapping[tuple[str, str], float], baseline: Mapping[tuple[str, str], float], confidence: float
) -> Comparison:
    """Compare two groups of runs, unit by unit, over the units and seeds that both have.

    With fewer than two of them, difference and p-value are NaN; with differences that are all the same the t statistic
    does not exist, and the p-value is NaN.
    """
    shared = sorted(key for key in values if math.isfinite(values[key] - baseline.get(key, math.nan)))
    differences = per_unit({key: values[key] - baseline[key] for key in shared})
    if len(differences) < 2:
        return Comparison(Estimate(math.nan, math.nan, len(differences)), math.nan)
    p = float(stats.ttest_1samp(differences, 0).pvalue) if np.ptp(differences) > 0 else math.nan
    share = differences / per_unit({key: baseline[key] for key in shared})
    return Comparison(estimate(differences, confidence), p, estimate(share, confidence), differences)


def equivalence(differences: pd.Series, bound: float) -> float:
    """Return p of two one-sided t-tests that a mean difference lies within ± bound; NaN where they do not exist."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return math.nan
    return float(DescrStatsW(differences.to_numpy()).ttost_mean(-bound, bound)[0])


def detectable(differences: pd.Series, confidence: float, power: float = 0.8) -> float:
    """Return the mean difference that so many units would show with a power in (0, 1), two-sided, by their spread."""
    effect = TTestPower().solve_power(nobs=len(differences), alpha=1 - confidence, power=power)
    return float(effect * differences.std())


def units_needed(differences: pd.Series, difference: float, confidence: float, power: float = 0.8) -> int:
    """Return how many units would show a mean difference with a power in (0, 1), two-sided, by the spread of these."""
    effect, n = difference / differences.std(), 2
    while n < 100_000 and TTestPower().power(effect, n, 1 - confidence) < power:
        n += max(1, n // 100)
    return n


def bootstrap(differences: pd.Series, confidence: float) -> tuple[float, float]:
    """Return the ends of the bootstrap interval (BCa) of a mean over units, always by the same draws."""
    drawn = stats.bootstrap((differences.to_numpy(),), np.mean, confidence_level=confidence, rng=0)
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of one table's comparisons by Holm's method; NaN does not count and stays NaN."""
    p = np.asarray(p_values, dtype=np.float64)
    tested = np.isfinite(p)
    if tested.any():
        p[tested] = multipletests(p[tested], method="holm")[1]
    return p.tolist()
