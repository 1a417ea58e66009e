"""What a study over streams has found, in sentences, and its effects stream by stream as a forest plot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pose_oad.report.groups import Group, baseline_of, compare_all
from pose_oad.report.layout import show
from pose_oad.report.material import Material
from pose_oad.report.pictures import NothingToDraw, Picture
from pose_oad.report.statistics import Comparison, detectable, equivalence, estimate, holm, units_needed
from pose_oad.report.style import new_axes


@dataclass(frozen=True)
class Effect:
    """What a group's difference to its baseline comes to.

    Attributes:
        p: of the difference, corrected by Holm's method
    """

    group: Group
    baseline: Group
    found: Comparison
    p: float


def effects(material: Material) -> list[Effect]:
    """Compare every online group of a study over streams with its baseline, at the lowest rates first."""
    if material.unit != "streams":
        return []
    groups = material.online
    compared = compare_all(groups, material.error, material.baseline, material.confidence)
    adjusted = holm([float("nan") if found is None else found.p for found in compared])
    partners = [baseline_of(group, groups, material.baseline) for group in groups]
    found = [
        Effect(group, partner, comparison, p)
        for group, partner, comparison, p in zip(groups, partners, compared, adjusted, strict=True)
        if comparison is not None and partner is not None
    ]
    return sorted(found, key=lambda effect: effect.group.rate or 0.0)


def verdicts(material: Material) -> list[str]:
    """Say what was found, a sentence per comparison: better or worse, not to be told apart, or not decided."""
    found = effects(material)
    sentences = [verdict(effect, material.bound, material.confidence) for effect in found]
    spread = [effect.found.by_unit for effect in found if effect.found.difference.n > 1]
    if spread:
        seen = sorted(detectable(differences, material.confidence) for differences in spread)
        sentences.append(
            f"Power: such comparisons find a true difference of {seen[0]:.1f} to {seen[-1]:.1f} px, depending on the "
            "strategy, four times in five, before correction for their number."
        )
    return [*sentences, *_gains(material)]


def verdict(effect: Effect, bound: float | None, confidence: float) -> str:
    """Say what one comparison comes to; differences up to ``bound``, px, are none that matter."""
    found, n = effect.found, effect.found.difference.n
    at = f"At {100 * effect.group.rate:.4g} %" if effect.group.rate is not None else "Without a rate"
    name, baseline = effect.group.name, effect.baseline.label
    if n < 2:
        return f"{at} {name} and {baseline} were compared on {n} stream{'s' * (n != 1)}, which decides nothing."
    mean, width = found.difference.mean, found.difference.half_width
    interval = f"{100 * confidence:g} % interval {_interval(-mean, width)} px; {n} streams"
    alpha = 1 - confidence
    if effect.p < alpha:
        better = "beats" if mean < 0 else "loses to"
        small = bound is not None and abs(mean) + width < bound
        within = f", less than the {bound:g} px that were to matter" if small else ""
        said = (
            f"{at} {name} {better} {baseline} by {abs(mean):.1f} px ({100 * abs(found.share.mean):.0f} %; {interval})"
        )
        return f"{said}{within}{_calls(effect)}."
    if bound is not None and equivalence(found.by_unit, bound) < alpha:
        narrow = (
            f"{100 - 200 * alpha:g} % interval {_interval(-mean, estimate(found.by_unit, 1 - 2 * alpha).half_width)}"
        )
        said = f"{at} {name} and {baseline} cannot be told apart within ±{bound:g} px ({narrow} px; {n} streams)"
        return f"{said}{_calls(effect)}."
    said = f"{at} it is not decided whether {name} is better or worse than {baseline}: {interval}"
    if bound is not None and np.ptp(found.by_unit) > 0:
        needed = units_needed(found.by_unit, bound, confidence)
        said += f"; to see a difference of {bound:g} px, {max(needed, n + 1)} streams would be needed"
    return f"{said}{_calls(effect)}."


def _interval(gain: float, width: float) -> str:
    """Phrase an interval of px by which the baseline's error is larger."""
    return f"{show(gain - width, 'signed')} to {show(gain + width, 'signed')}"


def _calls(effect: Effect) -> str:
    """Say how many labels were used where it is not as many as the baseline's."""
    share = effect.group.estimate("teacher_calls").mean / (effect.baseline.estimate("teacher_calls").mean or np.nan)
    return f", with {100 * share:.0f} % of its teacher calls" if abs(share - 1) > 0.05 else ""


def _gains(material: Material) -> Iterator[str]:
    """Say how much the baseline gains over the student that never adapts."""
    for group in material.online:
        gain = material.estimate(group, "gain_px")
        if group.label == material.baseline and group.rate is not None and gain.n > 1 and material.unit == "streams":
            interval = f"{100 * material.confidence:g} % interval {_interval(gain.mean, gain.half_width)} px"
            gained = f"gains {gain.mean:.1f} px over the student that never adapts"
            yield f"At {100 * group.rate:.4g} % {group.name} {gained} ({interval}; {gain.n} streams)."


def effects_by_stream(material: Material) -> Picture:
    """Draw the difference to the baseline: a point per stream, and the mean with its interval, a row per comparison."""
    rows = [effect for effect in effects(material) if effect.found.difference.n > 1]
    if not rows:
        raise NothingToDraw("no strategy and baseline share two streams")
    axes = new_axes(height=1.6 + 0.3 * len(rows), width=9.0)
    if material.bound is not None:
        axes.axvspan(-material.bound, material.bound, color="0.93", zorder=0, label="counts as no difference")
    axes.axvline(0, color="0.4", linewidth=0.8)
    for y, effect in enumerate(rows):
        differences, mean = effect.found.by_unit, effect.found.difference
        axes.plot(differences, np.full(len(differences), y), "o", color="#56B4E9", markersize=3.5, alpha=0.8)
        axes.errorbar(mean.mean, y, xerr=mean.half_width, fmt="D", color="black", markersize=5, capsize=3)
    axes.set_yticks(range(len(rows)), [effect.group.full_name for effect in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel=f"difference to {material.baseline}, px (left is better)", title="Effects over streams")
    caption = (
        f"Points: streams, the mean over seeds of each. Diamonds: their mean with the {100 * material.confidence:g} % "
        "interval, not corrected for the number of comparisons."
    )
    return Picture.of("effects_by_stream", axes, (), caption)
