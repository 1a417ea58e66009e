from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import av
import cdflib
import numpy as np
import pytest

from datamodules.synthetic.appearance import draw_outfit
from datamodules.synthetic.body import pose_body, sample_build
from datamodules.synthetic.camera import human36m_camera
from datamodules.synthetic.figure import dress
from datamodules.synthetic.generate import World
from datamodules.synthetic.human36m_writer import FRAME_RATE, write_pose
from datamodules.synthetic.motion import ACTIONS, perform
from datamodules.synthetic.plan import Recordings, human36m_sequences, photographs
from pose_oad.cli.command import compose_config
from pose_oad.poses.skeleton import get_skeleton


def pose(world: Path, *parts: str) -> np.ndarray:
    return cdflib.CDF(str(world.joinpath("human36m", "S1", "MyPoseFeatures", *parts))).varget("Pose")


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_tree_has_the_names_of_the_original(tiny_world: Path) -> None:
    names = {path.relative_to(tiny_world / "human36m").as_posix() for path in (tiny_world / "human36m").rglob("*.*")}
    for camera in ("54138969", "55011271"):
        assert f"S1/Videos/Discussion.{camera}.mp4" in names
        assert f"S1/MyPoseFeatures/D2_Positions/Discussion.{camera}.cdf" in names
        assert f"S1/MyPoseFeatures/D3_Positions_mono/Discussion.{camera}.cdf" in names
    assert "S1/MyPoseFeatures/D3_Positions/Discussion.cdf" in names
    assert not any("partial" in name for name in names)


def test_subjects_spell_actions_differently() -> None:
    everything = [Recordings("S1", 30, 2), Recordings("S5", 30, 2), Recordings("S9", 29, 2), Recordings("S9", 1, 4)]
    names = {(s.subject, s.name) for s in human36m_sequences(everything, 0, 96)}
    assert len(names) == 90
    stems = {subject: {name.split(" ")[0] for s, name in names if s == subject} for subject in ("S1", "S5", "S9")}
    assert {"TakingPhoto", "WalkingDog"} <= stems["S1"]
    assert {"Photo", "WalkDog"} <= stems["S5"] & stems["S9"]
    assert {len(stem) for stem in stems.values()} == {15}
    numbers = {name.split(" ")[1] if " " in name else "" for _, name in names}
    assert numbers == {"", "1", "2", "3"}


def test_the_default_stream_is_long_enough() -> None:
    sequences = human36m_sequences(World().recordings, 0, 256)
    stream = [sequence for sequence in sequences if sequence.subject == "S1"]
    assert sum(int(0.8 * sequence.frames) for sequence in stream) >= 3600
    assert {"S1", "S5", "S9"} < {sequence.subject for sequence in sequences}
    assert max(sequence.frames for sequence in sequences) >= 30 * FRAME_RATE


def test_one_command_describes_twenty_streams_of_ninety_seconds() -> None:
    cfg = compose_config("data", ["experiment=streams"])
    frames: Counter[tuple[str, str]] = Counter()
    for sequence in human36m_sequences([Recordings(**part) for part in cfg.recordings], cfg.seed, cfg.frame_size):
        for camera in cfg.cameras:
            frames[sequence.subject, camera] += sequence.frames
    assert len(frames) == 20
    assert set(frames.values()) == {90 * FRAME_RATE}


def test_no_colour_tells_a_limb_of_the_left_from_one_of_the_right() -> None:
    for seed in range(4):
        build = sample_build(np.random.default_rng(seed))
        pose = perform(ACTIONS["Posing"], build, np.zeros(1), np.random.default_rng(seed))
        outfit = draw_outfit(np.random.default_rng(seed), muted=True)
        _, atlas = dress(build, pose_body(build, pose), outfit, np.random.default_rng(seed))
        left, right = atlas[-14:-7], atlas[-7:]
        np.testing.assert_allclose(left.mean((1, 2)), right.mean((1, 2)), rtol=0.12)


def test_pose_files_read_back_as_the_originals_do(tiny_world: Path) -> None:
    assert pose(tiny_world, "D2_Positions", "Discussion.55011271.cdf").shape == (1, 12, 64)
    assert pose(tiny_world, "D3_Positions", "Discussion.cdf").shape == (1, 12, 96)
    assert pose(tiny_world, "D3_Positions_mono", "Discussion.55011271.cdf").shape == (1, 12, 96)


def test_pose_file_round_trip_and_same_bytes_whatever_the_time_of_day(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).normal(size=(7, 32, 2)) * 300
    for name in ("a", "b"):
        write_pose(tmp_path / name / "Walking 1.cdf", joints)
        time.sleep(1.1)
    np.testing.assert_allclose(
        cdflib.CDF(str(tmp_path / "a" / "Walking 1.cdf")).varget("Pose")[0], joints.reshape(7, 64), rtol=1e-6
    )
    assert (tmp_path / "a" / "Walking 1.cdf").read_bytes() == (tmp_path / "b" / "Walking 1.cdf").read_bytes()


@pytest.mark.parametrize("name", ["54138969", "55011271"])
def test_pixels_millimetres_and_camera_agree(tiny_world: Path, name: str) -> None:
    camera = human36m_camera(name, 96)
    world = pose(tiny_world, "D3_Positions", "Discussion.cdf").reshape(12, 32, 3)
    mono = pose(tiny_world, "D3_Positions_mono", f"Discussion.{name}.cdf").reshape(12, 32, 3)
    pixels = pose(tiny_world, "D2_Positions", f"Discussion.{name}.cdf").reshape(12, 32, 2)
    np.testing.assert_allclose(camera.to_camera(world / 1000) * 1000, mono, atol=0.01)
    np.testing.assert_allclose(camera.project(mono / 1000.0), pixels, atol=0.01)
    joints = get_skeleton("human36m-32").joints
    thigh = np.linalg.norm(world[:, joints.index("left_hip")] - world[:, joints.index("left_knee")], axis=1)
    assert np.ptp(thigh) < 0.1  # mm: bones do not stretch
    assert 350 < thigh[0] < 500


def test_the_video_shows_the_person_where_the_pose_says(tiny_world: Path) -> None:
    video = frames(tiny_world / "human36m" / "S1" / "Videos" / "Walking 1.55011271.mp4").astype(float)
    joints = pose(tiny_world, "D2_Positions", "Walking 1.55011271.cdf").reshape(12, 32, 2)
    assert len(video) == 12
    change = np.abs(video[-1] - video[0]).max(-1)  # only the person and the shadow move
    changed = np.argwhere(change > 45)[:, ::-1] + 0.5
    assert len(changed) > 10
    both = np.concatenate([joints[0], joints[-1]])
    nearest = np.linalg.norm(changed[:, None] - both, axis=-1).min(1)
    assert np.quantile(nearest, 0.8) < 7  # px


def test_videos_play_at_50_hz(tiny_world: Path) -> None:
    for path in (tiny_world / "human36m").rglob("*.mp4"):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == 50
            assert stream.codec_context.name == "h264"
            assert (stream.width, stream.height) == (96, 96)


def test_image_ids_are_unique_over_splits_and_rise() -> None:
    train, val = (photographs(0, split, 300, 320) for split in ("train2017", "val2017"))
    ids = [picture.image_id for picture in train]
    assert ids == sorted(set(ids))
    assert not set(ids) & {picture.image_id for picture in val}
    assert all(len(picture.file_name) == 16 for picture in train)
