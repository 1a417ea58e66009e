from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as run_length

from datamodules.coco.regions import box_mask, outline_mask, read_outline
from pose_oad.tracking.errors import UserError

SIZE = (6, 4)  # width, height


def _drawn(segmentation: object) -> np.ndarray:
    outline = read_outline(segmentation, SIZE, "annotation 5")
    assert outline is not None
    return outline_mask(outline, SIZE, "annotation 5")


def test_run_lengths_go_down_the_columns() -> None:
    # Column 0 is empty, of column 1 the lower half is inside, then nothing.
    plain = {"size": [4, 6], "counts": [6, 2, 16]}
    wanted = np.zeros((4, 6), np.uint8)
    wanted[2:, 1] = 1
    assert np.array_equal(_drawn(plain), wanted)
    packed = run_length.encode(np.asfortranarray(wanted))
    assert np.array_equal(_drawn({"size": [4, 6], "counts": packed["counts"].decode()}), wanted)


def test_polygons_are_filled() -> None:
    wanted = np.zeros((4, 6), np.uint8)
    wanted[1:3, 2:5] = 1
    assert np.array_equal(_drawn([[2, 1, 4.2, 1, 4, 2, 2, 1.9]]), wanted)


def test_boxes_stay_inside_the_image() -> None:
    assert box_mask((4.5, 2.5, 100, 100), SIZE).nonzero()[0].tolist() == [2, 2, 3, 3]
    assert box_mask((-10, -10, 11, 11), SIZE).sum() == 1
    assert not box_mask((-10, -10, 5, 5), SIZE).any()


def test_nothing_is_no_outline() -> None:
    for empty in (None, [], {}):
        assert read_outline(empty, SIZE, "annotation 5") is None


@pytest.mark.parametrize(
    "segmentation",
    [
        "all of it",
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, None]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, 1e300]],
        [[1, 2, [3], 4, 5, 6]],
        [5],
        {"size": [6, 4], "counts": [24]},
        {"size": [4, 6], "counts": [23]},
        {"size": [4, 6], "counts": [-2, 26]},
        {"size": [4, 6], "counts": [24.0]},
        {"size": [4, 6], "counts": None},
        {"counts": [24]},
    ],
    ids=str,
)
def test_what_is_no_outline_is_refused(segmentation: Any) -> None:
    with pytest.raises(UserError, match=r"annotation 5: segmentation: .*6 by 4 px"):
        read_outline(segmentation, SIZE, "annotation 5")


@pytest.mark.parametrize("counts", ["ooooooooooo", "é", "62", ""])
def test_damaged_run_lengths_are_refused(counts: str) -> None:
    with pytest.raises(UserError, match=r"annotation 5: (run lengths|segmentation)"):
        _drawn({"size": [4, 6], "counts": counts})
