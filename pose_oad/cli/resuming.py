"""Beginning a run, going on with one that was stopped, and closing it, so that a kill at any instant loses nothing.

A run's folder is made first, with its configuration and a folder ``unfinished`` for what it goes on from. Until the run
in the tracking store has been made, the folder has a name of its own, which that run carries as a tag: whenever the
process dies, a resumed run finds the one that was begun. ``unfinished`` goes away in one step, after everything else.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from pose_oad.cli.command import compose_config
from pose_oad.tracking.errors import UserError, check
from pose_oad.tracking.files import replacing, writing

if TYPE_CHECKING:
    from pose_oad.tracking.delivery import RunLogger

_LOG = logging.getLogger(__name__)

#: Folder in a run's folder that is there as long as the run is not finished; nothing in it is an artifact.
UNFINISHED = "unfinished"

_CLOSED = "finished"  # its name while it is removed
_NEW = "new-"


def open_run(
    cfg: DictConfig, name: str, tags: Mapping[str, str] | None = None, stopped: Path | None = None
) -> tuple[RunLogger, Path]:
    """Begin a run, or go on with one.

    Args:
        cfg: the resolved configuration
        name: name of the run in the tracking store
        tags: its tags there
        stopped: folder of the run to go on with; None begins a new one

    Returns:
        its logger; its folder, named by its id.

    Raises:
        UserError: if folder or tracking store cannot be used; nothing is left of a new run then.
    """
    from pose_oad.tracking.store import make_logger

    folder = stopped or _begin(cfg)
    token = folder.name.removeprefix(_NEW) if folder.name.startswith(_NEW) else None
    try:
        logger = make_logger(cfg, name, tags, folder.name if token is None else None, token)
    except UserError:
        if stopped is None:
            shutil.rmtree(folder)
        raise
    return logger, folder.rename(folder.with_name(str(logger.run_id)))


def _begin(cfg: DictConfig) -> Path:
    folder = Path(cfg.output.folder) / f"{_NEW}{uuid.uuid4().hex}"
    try:
        with writing(folder):
            (folder / UNFINISHED).mkdir(parents=True)
        with replacing(folder / "config.yaml") as partial:
            OmegaConf.save(cfg, partial)
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def close_run(folder: Path) -> None:
    """Remove what a run goes on from: everything else of it has been written and recorded."""
    shutil.rmtree((folder / UNFINISHED).rename(folder / _CLOSED))


def resumable_run(cfg: DictConfig, verb: str) -> Path | None:
    """Find the folder of the run to go on with.

    Args:
        cfg: a configuration whose ``resume`` is a run's id or folder; nothing else but ``modules``, which a file cannot
            name, differs from the defaults
        verb: the command whose configuration it is

    Returns:
        The folder; None where the run is finished, which is said.

    Raises:
        UserError: if there is no such folder, or other settings are given: a run goes on with its own.
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
    shutil.rmtree(folder / _CLOSED, ignore_errors=True)  # killed while that was removed
    _LOG.info("resume=%s: the run is finished, see %s", given, folder)
    return None
