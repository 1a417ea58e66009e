from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pose_oad.teachers.openpose.weights import load_openpose, read_caffemodel
from pose_oad.tracking.errors import RefusedError, UserError
from tests.openpose import Weights, body_25, coco_18, hollow_tensors, random_weights, to_tensors, write_caffemodel

HOLLOW = {"coco-18": hollow_tensors(coco_18()), "body-25": hollow_tensors(body_25())}
SMALL = {"conv1_1": [np.zeros((64, 3, 3, 3), np.float32), np.zeros(64, np.float32)]}


@pytest.fixture(scope="module")
def coco_weights() -> Weights:
    return random_weights(coco_18(), seed=2)


@pytest.fixture(scope="module")
def body_weights() -> Weights:
    return random_weights(body_25(), seed=3)


def check_weights(path: Path, weights: Weights, network: str) -> None:
    """Load a file, see that the network holds its weights, and remove it: it is large."""
    loaded = load_openpose(path)
    path.unlink()
    assert loaded.skeleton_name == network
    assert not loaded.training
    state = {".".join(key.split(".")[-2:]): value for key, value in loaded.state_dict().items()}
    expected = to_tensors(weights)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("old", [False, True], ids=["layer", "layers"])
def test_caffe_file_of_coco_18(tmp_path: Path, coco_weights: Weights, old: bool) -> None:
    path = write_caffemodel(tmp_path / "pose_iter_440000.caffemodel", coco_weights, old=old)
    check_weights(path, coco_weights, "coco-18")


@pytest.mark.parametrize("old", [False, True], ids=["layer", "layers"])
def test_caffe_file_of_body_25(tmp_path: Path, body_weights: Weights, old: bool) -> None:
    path = write_caffemodel(tmp_path / "pose_iter_584000.caffemodel", body_weights, old=old)
    check_weights(path, body_weights, "body-25")


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_file_of_bare_names(tmp_path: Path, body_weights: Weights, zipped: bool) -> None:
    path = tmp_path / "body_25.pth"
    torch.save(to_tensors(body_weights), path, _use_new_zipfile_serialization=zipped)
    check_weights(path, body_weights, "body-25")


def test_torch_file_of_a_port_with_module_names(tmp_path: Path, body_weights: Weights) -> None:
    tensors = to_tensors(body_weights)
    named = {f"module.models.block.{number}.{key}": value for number, (key, value) in enumerate(tensors.items())}
    torch.save({"state_dict": named, "epoch": 3}, path := tmp_path / "body.pt")
    check_weights(path, body_weights, "body-25")


def save(tensors: Mapping[str, Any], path: Path) -> Path:
    torch.save(dict(tensors), path)
    return path


@pytest.mark.parametrize("network", HOLLOW)
def test_which_network_it_is_follows_from_the_file(tmp_path: Path, network: str) -> None:
    path = save(HOLLOW[network], tmp_path / "net.pth")
    assert load_openpose(path).skeleton_name == network
    assert load_openpose(path, network).skeleton_name == network
    other = next(name for name in HOLLOW if name != network)
    with pytest.raises(UserError, match=f"net.pth: .*{network}, .*teacher.network={other}"):
        load_openpose(path, other)


def test_half_precision_becomes_single(tmp_path: Path) -> None:
    path = save({key: value.half() for key, value in HOLLOW["body-25"].items()}, tmp_path / "half.pth")
    assert {value.dtype for value in load_openpose(path).state_dict().values()} == {torch.float32}


def test_every_wrong_tensor_is_named(tmp_path: Path) -> None:
    tensors = dict(HOLLOW["coco-18"])
    del tensors["conv4_2.bias"], tensors["Mconv7_stage6_L2.weight"]
    tensors["conv1_1.weight"] = torch.zeros(64, 3, 5, 5)
    tensors["fc.weight"] = torch.zeros(2)
    with pytest.raises(UserError) as caught:
        load_openpose(save(tensors, tmp_path / "odd.pth"))
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"teacher.path={tmp_path / 'odd.pth'}: not the weights of coco-18: ")
    assert said.split(": ", 2)[2].split("; ") == [
        "conv4_2.bias is missing",
        "Mconv7_stage6_L2.weight is missing",
        "fc.weight is additional",
        "conv1_1.weight has the shape [64, 3, 5, 5], not [64, 3, 3, 3]",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conv1_1.bias": torch.full((64,), torch.nan)}, r"conv1_1\.bias .*finite"),
        ({"conv1_1.bias": torch.zeros(64, dtype=torch.int64)}, r"conv1_1\.bias is Tensor: "),
        ({"conv1_1.bias": torch.zeros(64).to_sparse()}, r"conv1_1\.bias is Tensor: "),
        ({"conv1_1.bias": [0.0] * 64}, r"conv1_1\.bias is list: "),
        ({"other.conv1_1.bias": torch.zeros(64)}, r"conv1_1\.bias"),
        ({"conv1_1.bias": torch.zeros(())}, r"conv1_1\.bias has the shape \[1\], not \[64\]"),
    ],
)
@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_tensors_that_are_none_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = save(HOLLOW["body-25"] | change, tmp_path / "net.pth")
    with pytest.raises(UserError, match=f"teacher.path=.*net.pth: .*{said}"):
        load_openpose(path)


def test_caffe_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    weights = {"Mconv7_stage1_L1": [np.full((26, 512, 1, 1), np.inf, np.float32), np.zeros(26, np.float32)]}
    path = write_caffemodel(tmp_path / "net.caffemodel", weights)
    with pytest.raises(UserError, match=r"net\.caffemodel: .*Mconv7_stage1_L1\.weight"):
        load_openpose(path)


def test_another_network_is_named_by_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"coco-18 or body-25; .*fc1\.weight, fc1\.bias, …"):
        load_openpose(save({"fc1.weight": torch.zeros(2, 2), "fc1.bias": torch.zeros(2)}, tmp_path / "mlp.pt"))
    # Layers that both networks have tell nothing.
    with pytest.raises(UserError, match=r"conv1_1\.weight, conv1_1\.bias, …"):
        load_openpose(write_caffemodel(tmp_path / "vgg.caffemodel", SMALL))


class Malice:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (open, ("ran", "w"))  # type: ignore[return-value]


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(HOLLOW["coco-18"] | {"extra": Malice()}, "net.pth", _use_new_zipfile_serialization=zipped)
    Path("plain.pt").write_bytes(pickle.dumps(Malice(), protocol=2))
    for name in ("net.pth", "plain.pt"):
        with pytest.raises(UserError, match=f"teacher.path={name}: damaged"):
            load_openpose(Path(name))
    assert not Path("ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_torch_files_are_refused(tmp_path: Path, zipped: bool) -> None:
    tensors = {"conv1_1.weight": torch.rand(64, 3, 3, 3), "conv5_1_CPM_L1.bias": torch.rand(128)}
    torch.save(tensors, path := tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    generator = np.random.default_rng(0)
    for number in range(80):
        damaged = content.copy()
        place = generator.integers(len(content))
        damaged[place] ^= 1 << generator.integers(8)
        path.write_bytes(damaged.tobytes() if number % 2 else content[:place].tobytes())
        with pytest.raises(UserError, match=r"net\.pth") as caught:  # nothing else, and no hang
            load_openpose(path)
        assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_a_zipped_file_is_found(tmp_path: Path) -> None:
    path = save(HOLLOW["coco-18"] | {"conv1_1.bias": torch.full((64,), 0.25)}, tmp_path / "net.pth")
    content = path.read_bytes()
    assert content.count(b"\0\0\x80\x3e" * 64) == 1
    path.write_bytes(content.replace(b"\0\0\x80\x3e" * 64, b"\0\0\x81\x3e" + b"\0\0\x80\x3e" * 63))
    with pytest.raises(UserError, match=r"net\.pth: damaged.*the checksum of .* is wrong"):
        load_openpose(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.pth", None, "expected .*file"),
        ("net.onnx", b"x", r".*\*\.caffemodel, \*\.pth, \*\.pt"),
        ("net.pth", b"", "damaged"),
        ("net.pth", b"\xff\xd8\xff\xe0 a picture", "damaged"),
        ("net.caffemodel", b"", ".*0 bytes"),
        ("net.caffemodel", b"PK\x03\x04", "damaged"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((UserError, RefusedError), match=f"path={path}: {said}"):
        load_openpose(path)


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {}, {"state_dict": 3}])
def test_torch_files_of_something_else_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, path := tmp_path / "net.pth")
    with pytest.raises(UserError, match="dictionary of tensors"):
        load_openpose(path)


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
    said = r"net\.caffemodel: damaged: conv1_1\.weight: 96 bytes .*\(2, 3, 2, 9\), expected 432"
    with pytest.raises(UserError, match=said):
        read_caffemodel(path)


def test_a_layer_of_a_name_that_was_there_is_refused(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", WEIGHTS)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match="conv1_1"):
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
