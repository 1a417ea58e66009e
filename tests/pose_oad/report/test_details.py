from __future__ import annotations

from dataclasses import replace

import pytest

from pose_oad.report.ledgers import error_by_joint, selection_strip
from pose_oad.report.material import Material
from pose_oad.report.pictures import NothingToDraw


def test_bars_are_means_over_seeds_in_the_skeleton_s_order(material: Material) -> None:
    axes = error_by_joint(material).figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["left\nshoulder", "left\nwrist"]
    heights = {
        bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers if bars.get_label()[0] != "_"
    }
    assert heights == {"error": [54.0, 64.0], "random": [51.0, 61.0], "never adapted": [61.0, 71.0]}


def test_strip_shows_the_chosen_frames_of_one_seed(material: Material) -> None:
    picture = selection_strip(material)
    axes = picture.figure.axes[0]
    assert picture.title == "Frames chosen at 1 %, seed 0"
    # A student that is never adapted has chosen nothing and gets no row.
    assert [label.get_text() for label in axes.get_yticklabels()] == ["error", "random"]
    assert [collection.get_positions() for collection in axes.collections[:2]] == [[0.0, 100.0, 200.0]] * 2
    assert "Light lines: windows" in picture.caption


def test_without_data_there_is_nothing_to_draw(material: Material) -> None:
    with pytest.raises(NothingToDraw, match="chosen frames"):
        selection_strip(replace(material, ledger=lambda run: []))
    with pytest.raises(NothingToDraw, match="online"):
        selection_strip(replace(material, online=()))
    with pytest.raises(NothingToDraw, match="teacher_distance_px"):
        error_by_joint(replace(material, error="teacher_distance_px"))
