"""A student as an ONNX graph: uint8 frames in, maps out, the pre-processing inside.

The graph is traced (``dynamo=False``): the newer exporter of torch needs a package that this project does without.
"""

from __future__ import annotations

import copy
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import onnx
import onnx.utils
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from pydantic import Field
from torch import Tensor, nn

from pose_oad.students import PoseStudent
from pose_oad.students.exported import CONFIDENCE_MAPS, FRAMES, PART_AFFINITY_FIELDS, ExportMetadata
from pose_oad.students.onnx_session import first_line
from pose_oad.tracking.errors import UserError, check

Precision = Literal["fp32", "fp16"]
#: Versions of ONNX's operator set that can be written.
Opset = Annotated[int, Field(ge=17, le=20)]


class _ExportedGraph(nn.Module):
    """The student behind its own pre-processing.

    The scaling is that of :meth:`PoseStudent.normalise` in another order: TensorRT takes uint8 only where a cast to
    floating point comes first. It stays in fp32 whatever the weights are, since fp16 would round every pixel.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, student: PoseStudent, precision: Precision) -> None:
        super().__init__()
        self.register_buffer("scale", student.scale.float().cpu())
        self.register_buffer("offset", student.offset.float().cpu())
        self.dtype = torch.float16 if precision == "fp16" else torch.float32
        self.student = copy.deepcopy(student).cpu().to(self.dtype).eval()

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        planes = frames.float().permute(0, 3, 1, 2) * self.scale + self.offset
        confidence_maps, fields = self.student(planes.to(self.dtype))
        return confidence_maps.float(), fields.float()


def to_onnx(student: PoseStudent, opset: Opset = 17, precision: Precision = "fp32") -> onnx.ModelProto:
    """Turn a student into an ONNX graph with a free batch size; precision is that of the weights and the computation.

    Input ``frames``: RGB uint8, shape (batch, height, width, 3), at the student's input size. Outputs
    ``confidence_maps``, shape (batch, joints, height / 4, width / 4), and ``part_affinity_fields``, shape (batch,
    limbs, 2, height / 4, width / 4), both float32 whatever the precision.

    Raises:
        UserError: if the network has an operation that ONNX has not.
    """
    width, height = student.input_size
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    names, buffer = (CONFIDENCE_MAPS, PART_AFFINITY_FIELDS), io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that tracing is the older way, and fixes what depends on the input's size
            torch.onnx.export(
                _ExportedGraph(student, precision).eval(),
                (example,),
                buffer,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=opset,
                input_names=[FRAMES],
                output_names=list(names),
                dynamic_axes={name: {0: "batch"} for name in (FRAMES, *names)},
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(
            f"student.backbone={student.config.backbone}: cannot be exported ({first_line(error)})"
        ) from error
    model = _with_constant_shape(onnx.load_model_from_string(buffer.getvalue()), student)
    onnx.checker.check_model(model, full_check=True)
    return model


def _with_constant_shape(model: onnx.ModelProto, student: PoseStudent) -> onnx.ModelProto:
    """Give the last reshape of the fields a constant shape.

    As traced, the shape is computed by a dozen operations on that of the input; not every runtime knows all of them.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    node = producers[PART_AFFINITY_FIELDS]
    while node.op_type != "Reshape":
        node = producers[node.input[0]]
    columns, rows = student.map_size
    shape = np.array([-1, len(student.skeleton.limbs), 2, rows, columns], dtype=np.int64)
    model.graph.initializer.append(onnx.numpy_helper.from_array(shape, "shape_of_fields"))
    node.input[1] = "shape_of_fields"
    return onnx.utils.Extractor(model).extract_model([FRAMES], [CONFIDENCE_MAPS, PART_AFFINITY_FIELDS])


def quantise_int8(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[int, int]]:
    """Store the weights of convolutions in 8 bits, and quantise what enters them as it comes (dynamic quantisation).

    onnxruntime knows no transposed convolutions here: the deconvolutions of an attention head stay as they are.

    Returns:
        The quantised graph; the number of quantised convolutions, and of all of them, transposed ones included.

    Raises:
        UserError: if no convolution could be quantised.
    """
    convolutions = _count(model, "Conv", "ConvTranspose")
    logging.getLogger().addFilter(_is_serious)  # onnxruntime's Python code logs there
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            # Unsigned weights: onnxruntime has no signed integer convolution on CPUs.
            quantize_dynamic(model, path, op_types_to_quantize=["Conv"], weight_type=QuantType.QUInt8)
            quantised = onnx.load(str(path))
    finally:
        logging.getLogger().removeFilter(_is_serious)
    done = _count(quantised, "ConvInteger")
    check(done > 0, "quantise", "int8", f"null: none of its {convolutions} convolutions can be quantised dynamically")
    return quantised, (done, convolutions)


def add_metadata(model: onnx.ModelProto, metadata: ExportMetadata) -> None:
    """Write into a graph what it is; metadata that libraries left there are dropped."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata.to_strings())
    model.producer_name, model.producer_version = "pose_oad", metadata.version


def _count(model: onnx.ModelProto, *operations: str) -> int:
    return sum(node.op_type in operations for node in model.graph.node)


def _is_serious(record: logging.LogRecord) -> bool:
    # It advises a shape inference that changes nothing for networks like ours, and names every tensor it passes by.
    return record.levelno >= logging.ERROR
