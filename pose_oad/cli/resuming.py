"""Find the run to go on with."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from omegaconf import DictConfig

from pose_oad.cli.command import compose_config
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.run_folder import CLOSED, UNFINISHED

_LOG = logging.getLogger(__name__)


def find_run(key: str, given: str, place: Path) -> Path:
    """Find the folder of a run.

    Args:
        key: config key that names it, for messages
        given: its id, or as much of it as no other has, its folder, or ``last``
        place: where runs are

    Raises:
        UserError: if there is none.
    """
    if (Path(given) / "config.yaml").is_file():
        return Path(given)
    known = sorted(place.glob("*/config.yaml"), key=lambda file: file.stat().st_mtime_ns)
    found = known[-1:] if given == "last" else [file for file in known if file.parent.name.startswith(given)]
    exact = [file for file in found if file.parent.name == given]
    check(len(exact or found) == 1, key, given, f"last, or the id or the folder of one run, as in {place}")
    return (exact or found)[0].parent


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
