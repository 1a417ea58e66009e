"""Pre-train a student on annotated images, and leave its best and last weights in a folder.

``best.ckpt`` appears (or is replaced) only when training is complete, so a file of that name is always a finished
student; ``last.ckpt`` is written after every epoch, for ``resume=true``. A training that is resumed, whenever it was
stopped, ends as an uninterrupted one, in the same run of the tracking store.
"""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from omegaconf import DictConfig, OmegaConf

from datamodules.coco import CocoDataModule
from datamodules.coco.augmentation import AugmentationConfig
from datamodules.coco.tree import CocoTree
from pose_oad.cli.assembly import make_trainer
from pose_oad.cli.command import check_keys, plain
from pose_oad.offline.map_regression import PretrainModule
from pose_oad.offline.training import EpochLogger
from pose_oad.poses.skeleton import FROM_DATA
from pose_oad.students import load_student
from pose_oad.tracking.checkpoint_io import AtomicCheckpointIO
from pose_oad.tracking.delivery import RunLogger
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import replacing
from pose_oad.tracking.locks import holding
from pose_oad.tracking.schema import Number, Text, build_options
from pose_oad.tracking.store import connect, log_provenance, make_logger, quiet_libraries
from pose_oad.tracking.torch_file import read_torch_file

_LOG = logging.getLogger(__name__)


class CheckpointFiles:
    """The files of a checkpoint folder.

    Attributes:
        best: weights of the best validation, of a finished training
        last: the whole state after the last epoch
        candidate: best weights so far of a training that is not finished
        run: name that its run in the tracking store carries as a tag; there as long as it is not finished
    """

    def __init__(self, folder: str | Path) -> None:
        names = ("best.ckpt", "last.ckpt", "unfinished.ckpt", "unfinished.run")
        self.best, self.last, self.candidate, self.run = (Path(folder) / name for name in names)

    def publish(self) -> None:
        """Give the best weights so far their final name, in one step."""
        # Absent after resuming a training that had already finished and found nothing better.
        if self.candidate.exists():
            os.replace(self.candidate, self.best)


class PretrainResult(NamedTuple):
    """What a pre-training leaves: the best weights, and the last validation's figures by name."""

    checkpoint: Path
    metrics: dict[str, float]


def main(cfg: DictConfig) -> PretrainResult:
    """Pre-train from ``conf/pretrain.yaml`` with overrides.

    Raises:
        UserError: if a value, the data or a checkpoint to resume from is refused, or another process writes to the
            folder; before anything is written.
    """
    quiet_libraries()
    check_keys(cfg, {"resume": bool, "data.workers": Number, "checkpoint.folder": Text, "initial": Text | None})
    files = CheckpointFiles(cfg.checkpoint.folder)
    if cfg.resume and not (files.last.is_file() or files.run.is_file()):
        raise UserError(f"resume=true: no {files.last} to continue from; expected one of an earlier pre-training")
    lightning.seed_everything(cfg.seed.model, verbose=False)
    # Threads that wait for one another spin: with a core too few for all of them, a step takes several times as long.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - cfg.data.workers))
    module, data = _build(cfg)
    last = files.last if cfg.resume and files.last.is_file() else None
    if last is not None:
        load_student(last, module.student.config)  # refuses to go on with another network
        if not files.run.is_file() and (finished := _finished(cfg, files)):
            return finished
    elif cfg.initial is not None:
        # All of the weights, or those of joints and limbs that this student shares with the file's.
        initial = load_student(cfg.initial, module.student.config, other_joints=True)
        module.student.load_state_dict(initial.state_dict())
    data.setup()
    bar = sys.stderr.isatty()
    trainer = make_trainer(plain(cfg.trainer), logger=False, callbacks=_callbacks(files), enable_progress_bar=bar)
    with holding(files.best.parent):
        return _train(cfg, files, trainer, module, data, last)


def _train(
    cfg: DictConfig,
    files: CheckpointFiles,
    trainer: Trainer,
    module: PretrainModule,
    data: CocoDataModule,
    last: Path | None,
) -> PretrainResult:
    trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    logger = _logger(cfg, files)
    trainer.callbacks.append(EpochLogger(logger, logger.last_step("lr")))  # type: ignore[attr-defined]
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    except UserError as error:
        logger.finalize("failed")
        # An error of a loader process comes wrapped into its whole traceback.
        raise UserError(str(error).strip().rpartition("UserError: ")[2]) from error
    except BaseException:  # an interrupt too: the store must not show this run as one that is still going on
        logger.finalize("failed")
        raise
    if not (files.candidate.exists() or files.best.exists()):
        # Stopped by max_time before the first validation.
        trainer.save_checkpoint(files.candidate, weights_only=True)
    files.publish()
    logger.finalize("success")
    files.run.unlink()
    metrics = module.figures()
    _LOG.info("%s: %s", files.best, ", ".join(f"{name} {value:.4g}" for name, value in sorted(metrics.items())))
    return PretrainResult(files.best, metrics)


def _finished(cfg: DictConfig, files: CheckpointFiles) -> PretrainResult | None:
    """Return what a finished training left; None where it has more epochs to do than it had."""
    state, epochs = read_torch_file(files.last), cfg.trainer.max_epochs
    if epochs is None or not 0 <= epochs <= state["epoch"] + 1 or not files.best.is_file():
        return None
    _LOG.info("resume=true: the training is finished, see %s", files.best)
    return PretrainResult(files.best, state["figures"])


def _build(cfg: DictConfig) -> tuple[PretrainModule, CocoDataModule]:
    values = plain(cfg)
    if values["student"]["skeleton"] == FROM_DATA:
        values["student"]["skeleton"] = _joint_set_of(values["data"])
    module = PretrainModule(values["student"], **values["optimiser"], **values["objective"])
    student = module.student
    augmentation = build_options(AugmentationConfig, values["augmentation"], "augmentation")
    data = build_options(
        CocoDataModule, values["data"], "data", skeleton=student.skeleton, input_size=student.input_size,
        map_size=student.map_size, augmentation=augmentation, seed=cfg.seed.model,
        resize_mode=student.config.resize_mode,
    )  # fmt: skip
    return module, data


def _joint_set_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read the joints and limbs that the training set names, in the plain values that a checkpoint carries."""
    tree = CocoTree(Path(data["root"]), data["image_folder"])
    skeleton = tree.category(data["train"], data["category"]).joint_set()
    _LOG.info("student.skeleton=data: %s, %d limbs: %s", skeleton.name, len(skeleton.limbs), ", ".join(skeleton.joints))
    return skeleton.describe()


def _callbacks(files: CheckpointFiles) -> list[Callback]:
    shared: dict[str, Any] = {"dirpath": files.best.parent, "enable_version_counter": False}
    best = ModelCheckpoint(
        filename=files.candidate.stem, monitor="val/score", mode="max", save_weights_only=True, **shared
    )
    # After every epoch, also where there is no validation.
    last = ModelCheckpoint(filename=files.last.stem, save_on_train_epoch_end=True, **shared)
    # Progress belongs to a person who watches; a log file gets the figures at the end.
    return [best, last, *([RichProgressBar()] if sys.stderr.isatty() else [])]


def _logger(cfg: DictConfig, files: CheckpointFiles) -> RunLogger:
    """Open the run in the tracking store: that of the training to go on with, where it is not finished."""
    if not (cfg.resume and files.run.is_file()):
        if cfg.logger == "mlflow":
            connect(str(cfg.tracking.uri))  # an unusable store costs nothing
        if not cfg.resume:
            # Left-overs of an earlier, interrupted training must not be taken for this one's.
            files.last.unlink(missing_ok=True)
            files.candidate.unlink(missing_ok=True)
        files.run.parent.mkdir(parents=True, exist_ok=True)
        with replacing(files.run) as partial:
            partial.write_text(uuid.uuid4().hex)
    logger = make_logger(cfg, f"pretrain {cfg.student.name}", token=files.run.read_text())
    if not files.last.is_file():
        log_provenance(logger, OmegaConf.merge(cfg, {"resume": False}))  # type: ignore[arg-type]
    return logger
