"""Make the embedded data: a synthetic world in the formats of COCO keypoints and Human3.6M, with a contact sheet.

Running it again with the same parameters does nothing; other parameters need another root or overwrite=true.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from pose_oad.cli import run_command
from pose_oad.errors import check

log = logging.getLogger(__name__)


def main(cfg: DictConfig) -> Path:
    """Make the world that the configuration describes, unless it is there.

    Args:
        cfg: see ``conf/data.yaml``

    Returns:
        the world's root.

    Raises:
        UserError: for a value that is not accepted, or a root that holds something else.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from datamodules.synthetic.generate import World, generate

    values: dict[str, Any] = {str(key): cfg[key] for key in cfg if key not in ("root", "workers", "overwrite")}
    cameras = values.pop("cameras")
    check(isinstance(cameras, ListConfig), "cameras", cameras, "a list of camera numbers")
    world = World(**values, cameras=tuple(str(camera) for camera in cameras))
    root, workers, overwrite = Path(str(cfg.root)), cfg.workers, cfg.overwrite
    check(isinstance(workers, int) and workers >= 0, "workers", workers, "a whole number of processes, or 0")
    check(isinstance(overwrite, bool), "overwrite", overwrite, "true or false")
    started = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("synthetic world", total=None)
        made = generate(
            world, root, workers, overwrite, lambda done, total: bar.update(task, completed=done, total=total)
        )
    if made:
        log.info("made %s in %.0f s; look at %s", root, time.monotonic() - started, root / "contact_sheet.png")
    else:
        log.info("%s is already there", root)
    return root


if __name__ == "__main__":
    run_command("data", main)
