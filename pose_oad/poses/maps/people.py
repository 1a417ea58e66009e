"""Confidence maps and part affinity fields to the keypoints of several people."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pose_oad.poses.maps.links import Links, find_links
from pose_oad.poses.maps.peaks import find_peaks, readable
from pose_oad.poses.maps.single import calibrated, weighed
from pose_oad.poses.skeleton import Skeleton

# Peaks kept in a map: more people than that in one image are beyond maps of this kind.
_MOST_PEAKS = 32


class People(NamedTuple):
    """The people found in a batch of images, best first."""

    #: shape (batch, people, joints, 3): x and y in continuous cell coordinates (a cell's centre is at +0.5), confidence
    #: in [0, 1] (0 = not found); ``people`` is the largest number in any image and may be 0
    keypoints: Tensor
    #: shape (batch, people), 0 for a missing person: evidence for the person out of what the skeleton could give, that
    #: is confidences of joints and mean fields of limbs, summed and divided by their number
    scores: Tensor


def decode_people(
    confidence_maps: Tensor,
    part_affinity_fields: Tensor,
    skeleton: Skeleton,
    *,
    peak_threshold: float = 0.1,
    link_threshold: float = 0.05,
    link_share: float = 0.8,
    min_parts: int = 4,
    min_score: float = 0.4,
    max_people: int = 20,
    foreground: float = 0.0,
) -> People:
    """Find people: peaks, the limbs between them, and the connected parts of both.

    The defaults are those of OpenPose's released Python code. An image without peaks, or with nothing but NaN, holds
    nobody. A skeleton without limbs cannot tell people apart: the strongest peaks of all joints make one person.

    Args:
        confidence_maps: shape (batch, joints, rows, columns), at least 3 rows and columns
        part_affinity_fields: shape (batch, limbs, 2, rows, columns), x then y component
        skeleton: joint set and limbs of the maps
        peak_threshold: confidence that a joint must exceed, not negative
        link_threshold: what the field must exceed at a point of a limb to support it
        link_share: fraction of a limb's points that must be supported
        min_parts: joints a person must have
        min_score: smallest score of a person (confidences of its joints, mean fields of its limbs) per joint found
        max_people: people returned for an image; COCO evaluates 20
        foreground: weight of a joint's cells in the network's training, see :func:`calibrated`
    """
    _check(confidence_maps, part_affinity_fields, skeleton)
    batch, joints = confidence_maps.shape[:2]
    maps, fields = readable(confidence_maps), readable(part_affinity_fields)
    peaks = find_peaks(maps, weighed(peak_threshold, foreground), _MOST_PEAKS if skeleton.limbs else 1)
    peaks = peaks._replace(score=calibrated(torch.from_numpy(peaks.score), foreground).numpy())
    links = find_links(peaks, fields, skeleton, threshold=link_threshold, share=link_share)

    image, joint = np.divmod(peaks.map, joints)
    person, holds = group_joints(joint, links) if skeleton.limbs else (image, np.ones(0, dtype=bool))
    number = int(person.max(initial=-1)) + 1
    parts = np.bincount(person, minlength=number)
    evidence = np.bincount(person, weights=peaks.score, minlength=number)
    evidence += np.bincount(person[links.first[holds]], weights=links.score[holds], minlength=number)
    home = np.zeros(number, dtype=np.int64)
    home[person] = image

    kept = ((parts >= max(min_parts, 1)) & (evidence >= min_score * parts)).nonzero()[0]
    kept = kept[np.lexsort((-evidence[kept], home[kept]))]
    rank = np.arange(len(kept)) - np.searchsorted(home[kept], home[kept])
    kept, rank = kept[rank < max_people], rank[rank < max_people]
    place = np.full(number, -1)
    place[kept] = rank
    place = place[person]
    shown = place >= 0
    slots = int(rank.max(initial=-1)) + 1
    keypoints = np.zeros((batch, slots, joints, 3), dtype=np.float32)
    found = np.array([peaks.x, peaks.y, np.minimum(peaks.score, 1)])
    keypoints[image[shown], place[shown], joint[shown]] = found.T[shown]
    scores = np.zeros((batch, slots), dtype=np.float32)
    scores[home[kept], rank] = evidence[kept] / (joints + len(skeleton.limbs))
    device = confidence_maps.device
    return People(torch.from_numpy(keypoints).to(device), torch.from_numpy(scores).to(device))


def _check(confidence_maps: Tensor, part_affinity_fields: Tensor, skeleton: Skeleton) -> None:
    batch, _, rows, columns = confidence_maps.shape
    if confidence_maps.shape[1] != len(skeleton) or min(rows, columns) < 3:
        raise ValueError(f"confidence maps {tuple(confidence_maps.shape)}: expected (n, {len(skeleton)}, >= 3, >= 3)")
    expected = (batch, len(skeleton.limbs), 2, rows, columns)
    if part_affinity_fields.shape != expected:
        raise ValueError(f"part affinity fields {tuple(part_affinity_fields.shape)}: expected {expected}")


def group_joints(joint: np.ndarray, links: Links) -> tuple[np.ndarray, np.ndarray]:
    """Group peaks into people, so that nobody holds two peaks of one joint.

    People are the connected parts of the graph. A part that holds two peaks of one joint is more than one person tied
    by a wrong limb. So limbs are laid one by one, the surest first, leaving out those that would tie such peaks.

    Returns:
        person of each peak, shape (peaks,), counted from 0, and which links hold, shape (links,).
    """
    person = list(range(len(joint)))  # a person has the number of its first peak
    members = [[peak] for peak in person]
    joints = [1 << number for number in joint.tolist()]  # those that a person has, a bit each
    holds = np.ones(len(links.score), dtype=bool)
    first, second = links.first.tolist(), links.second.tolist()
    for link in np.argsort(-links.score, kind="stable").tolist():
        ours, theirs = person[first[link]], person[second[link]]
        if ours == theirs:
            continue
        if joints[ours] & joints[theirs]:
            holds[link] = False
            continue
        if theirs < ours:
            ours, theirs = theirs, ours
        joints[ours] |= joints[theirs]
        members[ours] += members[theirs]
        for peak in members[theirs]:
            person[peak] = ours
    number = {first: number for number, first in enumerate(sorted(set(person)))}
    return np.array([number[first] for first in person], dtype=np.int64), holds
