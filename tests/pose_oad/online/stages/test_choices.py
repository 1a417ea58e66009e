"""Every choice of a configuration is built, and sums of several."""

from __future__ import annotations

import pytest

from pose_oad.cli.assembly import make_stage
from pose_oad.cli.command import CONF, compose_config
from pose_oad.online.objectives import WeightedSum
from pose_oad.online.regularisers import RegulariserSum
from pose_oad.online.stage import Stage
from pose_oad.tracking.errors import UserError


@pytest.mark.parametrize("group", ["objective", "regulariser", "average"])
def test_every_choice_is_built(group: str) -> None:
    for choice in sorted(path.stem for path in (CONF / group).glob("*.yaml")):
        node = compose_config("online", [f"{group}={choice}"])[group]
        if choice == "sum":
            with pytest.raises(UserError, match="weights"):
                make_stage(node)
        else:
            assert isinstance(make_stage(node), Stage)


def test_sums_are_composed_by_name() -> None:
    objective, regulariser = "+objective@objective.objectives", "+regulariser@regulariser.regularisers"
    cfg = compose_config("online", [
        "objective=sum", f"{objective}.maps=map_regression", f"{objective}.kl=spatial_kl", "+objective.weights.kl=0.1",
        "regulariser=sum", f"{regulariser}.near=l2_sp", f"{regulariser}.head=last_layers",
        "regulariser.regularisers.near.strength=0.5",
    ])  # fmt: skip
    added, held = make_stage(cfg.objective), make_stage(cfg.regulariser)
    assert isinstance(added, WeightedSum)
    assert isinstance(held, RegulariserSum)
    assert (added.weights, added.foreground) == ({"maps": 1.0, "kl": 0.1}, cfg.training.foreground)
    assert held.regularisers["near"].strength == 0.5  # type: ignore[attr-defined]
    cfg.objective.objectives.kl.tau = 0
    with pytest.raises(UserError, match=r"objective\.objectives\.kl\.tau=0"):
        make_stage(cfg.objective)
