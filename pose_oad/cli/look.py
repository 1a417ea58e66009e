"""Open the page of a run: its verdict, its time line, frames before and after."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from omegaconf import DictConfig

from pose_oad.cli.command import check_keys
from pose_oad.cli.resuming import find_run
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Text


def main(cfg: DictConfig) -> Path:
    """Open the page that ``conf/look.yaml`` with overrides names.

    Returns:
        The page.

    Raises:
        UserError: if there is no such run, or it has no page.
    """
    check_keys(cfg, {"run": Text | int, "folder": Text, "open": bool})
    page = find_run("run", str(cfg.run), Path(cfg.folder)) / "look.html"
    check(page.is_file(), "run", cfg.run, "a finished run with output.figures=true, which alone has a page")
    sys.stdout.write(f"{page}\n")
    if cfg.open:
        webbrowser.open(page.resolve().as_uri())
    return page
