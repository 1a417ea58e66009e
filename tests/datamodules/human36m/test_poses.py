from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from datamodules.human36m.poses import count_poses, read_poses
from pose_oad.tracking.errors import UserError
from tests.media import walking_pose, write_cdf


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_cdf(tmp_path / "pose.cdf", walking_pose(7).reshape(7, 64))
    np.testing.assert_allclose(read_poses(tmp_path / "pose.cdf"), walking_pose(7), rtol=1e-6)
    assert count_poses(tmp_path / "pose.cdf") == 7


def test_the_number_of_coordinates_is_checked(tmp_path: Path) -> None:
    write_cdf(tmp_path / "pose.cdf", np.zeros((5, 96)))
    assert read_poses(tmp_path / "pose.cdf", 3).shape == (5, 32, 3)
    with pytest.raises(UserError, match=r"Pose .*\[1, 5, 96\]; expected \[1, frames, 64\]"):
        count_poses(tmp_path / "pose.cdf")


def test_coordinates_are_finite(tmp_path: Path) -> None:
    pose = np.zeros((5, 64))
    pose[2, 3] = np.nan
    write_cdf(tmp_path / "pose.cdf", pose)
    with pytest.raises(UserError, match=r"pose.cdf: .*finite"):
        read_poses(tmp_path / "pose.cdf")


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", bytes(400), b"\xcd\xf3\x00\x01\x00\x00\xff\xff"])
def test_a_file_that_is_no_cdf_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pose.cdf").write_bytes(content)
    with pytest.raises(UserError, match=r"pose.cdf: "):
        read_poses(tmp_path / "pose.cdf")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pose.cdf: "):
        read_poses(tmp_path / "pose.cdf")


def test_flipped_bits_end_in_poses_or_in_an_error_that_names_the_file(tmp_path: Path) -> None:
    path, rng = tmp_path / "pose.cdf", random.Random(0)
    write_cdf(path, walking_pose(7).reshape(7, 64))
    whole, refused = path.read_bytes(), []
    # Among the first of these are the counts of variables, records and axes, after which cdflib would loop for hours.
    places = [364, 457, 772, 773, *(rng.randrange(1200) for _ in range(60))]
    for place in places:
        content = bytearray(whole)
        content[place] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        try:
            shape = read_poses(path).shape
        except UserError as error:
            refused.append(str(error))
        else:
            assert shape[1:] == (32, 2)
    assert len(refused) > 10
    assert all(str(path) in message for message in refused)
