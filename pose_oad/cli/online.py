"""Run a stream: predict each window, choose frames, let the teacher label them, train the student, carry on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from pose_oad.tracking.errors import check

_LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    from callbacks.recorder import Watcher
    from callbacks.run_record import RunRecord
    from pose_oad.cli.assembly import OnlineRun


def main(cfg: DictConfig) -> dict[str, float]:
    """Run one stream from its configuration, and print what came of it.

    Args:
        cfg: ``conf/online.yaml`` with overrides

    Returns:
        The run's summary: mean errors, counts and seconds, by logged name; empty where ``resume`` names a finished run.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been recorded then.
    """
    from callbacks.progress import WindowProgress

    if cfg.resume:
        from pose_oad.cli.resuming import resumable_run
        from pose_oad.cli.run_config import read_config

        folder = resumable_run(cfg, "online")
        if folder is None:
            return {}
        record = play(read_config(folder / "config.yaml", "online"), watchers=[WindowProgress()], resume=folder)
    else:
        record = play(cfg, watchers=[WindowProgress()])
    record.report()
    return record.summary


def play(
    cfg: DictConfig,
    tags: Mapping[str, str] | None = None,
    watchers: Sequence[Watcher] = (),
    resume: Path | None = None,
) -> RunRecord:
    """Run one stream from its configuration.

    Args:
        cfg: ``conf/online.yaml`` with overrides
        tags: further tags of the run in the tracking store, as its place in a study
        watchers: who is shown each window's row when it has been logged; callbacks follow the run as such, too, and
            observers are asked for figures
        resume: folder of the run to go on with; None begins a new one

    Returns:
        What the run left: its folder, its summary.

    Raises:
        UserError: if the configuration or the data cannot be used; nothing has been recorded then.
    """
    from lightning import Callback, seed_everything

    from callbacks.checkpoint import WindowCheckpoint, read_state
    from callbacks.ledger import Ledger
    from callbacks.observer import Observer
    from callbacks.recorder import Recorder
    from callbacks.run_record import RunRecord
    from callbacks.sampler import FrameSampler
    from pose_oad.cli.assembly import make_trainer, observers, prepare, take_threads
    from pose_oad.cli.naming import run_name, stream_dataset
    from pose_oad.cli.resuming import resumable
    from pose_oad.tracking.run_folder import close_run, open_run
    from pose_oad.tracking.store import log_provenance, quiet_libraries

    quiet_libraries()
    cfg.threads = take_threads(cfg.threads)
    seed_everything(cfg.seed.model, workers=True, verbose=False)
    run = prepare(cfg)
    watching = observers(cfg, run)
    check(
        cfg.output.register is None or cfg.logger == "mlflow", "output.register", cfg.output.register,
        "null with logger=local: a model is registered in a tracking store",
    )  # fmt: skip
    state = read_state(resume) if resume else None
    name = run_name(cfg, run.strategy.name, run.module.loop.labels.teacher.name)
    logger, folder = open_run(cfg, name, _tags(cfg, run) | dict(tags or {}), resume)
    if state is None:
        log_provenance(logger, cfg)
        logger.experiment.log_dataset(str(logger.run_id), stream_dataset(cfg.stream, run.data.loader.source.clips))
    stream, ledger = run.data.loader, Ledger(folder)
    if resume is not None:
        position = state["stream"] if state else {"window": 0, "frame": 0}
        ledger.cut(position["window"], position["frame"])
    if state is not None:
        stream.load_state_dict(state["stream"])  # Lightning asks how much is left before it starts
    sampler = FrameSampler(run.module.student.skeleton, stream.source.skeleton, cfg.output.samples)
    logged = logger.last_step() if resume else -1
    looking = [run.evaluation, *watching, sampler, *(watcher for watcher in watchers if isinstance(watcher, Observer))]
    run.module.loop.record = Recorder(looking, run.timing, ledger, logger, watchers, logged)
    record = RunRecord(cfg, logger, folder, run.evaluation, run.timing, sampler, ledger, watching)
    trainer = make_trainer(
        {key: value for key, value in cfg.trainer.items() if key != "limit_train_batches"},
        max_epochs=1,
        logger=logger,
        # The clock stops first; what is kept of the run is written last.
        callbacks=[
            run.timing, run.strategy, *looking,
            *(watcher for watcher in watchers if isinstance(watcher, Callback) and watcher not in looking),
            *([WindowCheckpoint(folder, stream, state)] if cfg.output.resumable else []), record,
        ],
        enable_checkpointing=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )  # fmt: skip
    with resumable("online", folder) if cfg.output.resumable else nullcontext():
        trainer.fit(run.module, datamodule=run.data)
    if cfg.output.register:
        _register(cfg, run, record)
    close_run(folder)
    return record


def _register(cfg: DictConfig, run: OnlineRun, record: RunRecord) -> None:
    """Log the adapted student as a model; a store that does not take it is no reason to lose the run."""
    from pose_oad.export.registered_model import log_student
    from pose_oad.tracking.store import connect

    try:
        if connect(cfg.tracking.uri).search_model_versions(f"run_id = '{record.logger.run_id}'"):
            return  # before the run was stopped
        student = run.module.loop.weights.newest()
        uri = log_student(student, str(record.logger.run_id), cfg.tracking.uri, cfg.output.register)
        _LOG.info("registered as %s: %s", cfg.output.register, uri)
    except Exception as error:  # whatever the store raises, the student is in the run's folder
        _LOG.warning(
            "output.register=%s: not registered (%s); the student is in %s",
            cfg.output.register, " ".join(str(error).split())[:160], record.folder / "student.ckpt",
        )  # fmt: skip


def _tags(cfg: DictConfig, run: OnlineRun) -> dict[str, str]:
    from pose_oad.tracking.store import file_hash

    return {
        "pose_oad.kind": "online",
        "pose_oad.label": run.strategy.name,
        "pose_oad.role": "reference" if run.strategy.reference else "strategy",
        "checkpoint.sha256": file_hash(cfg.checkpoint),
    }
