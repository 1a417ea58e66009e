"""Write a student as an ONNX file, check it against the original on real frames, and time both."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from pose_oad.cli import build, run_command
from pose_oad.errors import UserError, check

if TYPE_CHECKING:
    from torch import Tensor

    from datamodules.stream import WindowLoader
    from datamodules.video import FrameSource
    from pose_oad.exporting.compare import Parity
    from pose_oad.exporting.latency import Latency
    from pose_oad.exporting.report import ExportReport
    from pose_oad.students import PoseStudent
    from pose_oad.students.exported import ExportedStudent

log = logging.getLogger(__name__)

_WINDOW = 256  # frames decoded at once, whatever the length of the stream
_SPACING = 10  # frames between two that are compared, at most: neighbours are alike


def main(cfg: DictConfig) -> ExportReport:
    """Export one student.

    Args:
        cfg: ``conf/export.yaml`` with overrides

    Returns:
        What was measured; it stands in the JSON file beside the ONNX file too.

    Raises:
        UserError: if the configuration, the checkpoint or the stream cannot be used, or the exported network is not the
            same as the original; nothing has been written then.
    """
    from rich.console import Console

    from pose_oad.benchmarks.setting import machine
    from pose_oad.exporting.report import ExportReport
    from pose_oad.preparation import take_threads
    from pose_oad.students.exported import ExportedStudent
    from pose_oad.tracking import file_hash, quiet_libraries

    _check_values(cfg)
    quiet_libraries()
    threads = take_threads(cfg.threads)
    student = _load(cfg)
    source = build(cfg.stream)
    frames = _real_frames(source, student, cfg)
    with _finished(Path(cfg.output.file)) as part:
        convolutions = _write(student, cfg, part)
        exported = ExportedStudent(part, threads)
        parity = _parity(student, exported, frames, cfg)
        errors, note = _errors(student, exported, source, cfg)
        report = ExportReport(
            file=str(cfg.output.file),
            sha256=file_hash(part),
            size_mib=part.stat().st_size / 2**20,
            metadata=exported.metadata,
            parity=parity,
            tolerance=cfg.parity.tolerance,
            frames_from=source.clips[0].name,
            quantised=convolutions,
            errors=errors,
            errors_note=note,
            latency=_latency(student, exported, frames, cfg, threads),
            threads=threads,
            machine=machine(),
        )
        with _writing(Path(cfg.output.file)):
            part.with_suffix(".json").write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    Console().print(report.tables())
    return report


def _check_values(cfg: DictConfig) -> None:
    """Refuse values that nobody else looks at."""
    file = cfg.output.file
    named = isinstance(file, str) and file.endswith(".onnx") and not Path(file).is_dir()
    check(named, "output.file", file, "the ONNX file to write, as output.file=student.onnx")
    check(cfg.quantise in (None, "int8"), "quantise", cfg.quantise, "null or int8")
    mixed = cfg.quantise is not None and cfg.precision != "fp32"
    check(not mixed, "precision", cfg.precision, "fp32 where quantise=int8")
    whole = {"parity.frames": 1, "errors.frames": 0, "latency.repeats": 1, "latency.warmup": 0, "latency.batch_size": 1}
    for key, least in (whole | {"batch_size": 1}).items():
        value = OmegaConf.select(cfg, key)
        check(isinstance(value, int) and value >= least, key, value, f"a whole number, {least} or more")
    for key, value in {"parity.tolerance": cfg.parity.tolerance, "latency.compile_s": cfg.latency.compile_s}.items():
        check(isinstance(value, int | float) and value >= 0, key, value, "a number, 0 or more")


def _load(cfg: DictConfig) -> PoseStudent:
    """Read the student, at the input size asked for."""
    from pose_oad.students import StudentConfig, load_student

    student = load_student(str(cfg.checkpoint))
    if cfg.input_size is None:
        return student
    size = OmegaConf.to_container(cfg.input_size) if OmegaConf.is_list(cfg.input_size) else cfg.input_size
    return load_student(cfg.checkpoint, StudentConfig.from_dict(student.config.to_dict() | {"input_size": size}))


def _windows(source: FrameSource, student: PoseStudent, fit: Any, every: int) -> WindowLoader:
    """Cut a stream into windows of which one frame in so many is a candidate."""
    from datamodules.stream import WindowLoader
    from datamodules.windowing import StreamOptions

    return WindowLoader(source, StreamOptions(_WINDOW, student.input_size, fit, teacher_every=every))


def _real_frames(source: FrameSource, student: PoseStudent, cfg: DictConfig) -> Tensor:
    """Take frames of the first video, uint8, shape (frames, height, width, 3), spread over its beginning."""
    import torch

    count, length = cfg.parity.frames, source.clips[0].sampled_length(None)
    every = max(1, min(_SPACING, length // count))
    taken: list[Tensor] = []
    for window in _windows(source, student, cfg.fit, every):
        taken.append(window.frames[torch.from_numpy(window.candidates)])
        if sum(map(len, taken)) >= count:
            break
    return torch.cat(taken)[:count]


@contextmanager
def _finished(file: Path) -> Iterator[Path]:
    """Give a name to write to, and a JSON file beside it; both get their own names when all has gone well."""
    part = file.with_name(f".{file.stem}.{os.getpid()}.part.onnx")
    pairs = [(part, file), (part.with_suffix(".json"), file.with_suffix(".json"))]
    with _writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        with _writing(file):
            for unfinished, final in pairs:
                os.replace(unfinished, final)
    finally:
        for unfinished, _ in pairs:
            unfinished.unlink(missing_ok=True)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Say that a file cannot be written, where that is so."""
    try:
        yield
    except OSError as error:
        raise UserError(f"output.file={file}: cannot be written ({error.strerror or error})") from error


def _write(student: PoseStudent, cfg: DictConfig, path: Path) -> tuple[int, int] | None:
    """Write the graph; return how many convolutions were quantised, and of how many."""
    import importlib.metadata

    from pose_oad.exporting.graph import add_metadata, quantise_int8, to_onnx
    from pose_oad.exporting.metadata import ExportMetadata
    from pose_oad.tracking import file_hash

    model, convolutions = to_onnx(student, cfg.opset, cfg.precision), None
    if cfg.quantise == "int8":
        model, *counts = quantise_int8(model)
        convolutions = (counts[0], counts[1])
    config = student.config
    metadata = ExportMetadata(
        config.name,
        config.backbone,
        student.skeleton,
        student.input_size,
        cfg.fit,
        config.sigma,
        cfg.precision,
        cfg.quantise or "none",
        file_hash(cfg.checkpoint),
        importlib.metadata.version("pose_oad"),
    )
    add_metadata(model, metadata)
    with _writing(Path(cfg.output.file)):
        path.write_bytes(model.SerializeToString())
    return convolutions


def _parity(student: PoseStudent, exported: ExportedStudent, frames: Tensor, cfg: DictConfig) -> Parity:
    """Compare the maps, and refuse an fp32 network that is not the same or one that is not a number."""
    from pose_oad.exporting.compare import compare_maps, eager

    parity = compare_maps(eager(student), exported.maps, frames, cfg.batch_size)
    exact = cfg.precision == "fp32" and cfg.quantise is None
    if not parity.largest <= (cfg.parity.tolerance if exact else float("inf")):  # a NaN is not either
        raise UserError(
            f"parity.tolerance={cfg.parity.tolerance:g}: the exported maps differ from the original's by "
            f"{parity.largest:.1e} on {parity.frames} frames; nothing has been written"
        )
    return parity


def _errors(
    student: PoseStudent, exported: ExportedStudent, source: FrameSource, cfg: DictConfig
) -> tuple[dict[str, dict[str, float]] | None, str]:
    """Measure both on the stream where it has a ground truth, with a word about it."""
    from pose_oad.exporting.compare import compare_errors, eager

    if not cfg.errors.frames:
        return None, "not measured (errors.frames=0)"
    if source.skeleton is None:
        return None, "not measured: this stream has no ground truth"
    total = sum(clip.sampled_length(None) for clip in source.clips)
    every = max(1, total // cfg.errors.frames)
    networks = {"eager": eager(student), "exported": exported.maps}
    errors = compare_errors(_windows(source, student, cfg.fit, every), networks, student, cfg.batch_size)
    return errors, f"one frame in {every} of {total:,}, in {len(source.clips)} videos"


def _latency(
    student: PoseStudent, exported: ExportedStudent, frames: Tensor, cfg: DictConfig, threads: int
) -> list[Latency]:
    """Time the original, the compiled and the exported network."""
    from pose_oad.exporting.compare import eager
    from pose_oad.exporting.latency import time_compiled, time_maps

    options = cfg.latency
    batches = sorted({1, options.batch_size})
    frames = frames.repeat(-(-batches[-1] // len(frames)), 1, 1, 1)
    log.info("timing the original")
    rows = time_maps("eager", eager(student), frames, batches, options.repeats, options.warmup)
    if options.compile_s:
        log.info("compiling and timing it, for %g s at most", options.compile_s)
        rows += time_compiled(
            Path(cfg.checkpoint), student.input_size, batches, options.repeats, options.warmup, threads,
            options.compile_s,
        )  # fmt: skip
    log.info("timing the exported network")
    return rows + time_maps("onnxruntime", exported.maps, frames, batches, options.repeats, options.warmup)


if __name__ == "__main__":
    run_command("export", main)
