"""Online distillation without any machinery: the loop one would write by hand for one experiment.

It knows one strategy (random), one teacher (the ground truth), one frame size; no hooks, no counts, no tracking, no
way to go on in mid-stream. What is measured against it is the price of having those. The arithmetic (network, maps,
decoding, loss) is the project's own, since that is not what is compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import av
import numpy as np
import torch
from torch import Tensor, nn

from datamodules.video.clips import Clip
from pose_oad.offline.shuffling import order_seed
from pose_oad.online.objectives import map_loss
from pose_oad.online.options import TrainingOptions
from pose_oad.poses.geometry import FrameResize
from pose_oad.poses.maps import MapTargets, decode_single
from pose_oad.poses.skeleton import Skeleton, map_keypoints
from pose_oad.students import PoseStudent
from pose_oad.tracking.errors import UserError

Window = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class PlainStream:
    """What the loop plays.

    Attributes:
        clips: one after another, all of one frame size, every frame of each
        skeleton: joint set of their ground truth
        resize: how a frame lies in the student's input
        metric_scale: px of the reported error per px of the original frame
        window_frames: length of a window, frames
        decoder_threads: threads of the video decoder
    """

    clips: list[Clip]
    skeleton: Skeleton
    resize: FrameResize
    metric_scale: float
    window_frames: int
    decoder_threads: int


@dataclass(frozen=True)
class PlainRun:
    """What the loop did.

    Attributes:
        seconds: from the opening of the first video to the last update of the weights
        selected: chosen frames of each window, by number in the stream
        errors: mean error of each window before training on it, px
    """

    seconds: float
    selected: list[list[int]]
    errors: list[float]


def plain_loop(
    student: PoseStudent,
    stream: PlainStream,
    training: TrainingOptions,
    rate: float,
    selection_seed: int,
    batch_size: int,
    prefetch: bool = True,
) -> PlainRun:
    """Play a stream: predict each window, choose frames at random, train on their truth, carry on.

    Args:
        student: the network to adapt, on the CPU; its weights are changed
        stream: what to play
        training: how to train on a window
        rate: share of a window's frames to choose, in (0, 1]
        selection_seed: of the random choice
        batch_size: frames per forward pass of the prediction
        prefetch: decode the next window in a thread while this one is worked on
    """
    selected: list[list[int]] = []
    errors: list[float] = []
    first = 0
    started = time.perf_counter()
    windows = decode_windows(stream)
    for index, (frames, truth) in enumerate(one_ahead(windows) if prefetch else windows):
        truth = map_keypoints(truth, stream.skeleton, student.skeleton)
        predicted = stream.resize.to_frame(_predict(student, frames, batch_size))
        distance = (predicted - truth)[..., :2].norm(dim=-1)
        errors.append(float(distance.mean()) * stream.metric_scale)
        rng = np.random.Generator(np.random.Philox(key=[selection_seed, index]))
        chosen = np.sort(np.argsort(-rng.random(len(frames)))[: int(rate * len(frames) + 1e-9)])
        if len(chosen):
            _train(student, frames[chosen], stream.resize.to_input(truth[chosen]), training, index)
        selected.append((first + chosen).tolist())
        first += len(frames)
    return PlainRun(time.perf_counter() - started, selected, errors)


def decode_windows(stream: PlainStream) -> Iterator[Window]:
    """Decode and resize a stream window by window.

    Yields:
        RGB frames, uint8, shape (frames, height, width, 3), and the only person's truth, original px, shape (frames,
        joints, 3).

    Raises:
        UserError: if a clip has no ground truth.
    """
    left, top, width, height = stream.resize.content
    shape = (stream.window_frames, *reversed(stream.resize.input_size), 3)
    frames = np.zeros(shape, np.uint8)
    truth: list[np.ndarray] = []
    for clip in stream.clips:
        if clip.truth is None:
            raise UserError(f"stream: {clip.name} has no ground truth, which the plain loop trains on")
        poses = clip.truth()[:, 0]
        with av.open(str(clip.path)) as container:
            video = container.streams.video[0]
            video.thread_type, video.codec_context.thread_count = "AUTO", stream.decoder_threads
            for number, frame in enumerate(container.decode(video)):
                if number == clip.stop:
                    break
                if number < clip.start:
                    continue
                rgb = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
                frames[len(truth), top : top + height, left : left + width] = rgb
                truth.append(poses[number])
                if len(truth) == len(frames):
                    yield torch.from_numpy(frames), torch.from_numpy(np.stack(truth))
                    frames, truth = np.zeros(shape, np.uint8), []
    if truth:
        yield torch.from_numpy(frames[: len(truth)]), torch.from_numpy(np.stack(truth))


def one_ahead(windows: Iterator[Window]) -> Iterator[Window]:
    """Run an iterator in a thread that stays one window ahead."""
    with ThreadPoolExecutor(1) as thread:
        ready = thread.submit(next, windows, None)
        while (window := ready.result()) is not None:
            ready = thread.submit(next, windows, None)
            yield window


@torch.inference_mode()
def _predict(student: PoseStudent, frames: Tensor, batch_size: int) -> Tensor:
    """Return keypoints in input px, shape (frames, joints, 3)."""
    student.eval()
    foreground = student.config.foreground
    parts = [decode_single(student(student.normalise(batch))[0], foreground) for batch in frames.split(batch_size)]
    cell = [side / cells for side, cells in zip(student.input_size, student.map_size, strict=True)]
    return torch.cat(parts) * torch.tensor([*cell, 1.0])


def _train(student: PoseStudent, frames: Tensor, keypoints: Tensor, training: TrainingOptions, window: int) -> None:
    """Train on labelled frames; keypoints in input px, shape (frames, joints, 3)."""
    targets = student.targets(keypoints[:, None])
    known = keypoints[..., 2] > 0
    student.trained_with(training.foreground)
    student.train()
    if training.batch_norm == "frozen":
        for layer in student.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
    optimizer = torch.optim.Adam(student.parameters(), lr=training.learning_rate, fused=True)
    # The order of the other loop, so that both end with the same weights.
    generator = torch.Generator().manual_seed(order_seed(training.seed, window))
    for _ in range(training.epochs):
        for rows in torch.randperm(len(frames), generator=generator).split(training.batch_size):
            maps, fields = student(student.normalise(frames[rows]))
            target = MapTargets(*(part[rows] for part in targets))
            loss = map_loss(maps, fields, target, student.skeleton, known[rows], foreground=training.foreground)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
