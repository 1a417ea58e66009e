from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from datamodules.human36m import Human36mSource
from pose_oad.tracking.errors import RefusedError, UserError
from tests.media import counting_frames, walking_pose, write_cdf, write_sequence, write_video


def names(source: Human36mSource) -> list[str]:
    return [clip.name for clip in source.clips]


def test_sequences_are_listed_by_canonical_action(human36m_tree: Path) -> None:
    source = Human36mSource(str(human36m_tree))
    assert names(source) == ["S1/Eating 2.55011271", "S1/TakingPhoto.55011271", "S1/Walking 1.55011271"]
    assert [(clip.start, clip.stop) for clip in source.clips] == [(0, 36), (0, 24), (0, 48)]


def test_actions_are_asked_for_by_canonical_name_and_in_any_order(human36m_tree: Path) -> None:
    source = Human36mSource(str(human36m_tree), actions=["Walking", "Photo"], cameras=[55011271])  # type: ignore[list-item]
    assert names(source) == ["S1/Walking 1.55011271", "S1/TakingPhoto.55011271"]


def test_repeats_of_an_action_play_by_number(tmp_path: Path) -> None:
    for name in ("Eating 2", "Eating", "Eating 1"):
        write_sequence(tmp_path, "S5", name, "54138969", 12)
    write_sequence(tmp_path, "S5", "_ALL", "54138969", 12)
    source = Human36mSource(str(tmp_path), subjects=["S5"], cameras=["54138969"])
    assert names(source) == ["S5/Eating.54138969", "S5/Eating 1.54138969", "S5/Eating 2.54138969"]


def test_sequences_play_in_the_order_of_the_downloads_files(tmp_path: Path) -> None:
    titles = ["Sitting 1", "Sitting 2", "SittingDown 2", "SittingDown", "TakingPhoto 1", "TakingPhoto", "Waiting",
              "Walking 1", "Walking", "WalkingDog", "WalkTogether 1", "WalkTogether"]  # fmt: skip
    for title in reversed(titles):
        write_sequence(tmp_path, "S1", title, "54138969", 2)
    options = {"cameras": ["54138969"], "order": "file", "end": 1.0}
    assert names(Human36mSource(str(tmp_path), **options)) == [f"S1/{title}.54138969" for title in titles]
    some = Human36mSource(str(tmp_path), **options, actions=["Walking", "Photo"])
    expected = ["Walking 1", "Walking", "TakingPhoto 1", "TakingPhoto"]
    assert names(some) == [f"S1/{title}.54138969" for title in expected]


def test_the_skip_list_takes_wild_cards(human36m_tree: Path) -> None:
    source = Human36mSource(str(human36m_tree), skip=["S1/Eating*", "S9/*"])
    assert names(source) == ["S1/TakingPhoto.55011271", "S1/Walking 1.55011271"]
    with pytest.raises(RefusedError, match=r"skip=\['S1/\*'\]: "):
        Human36mSource(str(human36m_tree), skip=["S1/*"])


def test_shuffling_is_seeded(tmp_path: Path) -> None:
    for number in range(6):
        write_sequence(tmp_path, "S1", f"Walking {number}", "55011271", 12)
    orders = [names(Human36mSource(str(tmp_path), shuffle=True, seed=seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def test_truth_is_read_in_px_with_32_joints(human36m_tree: Path) -> None:
    clip = Human36mSource(str(human36m_tree), actions=["Walking"]).clips[0]
    assert clip.truth is not None
    truth = clip.truth()
    assert truth.shape == (60, 1, 32, 3)
    np.testing.assert_allclose(truth[:, 0, :, :2], walking_pose(60), rtol=1e-6)
    assert (truth[..., 2] == 1).all()


def test_a_few_frames_more_or_less_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("Walking", "Eating"):
        write_video(tmp_path / "S1/Videos" / f"{name}.55011271.mp4", counting_frames(30, 32))
        poses = walking_pose(27).reshape(27, 64)
        write_cdf(tmp_path / "S1/MyPoseFeatures/D2_Positions" / f"{name}.55011271.cdf", poses)
    with caplog.at_level(logging.WARNING):
        source = Human36mSource(str(tmp_path), end=1.0)
    assert [clip.stop for clip in source.clips] == [27, 27]
    assert len(caplog.records) == 1
    assert "27 poses for 30 frames" in caplog.text


def test_poses_of_another_video_are_refused(tmp_path: Path) -> None:
    write_sequence(tmp_path, "S1", "Walking", "55011271", 30)
    cdf = tmp_path / "S1/MyPoseFeatures/D2_Positions/Walking.55011271.cdf"
    write_cdf(cdf, walking_pose(90).reshape(90, 64))
    with pytest.raises(UserError, match=r"Walking.55011271.cdf: 90 .*Walking.55011271.mp4 .*30"):
        Human36mSource(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": "nowhere"}, "root=nowhere: .*Human3.6M tree"),
        ({"subjects": ["S2"]}, "subjects=S2: .*S1"),
        ({"cameras": ["55011272"]}, "cameras=55011272: .*S1; did you mean '55011271'"),
        ({"actions": ["Walkin"]}, "actions=Walkin: .*S1; did you mean 'Walking'"),
    ],
)
def test_what_is_not_there_is_named(human36m_tree: Path, options: dict, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        Human36mSource(**{"root": str(human36m_tree), **options})


def test_missing_poses_are_named(human36m_tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(human36m_tree, root)
    (root / "S1/MyPoseFeatures/D2_Positions/Walking 1.55011271.cdf").unlink()
    with pytest.raises(UserError, match=r"Walking 1.55011271.cdf: "):
        Human36mSource(str(root))


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    """Two cameras: Eating 20 and 18 frames, Walking 1 by both, Posing by the first only."""
    for title, first, second in (("Eating 2", 20, 18), ("Walking 1", 12, 12), ("Posing", 12, 0)):
        write_sequence(tmp_path, "S1", title, "54138969", first)
        if second:
            write_sequence(tmp_path, "S1", title, "55011271", second)
    return tmp_path


def test_cameras_play_side_by_side_cut_to_the_shortest(studio: Path, caplog: pytest.LogCaptureFixture) -> None:
    cameras = ["55011271", "54138969"]
    with caplog.at_level(logging.INFO):
        source = Human36mSource(str(studio), cameras=cameras, cameras_together=True, start=0.5, end=1.0)
    assert source.together == 2
    assert names(source) == [
        "S1/Eating 2.55011271", "S1/Eating 2.54138969", "S1/Walking 1.55011271", "S1/Walking 1.54138969"
    ]  # fmt: skip
    assert [(clip.start, clip.stop, clip.recording) for clip in source.clips[1:3]] == [
        (9, 18, "S1/Eating 2"), (6, 12, "S1/Walking 1")
    ]  # fmt: skip
    assert "S1/Posing: left out, 1 of 2 cameras have it" in caplog.text


def test_a_skipped_recording_takes_its_sequence_along(studio: Path) -> None:
    source = Human36mSource(
        str(studio), cameras=["54138969", "55011271"], cameras_together=True, skip=["S1/Eating 2.55011271"]
    )
    assert names(source) == ["S1/Walking 1.54138969", "S1/Walking 1.55011271"]


def test_shuffling_keeps_cameras_together(studio: Path) -> None:
    write_sequence(studio, "S1", "Posing", "55011271", 12)
    orders = {
        tuple(
            clip.recording
            for clip in Human36mSource(
                str(studio), cameras=["54138969", "55011271"], cameras_together=True, shuffle=True, seed=seed
            ).clips
        )
        for seed in range(6)
    }
    assert len(orders) > 1
    assert all(order[0::2] == order[1::2] for order in orders)


def test_one_camera_alone_names_no_recording(studio: Path) -> None:
    source = Human36mSource(str(studio), cameras=["54138969"], cameras_together=True)
    assert {clip.recording for clip in source.clips} == {""}


def test_archives_are_to_be_unpacked_first(tmp_path: Path) -> None:
    (tmp_path / "Videos_S1.tgz").write_bytes(b"")
    with pytest.raises(RefusedError, match=r"root=.*: .*not yet unpacked archives: make data SOURCE=human36m"):
        Human36mSource(str(tmp_path))
