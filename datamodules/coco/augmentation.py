"""Random views of an annotated image: geometry that moves the labels along, and colours, blur and noise.

The geometry is rotation, scale, shift and mirror image. What the colours do is chosen by name, from the paper's light
jitter to changes as large as those between two cameras.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import albumentations as A
import cv2
import numpy as np
from pydantic import Field

from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.errors import check
from pose_oad.tracking.schema import Positive, Share

# albumentations works in pixel indices, in which the centre of the first pixel is 0.
_PIXEL_CENTRE = 0.5


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges of the random views.

    Attributes:
        rotation: largest rotation either way, rad
        scale: smallest and largest of what ``scale_of`` names
        scale_of: ``image``: its magnification; ``section``: side of the section of the image that is seen, as a share
            of the image's (the paper's and trt_pose's: 0.5 shows half of it, magnified twice)
        resize_mode: ``cover``: the image keeps its shape, covers the canvas and is cropped; ``squash``: all of it is
            brought to the canvas's shape (the paper's and trt_pose's)
        shift: largest shift either way, fraction of the image
        flip: probability of a mirror image
        colour: ``none``, ``light`` (the paper's jitter) or ``strong`` (light, tone, blur, noise, compression)
    """

    rotation: Annotated[float, Field(ge=0, le=math.pi)] = 0.2
    scale: tuple[Positive, Positive] = (0.5, 2.0)
    scale_of: Literal["image", "section"] = "image"
    resize_mode: Literal["cover", "squash"] = "cover"
    shift: Share = 0.2
    flip: Share = 0.5
    colour: Literal["none", "light", "strong"] = "light"

    def __post_init__(self) -> None:
        """Refuse an empty range.

        Raises:
            UserError: naming the key.
        """
        check(self.scale[0] <= self.scale[1], "augmentation.scale", list(self.scale), "[smallest, largest]")


class _Section(A.Affine):
    """Draws the size of the section of the image that is seen; what it is magnified by is the inverse."""

    @staticmethod
    def _get_scale(*args: Any) -> dict[str, float]:
        return {axis: 1 / size for axis, size in A.Affine._get_scale(*args).items()}


class Augmentation:
    """Draw random views of an image together with its keypoints and its ignored area.

    The views are a function of the seed and of how many were drawn before.
    """

    def __init__(self, config: AugmentationConfig, skeleton: Skeleton, canvas: tuple[int, int], seed: int) -> None:
        """Prepare the transforms.

        Args:
            config: ranges
            skeleton: joint set of the keypoints; says which joints a mirror image exchanges
            canvas: width and height of a view, px
            seed: seed of the random choices
        """
        self.config, self.skeleton = config, skeleton
        degrees = math.degrees(config.rotation)
        geometry = [
            (A.Affine if config.scale_of == "image" else _Section)(
                scale=tuple(config.scale),
                keep_ratio=True,
                rotate=(-degrees, degrees),
                translate_percent=(-config.shift, config.shift),
                p=1,
            ),
            A.RandomCrop(height=canvas[1], width=canvas[0], p=1),
        ]
        points = A.KeypointParams("xy", remove_invisible=False)
        self._geometry = A.Compose(geometry, keypoint_params=points)
        with warnings.catch_warnings():
            # Changes of colour move no keypoint, and albumentations warns of transforms that do nothing at all.
            warnings.simplefilter("ignore")
            self._colour = A.Compose(_COLOURS[config.colour]())
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start the random choices anew, as each loader process must do with a seed of its own."""
        # Three independent streams from one seed.
        geometry, colour, flip = np.random.SeedSequence(seed).generate_state(3)
        self._geometry.set_random_seed(int(geometry))
        self._colour.set_random_seed(int(colour))
        self._flip = np.random.default_rng(int(flip))

    def state_dict(self) -> dict[str, Any]:
        """Return where the random choices are, as plain values."""
        sources = [(part.random_generator.bit_generator.state, part.py_random.getstate()) for part in self._parts()]
        return {"flip": self._flip.bit_generator.state, "sources": sources}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of an augmentation with the same transforms."""
        self._flip.bit_generator.state = state["flip"]
        for part, (numpys, pythons) in zip(self._parts(), state["sources"], strict=True):
            part.random_generator.bit_generator.state = numpys
            part.py_random.setstate(pythons)

    def _parts(self) -> Iterator[Any]:
        """Iterate over the transforms, those inside others too: each draws from generators of its own."""
        parts: list[Any] = [self._geometry, self._colour]
        while parts:
            part = parts.pop()
            yield part
            parts += getattr(part, "transforms", [])

    def __call__(
        self, image: np.ndarray, keypoints: np.ndarray, ignored: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Draw one view.

        Args:
            image: RGB, uint8, shape (height, width, 3), no side shorter than the canvas's
            keypoints: people, shape (people, joints, 3): px of the image, confidence
            ignored: uint8, shape (height, width), 1 where people are not labelled; None where there is no such area

        Returns:
            the view, uint8, shape (canvas height, canvas width, 3); its keypoints in px of the canvas, those that left
            it unlabelled; its ignored area.
        """
        if self._flip.random() < self.config.flip:
            image, keypoints, ignored = mirrored(image, keypoints, ignored, self.skeleton)
        masks = {} if ignored is None else {"mask": ignored}
        view = self._geometry(image=image, keypoints=keypoints[..., :2].reshape(-1, 2) - _PIXEL_CENTRE, **masks)
        location = view["keypoints"].reshape(*keypoints.shape[:-1], 2) + _PIXEL_CENTRE
        moved = np.concatenate([location, keypoints[..., 2:]], -1).astype(np.float32)
        picture = self._colour(image=view["image"])["image"]
        return picture, unlabel_outside(moved, (picture.shape[1], picture.shape[0])), view.get("mask")


def mirrored(
    image: np.ndarray, keypoints: np.ndarray, ignored: np.ndarray | None, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Mirror an image left to right: a person's left side becomes the right side of the person seen.

    Args:
        image: shape (height, width, 3)
        keypoints: shape (people, joints, 3), px
        ignored: shape (height, width), or None
        skeleton: joint set of ``keypoints``
    """
    swapped = keypoints[:, list(skeleton.flip)]
    swapped[..., 0] = np.where(swapped[..., 2] > 0, image.shape[1] - swapped[..., 0], 0)
    return cv2.flip(image, 1), swapped, None if ignored is None else cv2.flip(ignored, 1)


def unlabel_outside(keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Turn joints outside an image into unlabelled ones.

    Args:
        keypoints: shape (..., joints, 3), px
        size: width and height of the image, px
    """
    x, y = keypoints[..., 0], keypoints[..., 1]
    inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1]) & (keypoints[..., 2] > 0)
    return keypoints * inside[..., None]


def _light() -> list[A.BasicTransform]:
    share = (0.95, 1.05)
    return [A.ColorJitter(brightness=share, contrast=share, saturation=share, hue=(-0.01, 0.01), p=1)]


def _strong() -> list[A.BasicTransform | A.BaseCompose]:
    """Changes as between two cameras in two kinds of light; the dear ones happen to a share of the images only."""
    return [
        A.RandomBrightnessContrast(brightness_limit=(-0.25, 0.3), contrast_limit=0.35, p=0.8),
        A.RandomGamma(gamma_limit=(60, 160), p=0.3),
        A.HueSaturationValue(hue_shift_limit=25, sat_shift_limit=50, val_shift_limit=0, p=0.35),
        A.RGBShift(r_shift_limit=30, g_shift_limit=30, b_shift_limit=30, p=0.35),
        A.ChannelShuffle(p=0.1),
        A.ToGray(p=0.1),
        A.RandomToneCurve(p=0.1),
        A.OneOf(
            [A.GaussianBlur(sigma_limit=(0.4, 1.6)), A.MotionBlur(blur_limit=(3, 7)), A.Downscale((0.4, 0.8))], p=0.4
        ),
        A.OneOf([A.GaussNoise(std_range=(0.02, 0.1)), A.ImageCompression(quality_range=(30, 90))], p=0.3),
        A.CoarseDropout(num_holes_range=(1, 4), hole_height_range=(0.08, 0.2), hole_width_range=(0.08, 0.2), p=0.2),
    ]


_COLOURS = {"none": list, "light": _light, "strong": _strong}
