"""A student as an MLflow model: images in, keypoints out.

``mlflow.pyfunc.load_model`` and ``mlflow models serve --env-manager local`` work with it in any environment in which
this project is installed; what else it needs stands in the model's requirements, in the versions it was logged with.
"""

from __future__ import annotations

import base64
import importlib.metadata
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# MLflow draws a bar for every file it copies unless told not to; set before it is imported.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import av
import cv2
import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types.schema import AnyType, ColSpec, Schema, TensorSpec
from PIL import Image

from pose_oad.poses.geometry import LARGEST_IMAGE, FrameResize, ResizeMode
from pose_oad.students import PoseStudent, load_student
from pose_oad.students.checkpoint import save_student

#: The column with the images.
IMAGE = "image"
_CODE = Path(__file__).parent / "mlflow_model.py"
_NEEDED = (
    "mlflow", "torch", "torchvision", "timm", "numpy", "scipy", "pandas", "av", "opencv-python-headless", "pillow",
)  # fmt: skip


class StudentModel(PythonModel):
    """What MLflow runs: one person's keypoints in every image."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the student from the model's files."""
        self._student = load_student(context.artifacts["checkpoint"])
        self._resize_mode: ResizeMode = context.model_config["resize_mode"]

    def predict(
        self, context: PythonModelContext | None, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Find one person in every image.

        Args:
            context: MLflow's; not used
            model_input: a column ``image`` of RGB images, each as an array, uint8, shape (height, width, 3), as nested
                lists of the same, or as a JPEG or PNG file in base64; they may differ in size. MLflow makes this table
                of ``{"image": array}`` too, with an array of shape (images, height, width, 3)
            params: none exist

        Returns:
            Keypoints in px of each image, float32, shape (images, joints, 3): x, y and confidence in [0, 1].

        Raises:
            ValueError: if something is no image.
        """
        images = [_read(entry) for entry in _entries(model_input)]
        keypoints = [find_keypoints(self._student, image, self._resize_mode) for image in images]
        return np.stack(keypoints) if keypoints else np.zeros((0, len(self._student.skeleton), 3), dtype=np.float32)


def find_keypoints(student: PoseStudent, image: np.ndarray, resize_mode: ResizeMode) -> np.ndarray:
    """Find one person in one RGB image, uint8, shape (height, width, 3), scaled as the frames of a stream are.

    Returns:
        Px of the image, float32, shape (joints, 3): x, y and confidence in [0, 1].
    """
    placed = FrameResize.of((image.shape[1], image.shape[0]), student.input_size, resize_mode)
    left, top, width, height = placed.content
    frame = torch.zeros(1, student.input_size[1], student.input_size[0], 3, dtype=torch.uint8)
    decoded = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    scaled = decoded.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    frame[0, top : top + height, left : left + width] = torch.from_numpy(scaled)
    return placed.to_frame(student.keypoints(frame).single)[0].numpy()


def log_student(student: PoseStudent, run_id: str, tracking_uri: str, registered_name: str | None = None) -> str:
    """Log a student as an MLflow model of a run in a store, and as the next version of a registered name, if any.

    Returns:
        The model's URI, for ``mlflow.pyfunc.load_model`` and ``mlflow models serve -m``.
    """
    # AnyType: base64 text from a client, arrays from Python; predict() says what it cannot read.
    output = TensorSpec(np.dtype("float32"), (-1, len(student.skeleton), 3), "keypoints")
    signature = ModelSignature(inputs=Schema([ColSpec(AnyType(), IMAGE)]), outputs=Schema([output]))
    client = mlflow.MlflowClient(tracking_uri)
    experiment = client.get_run(run_id).info.experiment_id
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    try:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "student.ckpt"
            save_student(student, checkpoint)
            # Made by hand: Model.log would put it into whichever experiment is active.
            model = client.create_logged_model(experiment, "student", source_run_id=run_id, model_type="pose")
            logged = Model.log(
                artifact_path=None, model_id=model.model_id, flavor=mlflow.pyfunc, run_id=run_id,
                registered_model_name=registered_name, python_model=str(_CODE), signature=signature,
                artifacts={"checkpoint": str(checkpoint)}, model_config={"resize_mode": student.config.resize_mode},
                metadata={"joints": list(student.skeleton.joints), "skeleton": student.skeleton.name},
                input_example=_example(),
                pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _NEEDED],
            )  # fmt: skip
    finally:
        mlflow.set_tracking_uri(before)
    return logged.model_uri


def _example() -> pd.DataFrame:
    """Return a small picture as a client would send it."""
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    return pd.DataFrame({IMAGE: [encode_image(np.broadcast_to(ramp[None, :, None], (48, 64, 3)))]})


def encode_image(image: np.ndarray) -> str:
    """Turn an RGB image, uint8, shape (height, width, 3), into what a client sends: a PNG file in base64."""
    _, file = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR))
    return base64.b64encode(file.tobytes()).decode("ascii")


def _entries(table: pd.DataFrame) -> Iterator[Any]:
    """Yield the images of a request, one by one, as they came."""
    for entry in table[IMAGE]:
        # MLflow puts a whole list of texts into one cell if a request has them as {"inputs": {"image": […]}}.
        texts = isinstance(entry, list) and len(entry) > 0 and all(isinstance(item, str) for item in entry)
        yield from entry if texts else [entry]


def _read(entry: Any) -> np.ndarray:
    """Return one image, RGB uint8, shape (height, width, 3)."""
    if isinstance(entry, str):
        called = f"{IMAGE} {entry[:20]!r}"
        try:
            data = base64.b64decode(entry, validate=True)
            width, height = Image.open(io.BytesIO(data)).size  # of its header; nothing is decoded yet
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ) as error:  # one of binascii is a ValueError
            raise ValueError(f"{called}: expected a JPEG or PNG file in base64 ({error})") from error
        if width * height > LARGEST_IMAGE:
            raise ValueError(f"{called}: {width}x{height} px, expected at most {LARGEST_IMAGE} in all")
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise ValueError(f"{called}: expected a JPEG or PNG file in base64")
        return image
    image = np.asarray(entry)
    fits = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    values = fits and (image.dtype == np.uint8 or (image.dtype.kind in "iu" and 0 <= image.min() <= image.max() <= 255))
    if not values:
        raise ValueError(f"{IMAGE} {image.dtype} {image.shape}: expected RGB values 0 to 255, (height, width, 3)")
    return image.astype(np.uint8)
