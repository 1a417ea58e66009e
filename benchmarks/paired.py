"""Timing things against each other on a machine that has other work to do."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.figures import Figure

log = logging.getLogger(__name__)


def alternate(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every case once in each round, in an order that turns around from one round to the next.

    A load that comes and goes, a clock that slows down: whatever lasts longer than a round meets all cases alike, and
    drops out of the ratios within rounds. One run of each warms up and is not counted.

    Args:
        cases: by name, something that does its work and returns the seconds that count
        rounds: how many

    Returns:
        The seconds of each case, round by round.
    """
    for name, case in cases.items():
        log.info("  warm-up of %s: %.2f s", name, case())
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in list(cases)[:: 1 if number % 2 == 0 else -1]:
            seconds[name].append(cases[name]())
        taken = ", ".join(f"{name} {seconds[name][-1]:.2f} s" for name in cases)
        log.info("  round %d of %d: %s", number + 1, rounds, taken)
    return seconds


def ratio(name: str, above: Sequence[float], below: Sequence[float], how: str, limit: float | None = None) -> Figure:
    """Divide two series round by round and take the median.

    Args:
        name: of the figure
        above: numerators, one a round
        below: denominators, one a round
        how: what is divided by what
        limit: what the ratio should stay under, if there is such a thing
    """
    samples = tuple(a / b for a, b in zip(above, below, strict=True))
    return Figure(name, statistics.median(samples), "x", how, limit, samples=samples)


def median(name: str, samples: Sequence[float], unit: str, how: str) -> Figure:
    """Make a figure without a limit of the median of some samples."""
    return Figure(name, statistics.median(samples), unit, how, samples=tuple(samples))
