"""Annotated images beside a stream's frames, so that a student does not forget where it comes from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from datamodules.coco.index import CocoImage, CocoIndex
from datamodules.coco.tree import CocoTree
from datamodules.coco.views import ValidationPoses
from pose_oad.online.batch import SOURCE, LabelledBatch, join
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Count, Text


class SourceFrames:
    """Images of a COCO tree as the student sees frames: whole, laid into its input.

    Images with people who are not labelled are left out. Those that are kept are decoded before the first is drawn.

    Args:
        student: whose input and joint set are used
        root: folder of the set
        split: a name, or an annotation file below the root
        images: so many of its images at most, drawn at random
        image_folder: folder of the images below the root; None looks where the tree may have them
        category: which of several categories with keypoints; None: "person", or the only one
        missing_images: ``refuse`` a set of which images are missing, or ``skip`` these
        seed: seed of that draw

    Raises:
        UserError: if the set cannot be used.
    """

    def __init__(
        self,
        student: PoseStudent,
        root: Text,
        split: Text = "train2017",
        images: Count = 500,
        image_folder: str | None = None,
        category: str | None = None,
        missing_images: Literal["refuse", "skip"] = "refuse",
        seed: int = 0,
    ) -> None:
        check(Path(root).is_dir(), "source.root", root, "the folder of a COCO tree; make data writes one")
        tree = CocoTree(Path(root), image_folder)
        self._index = CocoIndex(
            tree.annotations(split),
            tree.images(split),
            student.skeleton,
            category=category,
            skip_missing=missing_images == "skip",
        )
        self._student = student
        self._wanted: list[CocoImage] = []
        for row in np.random.default_rng(seed).permutation(len(self._index.images)):
            image = self._index.images[row]
            if len(image.keypoints) and self._index.ignored(image) is None:
                self._wanted.append(image)
            if len(self._wanted) == images:
                break
        check(len(self._wanted) > 0, "source.split", split, "images in which everybody is labelled")

    def sample(self, n: int, rng: np.random.Generator) -> LabelledBatch:
        """Draw images, each as likely as any other."""
        rows = rng.choice(len(self._frames), size=n, replace=n > len(self._frames))
        return self._frames.take(torch.from_numpy(rows))

    @cached_property
    def _frames(self) -> LabelledBatch:
        student = self._student
        views = ValidationPoses(self._index, student.input_size, student.map_size, student.config.resize_mode)
        views.images = self._wanted
        limbs = torch.ones(1, len(student.skeleton.limbs), dtype=torch.bool)
        return join([
            LabelledBatch(
                torch.from_numpy(sample.image)[None],
                torch.from_numpy(sample.keypoints)[None],
                torch.from_numpy(sample.joint_mask)[None],
                limbs,
                torch.full((1,), -1),
            )
            for sample in (views[at] for at in range(len(views)))
        ]).from_origin(SOURCE)  # fmt: skip
