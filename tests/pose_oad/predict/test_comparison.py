from __future__ import annotations

import io
import math

from rich.console import Console

from pose_oad.predict.comparison import best_of, comparison_table, without_nan

NAN = math.nan
FIGURES = {
    "a.ckpt": {"mpjpe_px": 12.34, "mpjpe_px/joint/left_hip": NAN, "pck_3px": 0.5, "detection_rate": 1.0},
    "b.onnx": {"mpjpe_px": 10.0, "mpjpe_px/joint/left_hip": 3.0, "pck_3px": 0.25, "detection_rate": 1.0},
}


def test_px_are_better_when_small_and_shares_when_large() -> None:
    assert best_of("mpjpe_px/joint/left_hip", [4.0, 3.0, NAN]) == 3
    assert best_of("pck_3px", [0.4, 0.3]) == 0.4
    assert math.isnan(best_of("AP", [0.5, 0.5]))
    assert math.isnan(best_of("AP", [NAN, NAN]))


def rows(figures: dict[str, dict[str, float]]) -> list[list[str]]:
    text = io.StringIO()
    Console(file=text, width=100).print(comparison_table(figures, "title"))
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.getvalue().splitlines() if "│" in line]


def test_the_best_of_each_row_is_starred() -> None:
    assert rows(FIGURES) == [
        ["mpjpe_px", "12.3", "10.0 *"],
        ["mpjpe_px/joint/left_hip", "–", "3.0"],
        ["pck_3px", "0.500 *", "0.250"],
        ["detection_rate", "1.000", "1.000"],
    ]
    assert rows({"a": {"mpjpe_px": 9.96}, "b": {"mpjpe_px": 10.04}, "c": {"mpjpe_px": 11.0}}) == [
        ["mpjpe_px", "10.0 *", "10.0 *", "11.0"]
    ]
    assert rows({"a": {"mpjpe_px": 9.96}, "b": {"mpjpe_px": 10.04}}) == [["mpjpe_px", "10.0", "10.0"]]
    assert rows({"a.ckpt": {"AP": 0.5}}) == [["AP", "0.500"]]


def test_several_checkpoints_are_numbered_and_nothing_is_cut_at_80_columns() -> None:
    text, names = io.StringIO(), [f"runs/online/{number:032x}/student" for number in range(5)]
    figures = {name: {"mpjpe_px/subject/S1/action/TakingPhoto": 12.3, "pck_02_torso": 0.5} for name in names}
    Console(file=text, width=80).print(comparison_table(figures, "title"))
    assert "…" not in text.getvalue()
    assert text.getvalue().count("12.3") == 5
    for number, name in enumerate(names, start=1):
        assert f"{number} {name}" in text.getvalue()


def test_brackets_in_names_are_shown() -> None:
    text = io.StringIO()
    Console(file=text, width=100).print(comparison_table({"[old]/a.ckpt": {"AP": 0.5}}, "2 images of [/a]"))
    assert "[old]/a.ckpt" in text.getvalue()
    assert "2 images of [/a]" in text.getvalue()


def test_an_undefined_figure_is_null_in_a_file() -> None:
    written = without_nan({"checkpoints": [{"name": "a", "figures": FIGURES["a.ckpt"]}], "frames": 3})
    assert written["checkpoints"][0]["figures"] == FIGURES["a.ckpt"] | {"mpjpe_px/joint/left_hip": None}
    assert (written["checkpoints"][0]["name"], written["frames"]) == ("a", 3)
