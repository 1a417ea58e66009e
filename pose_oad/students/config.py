"""What describes a student network, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

from pydantic import Field

from pose_oad.poses.geometry import ResizeMode
from pose_oad.poses.skeleton import FROM_DATA, get_skeleton
from pose_oad.tracking.errors import require
from pose_oad.tracking.schema import NotNegative, Text, build_options

#: Input px per map cell, of every student.
STRIDE = 4

_Size = Annotated[int, Field(ge=1, le=4096)]  # channels, or px of a side


@dataclass(frozen=True)
class StudentConfig:
    """A student network in plain values: what ``conf/student`` holds and what a checkpoint carries."""

    name: Text  #: how reports and checkpoint folders call it
    backbone: Text  #: name of a timm model that supports ``features_only``
    #: joint set it predicts: a name, the plain values of :meth:`Skeleton.describe`, or ``data`` for whatever a
    #: checkpoint holds
    skeleton: Text | Mapping[str, Any] = "body-12"
    input_size: tuple[_Size, _Size] = (128, 128)  #: width and height of its input, px
    head: Text = "light"  #: kind of head (see ``heads``)
    head_channels: _Size = 48  #: width of the head, channels
    #: spread of a joint in its target maps, fraction of the map's width
    sigma: Annotated[float, Field(gt=0, lt=1)] = 0.025
    pretrained: bool = False  #: start from timm's published backbone weights (downloads them)
    #: how an original frame lies in the input it was trained on, ``letterbox`` or ``squash``
    resize_mode: ResizeMode = "letterbox"
    #: additional weight of a joint's cells in the training that its weights come from last, by which its confidences
    #: are read (see :mod:`pose_oad.poses.maps.single`); training writes it
    foreground: NotNegative = 0.0

    def __post_init__(self) -> None:
        """Read the joint set; refuse one that is unknown or has no limbs."""
        object.__setattr__(self, "skeleton", _joint_set(self.skeleton))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudentConfig:
        """Read a description back from plain values; refuse those that no network can have."""
        return build_options(cls, values, "student")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values that a weights-only checkpoint may hold."""
        return asdict(self) | {"input_size": list(self.input_size)}

    @property
    def map_size(self) -> tuple[int, int]:
        """Width and height of the predicted maps, cells."""
        return self.input_size[0] // STRIDE, self.input_size[1] // STRIDE

    def differences(self, other: StudentConfig) -> list[str]:
        """Name the fields in which two networks differ so that weights of one do not serve the other.

        The input size is none of them: a network of convolutions takes any. Neither is the resize mode, a matter of the
        frames, nor how the weights were trained.
        """
        ignored = ("name", "pretrained", "input_size", "resize_mode", "foreground")
        names = [field.name for field in fields(self) if field.name not in ignored]
        different = [name for name in names if getattr(self, name) != getattr(other, name)]
        if "skeleton" in different and _same_maps(self.skeleton, other.skeleton):
            different.remove("skeleton")
        return different


def _joint_set(value: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """Check a joint set, and write the description of one in the same plain values whoever made it."""
    if value == FROM_DATA:
        return FROM_DATA
    skeleton = get_skeleton(value)
    require(bool(skeleton.limbs), "skeleton", skeleton.name, "a joint set with limbs to predict")
    return skeleton.name if isinstance(value, str) else skeleton.describe()


def _same_maps(one: str | Mapping[str, Any], other: str | Mapping[str, Any]) -> bool:
    """Tell whether two joint sets mean the same maps, channel by channel; ``data`` asks for none in particular."""
    if FROM_DATA in (one, other):
        return True
    first, second = get_skeleton(one), get_skeleton(other)
    return (first.joints, first.limbs) == (second.joints, second.limbs)
