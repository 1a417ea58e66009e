from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from pose_oad.poses.maps.peaks import find_peaks


def test_peaks_of_a_hand_made_map() -> None:
    maps = torch.zeros(1, 2, 9, 9)
    maps[0, 0, 2, 2], maps[0, 0, 2, 4] = 0.5, 0.9  # two cells apart: one peak
    maps[0, 0, 8, 0] = 0.7  # in a corner
    maps[0, 1, 4, 4], maps[0, 1, 0, 8] = 0.1, 0.05  # not above the threshold
    peaks = find_peaks(maps, threshold=0.1, most=5)
    assert peaks.map.tolist() == [0, 0]
    assert peaks.rank.tolist() == [0, 1]
    np.testing.assert_allclose(peaks.score, [0.9, 0.7], rtol=1e-6)
    assert (np.floor(peaks.y).tolist(), np.floor(peaks.x).tolist()) == ([2, 8], [4, 0])


def test_agrees_with_max_pooling() -> None:
    maps = torch.rand(3, 4, 20, 24, generator=torch.Generator().manual_seed(0))
    expected = (maps == max_pool2d(maps, 5, 1, 2)) & (maps > 0.5)
    peaks = find_peaks(maps, threshold=0.5, most=1000)
    assert len(peaks.map) == expected.sum()
    assert np.bincount(peaks.map, minlength=12).tolist() == expected.sum((2, 3)).flatten().tolist()
    assert sorted(peaks.score.tolist()) == sorted(maps[expected].tolist())


def test_plateau_is_one_peak() -> None:
    maps = torch.zeros(1, 1, 9, 9)
    maps[0, 0, 3:5, 3:6] = 1.0
    peaks = find_peaks(maps, threshold=0.1, most=5)
    assert (peaks.y.tolist(), peaks.x.tolist()) == ([4.0], [4.0])  # from cell (3, 3) half a cell towards its equals


def test_keeps_the_strongest_of_each_map() -> None:
    maps = torch.zeros(2, 1, 9, 30)
    maps[0, 0, 4, 2::6] = torch.tensor([0.3, 0.9, 0.5, 0.7, 0.4])
    maps[1, 0, 4, 5] = 0.2
    peaks = find_peaks(maps, threshold=0.1, most=2)
    assert peaks.map.tolist() == [0, 0, 1]
    np.testing.assert_allclose(peaks.score, [0.9, 0.7, 0.2], rtol=1e-6)
    assert peaks.rank.tolist() == [0, 1, 0]


def test_nan_is_no_peak() -> None:
    maps = torch.zeros(1, 2, 9, 9)
    maps[0, 0] = float("nan")
    maps[0, 1, 4, 4], maps[0, 1, 5, 4] = 0.8, float("nan")
    peaks = find_peaks(maps, threshold=0.1, most=5)
    assert peaks.map.tolist() == [1]
    assert np.isfinite([peaks.x, peaks.y]).all()
