"""The lists of strategies and triggers are made from the code."""

from __future__ import annotations

import pytest

from pose_oad.cli.command import CONF, compose_config
from pose_oad.cli.strategies import main
from pose_oad.tracking.errors import UserError


def test_every_strategy_and_trigger_is_listed_with_source_and_cost() -> None:
    strategies, triggers = main(compose_config("strategies"))
    rows = {row[0]: row for row in strategies.rows}
    assert set(rows) == {path.stem for path in (CONF / "strategy").glob("*.yaml")}
    assert len(rows) - len({"all", "none", "oracle"}) >= 20
    assert len(triggers.rows) >= 9
    assert rows["badge"][2:] == ("BADGE, Ash et al., arXiv 1906.03671, on maps", "costly")
    # Its usual features take a forward pass; poses are there already.
    assert [rows[name][3] for name in ("k_centre", "coverage", "uniform")] == ["costly", "", ""]
    assert [name for name, row in rows.items() if not row[2]] == ["all", "none", "oracle"]
    assert {row[0]: row[2] for row in triggers.rows}["jitnet"] == "JITNet, arXiv 1812.02699"


def test_what_cannot_be_listed_is_refused() -> None:
    with pytest.raises(UserError, match=r"kinds"):
        main(compose_config("strategies", ["kinds=[students]"]))
