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
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from pose_oad.tracking.delivery import RunLogger
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import replacing, writing
from pose_oad.tracking.store import make_logger

_LOG = logging.getLogger(__name__)

#: Folder in a run's folder that is there as long as the run is not finished; nothing in it is an artifact.
UNFINISHED = "unfinished"

#: Its name while it is removed.
CLOSED = "finished"

#: File that holds the run's name in the tracking store.
NAME = "name.txt"
_NEW = "new-"


def open_run(
    cfg: DictConfig, name: str, tags: Mapping[str, str] | None = None, stopped: Path | None = None
) -> tuple[RunLogger, Path]:
    """Begin a run, or go on with one in the folder where it was stopped.

    Returns:
        its logger; its folder, named by its id.

    Raises:
        UserError: if folder or tracking store cannot be used; nothing is left of a new run then.
    """
    place = Path(cfg.output.folder)
    absent = [path for path in (place, *place.parents) if not path.exists()]
    folder = stopped or _begin(cfg, name)
    token = folder.name.removeprefix(_NEW) if folder.name.startswith(_NEW) else None
    try:
        logger = make_logger(cfg, name, tags, folder.name if token is None else None, token)
    except UserError:
        if stopped is None:
            shutil.rmtree(folder)
            with suppress(OSError):  # not empty: of another run
                for path in absent:
                    path.rmdir()
        raise
    return logger, folder.rename(folder.with_name(str(logger.run_id)))


def _begin(cfg: DictConfig, name: str) -> Path:
    folder = Path(cfg.output.folder) / f"{_NEW}{uuid.uuid4().hex}"
    try:
        with writing(folder):
            (folder / UNFINISHED).mkdir(parents=True)
            (folder / NAME).write_text(f"{name}\n")
        with replacing(folder / "config.yaml") as partial:
            OmegaConf.save(cfg, partial)
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def close_run(folder: Path) -> None:
    """Remove what a run goes on from: everything else of it has been written and recorded."""
    shutil.rmtree((folder / UNFINISHED).rename(folder / CLOSED))
