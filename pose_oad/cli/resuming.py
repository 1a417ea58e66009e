"""Find a run by what its author remembers of it, and say how one that was stopped goes on."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from pose_oad.cli.command import compose_config
from pose_oad.cli.overrides import override
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.run_folder import CLOSED, NAME, UNFINISHED

_LOG = logging.getLogger(__name__)


def find_run(key: str, given: str, place: Path) -> Path:
    """Find the folder of a run.

    Args:
        key: config key that names it, for messages
        given: its id, or as much of it as no other has, its folder, its name (the latest of several), or ``last``
        place: where runs are

    Raises:
        UserError: if there is none.
    """
    if (Path(given) / "config.yaml").is_file():
        return Path(given)
    files = sorted(place.glob("*/config.yaml"), key=lambda file: file.stat().st_mtime_ns)
    runs = [file.parent for file in files]
    named = [run for run in runs if given == "last" or run.name == given or _name(run) == given][-1:]
    found = named or [run for run in runs if run.name.startswith(given)]
    check(len(found) == 1, key, given, f"last, or the id, the name or the folder of one run, as in {place}")
    return found[0]


def _name(run: Path) -> str:
    file = run / NAME
    return file.read_text().strip() if file.is_file() else ""


@contextmanager
def resumable(verb: str, folder: Path) -> Iterator[None]:
    """Say by which command a run goes on that stops in here, by an error or an interrupt."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error}; {_go_on(verb, folder)}") from error
    except (KeyboardInterrupt, SystemExit):  # Lightning makes the one of the other
        _LOG.warning("%s", _go_on(verb, folder))
        raise


def _go_on(verb: str, folder: Path) -> str:
    if "MAKELEVEL" in os.environ and verb == "online":
        return f"go on with: make online RESUME={shlex.quote(str(folder))}"
    return f"go on with: pose-oad {verb} {shlex.quote(override('resume', folder))}"


def resumable_run(cfg: DictConfig, verb: str) -> Path | None:
    """Find the folder of the run to go on with, ``cfg.resume``: its id or its folder.

    Returns:
        The folder; None where the run is finished, which is said.

    Raises:
        UserError: if there is none, or settings other than ``modules``, which a file cannot name, are given too: a run
            goes on with its own.
    """
    given = str(cfg.resume)
    folder = find_run("resume", given, Path(cfg.output.folder))
    own = compose_config(verb, [f"resume='{given}'", f"output.folder='{cfg.output.folder}'"])
    own.modules = cfg.modules
    if cfg != own:
        raise UserError(f"resume={given}: the run goes on with its own settings; leave out every other override")
    if (folder / UNFINISHED).is_dir():
        return folder
    shutil.rmtree(folder / CLOSED, ignore_errors=True)  # killed while that was removed
    _LOG.info("resume=%s: the run is finished, see %s", given, folder)
    return None
