"""A teacher behind HTTP: images go there, keypoints come back, in the words of an MLflow model server."""

from __future__ import annotations

import base64
import json
import logging
import time
import urllib.error
import urllib.request
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.skeleton import get_skeleton
from pose_oad.teachers.base import Labels, TeacherRequest, stack_people
from pose_oad.tracking.errors import UserError, reason_of, require
from pose_oad.tracking.schema import Count, NotNegative, Positive, Text

_LOG = logging.getLogger(__name__)
_LONGEST_PAUSE = 10.0  # s between two attempts
_LARGEST_ANSWER = 2**26  # bytes


class HttpTeacher:
    """Ask a server, and wait for one that does not answer; see ``conf/teacher/http.yaml``.

    Args:
        url: where images are sent
        skeleton: joint set of the answers
        height: px to which larger frames are scaled; None sends them as they are
        quality: of the JPEG files, 1 to 100
        batch_size: images in a request
        timeout: s that an answer may take
        patience_s: s for which a server that fails is asked again, before the run ends

    Raises:
        RefusedError: if the URL is none.
    """

    uses_truth = False

    def __init__(
        self, url: Text, skeleton: Text = "coco-17", height: Count | None = 480, quality: Count = 90,
        batch_size: Count = 8, timeout: Positive = 10.0, patience_s: NotNegative = 120.0,
    ) -> None:  # fmt: skip
        require(url.startswith(("http://", "https://")), "url", url, "http://… or https://…")
        require(quality <= 100, "quality", quality, "1 to 100")
        self.url, self.skeleton, self.name = url, get_skeleton(skeleton), f"http:{url}"
        self._height, self._quality, self._batch_size = height, quality, batch_size
        self._timeout, self._patience_s = timeout, patience_s

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return the frame's size, or a smaller one of the height that is sent, px."""
        width, height = frame_size
        if self._height is None or height <= self._height:
            return frame_size
        return max(1, round(width * self._height / height)), self._height

    def label(self, request: TeacherRequest) -> Labels:
        """Send the frames, and read people of each.

        Raises:
            UserError: if the server has failed for too long, or its answer is none.
        """
        images, size = request.pixels(), self.image_size(request.frame_size)
        scale = torch.tensor([*(px / sent for px, sent in zip(request.frame_size, size, strict=True)), 1.0])
        people = [
            one * scale
            for first in range(0, len(images), self._batch_size)
            for one in self._ask(images[first : first + self._batch_size])
        ]
        return Labels(stack_people(people, len(self.skeleton)))

    def _ask(self, images: np.ndarray) -> list[Tensor]:
        options = [cv2.IMWRITE_JPEG_QUALITY, self._quality]
        files = [cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)[1] for image in images]
        body = {"inputs": {"image": [base64.b64encode(file.tobytes()).decode() for file in files]}}
        answer = self._send(json.dumps(body).encode())
        try:
            frames = [torch.tensor(one, dtype=torch.float32) for one in answer["predictions"]]
            people = [frame.reshape(-1, len(self.skeleton), 3) for frame in frames]
            if len(people) != len(images):
                raise ValueError(f"{len(people)} answers to {len(images)} images")
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            accepted = f"'predictions', of each image people of {len(self.skeleton)} joints with x, y, confidence"
            raise UserError(f"teacher.url={self.url}: answered {reason_of(error)}; expected {accepted}") from error
        return people

    def _send(self, body: bytes) -> Any:
        """Send a request, again and again while the server fails; return its answer."""
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        until, pause = time.monotonic() + self._patience_s, 0.5
        while True:
            try:
                with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                    return json.loads(answer.read(_LARGEST_ANSWER))
            except (OSError, ValueError) as error:  # URLError is an OSError
                refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
                if refused or time.monotonic() + pause > until:
                    raise UserError(f"teacher.url={self.url}: does not answer ({reason_of(error)})") from error
                _LOG.warning("teacher.url=%s: %s; asked again in %g s", self.url, reason_of(error), pause)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
