from __future__ import annotations

import logging
from pathlib import Path

import onnx
import pytest
import torch

from pose_oad.export.graph import quantise_int8, to_onnx
from pose_oad.export.report import compare_maps
from pose_oad.students.exported import ExportedStudent
from pose_oad.tracking.errors import UserError
from tests.exports import random_frames, random_student, write_export


def shape_of(node: onnx.ValueInfoProto) -> list[int | str]:
    return [axis.dim_param or axis.dim_value for axis in node.type.tensor_type.shape.dim]


def test_the_graph_takes_frames_and_gives_maps() -> None:
    model = to_onnx(random_student((64, 96)), opset=17)
    [frames] = model.graph.input
    assert (frames.name, shape_of(frames)) == ("frames", ["batch", 96, 64, 3])
    assert frames.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    outputs = {node.name: shape_of(node) for node in model.graph.output}
    assert outputs["confidence_maps"] == ["batch", 12, 24, 16]
    assert outputs["part_affinity_fields"] == ["batch", 12, 2, 24, 16]
    assert {node.type.tensor_type.elem_type for node in model.graph.output} == {onnx.TensorProto.FLOAT}
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]


def test_the_graph_begins_with_a_cast_and_computes_no_shapes() -> None:
    """TensorRT takes uint8 only before a cast, and some runtimes cannot compute shapes."""
    nodes = to_onnx(random_student()).graph.node
    assert [node.op_type for node in nodes if "frames" in node.input] == ["Cast"]
    assert not {"Shape", "Mod", "Concat", "BatchNormalization"} & {node.op_type for node in nodes}


@pytest.mark.parametrize("head", ["light", "attention"])
def test_maps_are_those_of_the_student_whatever_the_batch(tmp_path: Path, head: str) -> None:
    student = random_student(head=head)
    exported = ExportedStudent(write_export(student, tmp_path / "a.onnx"), threads=1)
    for count in (1, 3):
        parity = compare_maps(student, exported, random_frames(count), 8)
        assert parity.frames == count
        assert parity.largest < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["densenet121", "resnet18", "hrnet_w18_small", "mobilenetv4_conv_small"])
def test_every_backbone_of_the_project_can_be_exported(tmp_path: Path, backbone: str) -> None:
    student = random_student(backbone=backbone, head="light" if "net_" in backbone else "attention")
    exported = ExportedStudent(write_export(student, tmp_path / "a.onnx"), threads=1)
    assert compare_maps(student, exported, random_frames(2), 8).largest < 1e-4


def test_exporting_leaves_the_student_as_it_is() -> None:
    student = random_student().train()
    before = {key: value.clone() for key, value in student.state_dict().items()}
    to_onnx(student, precision="fp16")
    assert student.training
    for key, value in student.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


def test_half_precision_is_smaller_and_close(tmp_path: Path) -> None:
    student = random_student()
    full, half = (write_export(student, tmp_path / f"{p}.onnx", precision=p) for p in ("fp32", "fp16"))  # type: ignore[arg-type]
    assert half.stat().st_size < 0.6 * full.stat().st_size
    parity = compare_maps(student, ExportedStudent(half, 1), random_frames(2), 8)
    assert 1e-6 < parity.largest < 1e-2


def test_quantised_convolutions_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    student = random_student(head="attention")
    quantised, (done, convolutions) = quantise_int8(to_onnx(student))
    operations = [node.op_type for node in quantised.graph.node]
    assert operations.count("ConvInteger") == done > 20
    transposed = operations.count("ConvTranspose")  # onnxruntime leaves those of the attention head as they are
    assert transposed > 0
    assert convolutions == done + transposed
    assert not caplog.records
    exported = ExportedStudent(write_export(student, tmp_path / "int8.onnx", int8=True), threads=1)
    assert compare_maps(student, exported, random_frames(2), 8).largest < 1
    assert exported.config.quantised == "int8"


def test_a_graph_without_convolutions_cannot_be_quantised() -> None:
    relu = onnx.helper.make_node("Relu", ["a"], ["b"])
    a, b = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "ab")
    graph = onnx.helper.make_graph([relu], "g", [a], [b])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(UserError, match="quantise=int8"):
        quantise_int8(model)
