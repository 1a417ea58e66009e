from __future__ import annotations

import numpy as np
import pytest

from datamodules.synthetic.camera import HUMAN36M_INTRINSICS, Camera, human36m_camera, look_at


@pytest.mark.parametrize("name", HUMAN36M_INTRINSICS)
def test_a_point_on_the_optical_axis_falls_on_the_principal_point(name: str) -> None:
    camera = human36m_camera(name, 1000)
    ahead = camera.position + 4.2 * camera.rotation[2]
    seen = camera.to_camera(ahead)
    np.testing.assert_allclose(seen, [0, 0, 4.2], atol=1e-9)
    np.testing.assert_allclose(camera.project(seen), HUMAN36M_INTRINSICS[name][1], atol=1e-6)


def test_pinhole_projection_by_hand() -> None:
    camera = Camera(np.zeros(3), np.eye(3), (100.0, 200.0), (50.0, 60.0), (0.0,) * 5, (100, 120))
    np.testing.assert_allclose(camera.project(np.array([1.0, -0.5, 2.0])), [50 + 100 / 2, 60 - 200 * 0.25])


def test_radial_distortion_by_hand() -> None:
    camera = Camera(np.zeros(3), np.eye(3), (100.0, 100.0), (50.0, 50.0), (-0.2, 0.0, 0.0, 0.0, 0.0), (100, 100))
    # x = 0.5, y = 0: r2 = 0.25, factor 1 - 0.2 * 0.25 = 0.95
    np.testing.assert_allclose(camera.project(np.array([1.0, 0.0, 2.0])), [50 + 100 * 0.5 * 0.95, 50])


@pytest.mark.parametrize("name", ["54138969", "55011271"])
def test_rays_are_the_inverse_of_projection(name: str) -> None:
    camera = human36m_camera(name, 128)
    points = camera.position + 3.0 * camera.rays()
    seen = camera.to_camera(points)
    np.testing.assert_allclose(seen[..., 2], 3.0, atol=1e-5)
    rows, columns = np.mgrid[: camera.size[1], : camera.size[0]]
    np.testing.assert_allclose(camera.project(seen), np.stack([columns + 0.5, rows + 0.5], -1), atol=0.02)


def test_frame_size_scales_everything_and_keeps_the_real_aspect_ratio() -> None:
    assert human36m_camera("54138969", 1000).size == (1000, 1002)
    assert human36m_camera("55011271", 1000).size == (1000, 1000)
    small, large = (human36m_camera("60457274", width) for width in (256, 1000))
    assert small.size == (256, 256)
    point = np.array([0.4, 0.3, 1.1])
    images = [camera.project(camera.to_camera(point)) for camera in (small, large)]
    np.testing.assert_allclose(images[0] / 0.256, images[1], rtol=1e-9)


def test_look_at_is_a_rotation_that_keeps_the_horizon_level() -> None:
    rotation = look_at(np.array([3.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert rotation[0, 2] == pytest.approx(0)  # the image's x axis is horizontal
    assert rotation[1, 2] < 0  # its y axis points down


def test_cameras_stand_in_four_corners_and_see_a_standing_person() -> None:
    quadrants = set()
    for name in HUMAN36M_INTRINSICS:
        camera = human36m_camera(name, 256)
        quadrants.add(tuple(np.sign(camera.position[:2])))
        ends = camera.project(camera.to_camera(np.array([[0, 0, 0.0], [0, 0, 1.75]])))
        assert ((ends > 0) & (ends < 256)).all()
        assert 70 < ends[0, 1] - ends[1, 1] < 160  # px: the person is a good part of the frame's height
    assert len(quadrants) == 4
