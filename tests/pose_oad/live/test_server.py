"""Serving goes on whatever the adapter does; its adapter is a stand-in."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path

import pytest
import torch

from pose_oad.live.figures import prometheus
from pose_oad.tracking.errors import UserError
from tests.pose_oad.live.services import prepare_weights, serving, wait_for


def test_new_weights_serve_between_two_frames(tmp_path: Path) -> None:
    prepare_weights(tmp_path, 2)
    with serving(tmp_path) as service:
        wait_for(lambda: service.server.serving.version.generation == 2)
        at = len(service.poses)
        wait_for(lambda: len(service.poses) > at + 5)
        status = service.server.status()
    generations = [pose.generation for pose in service.poses]
    assert generations == sorted(generations)
    assert {0, 2} <= set(generations) <= {0, 1, 2}  # one that was not read in time is replaced
    # The same picture of the loop: predictions change with the generation, and with nothing else.
    by_picture: dict[int, dict[int, torch.Tensor]] = {}
    for pose in service.poses:
        seen = by_picture.setdefault(int(pose.moment.frame.to_ndarray(format="gray").mean()), {})
        assert torch.equal(seen.setdefault(pose.generation, pose.found.keypoints), pose.found.keypoints)
    several = [list(seen.values()) for seen in by_picture.values() if len(seen) > 1]
    assert all(not torch.equal(one, other) for one, other, *_ in several)
    assert status["serving"]["swaps"] == len(set(generations)) - 1
    assert status["window"]["distance_px"] == 7.5
    # What is left behind says so, too.
    assert json.loads((tmp_path / "status.json").read_text())["serving"]["generation"] == 2
    with serving(tmp_path) as again:
        wait_for(lambda: again.poses)
        assert again.poses[0].generation == 2
    assert (tmp_path / "state").exists()  # the adapter was told to end, and was not killed


def test_an_adapter_that_is_killed_is_started_again_while_poses_go_on(tmp_path: Path) -> None:
    prepare_weights(tmp_path, 1)
    with serving(tmp_path) as service:
        wait_for(lambda: service.server.serving.version.generation == 1)
        pid = service.adapter.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        at = len(service.poses)
        wait_for(lambda: service.adapter.restarts == 1 and service.adapter.pid != pid)
        windows = service.server.figures.windows
        wait_for(lambda: service.server.figures.windows > windows)
        assert len(service.poses) > at + 10
        assert {pose.generation for pose in service.poses[at:]} == {1}
    numbers = [pose.moment.number for pose in service.poses]
    assert max(b - a for a, b in itertools.pairwise(numbers)) < 15


def test_a_teacher_that_fails_stops_nothing_but_learning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_weights(tmp_path, 1)
    with serving(tmp_path, "teacher fails") as service:
        wait_for(lambda: service.adapter.restarts == 1)
        assert service.adapter.error == "the teacher does not answer"
        assert service.server.status()["adapter"]["error"] == service.adapter.error
        at = len(service.poses)
        wait_for(lambda: len(service.poses) > at + 10)
        (tmp_path / "teacher is back").touch()
        wait_for(lambda: service.server.serving.version.generation == 1)
        assert service.adapter.error == ""


def test_a_slow_adapter_is_given_no_more_than_it_reads(tmp_path: Path) -> None:
    with serving(tmp_path, "slow") as service:
        wait_for(lambda: service.adapter.dropped > 5 or len(service.poses) > 400, 60)
        status = service.server.status()
        assert status["adapter"]["state"] == "learning"
        assert status["adapter"]["busy_s"] > 0
        assert len(service.poses) > 10
        assert service.adapter.pid is not None
        os.kill(service.adapter.pid, signal.SIGKILL)


def test_what_a_new_service_cannot_learn_from_ends_it(tmp_path: Path) -> None:
    with serving(tmp_path, "refuses") as service:
        wait_for(lambda: service.refused)
    assert isinstance(service.refused, UserError)
    assert "teacher.path=gone.onnx" in str(service.refused)


def test_one_that_has_served_goes_on_serving_without(tmp_path: Path) -> None:
    prepare_weights(tmp_path, 1)
    (tmp_path / "next-0.safetensors").rename(tmp_path / "weights.safetensors")
    with serving(tmp_path, "refuses") as service:
        wait_for(lambda: service.adapter.restarts and len(service.poses) > 20)
    assert service.refused is None
    assert {pose.generation for pose in service.poses} == {1}


def test_adaptation_is_paused_goes_on_and_goes_back(tmp_path: Path) -> None:
    prepare_weights(tmp_path, 1)
    with serving(tmp_path) as service:
        server = service.server
        with pytest.raises(UserError, match="back"):
            server.ask("back")
        wait_for(lambda: server.serving.version.generation == 1)
        server.ask("pause")
        wait_for(lambda: server.status()["adapter"]["state"] == "paused")
        at = len(service.poses)
        wait_for(lambda: len(service.poses) > at + 20)
        windows = server.figures.windows
        wait_for(lambda: len(service.poses) > at + 40)
        assert server.figures.windows <= windows + 1
        server.ask("back")
        wait_for(lambda: server.serving.version.generation == 2)
        assert (tmp_path / "back.safetensors").exists()
        server.ask("resume")
        wait_for(lambda: server.figures.windows > windows + 1)
        server.ask("save")
        assert [path.name for path in (tmp_path / "saved").iterdir()] == ["generation-2.safetensors"]


def test_figures_are_numbers_for_prometheus(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        wait_for(lambda: service.server.figures.windows)
        text = prometheus(service.server.status())
    metrics = dict(line.split() for line in text.splitlines() if not line.startswith("#"))
    assert float(metrics["pose_oad_serving_frames"]) > 0
    assert float(metrics["pose_oad_serving_inference_p95_s"]) > 0
    assert float(metrics["pose_oad_window_distance_px"]) == 7.5
    assert {"pose_oad_camera_skipped", "pose_oad_adapter_dropped", "pose_oad_serving_age_s"} <= metrics.keys()
    assert "# TYPE pose_oad_serving_frames counter" in text
