"""A student's keypoints for many frames: batched, on the student's device."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_oad.maps import decode_people, decode_single
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
        Input px on the CPU, shape (frames, joints, 3). With ``student.decoding`` ``argmax``: where each confidence map
        is largest, and the confidence there; a location always exists, and whether it counts as found is the reader's
        decision. With ``grouped``: the best of the people in maps and fields; joints that it lacks are all zero.
    """
    training = student.training
    student.eval()
    try:
        maps = (student(student.normalise(batch)) for batch in frames.split(batch_size))
        if student.decoding == "grouped":
            parts = [_best_person(cmaps, pafs, student) for cmaps, pafs in maps]
        else:
            parts = [decode_single(cmaps, student.config.foreground) for cmaps, _ in maps]
    finally:
        student.train(training)
    keypoints = torch.cat(parts).float()
    cells, size = student.map_size, student.input_size
    keypoints *= keypoints.new_tensor((size[0] / cells[0], size[1] / cells[1], 1.0))
    return keypoints.cpu()


def _best_person(maps: Tensor, fields: Tensor, student: PoseStudent) -> Tensor:
    """Return the best person of each image in cells, shape (images, joints, 3), of however few joints, as trt_pose."""
    people = decode_people(
        maps, fields, student.skeleton, min_parts=1, min_score=0.0, foreground=student.config.foreground
    ).keypoints
    return torch.nn.functional.pad(people, (0, 0, 0, 0, 0, 1))[:, 0]
