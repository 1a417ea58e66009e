from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datamodules.human36m.cameras import estimate_camera, read_metadata
from pose_oad.tracking.errors import UserError

# Camera 55011271, as published: f, c, k and p.
SECOND = [1149.676, 1147.592, 508.849, 508.065, -0.194214, 0.240409, 0.006820, -0.001619, -0.002741]


def write_metadata(path: Path, values: list[float]) -> Path:
    words = " ".join(f"{value:g}" if value == int(value) else str(float(value)) for value in values)
    path.write_text(f"<?xml version='1.0'?><release><mapping><tr/></mapping><w0>[{words}]</w0></release>")
    return path


def test_the_numbers_of_the_release_are_found(tmp_path: Path) -> None:
    # Six for each of eleven subjects, camera by camera, then nine for each camera.
    outer = np.zeros((4, 11, 6))
    outer[1, 8] = [np.pi / 2, 0, 0, 10, 20, 30]  # S9
    inner = np.zeros((4, 9))
    inner[1] = SECOND
    cameras = read_metadata(write_metadata(tmp_path / "metadata.xml", [*outer.ravel(), *inner.ravel()]))
    assert len(cameras) == 44
    camera = cameras["S9", "55011271"]
    assert (camera.focal, camera.centre, camera.distortion) == (
        (1149.676, 1147.592), (508.849, 508.065), (-0.194214, 0.240409, 0.006820, -0.001619, -0.002741)
    )  # fmt: skip
    assert camera.rotation is not None
    assert camera.position is not None
    # A quarter turn about x takes y to z.
    np.testing.assert_allclose(camera.rotation @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    assert camera.position.tolist() == [10, 20, 30]
    assert camera.origin == "metadata.xml"


def test_the_three_turns_follow_each_other(tmp_path: Path) -> None:
    outer = np.zeros((4, 11, 6))
    outer[0, 0, :3] = [np.pi / 2, np.pi / 2, 0]
    cameras = read_metadata(write_metadata(tmp_path / "m.xml", [*outer.ravel(), *np.zeros(36)]))
    rotation = cameras["S1", "54138969"].rotation
    assert rotation is not None
    # R = Rx Ry: the turn about y takes z to x, which the turn about x leaves; y goes to z.
    np.testing.assert_allclose(rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation @ [0, 1, 0], [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize(
    "content", ["", "<a/>", "<a><w0>[1 2 three]</w0></a>", "<a><w0>[1 2 3]</w0></a>", "<a><w0/></a>"]
)
def test_other_files_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "metadata.xml").write_text(content)
    with pytest.raises(UserError, match=r"metadata.xml: "):
        read_metadata(tmp_path / "metadata.xml")


def test_a_camera_without_distortion_is_found_again() -> None:
    rng = np.random.default_rng(0)
    world = rng.normal(size=(20, 32, 3)) * 800
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    local, position = world @ turn.T + [0, 0, 6000], -turn.T @ [0, 0, 6000]
    pixels = local[..., :2] / local[..., 2:] * [1145, 1143] + [512, 515]
    camera = estimate_camera(pixels, local, world)
    assert camera is not None
    np.testing.assert_allclose([*camera.focal, *camera.centre], [1145, 1143, 512, 515], rtol=1e-9)
    np.testing.assert_allclose(camera.rotation, turn, atol=1e-9)
    np.testing.assert_allclose(camera.position, position, atol=1e-6)
    assert camera.distortion is None


def test_a_camera_that_the_poses_do_not_tell_is_unknown() -> None:
    flat = np.ones((20, 32, 3)) * 1000.0
    assert estimate_camera(np.ones((20, 32, 2)), flat) is None  # all joints in one place
    assert estimate_camera(np.ones((2, 32, 2)), flat[:2]) is None  # too few
    assert estimate_camera(np.ones((20, 32, 2)), -flat) is None  # behind the camera
