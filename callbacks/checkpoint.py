"""The state of a run after every window, so that a run that was killed goes on behind its last finished one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import Callback, LightningModule, Trainer

from pose_oad.online.distillation import OnlineDistillation, as_distillation
from pose_oad.online.stage import Stage
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.run_folder import UNFINISHED
from pose_oad.tracking.torch_file import read_torch_file, write_torch_file

if TYPE_CHECKING:
    from datamodules.stream import WindowLoader

# Parts of a state, and what each is.
_KINDS: dict[str, tuple[type, ...]] = {
    "student": (dict,), "optimizer": (dict, type(None)), "optimizer_steps": (int,), "precision": (dict,),
    "stages": (dict,), "callbacks": (dict,), "stream": (dict,),
}  # fmt: skip

#: The file in a run's folder; it is there from the end of the first window until the run is finished.
STATE_FILE = Path(UNFINISHED) / "state.ckpt"


class WindowCheckpoint(Callback):
    """Keep the state of a run behind its last finished window; take it on when the run goes on.

    It walks over the stages of the loop and over the run's callbacks: whatever these return from ``state_dict`` is
    kept. The file is replaced in one step: whenever the process dies, the state of the last finished window is whole.
    Must be the last callback but one, for all begin as in a new run before it is taken on.

    Args:
        folder: the run's folder
        stream: hands out the windows, and knows where it is
        state: the state to go on from; None begins the stream
    """

    def __init__(self, folder: Path, stream: WindowLoader, state: Mapping[str, Any] | None = None) -> None:
        self.path, self.stream, self._resumed = folder / STATE_FILE, stream, state

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the state on.

        Raises:
            UserError: if it is none of this run.
        """
        if self._resumed is None:
            return
        try:
            self._take_on(self._resumed, trainer, as_distillation(pl_module))
        except Exception as error:  # whatever a part stumbles over, it is the state that does not fit
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{self.path}: damaged, or the state of another run ({reason})") from error

    def _take_on(self, state: Mapping[str, Any], trainer: Trainer, module: OnlineDistillation) -> None:
        stages: Mapping[str, Stage | Callback] = module.loop.stages()
        fresh = [
            (f"{kind}.{name}", part, part.state_dict(), state[kind][name])
            for kind, parts in (("stages", stages), ("callbacks", _by_name(trainer)))
            for name, part in parts.items()
        ]
        module.student.load_state_dict(state["student"])
        module.loop.steps = state["optimizer_steps"]
        if module.loop.steps:
            module.student.trained_with(module.loop.learner.objective.foreground)
        trainer.precision_plugin.load_state_dict(state["precision"])
        optimizer, kept = trainer.optimizers[0], state["optimizer"]
        if kept is not None:
            known = {frozenset((key, type(value)) for key, value in entry.items()) for entry in kept["state"].values()}
            if len(known) > 1 or not _alike(kept["param_groups"], optimizer.state_dict()["param_groups"]):
                raise ValueError("optimizer")
            optimizer.load_state_dict(kept)
        for name, part, sample, kept in fresh:
            if not _alike(kept, sample):
                raise ValueError(name)
            part.load_state_dict(kept)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the state behind a window.

        Raises:
            UserError: if it cannot be written; that of the window before is kept.
        """
        module = as_distillation(pl_module)
        with module.loop.watch("log"):
            write_torch_file(self.path, self._state(trainer, module))

    def _state(self, trainer: Trainer, module: OnlineDistillation) -> dict[str, Any]:
        # A fresh optimiser has no past; without it the file is a third of the size.
        kept = module.loop.learner.options.optimizer_state == "kept"
        return {
            "student": module.student.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict() if kept else None,
            "optimizer_steps": module.loop.steps,
            "precision": trainer.precision_plugin.state_dict(),
            "stages": {name: stage.state_dict() for name, stage in module.loop.stages().items()},
            "callbacks": {name: callback.state_dict() for name, callback in _by_name(trainer).items()},
            "stream": self.stream.state_dict(),
        }


def _by_name(trainer: Trainer) -> dict[str, Callback]:
    """Return the run's callbacks that remember something, by the names of their classes."""
    return {type(callback).__name__: callback for callback in trainer.callbacks if callback.state_dict()}  # type: ignore[attr-defined]


def read_state(folder: Path) -> dict[str, Any] | None:
    """Read the state of a run that was not finished.

    Args:
        folder: the run's folder

    Returns:
        The state; None where the run was stopped before the end of its first window.

    Raises:
        UserError: if it cannot be read.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    state = read_torch_file(path, f"resume={folder.name}: {path}")
    whole = isinstance(state, dict) and all(isinstance(state.get(key), kinds) for key, kinds in _KINDS.items())
    if not whole or not _is_count(state["optimizer_steps"]) or not _is_position(state["stream"]):
        raise UserError(f"resume={folder.name}: {path}: damaged, or not the state of a run")
    return state


def _is_position(value: object) -> bool:
    """Tell whether something says where in a stream a run is."""
    if not isinstance(value, dict) or value.keys() != {"window", "frame", "clip", "source_frame"}:
        return False
    numbers = [number for key, number in value.items() if not (key == "source_frame" and number is None)]
    return all(map(_is_count, numbers))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**53


def _alike(value: object, sample: object) -> bool:
    """Tell whether a value has the structure of a sample, of which None and empty containers say nothing."""
    if sample is None:
        return True
    if isinstance(sample, Mapping):
        keys = isinstance(value, Mapping) and value.keys() >= sample.keys()
        return keys and all(_alike(value[key], part) for key, part in sample.items())  # type: ignore[index]
    if isinstance(sample, int | float):
        return isinstance(value, float) or _is_count(value)
    if isinstance(sample, list | tuple):
        if not isinstance(value, list | tuple) or len(value) != (len(sample) or len(value)):
            return False
        return all(_alike(part, usual) for part, usual in zip(value, sample, strict=False))
    return isinstance(value, type(sample))
