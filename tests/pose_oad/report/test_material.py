from __future__ import annotations

from dataclasses import replace

import pytest

from pose_oad.report.material import Material, error_title, gather
from pose_oad.report.store import Selection
from pose_oad.tracking.errors import UserError


def test_an_unknown_error_names_the_nearest_one(selection: Selection) -> None:
    with pytest.raises(UserError, match=r"error=mpjp_px: .*'mpjpe_px'"):
        gather(selection, "mpjp_px", "random", 0.95, lambda run: [])


def test_errors_of_fine_tuning_go_by_the_same_name(selection: Selection) -> None:
    only = Selection(tuple(selection.of_kind("finetune")))
    assert gather(only, "mpjpe_px", "random", 0.95, lambda run: []).online == ()


@pytest.mark.parametrize(
    ("error", "window_error", "title"),
    [
        ("mpjpe_px", "mpjpe_px", "MPJPE, px"),
        ("mpjpe_last_third_px", "mpjpe_px", "MPJPE, last third, px"),
        ("teacher_distance_second_half_px", "teacher_distance_px", "distance to the teacher, second half, px"),
    ],
)
def test_parts_of_the_stream_belong_to_one_error(material: Material, error: str, window_error: str, title: str) -> None:
    assert replace(material, error=error).window_error == window_error
    assert error_title(error) == title


def test_the_lowest_strategy_is_named_and_references_do_not_compete(material: Material) -> None:
    # 45 + (0 + 1 + 2) / 3, interval 4.3027 / sqrt(3)
    assert material.lowest(material.online, "mpjpe_px") == (
        "Lowest mean among the strategies: random at 10 %, 46.0 ± 2.5 px."
    )
    assert material.lowest([g for g in material.online if g.is_reference], "mpjpe_px") == ""
    assert material.lowest(material.online, "unknown_px") == ""


def test_runs_that_were_played_twice_are_named_with_both_errors(material: Material) -> None:
    assert material.superseded_text() == ""
    first, second, _ = material.online[0].runs
    twice = replace(material, superseded=((first, second),))
    for said in (first.run_id[:8], second.run_id[:8], f"{first.final('mpjpe_px'):.1f} px", "error, seed 0", "1 super"):
        assert said in twice.superseded_text()
