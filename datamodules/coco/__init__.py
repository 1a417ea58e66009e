"""Annotated photographs for pre-training: COCO, and sets in its format.

- ``tree``, ``annotation_file``, ``category``: where a set has its files, what they may hold, which joints they name
- ``index``, ``regions``: who is in which image, and where people are that nobody has labelled
- ``views``, ``augmentation``: what a network sees of an image
- ``datamodule``: batches for training and validation
"""

from datamodules.coco.datamodule import CocoDataModule, PoseBatch

__all__ = ["CocoDataModule", "PoseBatch"]
