"""Going on with a run that was stopped: where it is."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from pose_oad.cli import compose_config
from pose_oad.errors import UserError, check


def resumable_run(cfg: DictConfig, verb: str) -> Path:
    """Find the folder of the run to go on with.

    Args:
        cfg: a configuration whose ``resume`` is a run's id or folder; nothing else but ``modules``, which a file cannot
            name, differs from the defaults
        verb: the command whose configuration it is

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
    return folder
