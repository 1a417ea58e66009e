"""The adapter of a live service: a run of ``online`` whose frames come from a server, which starts this process."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from pose_oad.cli.command import trust
from pose_oad.cli.online import play
from pose_oad.live.feed import Link, ServerGoneError, own_link
from pose_oad.live.mailbox import Mailbox
from pose_oad.live.publisher import Publisher
from pose_oad.live.supervisor import CONFIG, REFUSED
from pose_oad.tracking.errors import UserError, reason_of
from pose_oad.tracking.locks import holding
from pose_oad.tracking.run_folder import UNFINISHED

# What a run goes on without: where it began, how fast it may be, which camera it was.
_MAY_CHANGE = ("checkpoint", "threads", "stream", "nice")


def main(folder: Path) -> int:
    """Adapt until the server has gone or the frames end.

    Args:
        folder: of the service

    Returns:
        The exit code: 0 done, 2 refused; whatever else goes wrong is told the server, and has a traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    link = own_link()
    try:
        cfg = OmegaConf.load(folder / CONFIG)
        assert isinstance(cfg, DictConfig)
        os.nice(int(cfg.pop("nice")))
        trust(cfg.modules)
        with holding(folder / "adapter", wait=True):  # one whose server was killed may be finishing its window
            _adapt(cfg, folder, link)
    except ServerGoneError:
        return 0
    except UserError as error:
        link.say("failed", error=str(error))
        return REFUSED
    except BaseException as error:
        link.say("failed", error=f"{type(error).__name__}: {reason_of(error)}")
        raise
    return 0


def _adapt(cfg: DictConfig, folder: Path, link: Link) -> None:
    """Go on with the run that was stopped, if its settings are the same, or begin one with the newest weights."""
    mailbox = Mailbox(folder)
    stopped = [path.parent for path in Path(cfg.output.folder).glob(f"*/{UNFINISHED}")]
    same = [run for run in stopped if _settings(OmegaConf.load(run / "config.yaml")) == _settings(cfg)]
    for run in stopped:
        if run not in same:
            (run / UNFINISHED).rename(run / "given_up")
    if not same and mailbox.path.exists():
        cfg.checkpoint = str(mailbox.path)
    play(cfg, {"pose_oad.kind": "live"}, [Publisher(mailbox, link)], resume=same[0] if same else None)


def _settings(cfg: object) -> object:
    """Return what a run is made of, but for the weights it began with, and what may change while it goes on."""
    assert isinstance(cfg, DictConfig)
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in _MAY_CHANGE])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
