from __future__ import annotations

from dataclasses import replace

import pytest

from pose_oad.report.against import error_against_setting, value_places, varied_settings
from pose_oad.report.material import Material
from pose_oad.report.pictures import NothingToDraw, at_one_condition


@pytest.fixture
def windows(material: Material) -> Material:
    """The groups of 10 % three times over, with windows of 6, 3 and 60 s; the reference with 3 s only."""
    groups = [group for group in material.online if group.rate in (0.1, None)]
    return replace(
        material,
        online=tuple(
            replace(group, setting=(("window.seconds", seconds), ("strategy.min_gap", "2")))
            for seconds in ("6.0", "3.0", "60.0")
            for group in groups
            if not group.is_reference or seconds == "3.0"
        ),
    )


def test_numbers_have_their_place_and_names_stand_side_by_side() -> None:
    assert value_places(["6.0", "30.0", "6.0"]) == {"6.0": 6.0, "30.0": 30.0}
    assert value_places(["small", "resnet18", "small"]) == {"small": 0.0, "resnet18": 1.0}


def test_a_line_per_label_in_rising_order(windows: Material) -> None:
    assert varied_settings(windows.online) == ["window.seconds"]
    picture = error_against_setting(windows, "window.seconds")
    axes = picture.figure.axes[0]
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["error, min_gap 2", "random, min_gap 2", "never adapted, min_gap 2"]
    assert axes.lines[0].get_xdata().tolist() == [3.0, 6.0, 60.0]
    assert axes.get_xscale() == "log"
    assert picture.title == "Error against seconds at 10 %"


def test_one_value_is_no_axis(windows: Material) -> None:
    one = tuple(group for group in windows.online if dict(group.setting)["window.seconds"] == "6.0")
    with pytest.raises(NothingToDraw, match=r"window\.seconds"):
        error_against_setting(replace(windows, online=one), "window.seconds")


def test_other_figures_show_the_setting_that_most_groups_have(windows: Material) -> None:
    groups, sentence = at_one_condition(windows.online)
    assert [group.name for group in groups] == ["error, min_gap 2", "random, min_gap 2", "never adapted, min_gap 2"]
    assert sentence == " Shown where seconds is 3.0; the tables have the rest."
    assert at_one_condition(groups) == (groups, "")
    assert len(at_one_condition(windows.online, free="window.seconds")[0]) == 7
