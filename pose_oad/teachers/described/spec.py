"""What a description of a network says about its input and its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from pose_oad.poses.geometry import Fit
from pose_oad.tracking.errors import UserError, check, nearest

_Spec = TypeVar("_Spec", "InputSpec", "OutputSpec")


@dataclass(frozen=True)
class InputSpec:
    """What a network wants to see.

    Attributes:
        size: width and height, px; None takes those that the file declares
        layout: ``nchw`` (planes of colour) or ``nhwc`` (colours of a pixel side by side)
        channels: order of the colours, ``rgb`` or ``bgr``
        mean: what is subtracted from values of 0 to 255, of each colour in that order
        std: what they are divided by afterwards
        fit: how a whole frame lies in the input, ``letterbox`` or ``squash``
        border: value of 0 to 255 of what the frame does not cover
    """

    size: Sequence[int] | None = None
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    fit: Fit = "letterbox"
    border: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no network can want.

        Raises:
            UserError: naming the key.
        """
        pair = self.size is None or (len(self.size) == 2 and all(_whole(side) and side > 0 for side in self.size))
        check(pair, "teacher.input.size", self.size, "[width, height] in px, or null")
        _one_of("input.layout", self.layout, ("nchw", "nhwc"))
        _one_of("input.channels", self.channels, ("rgb", "bgr"))
        _one_of("input.fit", self.fit, ("letterbox", "squash"))
        for key in ("mean", "std"):
            value = getattr(self, key)
            check(len(value) == 3 and all(map(_number, value)), f"teacher.input.{key}", value, "three numbers")
        check(all(value > 0 for value in self.std), "teacher.input.std", self.std, "three numbers above 0")
        border = self.border
        check(_whole(border) and 0 <= border <= 255, "teacher.input.border", border, "a grey level, 0 to 255")


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
    first: int = 0
    score: int | None = None
    activation: Literal["none", "sigmoid"] = "none"

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            UserError: naming the key.
        """
        _one_of("output.kind", self.kind, ("keypoints", "simcc", "heatmaps"))
        _one_of("output.order", self.order, ("xyc", "yxc"))
        _one_of("output.units", self.units, ("px", "fraction"))
        _one_of("output.activation", self.activation, ("none", "sigmoid"))
        check(_whole(self.first) and self.first >= 0, "teacher.output.first", self.first, "0 or more")
        place = self.score is None or (_whole(self.score) and self.score >= 0)
        check(place, "teacher.output.score", self.score, "0 or more, or null")
        counts = {"keypoints": (1, 2), "simcc": (2,), "heatmaps": (1,)}[self.kind]
        named = self.names is None or len(self.names) in counts
        wanted = " or ".join(map(str, counts))
        check(named, "teacher.output.names", self.names, f"{wanted} output names for {self.kind}, or null")


def read_spec(kind: type[_Spec], values: Mapping[str, Any], key: str) -> _Spec:
    """Read a part of a description.

    Args:
        kind: which part
        values: its fields by name
        key: config key of the part, for messages

    Raises:
        UserError: if a field is unknown or refused.
    """
    check(isinstance(values, Mapping), key, values, "keys and values")
    known = [field.name for field in fields(kind)]
    for name in values:
        if name not in known:
            raise UserError(f"{key}.{name}: unknown key{nearest(str(name), known)}")
    try:
        return kind(**values)
    except TypeError as error:  # a single value where a list belongs
        raise UserError(f"{key}={dict(values)}: expected lists where there are several values ({error})") from error


def _one_of(key: str, value: object, known: Sequence[str]) -> None:
    check(value in known, f"teacher.{key}", value, " or ".join(known))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
