from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pose_oad.poses.geometry import FrameResize
from pose_oad.tracking.errors import RefusedError

sizes = st.tuples(st.integers(16, 2000), st.integers(16, 2000))


def test_letterbox_of_a_wide_frame_is_centred() -> None:
    resize = FrameResize.of((768, 432), (256, 256), "letterbox")
    assert resize.content == (0, 56, 256, 144)
    centre = resize.to_input(torch.tensor([384.0, 216.0, 0.5]))
    assert centre.tolist() == pytest.approx([128, 128, 0.5])


def test_squash_fills_the_input() -> None:
    resize = FrameResize.of((1000, 500), (128, 128), "squash")
    assert resize.to_input(torch.tensor([1000.0, 500.0, 1.0])).tolist() == pytest.approx([128, 128, 1])


@given(sizes, st.tuples(st.integers(32, 512), st.integers(32, 512)), st.sampled_from(["letterbox", "squash"]))
def test_to_frame_undoes_to_input(frame: tuple[int, int], size: tuple[int, int], resize_mode: str) -> None:
    placed = FrameResize.of(frame, size, resize_mode)  # type: ignore[arg-type]
    points = torch.tensor([[0.0, 0.0, 1.0], [frame[0], frame[1], 0.2], [frame[0] / 3, frame[1] / 7, 0.0]])
    assert torch.allclose(placed.to_frame(placed.to_input(points)), points, atol=1e-2)


def test_another_resize_mode_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"resize_mode=stretch: .*letterbox or squash"):
        FrameResize.of((10, 10), (10, 10), "stretch")  # type: ignore[arg-type]
