"""Serve a camera: poses of every frame, by a student that keeps adapting in a process of its own.

Begun again with the same output.folder, it goes on where it was. SIGTERM and Ctrl-C end it.
"""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from pose_oad.cli.command import check_keys, compose_config, plain
from pose_oad.cli.overrides import override
from pose_oad.cli.run_config import read_config
from pose_oad.live.camera import Camera, CameraOptions
from pose_oad.live.mailbox import Mailbox
from pose_oad.live.outputs import Broker, Datagrams, JsonLines, Outputs, Overlay, Sink
from pose_oad.live.segments import OverlayFiles, Segments
from pose_oad.live.server import Server
from pose_oad.live.serving import ServingStudent
from pose_oad.live.supervisor import CONFIG, Supervisor
from pose_oad.predict.drawing import Panels
from pose_oad.predict.poses import StudentReader
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.files import replacing
from pose_oad.tracking.schema import Count, NotNegative, Positive, Text, build_options

_LOG = logging.getLogger(__name__)


def main(cfg: DictConfig) -> dict[str, Any]:
    """Serve until the camera ends, or somebody says so.

    Args:
        cfg: ``conf/live.yaml`` with overrides

    Returns:
        The last status; of a dry run, what it has measured.

    Raises:
        UserError: if the configuration, the camera, the student or the teacher cannot be used.
    """
    from pose_oad.tracking.locks import holding

    if cfg.resume:
        cfg = _kept(cfg)
    _check(cfg)
    camera = build_options(Camera, {}, "camera", options=build_options(CameraOptions, plain(cfg.camera), "camera"))
    if cfg.dry_run:
        from pose_oad.cli.live_profile import dry_run

        return dry_run(cfg, camera)
    folder = Path(cfg.output.folder)
    with holding(folder / "service"):
        return _serve(cfg, camera, folder)


def _serve(cfg: DictConfig, camera: Camera, folder: Path) -> dict[str, Any]:
    """Build the service and run it to its end."""
    with ExitStack() as stack:
        server = _server(cfg, camera, folder)
        if cfg.web.host is not None:
            from pose_oad.live.web import Web, make_app

            panels = Panels([StudentReader(server.serving.student)], camera.size, cfg.output.threshold)
            web = Web(make_app(server, panels, cfg.web.host, cfg.web.token), cfg.web.host, cfg.web.port)
            web.start()
            stack.callback(web.close)
            _LOG.info("http://%s:%d", cfg.web.host, web.port)
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: server.stopping.set()))
        _LOG.info("%s: %dx%d px, %g frames/s; in %s", camera.source, *camera.size, camera.rate, folder)
        try:
            server.run()
            server.finish()
        finally:
            server.adapter.stop(cfg.adapter.stop_s)
            server.outputs.close()
            server.write_status()
    status = server.status()
    _LOG.info(
        "%d frames, generation %d; begun again in %s, it goes on", status["serving"]["frames"],
        status["serving"]["generation"], folder,
    )  # fmt: skip
    return status


def _server(cfg: DictConfig, camera: Camera, folder: Path) -> Server:
    """Build what serves, and write down what it is made of."""
    from pose_oad.cli.assembly import load_run_student, take_threads

    take_threads(cfg.threads)
    student, mailbox = load_run_student(cfg), Mailbox(folder)
    _write_down(cfg, folder, adapter_config(cfg, camera, folder))
    serving = ServingStudent(student, mailbox.read())
    outputs = Outputs(_sinks(cfg, camera, student, folder))
    adapter = Supervisor(
        [sys.executable, "-m", "pose_oad.cli.live_adapter", str(folder)], folder / "adapter.log",
        cfg.adapter.threads, max(1, round(cfg.adapter.waiting_s * camera.rate)),
    )  # fmt: skip
    return Server(camera, serving, adapter, mailbox, outputs, folder, cfg.people)


def adapter_config(cfg: DictConfig, camera: Camera, folder: Path) -> DictConfig:
    """Return the configuration of the adapter's run: that of ``online``, with the service's frames and clock."""
    online = compose_config("online")
    made = OmegaConf.create({key: cfg[key] for key in online if key in cfg})
    made.output = {key: cfg.output[key] for key in online.output} | {"folder": str(folder / "runs")}
    made.threads, made.nice = cfg.adapter.threads, cfg.adapter.nice
    width, height = camera.size
    made.stream = {
        "_target_": "pose_oad.live.feed.ServedSource", "name": camera.source, "width": width, "height": height,
        "rate": camera.rate,
    }  # fmt: skip
    made.clock = {"_target_": "pose_oad.live.clock.ServiceClock", "waiting_s": cfg.adapter.waiting_s}
    if made.teacher.get("threads", 0) is None:
        made.teacher.threads = cfg.adapter.threads
    return made


def _sinks(cfg: DictConfig, camera: Camera, student: PoseStudent, folder: Path) -> dict[str, Sink]:
    """Build where poses go."""
    output, joints, sinks = cfg.output, student.skeleton.joints, dict[str, Sink]()

    def segments(prefix: str, suffix: str) -> Segments:
        cap = int(output.cap_mb * 2**20)
        return Segments(folder / "segments", prefix, suffix, output.segment_s, cap)

    if output.poses is not None:
        sinks["poses"] = JsonLines(segments("poses", ".jsonl") if output.poses == "segments" else output.poses, joints)
    if output.udp is not None:
        sinks["udp"] = Datagrams(output.udp, joints)
    if output.mqtt is not None:
        sinks["mqtt"] = Broker(output.mqtt, joints)
    if output.overlay:
        panels = Panels([StudentReader(student)], camera.size, output.threshold)
        sinks["overlay"] = Overlay(OverlayFiles(segments("overlay", ".mp4"), panels.size, camera.rate), panels)
    return sinks


def _write_down(cfg: DictConfig, folder: Path, adapter: DictConfig) -> None:
    """Keep the configurations; refuse a folder that is another service's."""
    path = folder / "config.yaml"
    if path.is_file():
        kept = read_config(path, "live")
        same = kept.camera.path == cfg.camera.path and kept.student == cfg.student
        accepted = f"another folder: in this one are the weights of {kept.student.name} for {kept.camera.path}"
        check(same, "output.folder", folder, accepted)
    for name, values in (("config.yaml", cfg), (CONFIG, adapter)):
        with replacing(folder / name) as partial:
            OmegaConf.save(values, partial)


def _kept(cfg: DictConfig) -> DictConfig:
    """Return the configuration of the service to go on with, ``resume``."""
    folder = Path(str(cfg.resume))
    check((folder / "config.yaml").is_file(), "resume", cfg.resume, "the folder of a service")
    own = compose_config("live", [override("resume", str(cfg.resume))])
    own.modules = cfg.modules
    if cfg != own:
        raise UserError(f"resume={cfg.resume}: it goes on with its own settings; leave out every other override")
    kept = read_config(folder / "config.yaml", "live")
    kept.output.folder, kept.modules = str(folder), cfg.modules  # what may be imported is not for a file to say
    return kept


def _check(cfg: DictConfig) -> None:
    """Refuse values that nobody else checks."""
    check_keys(cfg, {
        "people": Literal["single", "many", "auto"], "adapter.nice": Annotated[int, Field(ge=0, le=19)],
        "adapter.threads": Count, "adapter.waiting_s": Positive, "adapter.stop_s": NotNegative,
        "output.folder": Text, "output.poses": Text | None, "output.udp": Text | None, "output.mqtt": Text | None,
        "output.overlay": bool, "output.segment_s": Positive, "output.cap_mb": Positive,
        "output.threshold": Annotated[float, Field(ge=0, lt=1)], "web.host": Text | None,
        "web.port": Annotated[int, Field(ge=0, lt=2**16)], "web.token": Text | None, "dry_run": bool,
        "profile_s": Positive,
    })  # fmt: skip
    check(cfg.window.camera_rate is None, "window.camera_rate", cfg.window.camera_rate, "null: see camera.rate")
    if cfg.web.host is not None:
        from pose_oad.live.web import check_web

        check_web(cfg.web.host, cfg.web.token)
