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
    """What a network wants to see, as the keys ``input`` of ``conf/teacher/onnx_keypoints.yaml`` say."""

    size: tuple[Count, Count] | None = None
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[Finite, Finite, Finite] = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    resize_mode: ResizeMode = "letterbox"
    border: Annotated[int, Field(ge=0, le=255)] = 0


@dataclass(frozen=True)
class OutputSpec:
    """What a network's numbers mean, as the keys ``output`` of ``conf/teacher/onnx_keypoints.yaml`` say.

    For ``keypoints`` a second output may hold rows with the people's scores. In px, a pixel's centre is its index.
    Without ``score``, people rank by their mean confidence.
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
