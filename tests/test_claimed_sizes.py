"""Small files that claim much, or lead elsewhere: each is refused in one line, in little memory and time."""

from __future__ import annotations

import base64
import io
import json
import os
import resource
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from datamodules.human36m.archives import unpack
from datamodules.human36m.prepared import MANIFEST, read_manifest
from datamodules.video import VideoFileSource
from datamodules.windowing import StreamOptions
from pose_oad.export.registered_model import StudentModel
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.students.checkpoint import save_student
from pose_oad.teachers.openpose.weights import read_caffemodel
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.hdf5 import reading
from pose_oad.tracking.torch_file import read_torch_file
from tests.media import counting_frames, write_video

GIB = 2**30


@contextmanager
def little(seconds: float = 10) -> Iterator[None]:
    """Give the block less than 1 GiB of further memory, and some time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + GIB, hard))
    start = time.perf_counter()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.perf_counter() - start < seconds


def write_png(path: Path, side: int) -> Path:
    """Write the beginning of a picture, side x side px."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    rows = zlib.compress(bytes(10 * (1 + 3 * side)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture of 18000x18000 px."""
    return write_png(tmp_path_factory.mktemp("images") / "0.png", 18000).parent


def test_a_huge_picture_in_a_folder_is_refused(huge: Path) -> None:
    with little(), pytest.raises(UserError, match=r"0\.png: cannot be read as an image"):
        VideoFileSource(str(huge))


def test_a_huge_picture_is_not_served(huge: Path) -> None:
    model = StudentModel()
    model._student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(64, 64)))
    text = base64.b64encode((huge / "0.png").read_bytes()).decode()
    request = pd.DataFrame({"image": [text]})
    with little(), pytest.raises(ValueError, match=r"pixels|px"):
        model.predict(None, request)


def test_a_pipe_among_pictures_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.jpg")
    with little(), pytest.raises(UserError, match=r"stream\.path=.*0\.jpg: expected a file"):
        VideoFileSource(str(tmp_path))


def _claimed(file: h5py.File) -> None:
    file.create_dataset("pose/2d", (30_000_000, 32, 2), np.float32, chunks=(1000, 32, 2))


def _packed(file: h5py.File) -> None:
    file.create_dataset("pose/2d", data=np.zeros((10**6, 32), np.float32), chunks=(10**5, 32), compression="gzip")


def _external(file: h5py.File) -> None:
    file.create_dataset("pose/2d", (64,), np.uint8, external=[("/etc/passwd", 0, 64)])


def _linked(file: h5py.File) -> None:
    file["pose"] = h5py.ExternalLink("/etc/other.h5", "/pose")


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((64,), np.uint8)
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (64,))
    file.create_virtual_dataset("pose/2d", layout)


@pytest.mark.parametrize("write", [_claimed, _packed, _external, _linked, _virtual])
def test_numbers_that_are_not_in_an_hdf5_file_are_not_read(write: Callable[[h5py.File], None], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
    said = r"a\.h5: cannot be read as poses \(pose.* (claims|another)"
    with little(), pytest.raises(UserError, match=said), reading(tmp_path / "a.h5", "poses") as file:
        file["pose/2d"][:]


def test_a_packed_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "sound.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "sound.ckpt") as sound,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb,
    ):
        for name in sound.namelist():
            bomb.writestr(name, bytes(10**8) if "/data/" in name else sound.read(name))
    with little(), pytest.raises(UserError, match=r"bomb\.ckpt: damaged, or no torch file .*1000\d+ bytes are packed"):
        read_torch_file(tmp_path / "bomb.ckpt")


def test_a_tensor_that_repeats_one_number_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1).expand(10**6, 10**6)}}, tmp_path / "a.ckpt")
    with little(), pytest.raises(UserError, match=r"a tensor of the shape \(1000000, 1000000\)"):
        read_torch_file(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    "claim", [{"head_channels": 10**9}, {"head_channels": 4096}, {"input_size": [10**9, 10**9]},
              {"backbone": "convnext_xxlarge"}],
)  # fmt: skip
def test_a_checkpoint_of_a_network_that_it_does_not_hold_is_refused(claim: dict, tmp_path: Path) -> None:
    student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(64, 64)))
    save_student(student, tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt")
    content["hyper_parameters"]["student"] |= claim
    torch.save(content, tmp_path / "a.ckpt")
    with little(), pytest.raises(UserError, match=r"a\.ckpt: "):
        load_student(tmp_path / "a.ckpt")


@pytest.mark.parametrize("frames", [10**12, 10**30])
def test_a_window_larger_than_memory_is_refused(frames: int) -> None:
    with pytest.raises(UserError, match=rf"window\.frames={frames}: expected at most \d+"):
        StreamOptions(frames, (64, 64))


@pytest.mark.parametrize("shape", [(2**40, 0, 2**40), (0,), (1,) * 20, (2**62, 4)])
def test_a_caffe_model_of_huge_dimensions_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    from pose_oad.teachers.openpose import weights as caffemodel

    net = caffemodel._net_parameter()()
    layer = net.layer.add(name=b"conv")
    blob = layer.blobs.add()
    blob.shape.dim.extend(shape)
    blob.data.append(bytes(4) if shape == (1,) * 20 else b"")
    (tmp_path / "a.caffemodel").write_bytes(net.SerializeToString())
    with little(), pytest.raises(UserError, match=r"a\.caffemodel: damaged: conv\.weight"):
        read_caffemodel(tmp_path / "a.caffemodel")


@pytest.mark.parametrize("content", ['{"format": "pose_oad human36m", "version": 1, "recordings": [%s]}', "[" * 10**5])
def test_a_manifest_of_impossible_numbers_is_refused(content: str, tmp_path: Path) -> None:
    name = {"subject": "S1", "action": "Walking", "title": "Walking 1", "camera": "55011271"}
    entry = {"file": "a.h5", "name": name, "video": "a.mp4",
             "frame_size": [64, 64], "rate": 50, "frames": 0, "sizes": [], "first_image": None}  # fmt: skip
    written = json.dumps(entry).replace('"frames": 0', '"frames": 1e400')
    (tmp_path / MANIFEST).write_text(content % written if "%" in content else content)
    with pytest.raises(UserError, match=rf"{MANIFEST}: cannot be read as a manifest"):
        read_manifest(tmp_path)


def test_an_archive_whose_times_are_none_is_reported(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "Videos_S1.tgz", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("S1/Videos/Walking 1.55011271.mp4")
        member.size, member.pax_headers = 4, {"mtime": "1e300"}
        tar.addfile(member, io.BytesIO(b"film"))
    [finding] = unpack(tmp_path / "Videos_S1.tgz", tmp_path / "out")
    assert "damaged" in str(finding)


def test_a_playlist_does_not_lead_to_other_files(tmp_path: Path) -> None:
    write_video(tmp_path / "private" / "a.ts", counting_frames(20))
    playlist = tmp_path / "list.m3u8"
    address = (tmp_path / "private" / "a.ts").as_uri()
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\n{address}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match=r"list\.m3u8: cannot be read as a video"):
        VideoFileSource(str(playlist))
