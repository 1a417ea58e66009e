"""Where poses go: lines of JSON, datagrams, a message broker, an overlay. None of them stops the camera or another."""

from __future__ import annotations

import importlib
import json
import logging
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from datamodules.video.buffer import LatestBuffer
from pose_oad.live.camera import Moment
from pose_oad.live.segments import OverlayFiles, Segments
from pose_oad.predict.drawing import Panels
from pose_oad.predict.poses import FramePoses
from pose_oad.tracking.errors import UserError, check

_LOG = logging.getLogger(__name__)
_WAITING = 16  # frames that an output may be behind


@dataclass(frozen=True)
class Pose:
    """What the service says about a frame.

    Attributes:
        moment: the frame
        found: its people
        generation: of the weights that found them
        latency_s: from the frame's arrival to its pose, s
    """

    moment: Moment
    found: FramePoses
    generation: int
    latency_s: float

    def line(self, joints: Sequence[str]) -> dict[str, Any]:
        """Return it in plain values: px of the frame, and the time of day at which the frame was there."""
        people = zip(self.found.keypoints.tolist(), self.found.scores.tolist(), strict=True)
        return {
            "frame": self.moment.number,
            "time_s": round(time.time() - (time.monotonic() - self.moment.taken_s), 4),
            "latency_s": round(self.latency_s, 4),
            "generation": self.generation,
            "people": [
                {"score": round(score, 4), "keypoints": {
                    joint: [round(value, 2) for value in point] for joint, point in zip(joints, person, strict=True)
                }}
                for person, score in people
            ],
        }  # fmt: skip


#: Takes a pose.
Sink = Callable[[Pose], None]


class Outputs(threading.Thread):
    """Give every pose to every sink, in a thread of its own; what they cannot keep up with is dropped and counted.

    Args:
        sinks: by name

    Attributes:
        failed: how often each has failed
    """

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        super().__init__(name="outputs", daemon=True)
        self.sinks, self.failed = dict(sinks), Counter[str]()
        self._waiting = LatestBuffer[Pose](_WAITING)

    @property
    def dropped(self) -> int:
        """Poses that no sink was given."""
        return self._waiting.dropped

    def put(self, pose: Pose) -> None:
        """Give a pose; nobody waits."""
        self._waiting.put(pose)

    def run(self) -> None:
        """Write until it is closed."""
        while (taken := self._waiting.take()) is not None:
            for name, sink in self.sinks.items():
                try:
                    sink(taken[0])
                except Exception as error:  # whatever it stumbles over: the others go on
                    self.failed[name] += 1
                    if self.failed[name] == 1:
                        _LOG.warning("output.%s: %s; serving goes on", name, error)

    def close(self) -> None:
        """Write what waits, and close whatever has to be closed."""
        self._waiting.close()
        if self.is_alive():
            self.join(5.0)
        for sink in self.sinks.values():
            getattr(sink, "close", lambda: None)()


class JsonLines:
    """A line of JSON per frame, to standard output, a file, or files that are begun anew now and then.

    Args:
        place: ``-``, a file, or segments
        joints: names of the joints
    """

    def __init__(self, place: str | Segments, joints: Sequence[str]) -> None:
        self._place, self._joints = place, joints
        self._file: IO[str] | None = sys.stdout if place == "-" else None
        if isinstance(place, str) and place != "-":
            try:
                self._file = Path(place).open("a")  # noqa: SIM115
            except OSError as error:
                raise UserError(f"output.poses={place}: cannot be written ({error.strerror})") from error

    def __call__(self, pose: Pose) -> None:
        """Write a line."""
        if isinstance(self._place, Segments) and self._place.due():
            self.close()
            self._file = self._place.path.open("a")
        if self._file is not None:
            self._file.write(json.dumps(pose.line(self._joints)) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None and self._place != "-":
            self._file.close()


class Datagrams:
    """A datagram of JSON per frame.

    Args:
        address: host and port, as ``127.0.0.1:9000``
        joints: names of the joints
    """

    def __init__(self, address: str, joints: Sequence[str]) -> None:
        self._address, self._joints = host_and_port(address, "output.udp"), joints
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)

    def __call__(self, pose: Pose) -> None:
        """Send it."""
        self._socket.sendto(json.dumps(pose.line(self._joints)).encode(), self._address)


class Broker:
    """A message of JSON per frame to an MQTT broker; needs ``paho-mqtt``.

    Args:
        address: host, port and topic, as ``broker.local:1883/camera/poses``
        joints: names of the joints
    """

    def __init__(self, address: str, joints: Sequence[str]) -> None:
        place, _, self._topic = address.partition("/")
        host, port = host_and_port(place, "output.mqtt")
        check(bool(self._topic), "output.mqtt", address, "host:port/topic")
        try:
            mqtt: Any = importlib.import_module("paho.mqtt.client")
        except ImportError as error:
            raise UserError(f"output.mqtt={address}: needs paho-mqtt; expected pip install 'pose_oad[mqtt]'") from error
        self._joints, self._client = joints, mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.connect_async(host, port)
        self._client.loop_start()  # it connects anew by itself

    def __call__(self, pose: Pose) -> None:
        """Publish it."""
        self._client.publish(self._topic, json.dumps(pose.line(self._joints)))

    def close(self) -> None:
        """Take leave of the broker."""
        self._client.loop_stop()


class Overlay:
    """The camera's pictures with the poses drawn in.

    Args:
        files: where they are written
        panels: draws them
    """

    def __init__(self, files: OverlayFiles, panels: Panels) -> None:
        self._files, self._panels = files, panels

    def __call__(self, pose: Pose) -> None:
        """Draw and write a frame."""
        moment = pose.moment
        caption = f"generation {pose.generation}"
        self._files.write(self._panels.draw(moment.frame, [pose.found], [caption], moment.number), moment.number)

    def close(self) -> None:
        """Finish the file that is written."""
        self._files.close()


def host_and_port(address: str, key: str) -> tuple[str, int]:
    """Read ``host:port``, of a config key.

    Raises:
        UserError: if it is none.
    """
    host, _, port = str(address).rpartition(":")
    check(bool(host) and port.isdecimal() and 0 < int(port) < 2**16, key, address, "host:port, as 127.0.0.1:9000")
    return host.strip("[]"), int(port)
