from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from pose_oad.export.registered_model import StudentModel, encode_image, find_keypoints, log_student
from pose_oad.poses.geometry import FrameResize
from pose_oad.students import PoseStudent
from tests.conftest import ROOT
from tests.exports import random_student


class Logged(NamedTuple):
    """A store with one run that has a registered student."""

    uri: str
    store: str
    run_id: str
    student: PoseStudent


def pictures(count: int, width: int = 80, height: int = 60) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.fixture
def model() -> StudentModel:
    model = StudentModel()
    model._student, model._resize_mode = random_student(), "letterbox"
    return model


def test_keypoints_are_in_px_of_the_image() -> None:
    student = random_student()
    image = np.repeat(np.repeat(pictures(1, 16, 8)[0], 8, axis=0), 8, axis=1)  # 128 x 64: half of it fills the input
    for resize_mode, size in (("letterbox", (64, 32)), ("squash", (64, 64))):
        found = find_keypoints(student, image, resize_mode)  # type: ignore[arg-type]
        assert found.shape == (12, 3)
        placed = FrameResize.of((128, 64), (64, 64), resize_mode)  # type: ignore[arg-type]
        assert placed.content[2:] == size
        frame = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
        left, top, width, height = placed.content
        small = image.reshape(height, 64 // height, width, 128 // width, 3).mean((1, 3)).round()
        frame[0, top : top + height, left : left + width] = torch.from_numpy(small.astype(np.uint8))
        expected = placed.to_frame(student.keypoints(frame).single)[0].numpy()
        np.testing.assert_allclose(found, expected, atol=2)  # two scalers round differently


def test_an_image_of_the_input_size_is_taken_as_it_is() -> None:
    student, image = random_student(), pictures(1, 64, 64)
    expected = student.keypoints(torch.from_numpy(image)).single[0].numpy()
    np.testing.assert_allclose(find_keypoints(student, image[0], "letterbox"), expected, atol=1e-4)


def test_arrays_lists_and_files_are_read_alike(model: StudentModel) -> None:
    images = [pictures(1)[0], pictures(1, 40, 90)[0]]
    expected = np.stack([find_keypoints(model._student, image, "letterbox") for image in images])
    for column in (images, [image.tolist() for image in images], [encode_image(image) for image in images]):
        np.testing.assert_array_equal(model.predict(None, pd.DataFrame({"image": column})), expected)
    together = pd.DataFrame({"image": [[encode_image(image) for image in images]]})
    np.testing.assert_array_equal(model.predict(None, together), expected)


def test_no_image_gives_no_keypoints(model: StudentModel) -> None:
    assert model.predict(None, pd.DataFrame({"image": []})).shape == (0, 12, 3)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("no base64!", "base64"),
        ("bm90ZXM=", "expected a JPEG or PNG file"),
        ("", "expected a JPEG or PNG file"),
        (np.zeros((4, 4), dtype=np.uint8), r"expected RGB values 0 to 255, \(height, width, 3\)"),
        (np.zeros((4, 4, 3)), "float64"),
        ([[[0, 0, 300]]], "expected RGB values 0 to 255"),
    ],
)
def test_what_is_no_image_is_refused(model: StudentModel, entry: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.predict(None, pd.DataFrame({"image": [entry]}))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    folder, before = tmp_path_factory.mktemp("registered"), mlflow.get_tracking_uri()
    store = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(store)
    run = client.create_run(client.create_experiment("online", artifact_location=(folder / "artifacts").as_uri()))
    student = random_student()
    uri = log_student(student, run.info.run_id, store, "student")
    assert mlflow.get_tracking_uri() == before
    mlflow.set_tracking_uri(store)
    yield Logged(uri, store, run.info.run_id, student)
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
def test_it_belongs_to_its_run_and_is_registered(logged: Logged) -> None:
    client = mlflow.MlflowClient(logged.store)
    run = client.get_run(logged.run_id)
    assert run.info.status == "RUNNING"  # as it was
    [output] = run.outputs.model_outputs
    assert logged.uri == f"models:/{output.model_id}"
    kept = client.get_logged_model(output.model_id)
    assert (kept.experiment_id, kept.source_run_id) == (run.info.experiment_id, logged.run_id)
    assert kept.status == "READY"
    [version] = client.search_model_versions("name='student'")
    assert version.version in (1, "1")


@pytest.mark.slow
def test_it_can_be_loaded_without_a_warning(logged: Logged) -> None:
    images = pictures(2)
    expected = np.stack([find_keypoints(logged.student, image, "letterbox") for image in images])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = mlflow.pyfunc.load_model("models:/student/1")
        for given in ({"image": images}, pd.DataFrame({"image": [encode_image(image) for image in images]})):
            found = model.predict(given)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, expected)
    assert model.metadata.signature.inputs.input_names() == ["image"]
    assert model.metadata.signature.outputs.inputs[0].shape == (-1, 12, 3)
    assert model.predict(model.input_example).shape == (1, 12, 3)
    assert model.metadata.metadata["joints"][0] == "left_shoulder"


@pytest.mark.slow
def test_its_requirements_are_pinned_and_come_from_no_other_place(logged: Logged) -> None:
    lines = Path(mlflow.pyfunc.get_model_dependencies(logged.uri)).read_text().splitlines()
    assert {"torch", "timm", "mlflow"} <= {line.partition("==")[0] for line in lines}
    assert all(line.count("==") == 1 for line in lines)
    assert not any(mark in line for line in lines for mark in (":", "/", "@", "+", "pose_oad"))


@pytest.mark.slow
def test_it_answers_over_http(logged: Logged, tmp_path: Path) -> None:
    images = pictures(2)
    expected = np.stack([find_keypoints(logged.student, image, "letterbox") for image in images])
    texts = [encode_image(image) for image in images]
    with serving(logged, tmp_path) as address:
        for request in (
            {"dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]}},
            {"dataframe_records": [{"image": image.tolist()} for image in images]},
            {"inputs": {"image": texts}},
        ):
            status, answer = ask(address, request)
            assert status == 200, answer
            np.testing.assert_allclose(answer["predictions"], expected, atol=1e-4)
        status, answer = ask(address, {"dataframe_records": [{"image": "notes"}]})
        assert status >= 400
        assert "expected" in json.dumps(answer)


class serving:  # noqa: N801
    """`mlflow models serve` on a free port of this machine, ended with everything it started."""

    def __init__(self, logged: Logged, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address, self.log = f"http://127.0.0.1:{port}", folder / "serve.log"
        command = [
            sys.executable, "-m", "mlflow", "models", "serve", "-m", logged.uri, "--env-manager", "local",
            "-h", "127.0.0.1", "-p", str(port),
        ]  # fmt: skip
        # MLflow starts uvicorn by its name, as it is found where the environment is activated.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        own = {"MLFLOW_TRACKING_URI": logged.store, "PYTHONPATH": str(ROOT), "PATH": path, "OMP_NUM_THREADS": "1"}
        env = os.environ | own
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=env, cwd=folder, start_new_session=True
            )

    def __enter__(self) -> str:
        for _ in range(240):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.address}/ping", timeout=2):
                    return self.address
            except OSError:
                time.sleep(0.5)
        self.__exit__()
        raise AssertionError(f"the server does not answer:\n{self.log.read_text()}")

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=30)


def ask(address: str, request: dict[str, Any]) -> tuple[int, Any]:
    data, headers = json.dumps(request).encode(), {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{address}/invocations", data, headers)) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
