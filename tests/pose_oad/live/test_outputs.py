"""Where poses go, and that a sink which fails stops nothing."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame

from pose_oad.live.camera import Moment
from pose_oad.live.outputs import Broker, Datagrams, JsonLines, Outputs, Overlay, Pose
from pose_oad.live.segments import OverlayFiles, Segments
from pose_oad.predict.drawing import Panels
from pose_oad.predict.poses import FramePoses, StudentReader
from pose_oad.tracking.errors import UserError
from tests.windows import small_student

JOINTS = ("head", "foot")


def pose(number: int) -> Pose:
    frame = VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), format="rgb24")
    found = FramePoses(torch.tensor([[[1.5, 2.0, 0.75], [3.0, 4.0, 0.25]]]), torch.tensor([0.5]))
    return Pose(Moment(number, frame, 0.0), found, 3, 0.02)


def test_a_line_a_frame(tmp_path: Path) -> None:
    sink = JsonLines(str(tmp_path / "poses.jsonl"), JOINTS)
    for number in range(3):
        sink(pose(number))
    sink.close()
    lines = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert lines[0]["people"] == [{"score": 0.5, "keypoints": {"head": [1.5, 2.0, 0.75], "foot": [3.0, 4.0, 0.25]}}]
    assert (lines[0]["generation"], lines[0]["latency_s"]) == (3, 0.02)


def test_a_datagram_a_frame() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        Datagrams(f"127.0.0.1:{listener.getsockname()[1]}", JOINTS)(pose(7))
        assert json.loads(listener.recv(65536))["frame"] == 7


def test_one_sink_that_fails_does_not_stop_another() -> None:
    taken: list[Pose] = []

    def broken(pose: Pose) -> None:
        raise OSError("no route")

    outputs = Outputs({"broken": broken, "list": taken.append})
    outputs.start()
    for number in range(5):
        outputs.put(pose(number))
    outputs.close()
    assert [one.moment.number for one in taken] == [0, 1, 2, 3, 4]
    assert outputs.failed == {"broken": 5}


def test_what_outputs_cannot_keep_up_with_is_dropped_and_counted() -> None:
    taken: list[Pose] = []
    outputs = Outputs({"list": taken.append})
    for number in range(20):
        outputs.put(pose(number))  # nobody writes yet
    outputs.start()
    outputs.close()
    assert [one.moment.number for one in taken] == list(range(4, 20))
    assert outputs.dropped == 4


def test_the_oldest_segments_make_room(tmp_path: Path) -> None:
    now = 0.0
    segments = Segments(tmp_path, "poses", ".jsonl", 10.0, 2500, lambda: now)
    names = []
    for step in range(6):
        now = 100.0 + 10.0 * step
        assert segments.due()
        assert not segments.due()
        segments.path.write_bytes(bytes(1000))
        os.utime(segments.path, (now, now))
        names.append(segments.path.name)
    segments.make_room()
    assert sorted(path.name for path in tmp_path.iterdir()) == names[-2:]


def test_an_overlay_can_be_played(tmp_path: Path) -> None:
    panels = Panels([StudentReader(small_student())], (64, 48), 0.1)
    sink = Overlay(OverlayFiles(Segments(tmp_path, "overlay", ".mp4", 1e6, 10**9), panels.size, 10.0), panels)
    joints = len(small_student().skeleton)
    for number in range(4):
        one = pose(number)
        sink(Pose(one.moment, FramePoses(torch.full((1, joints, 3), 20.0), torch.ones(1)), 1, 0.0))
    sink.close()
    [path] = tmp_path.iterdir()
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 4


@pytest.mark.parametrize("address", ["nowhere", "host:port", ":9000", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UserError, match=r"output\.udp"):
        Datagrams(address, JOINTS)
    with pytest.raises(UserError, match=r"output\.mqtt"):
        Broker(f"{address}/poses", JOINTS)
