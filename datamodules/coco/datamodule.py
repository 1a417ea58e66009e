"""COCO keypoint sets as training and validation batches.

The official tree, or any set in the same format with whatever joints its category names:
:class:`~datamodules.coco.tree.CocoTree` says where files may be, :mod:`datamodules.coco.annotation_file` what they may
hold.

Training images fill the input (no bars: cropped, or squashed), randomly seen through
:mod:`datamodules.coco.augmentation`. Validation images lie whole in it, so that
:class:`~pose_oad.poses.geometry.FrameResize` brings predictions back to the original px exactly.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from pycocotools.coco import COCO
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, RandomSampler, get_worker_info

from datamodules.coco.augmentation import AugmentationConfig
from datamodules.coco.index import CocoIndex
from datamodules.coco.tree import CocoTree
from datamodules.coco.views import Sample, TrainingPoses, ValidationPoses
from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Count, Number

_LOG = logging.getLogger(__name__)


class PoseBatch(NamedTuple):
    """Images and what is known of the people in them."""

    images: Tensor  #: RGB uint8, shape (batch, height, width, 3)
    #: shape (batch, people, joints, 3): px of the input, 1 where labelled; missing people are all zero
    keypoints: Tensor
    joint_mask: Tensor  #: joints that the data set can supply, bool, shape (batch, joints)
    pixel_mask: Tensor  #: map cells outside crowds and unlabelled people, bool, shape (batch, rows, columns)
    image_ids: Tensor  #: COCO's ids, int64, shape (batch,)
    frame_sizes: Tensor  #: width and height of the original images, px, int64, shape (batch, 2)
    #: number of the loader process that made it, and where its random choices are now; None once that is noted
    random: tuple[int, dict[str, Any]] | None = None


class CocoDataModule(LightningDataModule):
    """A COCO tree's two splits, ``training`` and ``validation``, as loaders of :class:`PoseBatch`."""

    def __init__(
        self,
        root: str | Path,
        skeleton: Skeleton,
        input_size: tuple[int, int],
        map_size: tuple[int, int],
        *,
        augmentation: AugmentationConfig,
        train: str = "train2017",
        val: str = "val2017",
        image_folder: str | None = None,
        category: str | None = None,
        missing_images: Literal["refuse", "skip"] = "refuse",
        batch_size: Count = 32,
        workers: Number = 1,
        cache_mib: Number = 1024,
        seed: int = 0,
        resize_mode: ResizeMode = "letterbox",
    ) -> None:
        """Name the data, with the keys of ``conf/pretrain.yaml``; nothing is read before :meth:`setup`.

        ``input_size`` (width and height, px) and ``map_size`` (cells) are the network's; ``resize_mode`` says how
        validation images lie in its input.
        """
        super().__init__()
        self.tree, self.category, self.missing_images = CocoTree(Path(root), image_folder), category, missing_images
        self.skeleton, self.input_size, self.map_size = skeleton, input_size, map_size
        self.augmentation, self.splits = augmentation, {"train": train, "val": val}
        self.batch_size, self.workers, self.cache_mib, self.seed = batch_size, workers, cache_mib, seed
        self.resize_mode: ResizeMode = resize_mode
        self._order = torch.Generator().manual_seed(seed)
        self._drawn: dict[int, dict[str, Any]] = {}  # where each loader process is
        self._resumed = False

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations and decode what memory is granted for; ``validate`` leaves the training split alone."""
        wanted = ["validation"] if stage == "validate" else ["validation", "training"]
        if all(hasattr(self, split) for split in wanted):
            return
        self.tree.check()
        self.validation = ValidationPoses(self._index("val"), self.input_size, self.map_size, self.resize_mode)
        self.validation.keep(self.cache_mib // 2)
        if stage != "validate":
            index = self._index("train")
            self._report_joints(index)
            self.training = TrainingPoses(index, self.input_size, self.map_size, self._views(), self.seed)
            self.training.keep(self.cache_mib // 2)

    @property
    def ground_truth(self) -> COCO:
        """The validation people for pycocotools, with the set's own joints; after :meth:`setup`."""
        return self.validation.index.ground_truth

    @property
    def category_id(self) -> int:
        """COCO's id of the category in the validation split; after :meth:`setup`."""
        return self.validation.index.category_id

    def train_dataloader(self) -> DataLoader:
        """Return shuffled batches of random views, or go on with them where a stopped training was."""
        # Loader processes that live on have drawn their seeds once, at the start of the training.
        seeds = torch.Generator().manual_seed(self.seed) if self._resumed and self.workers else self._order
        if self._resumed and not self.workers:
            self.training.augmentation.load_state_dict(self._drawn[0])
        return DataLoader(
            self.training,
            batch_size=self.batch_size,
            sampler=RandomSampler(self.training, generator=self._order),
            # A last batch of one image would unsettle the batch statistics.
            drop_last=len(self.training) >= self.batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=partial(_start_worker, dict(self._drawn)),
            collate_fn=_collate,
            generator=seeds,
        )

    def on_before_batch_transfer(self, batch: PoseBatch, dataloader_idx: int) -> PoseBatch:
        """Note where the loader process is that made a batch."""
        if batch.random is not None:
            self._drawn[batch.random[0]] = batch.random[1]
        return batch._replace(random=None)

    def state_dict(self) -> dict[str, Any]:
        """Return where the order of the images and the random views are; Lightning asks at the end of an epoch."""
        views = self._drawn if self.workers else {0: self.training.augmentation.state_dict()}
        return {"order": self._order.get_state(), "views": views, "workers": self.workers}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of the same number of loader processes."""
        before = state_dict["workers"]
        check(before == self.workers, "data.workers", self.workers, f"{before}, as before the training was stopped")
        self._order.set_state(state_dict["order"])
        self._drawn, self._resumed = state_dict["views"], True

    def val_dataloader(self) -> DataLoader:
        """Return the validation images in order."""
        return DataLoader(self.validation, batch_size=self.batch_size, collate_fn=_collate)

    def _index(self, split: str) -> CocoIndex:
        name = self.splits[split]
        return CocoIndex(
            self.tree.annotations(name),
            self.tree.images(name),
            self.skeleton,
            category=self.category,
            skip_missing=self.missing_images == "skip",
        )

    def _views(self) -> AugmentationConfig:
        """The ranges of the views, without mirror images where no name tells left from right."""
        if self.skeleton.sided or not self.augmentation.flip:
            return self.augmentation
        _LOG.warning(
            "augmentation.flip=%s: not used, since the joints of %s do not come in left_ and right_ pairs",
            self.augmentation.flip,
            self.skeleton.name,
        )
        return replace(self.augmentation, flip=0.0)

    def _report_joints(self, index: CocoIndex) -> None:
        """Name the student's joints that nothing will teach."""
        if not index.joints.all():
            joints = [joint for joint, there in zip(self.skeleton.joints, index.joints, strict=True) if not there]
            _LOG.warning("%s: has no %s; the student is not trained on them", index.annotations, ", ".join(joints))


def _start_worker(views: Mapping[int, dict[str, Any]], worker: int) -> None:
    """Give a loader process its own random views, reproducible for a given number of processes."""
    info = get_worker_info()
    if info is not None and isinstance(info.dataset, TrainingPoses):
        cv2.setNumThreads(0)
        info.dataset.augmentation.reseed(info.seed % 2**32)
        if worker in views:
            info.dataset.augmentation.load_state_dict(views[worker])


def _collate(samples: list[Sample]) -> PoseBatch:
    info: Any = get_worker_info()
    return PoseBatch(
        images=torch.from_numpy(np.stack([sample.image for sample in samples])),
        keypoints=pad_sequence([torch.from_numpy(sample.keypoints) for sample in samples], batch_first=True),
        joint_mask=torch.from_numpy(np.stack([sample.joint_mask for sample in samples])),
        pixel_mask=torch.from_numpy(np.stack([sample.pixel_mask for sample in samples])),
        image_ids=torch.tensor([sample.image_id for sample in samples]),
        frame_sizes=torch.tensor([sample.frame_size for sample in samples]),
        random=(info.id, info.dataset.augmentation.state_dict()) if info is not None else None,
    )
