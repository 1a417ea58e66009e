from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_oad.teachers.openpose.caffemodel import read_caffemodel
from pose_oad.tracking.errors import UserError
from tests.openpose import write_caffemodel

WEIGHTS = {
    "conv1_1": [np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), np.array([0.5, -0.25], np.float32)],
    "prelu4_2": [np.array([0.1, 0.2, 0.3], np.float32)],
}


def attempt(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Read a file; return its weights, or the one line that refuses it."""
    try:
        return read_caffemodel(path), ""
    except UserError as error:
        [line] = str(error).splitlines()
        return {}, line


@pytest.mark.parametrize("double", [False, True])
def test_weights_bear_the_names_of_their_layers(tmp_path: Path, double: bool) -> None:
    weights = read_caffemodel(write_caffemodel(tmp_path / "net.caffemodel", WEIGHTS, double=double))
    assert list(weights) == ["conv1_1.weight", "conv1_1.bias", "prelu4_2.weight"]
    for key, expected in zip(weights, [*WEIGHTS["conv1_1"], *WEIGHTS["prelu4_2"]], strict=True):
        assert weights[key].shape == expected.shape
        assert np.array_equal(weights[key].numpy(), expected)


def test_old_files_have_blobs_of_four_axes(tmp_path: Path) -> None:
    weights = read_caffemodel(write_caffemodel(tmp_path / "net.caffemodel", WEIGHTS, old=True))
    assert {key: tuple(value.shape) for key, value in weights.items()} == {
        "conv1_1.weight": (2, 3, 2, 2), "conv1_1.bias": (1, 1, 1, 2), "prelu4_2.weight": (1, 1, 1, 3),
    }  # fmt: skip
    assert weights["conv1_1.weight"][1, 2].tolist() == [[20, 21], [22, 23]]


def test_a_third_blob_has_a_name_too(tmp_path: Path) -> None:
    three = {"bn": [np.ones(1, np.float32)] * 3}
    assert list(read_caffemodel(write_caffemodel(tmp_path / "a", three))) == ["bn.weight", "bn.bias", "bn.blob2"]


def test_numbers_that_do_not_fill_their_shape_are_refused(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", WEIGHTS)
    content = path.read_bytes()
    shape = bytes([2, 3, 2, 2])
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, bytes([2, 3, 2, 9])))
    said = r"net\.caffemodel: damaged: conv1_1\.weight has the shape \(2, 3, 2, 9\) and 96 bytes of .*, expected 432"
    with pytest.raises(UserError, match=said):
        read_caffemodel(path)


def test_a_layer_of_a_name_that_was_there_is_refused(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", WEIGHTS)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match="two layers are called 'conv1_1'"):
        read_caffemodel(path)


def test_no_file_that_is_cut_short_passes_for_a_whole_one(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", WEIGHTS)
    content = path.read_bytes()
    whole = read_caffemodel(path)
    for length in range(len(content)):
        path.write_bytes(content[:length])
        read, said = attempt(path)
        assert len(read) < len(whole)  # some, if cut between two layers
        assert bool(read) != (str(path) in said)


def test_flipped_bits_end_in_an_error_or_in_other_weights(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", WEIGHTS)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    refused = 0
    for byte in range(len(content)):
        damaged = content.copy()
        damaged[byte] ^= 1 << byte % 8
        path.write_bytes(damaged.tobytes())
        read, said = attempt(path)
        assert bool(read) != (str(path) in said)
        refused += not read
    assert refused > 20


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a picture", b"name: 'a prototxt'\n", b"\0" * 1000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"net\.caffemodel: .*no Caffe model"):
        read_caffemodel(path)
