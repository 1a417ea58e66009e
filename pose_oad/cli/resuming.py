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


def resumable_run(cfg: DictConfig, verb: str) -> Path | None:
    """Find the folder of the run to go on with, ``cfg.resume``: its id or its folder.

    Returns:
        The folder; None where the run is finished, which is said.

    Raises:
        UserError: if there is none, or settings other than ``modules``, which a file cannot name, are given too: a run
            goes on with its own.
    """
    given = str(cfg.resume)
    folder = Path(given) if Path(given).is_dir() else Path(cfg.output.folder) / given
    check((folder / "config.yaml").is_file(), "resume", given, f"a run's id or folder, as in {cfg.output.folder}")
    own = compose_config(verb, [f"resume='{given}'", f"output.folder='{cfg.output.folder}'"])
    own.modules = cfg.modules
    if cfg != own:
        raise UserError(f"resume={given}: the run goes on with its own settings; leave out every other override")
    if (folder / UNFINISHED).is_dir():
        return folder
    shutil.rmtree(folder / CLOSED, ignore_errors=True)  # killed while that was removed
    _LOG.info("resume=%s: the run is finished, see %s", given, folder)
    return None
