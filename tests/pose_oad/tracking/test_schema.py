from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pose_oad.tracking.errors import RefusedError, UserError, require
from pose_oad.tracking.schema import Count, Share, build_options, check_value


@dataclass(frozen=True)
class Inner:
    size: tuple[Count, Count] | None = None
    mean: float = 0.0


@dataclass(frozen=True)
class Outer:
    rate: Share
    inner: Inner = Inner()
    names: Sequence[str] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)
    tool: range | None = None  # of a type that no configuration holds


def test_plain_values_become_what_the_types_say() -> None:
    made = build_options(Outer, {"rate": 1, "inner": {"size": [3, 4], "mean": 2}, "names": ["a"]}, tool=range(3))
    assert made == Outer(1.0, Inner((3, 4), 2.0), ["a"], tool=range(3))
    assert type(made.rate) is type(made.inner.mean) is float


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rate": "0.5"}, "node.rate=0.5: expected a number, at least 0, at most 1"),
        ({"rate": True}, "node.rate=True: expected a number, at least 0, at most 1"),
        ({"rat": 1}, "node.rat=1: unknown key; did you mean 'rate'?"),
        ({"names": ["a"]}, "node.rate: missing, and there is no default"),
        ({"inner": {"sise": 3}}, "node.inner.sise=3: unknown key; did you mean 'size'?"),
        ({"inner": {"mean": [0]}}, "node.inner.mean=[0]: expected a number"),
        ({"names": "ab"}, "node.names=ab: expected a list of text"),
        ({"parts": {"a": {1, 2}}, "rate": 3}, "node.rate=3: expected a number, at least 0, at most 1"),
        ([1], "node=[1]: expected keys and values"),
    ],
)
def test_what_is_refused_is_named_in_one_line(values: Any, said: str) -> None:
    with pytest.raises(UserError) as caught:
        build_options(Outer, values, "node")
    assert str(caught.value) == said


@dataclass
class Range:
    """Two numbers, of which one cannot be before the other."""

    low: int
    high: int

    def __post_init__(self) -> None:
        require(self.low <= self.high, "high", self.high, f"at least {self.low}")


@dataclass
class Holder:
    """Something with a range."""

    range: Range


def test_what_an_object_refuses_is_named_by_the_key_that_it_does_not_know() -> None:
    with pytest.raises(RefusedError, match=r"^high=1: expected at least 2$"):
        Range(2, 1)
    with pytest.raises(UserError, match=r"^node\.high=1: expected at least 2$"):
        build_options(Range, {"low": 2, "high": 1}, "node")
    with pytest.raises(UserError, match=r"^node\.range\.high=1: expected at least 2$"):
        build_options(Holder, {"range": {"low": 2, "high": 1}}, "node")


def test_what_no_configuration_holds_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (endless, {(1, 2): 3}, b"3", object()):
        with pytest.raises(UserError, match=r"^rate"):
            check_value(Share, value, "rate")
