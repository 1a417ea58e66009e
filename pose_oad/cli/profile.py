"""Measure what labels, steps and frames take on this machine, and write it as a device of ``clock=profile``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from pose_oad.tracking.errors import UserError

if TYPE_CHECKING:
    from pose_oad.online.record import WindowRecord

_LOG = logging.getLogger(__name__)


def main(cfg: DictConfig) -> dict[str, object]:
    """Play a stream for some time without recording it, and write the times.

    Args:
        cfg: ``conf/profile.yaml`` with overrides

    Returns:
        What was written.

    Raises:
        UserError: if the configuration or the data cannot be used, or nothing was labelled and trained in the time.
    """
    from lightning import seed_everything

    from pose_oad.cli.assembly import make_trainer, prepare, take_threads
    from pose_oad.cli.command import check_keys
    from pose_oad.online.clocks import Device
    from pose_oad.tracking.files import replacing
    from pose_oad.tracking.machine import machine
    from pose_oad.tracking.schema import Positive, Text, build_options
    from pose_oad.tracking.store import quiet_libraries

    quiet_libraries()
    check_keys(cfg, {"profile.seconds": Positive, "profile.file": Text})
    take_threads(cfg.threads)
    seed_everything(cfg.seed.model, workers=True, verbose=False)
    run = prepare(cfg)
    loop, timing = run.module.loop, run.timing

    def record(record: WindowRecord) -> None:
        timing.window_closed(record)

    loop.record = record
    trainer = make_trainer(
        {key: value for key, value in cfg.trainer.items() if key != "limit_train_batches"},
        max_epochs=1, max_time={"seconds": cfg.profile.seconds}, logger=False, callbacks=[timing, run.strategy],
        enable_checkpointing=False, enable_progress_bar=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(run.module, datamodule=run.data)
    if not timing.steps or not timing.teacher_calls:
        raise UserError(f"rate={cfg.rate}: nothing was labelled and trained on; expected a larger one, or more seconds")
    weights = loop.learner.student.state_dict().values()
    facts, spent, windows = machine(), timing.totals, timing.training_events
    device = {
        "name": Path(cfg.profile.file).stem,
        "kind": "measured",
        "source": f"{facts['processor']}, {facts['torch_threads']} threads, {windows} windows, {cfg.teacher._target_}",
        "student_s": spent["predict"] / timing.frames,
        "teacher_s": spent["label"] / timing.teacher_calls,
        "train_frame_s": spent["train"] / (timing.steps * cfg.training.batch_size),
        "select_s": spent["query"] / windows,
        "update_bytes": sum(value.nbytes for value in weights),
    }
    build_options(Device, device)
    with replacing(Path(cfg.profile.file)) as partial:
        text = OmegaConf.to_yaml(OmegaConf.create(device))
        partial.write_text(f"# Measured by `pose-oad profile`; keys as in the other files of conf/device.\n{text}")
    for key in ("student_s", "teacher_s", "train_frame_s", "select_s"):
        _LOG.info("%s %.5f", key, device[key])
    _LOG.info("written to %s", cfg.profile.file)
    return device
