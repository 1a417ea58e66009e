"""Run a study: many runs that answer one question, on one process or many, resumable at any point.

Trials wait in a queue that Optuna keeps: in a journal file, or in a database that several machines share. A study that
was stopped, however it was, goes on where it was when the same command is given again.
"""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from pose_oad.studies.runner import run_study


def main(cfg: DictConfig) -> dict[str, int]:
    """Run a study from ``conf/sweep.yaml`` with overrides; return the number of trials by state.

    Raises:
        UserError: if the configuration, the storage or the data cannot be used.
        SystemExit: with exit code 1 if a trial failed.
    """
    counts = run_study(cfg)
    if counts["fail"]:
        sys.stderr.write(f"{counts['fail']} trials failed; the same command tries them again\n")
        sys.exit(1)
    return counts
