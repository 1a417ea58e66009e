from __future__ import annotations

import numpy as np
import pytest

from datamodules.synthetic.buffers import Buffers, Light, rasterise, shade
from datamodules.synthetic.camera import Camera
from datamodules.synthetic.raster import NOTHING, Solids, project_solids

# A camera at the origin that looks along world y; 100 px per metre at 1 m.
AHEAD = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
CAMERA = Camera(np.zeros(3), AHEAD, (100.0, 100.0), (50.0, 50.0), (0.0,) * 5, (100, 100))
LIGHT = Light(np.array([-1.0, 0, 0]), np.array([0, -1.0, 0]), np.ones(3), np.zeros(3))


def solid(
    start: tuple[float, float, float], end: tuple[float, float, float], radius: float, cap: float, flat: float = 1.0
) -> Solids:
    front = np.array([[[0.0, -1.0, 0.0]]])  # towards the camera
    return Solids(
        np.array([[start]]),
        np.array([[end]]),
        front,
        np.array([[radius, radius]]),
        np.array([flat]),
        np.zeros(1),
        np.array([cap]),
    )


def ball(centre: tuple[float, float, float], radius: float) -> Solids:
    x, y, z = centre
    return solid((x, y, z - radius), (x, y, z + radius), radius, cap=0.0)


def draw(*parts: Solids) -> Buffers:
    buffers = Buffers.over(np.full((100, 100), 50.0))
    rasterise(project_solids(Solids.concatenate(list(parts)), CAMERA), 0, buffers)
    return buffers


def test_a_ball_is_a_disc_of_its_size_with_its_nearest_point_in_the_middle() -> None:
    buffers = draw(ball((0, 5, 0), 0.5))
    assert np.count_nonzero(buffers.solid == 0) == pytest.approx(np.pi * 10**2, rel=0.03)  # 0.5 m at 5 m is 10 px
    assert buffers.depth[50, 50] == pytest.approx(4.5, abs=0.01)
    assert buffers.depth[50, 57] == pytest.approx(5 - 0.5 * np.sqrt(1 - 0.75**2), abs=0.02)
    assert buffers.solid[50, 62] == NOTHING
    assert buffers.depth[0, 0] == 50


def test_a_limb_is_as_wide_and_long_as_it_should_be() -> None:
    buffers = draw(solid((-1, 5, 0), (1, 5, 0), 0.2, cap=1.0))
    drawn = buffers.solid == 0
    assert np.count_nonzero(drawn[:, 50]) == 8  # 0.4 m across
    assert np.count_nonzero(drawn.any(0)) == 48  # 2 m and two rounded ends of 0.2 m
    assert buffers.depth[50, 50] == pytest.approx(4.8, abs=0.01)


def test_a_flat_limb_shows_its_width_from_the_front_and_its_depth_from_the_side() -> None:
    wide = solid((0, 5, -1), (0, 5, 1), 0.4, cap=0.3, flat=0.5)
    buffers = draw(wide)
    assert np.count_nonzero(buffers.solid[50] == 0) == 16
    assert buffers.depth[50, 50] == pytest.approx(4.8, abs=0.01)
    turned = Solids(
        wide.start, wide.end, np.array([[[1.0, 0, 0]]]), wide.radius, wide.flat, wide.bulge, wide.cap
    )  # fmt: skip
    assert np.count_nonzero(draw(turned).solid[50] == 0) == 8


def test_the_nearer_solid_hides_the_other_whatever_the_order() -> None:
    near, far = ball((0, 4, 0), 0.2), ball((0, 6, 0), 1.0)
    assert draw(near, far).solid[50, 50] == 0
    assert draw(far, near).solid[50, 50] == 1
    assert draw(far, near).solid[50, 60] == 0


def test_the_background_hides_what_is_behind_it() -> None:
    buffers = Buffers.over(np.full((100, 100), 3.0))
    rasterise(project_solids(ball((0, 5, 0), 0.5), CAMERA), 0, buffers)
    assert (buffers.solid == NOTHING).all()


def test_a_solid_behind_the_camera_is_not_drawn() -> None:
    assert (draw(ball((0, -5, 0), 0.5)).solid == NOTHING).all()


def test_light_from_the_left_brightens_the_left_side() -> None:
    part = ball((0, 5, 0), 0.5)
    sprites, buffers = project_solids(part, CAMERA), draw(part)
    image = np.zeros((100, 100, 3), np.uint8)
    shade(image, buffers, sprites, 0, np.full((1, 8, 8, 3), 0.5, np.float32), LIGHT)
    assert image[50, 43].min() > 120
    assert image[50, 57].max() == 0
    assert image[10, 10].max() == 0


@pytest.mark.parametrize("cap", [0.0, 1.0])
def test_the_middle_column_of_a_texture_faces_the_front_and_rows_follow_the_axis(cap: float) -> None:
    part = solid((0, 5, -0.5), (0, 5, 0.5), 0.3, cap)
    sprites, buffers = project_solids(part, CAMERA), draw(part)
    texture = np.zeros((1, 8, 8, 3), np.float32)
    texture[0, :, 3:5, 0] = 1.0  # red in front
    texture[0, 4:, :, 1] = 1.0  # green towards the end
    image = np.zeros((100, 100, 3), np.uint8)
    front_light = Light(np.array([0, 0, -1.0]), np.array([0, -1.0, 0]), np.ones(3), np.ones(3))
    shade(image, buffers, sprites, 0, texture, front_light)
    above, below = image[45, 50], image[55, 50]  # the end is up, and rows count downwards
    assert above[0] > 200
    assert above[1] > 200
    assert below[0] > 200
    assert below[1] == 0
    edge = image[55, 50 + 5]
    assert edge[0] == 0  # the side is not red
