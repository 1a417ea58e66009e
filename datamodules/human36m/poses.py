"""Pose files: one CDF for each sequence, or for each sequence and camera."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import cdflib
import numpy as np

from pose_oad.tracking.errors import UserError

JOINTS = 32


def count_poses(path: Path, dimensions: int = 2) -> int:
    """Return the number of frames a pose file of 2 (px) or 3 (mm) dimensions holds, without reading them.

    Raises:
        UserError: if the file is missing, not a CDF, or holds no poses of 32 joints.
    """
    return _shape(_open(path), path, dimensions)[-2]


def read_poses(path: Path, dimensions: int = 2) -> np.ndarray:
    """Read a pose file of 2 (px) or 3 (mm) dimensions, shape (frames, 32 joints, dimensions), float32.

    Raises:
        UserError: as :func:`count_poses`, or if it is shorter than it says or a coordinate is not finite.
    """
    cdf = _open(path)
    frames = _shape(cdf, path, dimensions)[-2]
    try:
        with np.errstate(over="ignore"):
            poses = np.asarray(cdf.varget("Pose"), dtype=np.float32).reshape(frames, JOINTS, dimensions)
    except Exception as error:  # cdflib raises whatever its parser stumbles over
        raise UserError(f"{path}: damaged pose file ({_brief(error)})") from error
    if not np.isfinite(poses).all():
        raise UserError(f"{path}: damaged pose file (a coordinate is not a finite number)")
    return poses


def _open(path: Path) -> cdflib.cdfread.CDF:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the poses of that video in it")
    check_header(path)
    try:
        return cdflib.CDF(path)
    except Exception as error:  # cdflib raises whatever its parser stumbles over
        raise UserError(f"{path}: cannot be read as a CDF ({_brief(error)})") from error


def _shape(cdf: cdflib.cdfread.CDF, path: Path, dimensions: int) -> tuple[int, ...]:
    try:
        shape = tuple(int(n) for n in cdf.varinq("Pose").Dim_Sizes)
        records = int(cdf.varinq("Pose").Last_Rec) + 1
    except Exception as error:
        raise UserError(f"{path}: holds no variable 'Pose' ({_brief(error)})") from error
    # The released files hold one record of [frames, 64]; a writer may also store one record per frame.
    shape = (records, *shape)
    width = JOINTS * dimensions
    if shape[-1] != width or len(shape) < 2 or np.prod(shape[:-2]) != 1:
        raise UserError(f"{path}: Pose has shape {list(shape)}; expected [1, frames, {width}]")
    return shape


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


_VERSION_3 = b"\xcd\xf3\x00\x01"
_PLAIN = b"\x00\x00\xff\xff"  # not compressed as a whole
# More than any pose file has.
_MOST_FRAMES, _MOST_ENTRIES, _MOST_AXES = 1_000_000, 1000, 2


def check_header(path: Path) -> None:
    """Refuse an existing file whose header counts more than any pose file holds.

    Raises:
        UserError: if it does, or is too short to be a CDF.
    """
    with path.open("rb") as file:
        magic = file.read(8)
        if magic[4:] != _PLAIN:  # compressed: a checksum finds the damage; or no CDF at all: cdflib says so
            return
        try:
            plausible = _plausible(file, wide=magic[:4] == _VERSION_3)
        except (struct.error, OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as a CDF (its header points outside the file)") from error
    if not plausible:
        raise UserError(f"{path}: cannot be read as a CDF (its header counts more than a pose file holds)")


def _plausible(file: BinaryIO, wide: bool) -> bool:
    w, name = ("q", 256) if wide else ("i", 64)
    # File descriptor: size, type, place of the global descriptor.
    (place,) = _read(file, f"8x{w}i{w}", 0)[2:]
    # Global descriptor: size, type, first r-variable, first z-variable, first attribute, end of file; numbers of
    # r-variables, attributes, records and axes of r-variables, z-variables.
    _, _, first_r, first_z, _, _, r_variables, attributes, _, axes, z_variables = _read(file, f"{w}i4{w}5i", place)
    counts = (r_variables, attributes, axes, z_variables)
    if not all(0 <= count <= _MOST_ENTRIES for count in counts):
        return False
    # Variable descriptor: size, type, next one, data type, last record, two index places, seven numbers of which the
    # sixth is the elements of a value, compression, block size, name; then the axes and their lengths.
    shared = f"{w}i{w}2i2{w}7i{w}i{name}x"
    for place, number in ((first_r, r_variables), (first_z, z_variables)):
        for _ in range(number):
            fields = _read(file, shared, place)
            place, last_record, elements = fields[2], fields[4], fields[12]
            if not (-1 <= last_record < _MOST_FRAMES and 0 < elements <= _MOST_ENTRIES):
                return False
    place = first_z
    for _ in range(z_variables):
        fields = _read(file, f"{shared}i", place)
        if not 0 <= fields[-1] <= _MOST_AXES:
            return False
        lengths = _read(file, f"{shared}4x{fields[-1]}i", place)[16:]
        if not all(0 < length <= _MOST_FRAMES for length in lengths):
            return False
        place = fields[2]
    return True


def _read(file: BinaryIO, layout: str, place: int) -> tuple[int, ...]:
    file.seek(place)
    return struct.unpack(f">{layout}", file.read(struct.calcsize(f">{layout}")))
