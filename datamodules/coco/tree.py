"""Where the files of a COCO-like set are: the official tree, and those that other sets and annotation tools write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from datamodules.coco.annotation_file import read_category
from datamodules.coco.category import Category
from pose_oad.tracking.errors import UserError


@dataclass(frozen=True)
class CocoTree:
    """The folder of a COCO-like set.

    A split is a name or a file:

    - ``train2017`` is annotated in ``<root>/annotations/person_keypoints_train2017.json``; its images are in
      ``<root>/train2017``, else in ``<root>/images/train2017``, else in ``<root>/images``;
    - ``json/crowdpose_train.json`` is an annotation file below the root; its images are in ``<root>/images``, else
      beside the file.
    """

    root: Path  #: the folder
    image_folder: str | None = None  #: folder of the images below the root; None looks where the above says

    def annotations(self, split: str) -> Path:
        """Return the annotation file of a split."""
        split = str(split)  # a name that is a number comes as one from a command line
        if split.endswith(".json"):
            return self.root / split
        return self.root / "annotations" / f"person_keypoints_{split}.json"

    def images(self, split: str) -> Path:
        """Return the folder of a split's images, the first that exists of those it may be in."""
        if self.image_folder is not None:
            return self.root / str(self.image_folder)
        split, pool = str(split), self.root / "images"
        if split.endswith(".json"):
            places = [pool, self.annotations(split).parent]
        else:
            places = [self.root / split, pool / split, pool]
        return next((place for place in places if place.is_dir()), places[0])

    def check(self) -> None:
        """Refuse a root that is no folder."""
        if not self.root.is_dir():
            raise UserError(f"data.root={self.root}: no such folder; expected a COCO tree (make data writes one)")

    def category(self, split: str, wanted: str | None = None) -> Category:
        """Read what is annotated in a split, whose :meth:`~Category.joint_set` ``student.skeleton=data`` means."""
        self.check()
        return read_category(self.annotations(split), wanted)
