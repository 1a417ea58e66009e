"""Make the embedded data: a synthetic world in the formats of COCO keypoints and Human3.6M, with a contact sheet.

Running it again with the same parameters does nothing; other parameters need another root or overwrite=true.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from pose_oad.cli import run_command

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

    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    root, workers, overwrite = Path(values.pop("root")), values.pop("workers"), values.pop("overwrite")
    world = World(**{str(key): tuple(v) if isinstance(v, list) else v for key, v in values.items()})
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
