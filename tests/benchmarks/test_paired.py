from __future__ import annotations

from benchmarks.paired import alternate, median, ratio


def test_rounds_turn_around_after_a_warm_up_that_does_not_count() -> None:
    calls: list[str] = []

    def case(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    seconds = alternate({name: lambda name=name: case(name) for name in "abc"}, rounds=2)
    assert "".join(calls) == "abc" + "abc" + "cba"
    assert seconds == {"a": [4, 9], "b": [5, 8], "c": [6, 7]}


def test_a_ratio_is_the_median_of_those_within_rounds() -> None:
    # The medians themselves would give 4 / 2.
    figure = ratio("a.ratio", [2.0, 4.0, 40.0], [1.0, 8.0, 2.0], "a / b", limit=2.0)
    assert figure.samples == (2.0, 0.5, 20.0)
    assert figure.value == 2.0
    assert figure.ok


def test_a_median_keeps_its_samples() -> None:
    figure = median("a.seconds", [3.0, 1.0, 2.0], "s", "a")
    assert (figure.value, figure.samples, figure.ok) == (2.0, (3.0, 1.0, 2.0), None)
