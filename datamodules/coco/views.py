"""COCO images as a network sees them: random views to train on, whole images to validate on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from datamodules.coco.augmentation import Augmentation, AugmentationConfig, unlabel_outside
from datamodules.coco.index import CocoImage, CocoIndex
from pose_oad.poses.geometry import FrameResize, ResizeMode
from pose_oad.tracking.errors import UserError

# Training images are kept this much larger than the input, so that magnified views stay sharp.
_OVERSAMPLING = 1.5
_MIB = 2**20


class Sample(NamedTuple):
    """One image as a network sees it, and what is known of the people in it: a row of a batch, in NumPy."""

    image: np.ndarray
    keypoints: np.ndarray
    joint_mask: np.ndarray
    pixel_mask: np.ndarray
    image_id: int
    frame_size: tuple[int, int]


class _Prepared(NamedTuple):
    """A decoded image at working resolution, and its ignored area at the same."""

    image: np.ndarray
    ignored: np.ndarray | None


class CocoPoses(Dataset):
    """One split of a COCO set; what the two kinds of split share: decoding, once, as far as memory is granted.

    Args:
        index: the annotations
        images: those of its images to yield, in order
        input_size: width and height of the network input, px
        map_size: width and height of the predicted maps, cells
    """

    def __init__(
        self, index: CocoIndex, images: Sequence[CocoImage], input_size: tuple[int, int], map_size: tuple[int, int]
    ) -> None:
        self.index, self.images, self.input_size, self.map_size = index, list(images), input_size, map_size
        self._joints = index.joints
        self._kept: list[_Prepared] = []

    def __len__(self) -> int:
        return len(self.images)

    def keep(self, budget_mib: int, threads: int = 2) -> None:
        """Decode images into memory, first to last, until the budget (MiB) is spent.

        The others are decoded when needed. Done before loader processes start, which then share the memory.
        """
        spent, block = 0, 64
        with ThreadPoolExecutor(threads) as pool:
            while len(self._kept) < len(self) and spent < budget_mib * _MIB:
                chunk = self.images[len(self._kept) : len(self._kept) + block]
                self._kept += pool.map(self._prepare, chunk)
                spent += sum(prepared.image.nbytes for prepared in self._kept[-len(chunk) :])

    def _prepared(self, at: int) -> _Prepared:
        return self._kept[at] if at < len(self._kept) else self._prepare(self.images[at])

    def _prepare(self, image: CocoImage) -> _Prepared:
        raise NotImplementedError

    def _sample(
        self, image: CocoImage, pixels: np.ndarray, keypoints: np.ndarray, ignored: np.ndarray | None
    ) -> Sample:
        if ignored is None:
            learnt = np.ones(self.map_size[::-1], bool)
        else:
            learnt = cv2.resize(ignored * np.uint8(255), self.map_size, interpolation=cv2.INTER_AREA) < 128
        return Sample(pixels, keypoints, self._joints, learnt, image.id, image.size)


class TrainingPoses(CocoPoses):
    """Random views of the images that show a labelled person; the seed is for want of loader processes."""

    def __init__(
        self,
        index: CocoIndex,
        input_size: tuple[int, int],
        map_size: tuple[int, int],
        augmentation: AugmentationConfig,
        seed: int,
    ) -> None:
        super().__init__(index, [image for image in index.images if len(image.keypoints)], input_size, map_size)
        if not self.images:
            raise UserError(f"{index.annotations}: no labelled person to train on")
        self._canvas = round(input_size[0] * _OVERSAMPLING), round(input_size[1] * _OVERSAMPLING)
        self.augmentation = Augmentation(augmentation, index.skeleton, self._canvas, seed)

    def __getitem__(self, at: int) -> Sample:
        """Draw a view of an image."""
        image, prepared = self.images[at], self._prepared(at)
        keypoints = _scaled(image.keypoints, image.size, _size(prepared.image))
        pixels, keypoints, ignored = self.augmentation(prepared.image, keypoints, prepared.ignored)
        pixels = _resized(pixels, self.input_size)
        return self._sample(image, pixels, _scaled(keypoints, self._canvas, self.input_size), ignored)

    def _prepare(self, image: CocoImage) -> _Prepared:
        """Scale an image to the canvas, or, keeping its shape, to the smallest size that covers it."""
        pixels = read_image(image)  # first: it refuses sizes that are not the file's
        width, height = self._canvas
        if self.augmentation.config.resize_mode == "cover":
            scale = max(width / image.size[0], height / image.size[1])
            width, height = (max(side, round(was * scale)) for side, was in zip(self._canvas, image.size, strict=True))
        ignored = self.index.ignored(image)
        if ignored is not None:
            ignored = cv2.resize(ignored, (width, height), interpolation=cv2.INTER_NEAREST)
        return _Prepared(_resized(pixels, (width, height)), ignored)


class ValidationPoses(CocoPoses):
    """Every image as it is, letterboxed or squashed into the input."""

    def __init__(
        self,
        index: CocoIndex,
        input_size: tuple[int, int],
        map_size: tuple[int, int],
        resize_mode: ResizeMode = "letterbox",
    ) -> None:
        """Wrap all images of an index; the other arguments are those of :class:`CocoPoses`."""
        super().__init__(index, index.images, input_size, map_size)
        self._resize_mode = resize_mode

    def __getitem__(self, at: int) -> Sample:
        """Return an image."""
        image, prepared = self.images[at], self._prepared(at)
        resize = FrameResize.of(image.size, self.input_size, self._resize_mode)
        keypoints = torch.from_numpy(unlabel_outside(image.keypoints, image.size))
        labelled = keypoints[..., 2:] > 0
        return self._sample(image, prepared.image, (resize.to_input(keypoints) * labelled).numpy(), prepared.ignored)

    def _prepare(self, image: CocoImage) -> _Prepared:
        pixels = read_image(image)
        left, top, width, height = FrameResize.of(image.size, self.input_size, self._resize_mode).content
        inside = np.s_[top : top + height, left : left + width]
        canvas = np.zeros((self.input_size[1], self.input_size[0], 3), np.uint8)
        canvas[inside] = _resized(pixels, (width, height))
        ignored = self.index.ignored(image)
        if ignored is None:
            return _Prepared(canvas, None)
        area = np.zeros(canvas.shape[:2], np.uint8)
        area[inside] = cv2.resize(ignored, (width, height), interpolation=cv2.INTER_NEAREST)
        return _Prepared(canvas, area)


def read_image(image: CocoImage) -> np.ndarray:
    """Decode an image file: RGB, uint8, shape (height, width, 3).

    Raises:
        UserError: if it cannot be decoded or has another size than its annotations say.
    """
    # Annotations are made on the stored pixels, whatever orientation a camera noted beside them.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        data = np.fromfile(image.path, np.uint8)
        pixels = cv2.imdecode(data, flags) if len(data) else None
    except OSError as error:
        raise UserError(f"{image.path}: cannot be read as an image ({error.strerror})") from error
    except cv2.error as error:  # a header that claims more px than OpenCV takes
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{image.path}: cannot be decoded as an image ({reason})") from error
    if pixels is None:
        raise UserError(f"{image.path}: cannot be decoded as an image ({len(data)} bytes)")
    if _size(pixels) != image.size:
        raise UserError(f"{image.path}: {_size(pixels)} px; expected {image.size} as its annotations say")
    return pixels


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    smaller = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _scaled(keypoints: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    return keypoints * np.array([new[0] / old[0], new[1] / old[1], 1], np.float32)
