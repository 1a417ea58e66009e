"""Deliver records that a tracking store could not take while a run was being played, or of runs with logger=local."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig

from pose_oad.tracking.delivery import deliver_journal
from pose_oad.tracking.errors import UserError, reason_of
from pose_oad.tracking.locks import holding
from pose_oad.tracking.store import connect, quiet_libraries

_LOG = logging.getLogger(__name__)


def main(cfg: DictConfig) -> int:
    """Deliver every journal; return how many calls were delivered.

    Raises:
        UserError: if another process delivers, or, when every journal has been tried, if a store cannot be reached or
            refuses a record; what was not delivered is kept.
    """
    quiet_libraries()
    journals = sorted(Path(cfg.folder).glob("*.jsonl"))
    delivered, failed = 0, list[str]()
    with holding(Path(cfg.folder)) if journals else nullcontext():
        for path in journals:
            try:
                delivered += deliver_journal(path, cfg.tracking.uri, connect)
            except Exception as error:  # whatever the store or a damaged journal raises, the others are delivered
                failed.append(f"{path}: not delivered ({reason_of(error)}); it is kept")
    _LOG.info("%d records of %d runs delivered", delivered, len(journals) - len(failed))
    if failed:
        raise UserError("; ".join(failed))
    return delivered
