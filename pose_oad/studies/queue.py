"""The trials of a study in Optuna's storage: who works on what, and what a killed worker left behind.

Optuna's queue of waiting trials is the list of what is to be done, for grids and searches alike. A worker holds a file
lock while it lives, which the operating system takes away however it dies; the trials of a worker whose lock is free
are put back. Over several machines, the heartbeat of Optuna's database storage does the same. On one machine it cannot:
a journal has no heartbeat, and in SQLite, which locks no rows, two workers can claim the same trial.
"""

from __future__ import annotations

import os
import socket
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from omegaconf import OmegaConf
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url

from pose_oad.cli.command import build
from pose_oad.studies.plan import Slot, Study
from pose_oad.tracking.errors import UserError, check, reason_of
from pose_oad.tracking.files import cut_torn_line
from pose_oad.tracking.schema import build_options

_HEARTBEAT = 30  # s
# A trial is claimed, and a moment later says by whom.
_UNSIGNED = timedelta(seconds=60)
_OPEN = (TrialState.WAITING, TrialState.RUNNING)
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)

#: Says what a trial of a dead worker came to: its values where its runs had finished, None where it must be repeated.
Salvage = Callable[[FrozenTrial], Sequence[float] | None]


@dataclass(frozen=True)
class TrialQueue:
    """Where a study's trials are kept: in a journal in a folder, or at the URL of a database that machines share."""

    folder: Path
    url: str | None
    name: str

    def open(self, study: Study, on_stale: Callable[..., None] | None = None) -> optuna.Study:
        """Open the study, making it if it is new; ``on_stale`` is called when another machine's worker falls silent.

        Raises:
            UserError: if the storage cannot be reached, or the study was begun with other settings.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        settings = study.settings
        try:
            opened = optuna.create_study(
                storage=self._storage(on_stale),
                study_name=self.name,
                directions=["minimize"] * len(study.objectives),
                sampler=_sampler(study),
                load_if_exists=True,
            )
            begun = opened.user_attrs.get("settings")
            if begun is None:
                opened.set_metric_names(list(study.objectives))
                opened.set_user_attr("settings", settings)
        except UserError:
            raise
        except Exception as error:  # whatever the database's driver raises, it is the storage that is unusable
            raise UserError(f"storage={self._shown}: cannot be used ({reason_of(error)})") from error
        if begun is not None and begun != settings:
            differing = sorted(set(begun) ^ set(settings))
            other = f"was begun in {self._shown} with other settings ({', '.join(differing)})"
            raise UserError(f"study.name={self.name}: {other}; expected the same, or another name as study.name=…")
        return opened

    @property
    def _shown(self) -> str:
        """The storage without a password."""
        if self.url is None:
            return str(self.folder / "journal.log")

        try:
            return make_url(self.url).render_as_string(hide_password=True)
        except Exception:  # not even a URL: then there is no password in it to be hidden
            return self.url

    def _storage(self, on_stale: Callable[..., None] | None) -> BaseStorage:
        if self.url is not None:
            return RDBStorage(self.url, heartbeat_interval=_HEARTBEAT, heartbeat_stale_trial_callback=on_stale)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "journal.log"
        # Optuna's own locks outlive their holder by 30 s; this one the operating system takes away when it dies.
        lock = FileLock(f"{path}.lock")
        with lock:
            cut_torn_line(path)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]  # its base is private

    @contextmanager
    def session(self) -> Iterator[str]:
        """Hold the lock of one worker; yields its name (machine and lock file), which its trials carry."""
        folder = (self.folder / "workers").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
        with FileLock(path):
            yield f"{socket.gethostname()}:{path}"
        path.unlink(missing_ok=True)

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Keep two sessions on this machine from filling the queue at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "plan.lock"):
            yield

    def is_dead(self, trial: FrozenTrial) -> bool:
        """Return whether the worker of a running trial was on this machine and is no more."""
        worker = trial.user_attrs.get("worker")
        if worker is None:
            started = trial.datetime_start
            old = started is None or datetime.now() - started > _UNSIGNED
            return self.url is None and (old or not self._anybody_works())
        machine, _, path = worker.partition(":")
        if machine != socket.gethostname():
            return False
        if not Path(path).exists():
            # Behind a database, another container may have this machine's name; its heartbeat will tell.
            return self.url is None
        return _is_free(Path(path))

    def _anybody_works(self) -> bool:
        return not all(_is_free(path) for path in (self.folder / "workers").glob("*.lock"))


def _is_free(lock: Path) -> bool:
    """Return whether nobody holds a lock."""
    try:
        with FileLock(lock, timeout=0):
            return True
    except Timeout:
        return False


def fill(study: optuna.Study, listed: Sequence[Slot]) -> int:
    """Put those trials into the queue that are not in it, running or done, failed ones again; return how many."""
    there = {t.user_attrs.get("key") for t in study.get_trials(deepcopy=False, states=(*_OPEN, *_DONE))}
    missing = [slot for slot in listed if slot.key not in there]
    for slot in missing:
        study.enqueue_trial({}, user_attrs=asdict(slot))
    return len(missing)


def recover(study: optuna.Study, queue: TrialQueue, salvage: Salvage) -> int:
    """Settle the trials of workers that have died, here or unheard of by a database; return how many were put back."""
    if queue.url is not None:
        optuna.storages.fail_stale_trials(study)
    again = 0
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if not queue.is_dead(trial):
            continue
        values = salvage(trial)
        if values is not None:
            study.tell(trial.number, list(values))
        else:
            requeue(study, trial)  # first: killed in between, it stands in the queue twice, not never
            study.tell(trial.number, state=TrialState.FAIL)
            again += 1
    return again


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put a trial that could not be finished back into the queue, with the values it had been given.

    Optuna's own retry would keep the name of the dead worker, and what it had said of the trial, too.
    """
    attributes = {key: value for key, value in trial.user_attrs.items() if key in Slot.__dataclass_fields__}
    study.enqueue_trial(trial.params, user_attrs=attributes)


def is_duplicate(study: optuna.Study, trial: FrozenTrial | optuna.Trial) -> bool:
    """Return whether an earlier trial is or was at the same work: two machines may fill the queue at once."""
    same = [
        other.number
        for other in study.get_trials(deepcopy=False, states=(*_OPEN, *_DONE))
        if other.user_attrs.get("key") == trial.user_attrs["key"]
    ]
    return min(same, default=trial.number) < trial.number


def waiting(study: optuna.Study) -> int:
    """Return how many trials nobody has begun."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def _sampler(study: Study) -> optuna.samplers.BaseSampler | None:
    if study.sampler is None:
        return None
    try:
        return build(OmegaConf.create(dict(study.sampler)))
    except Exception as error:  # whatever Hydra raises, it is this node that is wrong
        raise UserError(f"study.sampler={dict(study.sampler)}: cannot be made ({reason_of(error)})") from error


def as_slot(attributes: Mapping[str, Any]) -> Slot:
    """Read a slot back from a trial's attributes: data, which may refer to nothing outside of it."""
    slot = build_options(
        Slot, {key: attributes[key] for key in Slot.__dataclass_fields__ if key in attributes}, "stored trial"
    )
    check(not any("${" in text for text in slot.overrides), "stored trial.overrides", slot.overrides, "no ${…}")
    return slot
