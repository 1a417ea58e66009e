from __future__ import annotations

from matplotlib.figure import Figure

from pose_oad.report.style import ASIDE, legend_below, looks


def test_usual_strategies_look_the_same_in_every_report() -> None:
    assert looks(["error", "random"], [])["random"] == looks(["a", "b", "confidence", "random"], ["none"])["random"]


def test_looks_differ_without_colour_too() -> None:
    found = looks(["random", "uniform", "error", "confidence", "k-centre"], ["none", "all"])
    assert len({look.marker for look in found.values()}) == 7
    assert len({look.color for look in found.values()}) == 7
    assert len({str(look.line) for look in list(found.values())[:5]}) == 5
    assert found["none"].line != found["all"].line


def test_a_legend_keeps_the_order_of_series_whatever_their_marks() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.errorbar([1], [1], yerr=[1], label="first")
    axes.plot([1], [1], label=f"second{ASIDE}3.0 px")
    axes.plot([1], [1], label="other")
    legend_below(axes, ["first", "second"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second: 3.0 px", "other"]
