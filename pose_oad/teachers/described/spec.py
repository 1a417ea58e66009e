"""What a description of a network says about its input and its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pose_oad.poses.geometry import ResizeMode
from pose_oad.tracking.errors import require
from pose_oad.tracking.schema import Count, Finite, Number, Positive


@dataclass(frozen=True)
class InputSpec:
    """What a network wants to see.

    Attributes:
        size: width and height, px; None takes those that the file declares
        layout: ``nchw`` (planes of colour) or ``nhwc`` (colours of a pixel side by side)
        channels: order of the colours, ``rgb`` or ``bgr``
        mean: what is subtracted from values of 0 to 255, of each colour in that order
        std: what they are divided by afterwards
        resize_mode: how a whole frame lies in the input, ``letterbox`` or ``squash``
        border: value of 0 to 255 of what the frame does not cover
    """

    size: tuple[Count, Count] | None = None
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    resize_mode: ResizeMode = "letterbox"
    border: Annotated[int, Field(ge=0, le=255)] = 0


@dataclass(frozen=True)
class OutputSpec:
    """What a network's numbers mean.

    Attributes:
        kind: ``keypoints``: coordinates and a confidence for each joint of each person; ``simcc``: for each joint one
            row of values along x and one along y (RTMPose); ``heatmaps``: one map for each joint (HRNet, ViTPose)
        names: outputs of the file that hold them (two for ``simcc``, x first; for ``keypoints`` a second one may hold
            rows with the people's scores); None takes the file's own order
        order: of the numbers of a keypoint, ``xyc`` or ``yxc``; c is the confidence
        units: of coordinates: ``px`` of the input (a pixel's centre is its index) or ``fraction`` of its sides
        first: place in a person's row at which the keypoints begin, where a row holds more than keypoints
        score: place of the person's score in that row, or in a row of the second output; None ranks people by their
            mean confidence
        activation: what makes confidences of the network's numbers, ``none`` or ``sigmoid``
    """

    kind: Literal["keypoints", "simcc", "heatmaps"] = "keypoints"
    names: Sequence[str] | None = None
    order: Literal["xyc", "yxc"] = "xyc"
    units: Literal["px", "fraction"] = "px"
    first: Number = 0
    score: Number | None = None
    activation: Literal["none", "sigmoid"] = "none"

    def __post_init__(self) -> None:
        """Refuse another number of outputs than the kind has."""
        counts = {"keypoints": (1, 2), "simcc": (2,), "heatmaps": (1,)}[self.kind]
        named = self.names is None or len(self.names) in counts
        wanted = " or ".join(map(str, counts))
        require(named, "names", self.names, f"{wanted} output names for {self.kind}, or null")
