"""Unpacking the archives of the release, each file once and only below one folder."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, cast

from datamodules.human36m.findings import Finding
from datamodules.human36m.tree import POSE_FOLDERS, VIDEO_FOLDER, file_facts
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.files import replacing

log = logging.getLogger(__name__)

# Videos_S1.tgz, Poses_D2_Positions_S1.tgz, Poses_D3_Positions_mono_S1.tgz
_ARCHIVE = re.compile(
    r"(?P<content>Videos|Poses_(?:D2_Positions|D3_Positions|D3_Positions_mono))_(?P<subject>S\d+)\.tgz"
)
_FOLDERS = {"Videos": VIDEO_FOLDER} | {f"Poses_{folder.rpartition('/')[2]}": folder for folder in POSE_FOLDERS.values()}
_ENDINGS = (".mp4", ".cdf")

#: Told the name of an archive, bytes read of it and its size in bytes.
UnpackProgress = Callable[[str, int, int], None]


def find_archives(root: Path, subjects: Sequence[str]) -> list[Path]:
    """List the archives of some subjects (``S1``, …) whose contents are not already unpacked beside them."""
    return [
        path
        for path in sorted(root.glob("*.tgz"))
        if (match := _ARCHIVE.fullmatch(path.name)) is not None
        and match["subject"] in subjects
        and not (root / match["subject"] / _FOLDERS[match["content"]]).is_dir()
    ]


def unpack(archive: Path, folder: Path, progress: UnpackProgress = lambda name, done, size: None) -> list[Finding]:
    """Unpack one archive as the release's tree below a folder, unless that was done; return what was damaged or odd.

    Members are taken by the end of their path (``…/Walking 1.55011271.mp4``), whatever folders the archive puts in
    front. A file appears when it is whole; what could be read before damage is unpacked. A record is written last, by
    which a second run knows that all is there.
    """
    match = _ARCHIVE.fullmatch(archive.name)
    if match is None:
        raise UserError(f"{archive}: not the name of an archive of the release, as Videos_S1.tgz")
    subject, target = match["subject"], folder / match["subject"] / _FOLDERS[match["content"]]
    record = folder / f"{archive.name}.json"
    if record.is_file() and record.read_bytes() == json.dumps(file_facts(archive)).encode():
        return []
    log.info("unpacking %s", archive.name)
    findings: list[Finding] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Not tarfile's own decompression, which checks no sums.
        with archive.open("rb") as file, gzip.open(file) as content, tarfile.open(fileobj=content, mode="r|") as tar:
            for member in tar:
                progress(archive.name, file.tell(), archive.stat().st_size)
                try:
                    tarfile.data_filter(member, str(target))
                except tarfile.FilterError as error:  # a path or a link that leads outside
                    findings.append(Finding("odd", subject, archive.name, f"not unpacked: {error}"))
                    continue
                if member.isfile() and member.name.endswith(_ENDINGS):
                    _extract(tar, member, target / Path(member.name).name)
            while content.read(2**20):  # the sum is at the end
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        what = f"damaged archive ({error}); what could be read is unpacked"
        return [*findings, Finding("damaged", subject, str(archive), what)]
    except OSError as error:
        raise UserError(f"{folder}: {archive.name} cannot be unpacked there ({error})") from error
    with replacing(record) as partial:
        partial.write_text(json.dumps(file_facts(archive)))
    return findings


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write one member, unless the very same was written before."""
    if path.is_file() and (path.stat().st_size, int(path.stat().st_mtime)) == (member.size, int(member.mtime)):
        return
    with replacing(path) as partial:
        with partial.open("wb") as file, cast("IO[bytes]", tar.extractfile(member)) as source:
            shutil.copyfileobj(source, file, 2**20)
        if partial.stat().st_size != member.size:
            raise EOFError(f"{member.name} is cut off")
        os.utime(partial, (member.mtime, member.mtime))
