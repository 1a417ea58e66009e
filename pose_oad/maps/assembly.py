"""Which joints belong to one person: the connected parts of the graph of peaks and limbs."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pose_oad.maps.links import Links


def group_joints(joint: np.ndarray, links: Links) -> tuple[np.ndarray, np.ndarray]:
    """Group peaks into people, so that nobody holds two peaks of one joint.

    People are the connected parts of the graph. A part that holds two peaks of one joint is more than one person tied
    by a wrong limb: its limbs are laid again, the surest first, leaving out those that would tie such peaks.

    Args:
        joint: joint of each peak, shape (peaks,)
        links: limbs between the peaks

    Returns:
        person of each peak, shape (peaks,), counted from 0, and which links hold, shape (links,).
    """
    peaks = len(joint)
    holds = np.ones(len(links.score), dtype=bool)
    person = _connected(peaks, links.first, links.second)
    parts, count = np.unique(np.stack([person, joint]), axis=1, return_counts=True)
    crowded = np.isin(person[links.first], parts[0, count > 1])
    if crowded.any():
        dubious = crowded.nonzero()[0]
        dubious = dubious[np.argsort(-links.score[dubious], kind="stable")]
        holds[dubious] = _lay_again(joint, links.first[dubious], links.second[dubious])
        person = _connected(peaks, links.first[holds], links.second[holds])
    return person, holds


def _connected(peaks: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(peaks, peaks))
    return connected_components(graph, directed=False)[1]


def _lay_again(joint: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[bool]:
    """Tell which links, taken in this order, tie no two peaks of one joint."""
    members = {peak: [peak] for peak in {*first.tolist(), *second.tolist()}}
    holds = []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        ours, theirs = members[a], members[b]
        if ours is theirs:
            holds.append(True)
            continue
        free = {joint[peak] for peak in ours}.isdisjoint(joint[peak] for peak in theirs)
        holds.append(free)
        if free:
            ours.extend(theirs)
            members.update(dict.fromkeys(theirs, ours))
    return holds
