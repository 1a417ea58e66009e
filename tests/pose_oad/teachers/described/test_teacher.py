from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from omegaconf import OmegaConf
from onnx import TensorProto, helper, numpy_helper

from pose_oad.cli.command import compose_config
from pose_oad.cli.teachers import make_teacher
from pose_oad.teachers.base import Labels, Origin, Teacher, TeacherRequest
from pose_oad.teachers.described import DescribedTeacher
from pose_oad.teachers.described.network import InputSpec, OutputSpec
from pose_oad.tracking.errors import RefusedError, UserError
from pose_oad.tracking.schema import build_options

HEATMAPS = OutputSpec("heatmaps")
TWO_JOINTS = ["Left Wrist", "right-wrist"]
TYPES = {"float": TensorProto.FLOAT, "int32": TensorProto.INT32, "uint8": TensorProto.UINT8}


def write_constants(path: Path, outputs: dict[str, np.ndarray], shape: list[int | str], kind: str = "float") -> Path:
    """Write a network that gives the same numbers for every picture of its batch."""
    # What is added is nothing, but as often as there are pictures.
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
    ]
    weights = [numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
               numpy_helper.from_array(np.array(0, np.float32), "zero")]  # fmt: skip
    for name, value in outputs.items():
        weights += [
            numpy_helper.from_array(value[None].astype(np.float32), f"{name}_value"),
            numpy_helper.from_array(np.array([-1] + [1] * value.ndim), f"{name}_shape"),
        ]
        nodes += [
            helper.make_node("Reshape", ["nothing", f"{name}_shape"], [f"{name}_nothing"]),
            helper.make_node("Add", [f"{name}_nothing", f"{name}_value"], [name]),
        ]
    graph = helper.make_graph(
        nodes, "constants", [helper.make_tensor_value_info("image", TYPES[kind], shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs], weights,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def write_colour_maps(path: Path, mean: float = 0.0, std: float = 1.0) -> Path:
    """Write a network whose first map is red, whose second is green, in cells of 2 px, values of 0 to 1."""
    kernel = np.zeros((2, 3, 1, 1), np.float32)
    kernel[[0, 1], [0, 1]] = std / 255
    nodes = [
        helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["small", "kernel", "bias"], ["maps"]),
    ]
    weights = [numpy_helper.from_array(kernel, "kernel"),
               numpy_helper.from_array(np.full(2, mean / 255, np.float32), "bias")]  # fmt: skip
    graph = helper.make_graph(
        nodes, "colours", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 48, 64])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, None)], weights,
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def label(teacher: DescribedTeacher, frame_size: tuple[int, int], images: np.ndarray | None = None) -> Labels:
    width, height = teacher.image_size(frame_size)
    images = np.zeros((1, height, width, 3), np.uint8) if images is None else images
    return teacher.label(TeacherRequest(np.arange(len(images)), images, frame_size))


def dots(size: tuple[int, int], red: tuple[int, int], green: tuple[int, int]) -> np.ndarray:
    """A black picture with a red and a green square of 4 px, whose centres lie at the places given."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for channel, (x, y) in enumerate((red, green)):
        picture[y - 2 : y + 2, x - 2 : x + 2, channel] = 250
    return picture


def test_heat_maps_of_a_whole_frame(tmp_path: Path) -> None:
    path = write_colour_maps(tmp_path / "maps.onnx", mean=100.0, std=50.0)
    seen = InputSpec(mean=(100.0, 100.0, 100.0), std=(50.0, 50.0, 50.0))
    teacher = DescribedTeacher(str(path), TWO_JOINTS, seen, HEATMAPS)
    assert teacher.skeleton.joints == ("left_wrist", "right_wrist")
    # 128x64 px are 64x32 in the input, between two bars of 8 px.
    assert teacher.image_size((128, 64)) == (64, 32)
    images = np.stack([dots((64, 32), (10, 6), (50, 20)), dots((64, 32), (30, 10), (40, 10))])
    keypoints = label(teacher, (128, 64), images).keypoints
    assert keypoints.shape == (2, 1, 2, 3)
    np.testing.assert_allclose(keypoints[:, 0, :, :2], [[[20, 12], [100, 40]], [[60, 20], [80, 20]]], atol=1.1)
    np.testing.assert_allclose(keypoints[..., 2], 250 / 255, atol=0.01)


def test_colours_in_the_order_that_the_network_wants(tmp_path: Path) -> None:
    path = write_colour_maps(tmp_path / "maps.onnx")
    picture = dots((64, 48), (10, 6), (50, 20))
    teacher = DescribedTeacher(str(path), TWO_JOINTS, InputSpec(channels="bgr"), HEATMAPS)
    keypoints = label(teacher, (64, 48), picture[None, :, :, ::-1]).keypoints[0, 0]
    np.testing.assert_allclose(keypoints[:, :2], [[10, 6], [50, 20]], atol=0.6)


def test_behind_a_detector_each_person_is_looked_at(tmp_path: Path) -> None:
    # Two people found by their shoulders: boxes of 48x36 px at (100, 100) and at (300, 50), shown as 64x48 px.
    found = np.zeros((2, 17, 3), np.float32)
    for person, (x, y) in zip(found, ((100, 100), (300, 50)), strict=True):
        person[5], person[6] = (x - 24.5, y - 18.5, 0.9), (x + 23.5, y + 17.5, 0.9)
    detector = write_constants(tmp_path / "people.onnx", {"people": found}, ["n", 3, 200, 400])
    described = DescribedTeacher(str(detector))
    teacher = DescribedTeacher(
        str(write_colour_maps(tmp_path / "maps.onnx")), TWO_JOINTS, output=HEATMAPS, detector=described, padding=1.0
    )
    assert teacher.image_size((400, 200)) == (400, 200)
    picture = dots((400, 200), (90, 95), (110, 110)) + dots((400, 200), (290, 40), (310, 60))
    keypoints = label(teacher, (400, 200), picture[None]).keypoints
    people = sorted(keypoints[0, :, :, :2].tolist())
    np.testing.assert_allclose(people, [[[90, 95], [110, 110]], [[290, 40], [310, 60]]], atol=1.0)


def test_frames_behind_a_detector_are_kept_no_larger_than_asked(tmp_path: Path) -> None:
    detector = write_constants(tmp_path / "people.onnx", {"people": np.zeros((1, 17, 3))}, ["n", 3, 200, 400])
    described = DescribedTeacher(str(detector))
    path = write_colour_maps(tmp_path / "maps.onnx")
    teacher = DescribedTeacher(str(path), TWO_JOINTS, output=HEATMAPS, detector=described, height=100)
    assert teacher.image_size((400, 200)) == (200, 100)
    assert teacher.image_size((60, 50)) == (60, 50)
    assert label(teacher, (400, 200)).keypoints.shape == (1, 0, 2, 3)  # nobody found, nothing to look at


def write_openpose(folder: Path, names: list[str]) -> dict[str, Any]:
    """Write files of one person of COCO-18 each, and describe the teacher that reads them."""
    folder.mkdir(parents=True)
    person = [number for joint in range(18) for number in (100 + joint, 50 + joint, 0.9)]
    for name in names:
        (folder / f"{name}_keypoints.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": person}]}))
    target = "pose_oad.teachers.openpose_json.OpenPoseJsonTeacher"
    return {"_target_": target, "every": 1, "folder": str(folder), "missing_labels": "skip"}


def made(path: Path, detector: Any) -> Teacher:
    """Build a described teacher with its detector from a configuration, as a run does."""
    target = "pose_oad.teachers.described.DescribedTeacher"
    node = {"_target_": target, "every": 1, "path": str(path), "joints": list(TWO_JOINTS), "detector": detector}
    return make_teacher(OmegaConf.create(node), None)


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        ("onnx", r"teacher\.detector=onnx: expected a teacher"),
        ({"_target_": "pose_oad.teachers.onnx.OnnxTeacher", "path": None}, r"teacher\.detector: .*path=None"),
        ({"_target_": "pose_oad.teachers.nowhere.Detector"}, r"_target_=pose_oad\.teachers\.nowhere"),
    ],
)
def test_detectors_that_are_no_teachers_are_refused(tmp_path: Path, detector: Any, message: str) -> None:
    path = write_constants(tmp_path / "net.onnx", {"out": np.ones((1, 2, 3))}, ["n", 3, 48, 64])
    with pytest.raises(UserError, match=message):
        made(path, detector)


def test_a_frame_that_the_detector_could_not_label_is_no_frame_without_people(tmp_path: Path) -> None:
    detector = write_openpose(tmp_path / "json", ["my_0", "my_2"])
    path = write_constants(tmp_path / "net.onnx", {"out": np.ones((1, 2, 3))}, ["n", 3, 48, 64])
    teacher = made(path, detector)
    images, origin = np.zeros((3, 200, 400, 3), np.uint8), Origin("my", Path("my.mp4"), np.arange(3))
    labels = teacher.label(TeacherRequest(np.arange(3), images, (400, 200), None, origin))
    assert (labels.keypoints[..., 2] > 0).any(-1).tolist() == [[True], [False], [True]]
    assert labels.unusable is not None
    assert labels.unusable.tolist() == [False, True, False]
    assert labels.counts["labels_missing"] == 1


def test_an_ensemble_finds_people_too(tmp_path: Path) -> None:
    members = {name: write_openpose(tmp_path / name, ["my_0"]) for name in ("one", "two")}
    detector = {"_target_": "pose_oad.teachers.ensemble.EnsembleTeacher", "every": 1, "members": members, "agree": 2}
    path = write_constants(tmp_path / "net.onnx", {"out": np.ones((1, 2, 3))}, ["n", 3, 48, 64])
    teacher = made(path, detector)
    images, origin = np.zeros((1, 200, 400, 3), np.uint8), Origin("my", Path("my.mp4"), np.arange(1))
    assert teacher.label(TeacherRequest(np.arange(1), images, (400, 200), None, origin)).keypoints.shape == (1, 1, 2, 3)


def test_a_network_without_an_input_is_refused(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["out"], value=numpy_helper.from_array(np.ones((1, 17, 3), np.float32)))
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 17, 3])
    graph = helper.make_graph([constant], "constant", [], [out])
    path = tmp_path / "constant.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    with pytest.raises(RefusedError, match=r"path=.*constant\.onnx: .*one image as input"):
        DescribedTeacher(str(path))


def test_rtmpose(tmp_path: Path) -> None:
    x, y = np.zeros((17, 384)), np.zeros((17, 512))
    x[:, 100], y[:, 40] = 0.9, 0.7
    x[3, 100] = 0.2  # not found: below min_confidence
    path = write_constants(tmp_path / "rtmpose.onnx", {"simcc_x": x, "simcc_y": y}, ["n", 3, 256, 192])
    cfg = compose_config("online", ["teacher=rtmpose", f"teacher.path={path}"])
    teacher = make_teacher(cfg.teacher, None)
    assert teacher.image_size((384, 512)) == (192, 256)
    keypoints = label(teacher, (384, 512)).keypoints[0, 0]
    # Two bins a px: bin 100 is the pixel with index 50 of the input, whose centre lies at 50.5.
    np.testing.assert_allclose(keypoints[0], [101, 41, 0.7], rtol=1e-6)
    assert keypoints[3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["int32", "float", "uint8"])
def test_movenet(tmp_path: Path, kind: str) -> None:
    output = np.tile(np.array([0.25, 0.5, 0.8]), (1, 17, 1))  # y, x, confidence
    path = write_constants(tmp_path / "movenet.onnx", {"output_0": output}, [1, 192, 192, 3], kind)
    teacher = make_teacher(compose_config("online", ["teacher=movenet", f"teacher.path={path}"]).teacher, None)
    images = np.zeros((3, 96, 192, 3), np.uint8)  # a file that takes one picture at a time gets one at a time
    keypoints = label(teacher, (400, 200), images).keypoints
    # (96, 48) of the input lies at the upper edge of the frame, which begins 48 px below the input's.
    np.testing.assert_allclose(keypoints[:, 0, 0], [[200, 0, 0.8]] * 3, atol=1e-5)


def test_movenet_for_several_people(tmp_path: Path) -> None:
    output = np.zeros((6, 56))
    for row, score in ((1, 0.5), (4, 0.9)):
        output[row, :51] = np.tile([0.5, row / 10, 0.8], 17)
        output[row, 55] = score
    path = write_constants(tmp_path / "movenet.onnx", {"output_0": output}, [1, "h", "w", 3], "int32")
    overrides = ["teacher=movenet", f"teacher.path={path}", "teacher.input.size=[256,256]", "teacher.output.score=55",
                 "teacher.min_score=0.3"]  # fmt: skip
    teacher = make_teacher(compose_config("online", overrides).teacher, None)
    keypoints = label(teacher, (256, 256)).keypoints
    assert keypoints.shape == (1, 2, 17, 3)
    np.testing.assert_allclose(keypoints[0, :, 0, 0], [0.4 * 256, 0.1 * 256], rtol=1e-5)


def test_keypoints_behind_a_box_and_scores_of_a_second_output(tmp_path: Path) -> None:
    row = np.array([1, 2, 3, 4, 0.6, 0, 10, 20, 0.9, 30, 40, 0.1])  # box, score, class, two keypoints
    path = write_constants(tmp_path / "yolo.onnx", {"output0": np.stack([row, row * 0])}, ["n", 3, 64, 64])
    teacher = DescribedTeacher(str(path), TWO_JOINTS, output=OutputSpec(first=6, score=4), min_score=0.3)
    keypoints = label(teacher, (64, 64)).keypoints
    np.testing.assert_allclose(keypoints[0], [[[10.5, 20.5, 0.9], [0, 0, 0]]], atol=1e-6)

    dets = np.array([[0, 0, 1, 1, 0.2], [0, 0, 1, 1, 0.9]])
    points = np.array([[[1, 2, 0.9], [3, 4, 0.9]], [[5, 6, 0.8], [7, 8, 0.8]]])
    path = write_constants(tmp_path / "rtmo.onnx", {"dets": dets, "keypoints": points}, ["n", 3, 64, 64])
    said = OutputSpec(names=["keypoints", "dets"], score=4)
    best = label(DescribedTeacher(str(path), TWO_JOINTS, output=said), (64, 64)).keypoints[0, 0]
    np.testing.assert_allclose(best[:, :2], [[5.5, 6.5], [7.5, 8.5]])


def test_what_is_no_number_is_not_found(tmp_path: Path) -> None:
    points = np.array([[[np.nan, 2, 0.9], [3, 4, np.inf]], [[5, 6, 0.8], [np.inf, 8, 0.8]]])
    path = write_constants(tmp_path / "nan.onnx", {"keypoints": points}, ["n", 3, 64, 64])
    keypoints = label(DescribedTeacher(str(path), TWO_JOINTS), (64, 64)).keypoints[0]
    np.testing.assert_allclose(keypoints, [[[5.5, 6.5, 0.8], [0, 0, 0]]])


def test_logits_become_confidences(tmp_path: Path) -> None:
    points = np.array([[[1, 2, 0.0], [3, 4, -5.0]]])
    path = write_constants(tmp_path / "logits.onnx", {"keypoints": points}, ["n", 3, 64, 64])
    teacher = DescribedTeacher(str(path), TWO_JOINTS, output=OutputSpec(activation="sigmoid"))
    assert label(teacher, (64, 64)).keypoints[0, 0, :, 2].tolist() == [0.5, 0.0]


def test_nothing_asked_is_nothing_labelled(tmp_path: Path) -> None:
    teacher = DescribedTeacher(str(write_colour_maps(tmp_path / "m.onnx")), TWO_JOINTS, output=HEATMAPS)
    assert label(teacher, (64, 48), np.zeros((0, 48, 64, 3), np.uint8)).keypoints.shape == (0, 0, 2, 3)
    with pytest.raises(ValueError, match="needs images"):
        teacher.label(TeacherRequest(np.arange(1), None, (64, 48)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "missing.onnx"}, r"teacher\.path=missing\.onnx: "),
        ({"joints": "coco17"}, r"coco17: .*did you mean 'coco-17'"),
        ({"joints": ["Nose", "nose"]}, r"teacher\.joints="),
        ({"joints": "coco-17"}, r"gives \[1, 2, 24, 32\]; expected \[pictures, 17"),
        ({"input": {"sise": [64, 48]}}, r"teacher\.input\.sise=.* unknown key; did you mean 'size'"),
        ({"input": {"size": [32, 48]}}, r"teacher\.input\.size=\[32, 48\]: .*null"),
        ({"input": {"layout": "nhwc"}}, r"teacher\.input\.layout=nhwc: "),
        ({"output": {"kind": "simcc"}}, r"teacher\.output: "),
        ({"output": {"kind": "heatmaps", "names": ["heat"]}}, r"teacher\.output\.names=\['heat'\].*maps"),
        ({"output": {"kind": "heatmaps", "names": ["a", "b"]}}, r"teacher\.output\.names=.*1 .*heatmaps"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    fitting = {"path": str(write_colour_maps(tmp_path / "maps.onnx")), "joints": TWO_JOINTS,
               "output": {"kind": "heatmaps"}}  # fmt: skip
    build_options(DescribedTeacher, fitting, "teacher")
    with pytest.raises(UserError, match=message):
        build_options(DescribedTeacher, fitting | options, "teacher")


def test_an_input_of_any_size_wants_one_from_the_description(tmp_path: Path) -> None:
    path = write_constants(tmp_path / "free.onnx", {"people": np.zeros((1, 2, 3))}, ["n", 3, "h", "w"])
    with pytest.raises(RefusedError, match=r"input\.size=None: .*\[width, height\]"):
        DescribedTeacher(str(path), TWO_JOINTS)
    assert DescribedTeacher(str(path), TWO_JOINTS, InputSpec((320, 240))).image_size((640, 480)) == (320, 240)
