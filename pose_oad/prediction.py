"""A student's keypoints for many frames: batched, on the student's device."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_oad.maps import decode_single
from pose_oad.students import PoseStudent


@torch.inference_mode()
def predict_keypoints(student: PoseStudent, frames: Tensor, batch_size: int = 64) -> Tensor:
    """Predict one person in every frame.

    The student predicts in evaluation mode and is left in the mode it was in.

    Args:
        student: the network
        frames: RGB uint8, shape (frames, height, width, 3), at the student's input size
        batch_size: frames per forward pass

    Returns:
        Input px on the CPU, shape (frames, joints, 3): where each confidence map is largest, and the confidence
        there. A location always exists; whether it counts as found is the reader's decision.
    """
    training = student.training
    student.eval()
    try:
        foreground = student.config.foreground
        parts = [decode_single(student(student.normalise(batch))[0], foreground) for batch in frames.split(batch_size)]
    finally:
        student.train(training)
    keypoints = torch.cat(parts).float()
    cells, size = student.map_size, student.input_size
    keypoints *= keypoints.new_tensor((size[0] / cells[0], size[1] / cells[1], 1.0))
    return keypoints.cpu()
