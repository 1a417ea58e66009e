"""The same runs from Python: load a student, adapt it to a video, look at the curve, save it.

:func:`adapt` composes the configuration of ``make online`` and plays it as that command does; there is no second way.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_oad.inference import Student, weights_of
from pose_oad.tracking.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from omegaconf import DictConfig
    from pandas import DataFrame

    from callbacks.run_record import RunRecord
    from pose_oad.students import PoseStudent

__all__ = ["Adaptation", "Student", "adapt"]

# What a student's description says of its weights is no choice of a run.
_OF_WEIGHTS = ("pretrained", "foreground")


@dataclass(frozen=True)
class Adaptation:
    """A finished run. Jupyter shows it as its curve.

    Attributes:
        cfg: the configuration it ran with
        record: what the command keeps of it
    """

    cfg: DictConfig = field(repr=False)
    record: RunRecord

    @property
    def folder(self) -> Path:
        """The run's folder: student, ledger, figures, configuration."""
        return self.record.folder

    @property
    def summary(self) -> dict[str, float]:
        """Means, counts and seconds of the run, by the name they are logged under."""
        return self.record.summary

    @property
    def verdict(self) -> str:
        """Whether adapting has helped, in a sentence; empty where that was not measured."""
        return self.record.verdict

    @cached_property
    def student(self) -> Student:
        """The adapted student, in evaluation mode, on the CPU."""
        return Student.load(self.folder)

    @property
    def errors(self) -> DataFrame:
        """The error of every measured frame before any training on it.

        Columns ``frame`` (number in the stream) and ``error_px`` (mean over the joints, px; NaN where nothing counted),
        against the ground truth, or against the teacher where there is none.
        """
        from pandas import DataFrame

        frames, errors = self.record.evaluation.curve()
        return DataFrame({"frame": frames, "error_px": errors})

    def curve(self) -> Figure:
        """Draw the error over the stream: each frame, the mean of each window, the frames that were labelled."""
        from callbacks.ledger import read_ledger
        from pose_oad.report.run_figures import error_curve

        evaluation = self.record.evaluation
        quantity = "MPJPE, px" if evaluation.measurement.against == "truth" else "distance to the teacher, px"
        title = f"{self.cfg.strategy._target_.rpartition('.')[2].lower()}, {self.cfg.rate:.0%} of the frames labelled"
        return error_curve(*evaluation.curve(), read_ledger(self.record.ledger.path), quantity, title)

    def _repr_png_(self) -> bytes:
        """Draw the curve for Jupyter, which knows figures of pyplot only."""
        buffer = io.BytesIO()
        self.curve().savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the adapted student as a checkpoint, which appears when it is complete.

        Args:
            path: the file, as ``adapted.ckpt``

        Raises:
            UserError: if it cannot be written.
        """
        from pose_oad.students.checkpoint import load_student, save_student

        save_student(load_student(self.folder / "student.ckpt"), path)
        return Path(path)


def adapt(
    student: Student | PoseStudent | str | Path,
    stream: str | Path,
    *,
    strategy: str = "uniform",
    rate: float = 0.1,
    teacher: str | Path = "truth",
    tracking_uri: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Adaptation:
    """Adapt a student to a stream, as ``make online`` does.

    Args:
        student: a checkpoint, a name of ``conf/student``, or a student (it stays as it is, and is written into the
            folder of the runs, so that the run's record names a file)
        stream: a video file, or a choice of ``conf/stream``
        strategy: which frames are labelled, a choice of ``conf/strategy``
        rate: share of each window's frames that may be labelled, in (0, 1]
        teacher: a checkpoint (``.ckpt``, ``.pth``), an ONNX file (``.onnx``), or a choice of ``conf/teacher``
        tracking_uri: where the run is recorded, the URL of an MLflow server or a store; None: as in
            ``conf/online.yaml``
        options: any other keys of ``conf/online.yaml``, as ``{"training.epochs": 5, "window.seconds": 3}``

    Returns:
        The finished run.

    Raises:
        UserError: if a value, a file, or the combination cannot be used.
    """
    from callbacks.progress import WindowProgress
    from pose_oad.cli.command import compose_config, trust
    from pose_oad.cli.online import play
    from pose_oad.cli.overrides import override
    from pose_oad.students import PoseStudent, load_student

    given = student.network if isinstance(student, Student) else student
    if isinstance(given, str | Path):
        given = weights_of(given)
    network = load_student(given) if isinstance(given, Path) else given
    if not isinstance(network, PoseStudent):
        raise UserError(f"student={student}: expected a checkpoint's student: an exported one cannot learn")
    overrides = {
        "strategy": strategy,
        **_stream(stream),
        **_teacher(teacher),
        **{f"student.{key}": value for key, value in network.config.to_dict().items() if key not in _OF_WEIGHTS},
        "rate": rate,
        **_tracking(tracking_uri),
        **(options or {}),
    }
    if network is not given:
        overrides["checkpoint"] = given
    cfg = compose_config("online", [override(key, value) for key, value in overrides.items()])
    trust(cfg.modules)
    if network is given:
        cfg.checkpoint = str(_keep(network, Path(cfg.output.folder)))
    return Adaptation(cfg, play(cfg, watchers=[WindowProgress()]))


def _stream(stream: str | Path) -> dict[str, Any]:
    from pose_oad.cli.command import CONF

    if (CONF / "stream" / f"{stream}.yaml").is_file():
        return {"stream": str(stream)}
    return {"stream": "video", "stream.path": stream}


def _teacher(teacher: str | Path) -> dict[str, Any]:
    kind = {".ckpt": "checkpoint", ".pth": "checkpoint", ".onnx": "onnx"}.get(Path(teacher).suffix)
    return {"teacher": str(teacher)} if kind is None else {"teacher": kind, "teacher.path": teacher}


def _tracking(uri: str | None) -> dict[str, Any]:
    """Record elsewhere; an MLflow server keeps the artifacts itself."""
    if uri is None:
        return {}
    return {"tracking.uri": uri} | ({"tracking.artifacts": None} if uri.startswith("http") else {})


def _keep(student: PoseStudent, folder: Path) -> Path:
    """Write a network that is in memory only, under a name that tells its weights."""
    from pose_oad.students.checkpoint import save_student
    from pose_oad.tracking.store import file_hash

    part = folder / "given.ckpt"
    save_student(student, part)
    return part.replace(folder / f"given-{file_hash(part)[:12]}.ckpt")
