"""The state of a run after every window, so that a run that was killed goes on behind its last finished one."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning import Callback, LightningModule, Trainer

from pose_oad.distillation import OnlineDistillation, as_distillation
from pose_oad.errors import UserError
from pose_oad.files import raise_if_interrupted, replacing
from pose_oad.window import FrameWindow

#: Name of the file in a run's folder; it is there as long as the run is not finished.
STATE_FILE = "state.ckpt"


class Stateful(Protocol):
    """Something whose state is tensors and plain values."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state on."""
        ...


class WindowCheckpoint(Callback):
    """Keep the state of a run behind its last finished window; take it on when the run goes on.

    The file is replaced in one step: whenever the process dies, the state of the last finished window is whole. It is
    removed when everything else of the run has been written. Must come after every callback whose state it keeps, for
    they begin as in a new run before it is taken on.

    Args:
        folder: the run's folder
        parts: what has a state beside the student and its optimiser, by name
        state: the state to go on from; None begins the stream
    """

    def __init__(self, folder: Path, parts: Mapping[str, Stateful], state: Mapping[str, Any] | None = None) -> None:
        self.path, self.parts, self._resumed = folder / STATE_FILE, parts, state

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the state on."""
        if self._resumed is None:
            return
        module = as_distillation(pl_module)
        module.student.load_state_dict(self._resumed["student"])
        module.optimizer_steps, module.desk.calls = self._resumed["optimizer_steps"], self._resumed["teacher_calls"]
        if self._resumed["optimizer"] is not None:
            trainer.optimizers[0].load_state_dict(self._resumed["optimizer"])
        for name, part in self.parts.items():
            part.load_state_dict(self._resumed["parts"][name])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the state behind a window.

        Raises:
            UserError: if it cannot be written; that of the window before is kept.
        """
        window: FrameWindow = batch
        with window.phase("log"):
            write_atomically(self.path, self._state(trainer, as_distillation(pl_module)))

    def _state(self, trainer: Trainer, module: OnlineDistillation) -> dict[str, Any]:
        # A fresh optimiser has no past; without it the file is a third of the size.
        kept = module.options.optimizer_state == "kept"
        return {
            "student": module.student.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict() if kept else None,
            "optimizer_steps": module.optimizer_steps,
            "teacher_calls": module.desk.calls,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }


def write_atomically(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint so that the old file or the whole new one is there, whatever happens.

    Args:
        path: the file
        state: tensors and plain values

    Raises:
        UserError: if it cannot be written, as on a full disk.
    """
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
        raise_if_interrupted(error)
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{path}: cannot be written ({reason}); what it held is kept: make room, then resume={path.parent.name}"
        ) from error


def read_state(folder: Path) -> dict[str, Any]:
    """Read the state of a run that was not finished.

    Args:
        folder: the run's folder

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        raise UserError(
            f"resume={folder}: holds no {STATE_FILE}; expected a run that was stopped after its first window and "
            "before its end"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise UserError(f"resume={folder}: {path} is damaged ({' '.join(str(error).split())[:120]})") from error
