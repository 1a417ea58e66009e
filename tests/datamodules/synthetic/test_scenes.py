from __future__ import annotations

import numpy as np
import pytest

from datamodules.synthetic.camera import Camera, look_at
from datamodules.synthetic.places import chair, occluder, snapshot_scene, studio_scene
from datamodules.synthetic.scenes import FLOORS, Box, Scene, cast

EYE = np.array([0.0, -4.0, 1.0])
CAMERA = Camera(EYE, look_at(EYE, np.array([0.0, 0.0, 1.0])), (60.0, 60.0), (32.0, 32.0), (0.0,) * 5, (64, 64))
CRATE = Box((0.0, 0.0), (0.5, 0.5), 0.0, 1.5, 0.0, (0.9, 0.1, 0.1))


def scene(*boxes: Box, floor: str = "plain") -> Scene:
    return Scene(floor, ((0.2, 0.2, 0.2), (0.4, 0.4, 0.4)), boxes, ((0.5, 0.6, 0.7), (0.2, 0.4, 0.8)))


def test_depths_of_floor_box_and_sky() -> None:
    backdrop = cast(scene(CRATE), CAMERA)
    assert backdrop.depth[32, 32] == pytest.approx(3.5, abs=1e-3)  # the crate's front face
    # The lowest row looks down by (63.5 - 32) / 60 per metre: the floor, 1 m below, is 60 / 31.5 m away.
    assert backdrop.depth[63, 32] == pytest.approx(60 / 31.5, abs=1e-3)
    assert backdrop.floor[63, 32]
    assert not backdrop.floor[32, 32]
    assert backdrop.depth[0, 0] == 60
    assert not backdrop.normal[0, 0].any()


def test_a_box_shows_its_paint_and_faces_the_camera() -> None:
    backdrop = cast(scene(CRATE), CAMERA)
    np.testing.assert_allclose(backdrop.normal[32, 32], [0, -1, 0], atol=1e-6)
    red, green, _ = backdrop.albedo[32, 32]
    assert red > 4 * green


def test_the_nearer_box_hides_the_other() -> None:
    behind = Box((0.0, 3.0), (0.5, 0.5), 0.0, 1.5, 0.0, (0.1, 0.9, 0.1))
    for boxes in ((CRATE, behind), (behind, CRATE)):
        assert cast(scene(*boxes), CAMERA).depth[32, 32] == pytest.approx(3.5, abs=1e-3)


def test_the_floor_is_darker_beside_a_box() -> None:
    backdrop = cast(scene(CRATE), CAMERA)
    column = backdrop.closeness[:, 32][backdrop.floor[:, 32]]
    assert column[0] < 0.8 < column[-1]


def test_light_brightens_what_faces_it() -> None:
    backdrop = cast(scene(CRATE), CAMERA)
    towards, away = (
        backdrop.lit(np.array([0.0, y, 0.0]), np.ones(3), 0.1 * np.ones(3))[32, 32, 0] for y in (-1.0, 1.0)
    )
    assert int(towards) > int(away) + 50


@pytest.mark.parametrize("floor", FLOORS)
def test_every_floor_has_texture(floor: str) -> None:
    backdrop = cast(scene(floor=floor), CAMERA)
    assert backdrop.albedo[backdrop.floor].std() > 0.005


def test_invented_places_differ_and_a_studio_follows_from_its_seed() -> None:
    images = [cast(snapshot_scene(np.random.default_rng(seed)), CAMERA).albedo for seed in (0, 1)]
    assert np.abs(images[0] - images[1]).mean() > 0.05
    studios = [cast(studio_scene(np.random.default_rng(0), []), CAMERA).albedo for _ in range(2)]
    np.testing.assert_array_equal(*studios)


def test_a_chair_is_behind_and_below_whoever_sits_on_it() -> None:
    seat, back, *legs = chair((1.0, 0.0), 0.0, (0.1, 0.1, 0.1))
    assert seat.high < 0.5
    assert back.centre[0] < seat.centre[0] < 1.2
    assert len(legs) == 4


def test_an_occluder_stands_between_the_person_and_the_camera() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        thing = occluder(rng, np.array([0.0, 2.0]), EYE)
        assert -3 < thing.centre[1] < 2.5
