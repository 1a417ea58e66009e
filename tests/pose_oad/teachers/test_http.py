"""A teacher behind HTTP: what is sent, what is read, and what happens when it is away."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pose_oad.teachers.base import Labels, TeacherRequest
from pose_oad.teachers.http import HttpTeacher
from pose_oad.tracking.errors import RefusedError, UserError


@contextmanager
def server(answer: Callable[[list[np.ndarray]], tuple[int, Any]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            files = [np.frombuffer(base64.b64decode(text), np.uint8) for text in body["inputs"]["image"]]
            code, said = answer([cv2.imdecode(file, cv2.IMREAD_COLOR_RGB) for file in files])
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *message: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}/invocations"
        made.shutdown()


def ask(teacher: HttpTeacher, count: int = 3, frame_size: tuple[int, int] = (128, 96)) -> Labels:
    width, height = teacher.image_size(frame_size)
    images = np.zeros((count, height, width, 3), np.uint8)
    images[..., 0] = 200  # red
    return teacher.label(TeacherRequest(np.arange(count), images, frame_size))


def test_images_go_there_and_keypoints_come_back_in_px_of_the_original() -> None:
    seen: list[np.ndarray] = []

    def answer(images: list[np.ndarray]) -> tuple[int, Any]:
        seen.extend(images)
        return 200, {"predictions": [[[10.0, 20.0, 0.5]] * 17 for _ in images]}  # one person, as MLflow has it

    with server(answer) as url:
        labels = ask(HttpTeacher(url, height=48, batch_size=2))
    assert [image.shape for image in seen] == [(48, 64, 3)] * 3
    assert seen[0][..., 0].mean() > 150 > 50 > seen[0][..., 2].mean()
    assert labels.keypoints.shape == (3, 1, 17, 3)
    assert torch.equal(labels.keypoints[2, 0, 0], torch.tensor([20.0, 40.0, 0.5]))


def test_frames_may_hold_nobody_or_several() -> None:
    with server(lambda images: (200, {"predictions": [[], [[[1.0, 2.0, 1.0]] * 17] * 2, []]})) as url:
        keypoints = ask(HttpTeacher(url)).keypoints
    assert keypoints.shape == (3, 2, 17, 3)
    assert (keypoints[..., 2] > 0).any(-1).sum(-1).tolist() == [0, 2, 0]


def test_one_that_is_away_is_asked_again() -> None:
    tries: list[int] = []

    def answer(images: list[np.ndarray]) -> tuple[int, Any]:
        tries.append(len(images))
        return (503, {}) if len(tries) < 2 else (200, {"predictions": [[] for _ in images]})

    with server(answer) as url:
        assert ask(HttpTeacher(url)).keypoints.shape == (3, 0, 17, 3)
    assert tries == [3, 3]


@pytest.mark.parametrize(
    "answer", [(404, {}), (200, {"predictions": [[1.0, 2.0]]}), (200, {"predictions": []}), (200, {"error": "no"})]
)
def test_one_that_answers_something_else_is_refused_by_its_url(answer: tuple[int, Any]) -> None:
    with server(lambda images: answer) as url, pytest.raises(UserError, match=r"teacher\.url=http://127"):
        ask(HttpTeacher(url))


def test_patience_ends() -> None:
    with server(lambda images: (500, {})) as url:
        pass
    with pytest.raises(UserError, match=r"teacher\.url=.*does not answer"):
        ask(HttpTeacher(url, patience_s=0.0))
    with pytest.raises(RefusedError, match="url=hub:5001"):
        HttpTeacher("hub:5001")
