"""Write a student as an ONNX file or as trt_pose's weights, and check it against the original on real frames."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Literal

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from torch import Tensor

from datamodules.stream import WindowLoader
from datamodules.video.clips import FrameSource
from datamodules.windowing import StreamOptions
from pose_oad import __version__
from pose_oad.cli.assembly import take_threads
from pose_oad.cli.command import build, check_keys
from pose_oad.export.graph import Opset, Precision, add_metadata, quantise_int8, to_onnx
from pose_oad.export.latency import Latency, time_compiled, time_maps
from pose_oad.export.report import ExportReport, Parity, TrtPoseReport, compare_maps
from pose_oad.export.trt_pose import write_trt_pose
from pose_oad.metrics.keypoints import MissingRule
from pose_oad.online.breakdown import measure
from pose_oad.poses.geometry import ResizeMode
from pose_oad.students import PoseNetwork, PoseStudent, StudentConfig, load_student
from pose_oad.students.exported import ExportedStudent, ExportMetadata
from pose_oad.students.trt_pose import topology_file
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.files import Staging, writing
from pose_oad.tracking.machine import machine
from pose_oad.tracking.schema import Count, NotNegative, Number
from pose_oad.tracking.store import file_hash, quiet_libraries

log = logging.getLogger(__name__)

_WINDOW = 256  # frames decoded at once, whatever the length of the stream
_SPACING = 10  # frames between two that are compared, at most: neighbours are alike


def main(cfg: DictConfig) -> ExportReport | TrtPoseReport:
    """Export one student.

    Args:
        cfg: ``conf/export.yaml`` with overrides

    Returns:
        What was measured; that of an ONNX file stands in the JSON file beside it too.

    Raises:
        UserError: if the configuration, the checkpoint or the stream cannot be used, or the exported network is not the
            same as the original; nothing has been written then.
    """
    write = _export_trt_pose if _format(cfg) == "trt_pose" else _export_onnx
    quiet_libraries()
    cfg.threads = take_threads(cfg.threads)
    student = _load(cfg)
    source = build(cfg.stream)
    report: ExportReport | TrtPoseReport = write(student, source, _real_frames(source, student, cfg), cfg)
    Console().print(report.tables())
    return report


def _export_trt_pose(student: PoseStudent, source: FrameSource, frames: Tensor, cfg: DictConfig) -> TrtPoseReport:
    """Write trt_pose's weights and the topology beside them, if they give the same maps when read back."""
    file = Path(cfg.output.file)
    with Staging(overwrite=True) as staging:
        part = staging.place("output.file", file)
        staging.place("output.file", topology_file(file))
        with writing(file, "output.file"):
            write_trt_pose(student, part)
        parity = _parity(student, load_student(part), frames, cfg)
    config = student.config
    return TrtPoseReport(str(file), config.backbone, student.skeleton, config.resize_mode, parity, source.clips[0].name)


def _export_onnx(student: PoseStudent, source: FrameSource, frames: Tensor, cfg: DictConfig) -> ExportReport:
    """Write the ONNX file and a report beside it, if it gives the same maps."""
    file, threads = Path(cfg.output.file), cfg.threads
    with Staging(overwrite=True) as staging:
        part = staging.place("output.file", file)
        figures = staging.place("output.file", file.with_suffix(".json"))
        model, quantised = to_onnx(student, cfg.opset, cfg.precision), None
        if cfg.quantise == "int8":
            model, quantised = quantise_int8(model)
        original = file_hash(cfg.checkpoint)
        add_metadata(model, ExportMetadata.of(student, cfg.precision, cfg.quantise or "none", original, __version__))
        with writing(file, "output.file"):
            part.write_bytes(model.SerializeToString())
        exported = ExportedStudent(part, threads)
        parity = _parity(student, exported, frames, cfg)
        errors, note = _errors(student, exported, source, cfg)
        report = ExportReport(
            file=str(file), sha256=file_hash(part), size_mib=part.stat().st_size / 2**20, metadata=exported.config,
            parity=parity, tolerance=cfg.parity.tolerance, frames_from=source.clips[0].name, quantised=quantised,
            errors=errors, errors_note=note, latency=_latency(student, exported, frames, cfg), threads=threads,
            machine=machine(),
        )  # fmt: skip
        with writing(file, "output.file"):
            figures.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    return report


def _format(cfg: DictConfig) -> str:
    """Tell what is to be written, as the file's suffix says; refuse values that nobody else looks at."""
    check_keys(cfg, {
        "resize_mode": ResizeMode | None, "opset": Opset, "precision": Precision, "quantise": Literal["int8"] | None,
        "output.format": Literal["onnx", "trt_pose"] | None, "batch_size": Count,
        "parity.frames": Count, "parity.tolerance": NotNegative, "errors.frames": Number, "latency.repeats": Count,
        "latency.warmup": Number, "latency.batch_size": Count, "latency.compile_s": NotNegative,
    })  # fmt: skip
    file = cfg.output.file
    named = isinstance(file, str) and not Path(file).is_dir()
    kind = {".onnx": "onnx", ".pth": "trt_pose"}.get(Path(file).suffix) if named else None
    if kind is None:
        raise UserError(f"output.file={file}: expected a file to write, student.onnx, or student.pth for trt_pose")
    wanted, as_trained = cfg.output.format, cfg.precision == "fp32" and cfg.quantise is None
    check(wanted in (None, kind), "output.format", wanted, f"null or {kind} for output.file={file}")
    check(as_trained or kind == "onnx", "output.format", kind, "onnx where precision or quantise change the weights")
    check(cfg.quantise is None or cfg.precision == "fp32", "precision", cfg.precision, "fp32 where quantise=int8")
    return kind


def _load(cfg: DictConfig) -> PoseStudent:
    """Read the student, at the input size and with the resize mode asked for."""
    student = load_student(str(cfg.checkpoint))
    size = OmegaConf.to_container(cfg.input_size) if OmegaConf.is_list(cfg.input_size) else cfg.input_size
    asked = {
        key: value for key, value in {"input_size": size, "resize_mode": cfg.resize_mode}.items() if value is not None
    }
    if not asked:
        return student
    return load_student(cfg.checkpoint, StudentConfig.from_dict(student.config.to_dict() | asked))


def _windows(source: FrameSource, student: PoseStudent, every: int) -> WindowLoader:
    """Cut a stream into windows of which one frame in so many is a candidate."""
    return WindowLoader(
        source, StreamOptions(_WINDOW, student.input_size, student.config.resize_mode, teacher_every=every)
    )


def _real_frames(source: FrameSource, student: PoseStudent, cfg: DictConfig) -> Tensor:
    """Take frames of the first video, uint8, shape (frames, height, width, 3), spread over its beginning."""
    count, length = cfg.parity.frames, source.clips[0].sampled_length(None)
    every = max(1, min(_SPACING, length // count))
    taken: list[Tensor] = []
    for window in _windows(source, student, every):
        taken.append(window.frames[torch.from_numpy(window.candidates)])
        if sum(map(len, taken)) >= count:
            break
    return torch.cat(taken)[:count]


def _parity(student: PoseStudent, written: PoseNetwork, frames: Tensor, cfg: DictConfig) -> Parity:
    """Compare the maps, and refuse an fp32 network that is not the same or one that is not a number."""
    parity = compare_maps(student, written, frames, cfg.batch_size)
    tolerance = cfg.parity.tolerance if cfg.precision == "fp32" and cfg.quantise is None else math.inf
    if not parity.largest <= tolerance:  # a NaN is not either
        raise UserError(
            f"parity.tolerance={tolerance:g}: the written maps differ from the original's by {parity.largest:.1e} on "
            f"{parity.frames} frames; nothing has been written"
        )
    return parity


def _errors(
    student: PoseStudent, exported: PoseNetwork, source: FrameSource, cfg: DictConfig
) -> tuple[dict[str, dict[str, float]] | None, str]:
    """Measure both on the stream where it has a ground truth, with a word about it."""
    if not cfg.errors.frames:
        return None, "not measured (errors.frames=0)"
    if source.skeleton is None:
        return None, "not measured: this stream has no ground truth"
    total = sum(clip.sampled_length(None) for clip in source.clips)
    every = max(1, total // cfg.errors.frames)
    networks = {"eager": student, "exported": exported}
    measured = measure(_windows(source, student, every), networks, MissingRule(), cfg.batch_size, "one")
    errors = {name: found.values() for name, found in measured.items()}
    return errors, f"one frame in {every} of {total:,}, in {len(source.clips)} videos"


def _latency(student: PoseStudent, exported: PoseNetwork, frames: Tensor, cfg: DictConfig) -> list[Latency]:
    """Time the original, the compiled and the exported network."""
    options = cfg.latency
    batches, calls = sorted({1, options.batch_size}), (options.repeats, options.warmup)
    frames = frames.repeat(-(-batches[-1] // len(frames)), 1, 1, 1)
    log.info("timing the original")
    rows = time_maps("eager", student, frames, batches, *calls)
    if options.compile_s:
        log.info("compiling and timing it, for %g s at most", options.compile_s)
        checkpoint = Path(cfg.checkpoint)
        rows += time_compiled(checkpoint, student.input_size, batches, *calls, cfg.threads, options.compile_s)
    log.info("timing the exported network")
    return rows + time_maps("onnxruntime", exported, frames, batches, *calls)
