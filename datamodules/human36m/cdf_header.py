"""A look at the header of a CDF before cdflib believes it.

cdflib loops over whatever number of variables, dimensions and records it finds: for hours, if the file is damaged
there. The layout is that of NASA's "CDF Internal Format Description": version 3, and version 2 with narrower offsets
and names.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from pose_oad.tracking.errors import UserError

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
