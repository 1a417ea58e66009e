"""Which joints belong to one person: the connected parts of the graph of peaks and limbs."""

from __future__ import annotations

import numpy as np

from pose_oad.poses.maps.links import Links


def group_joints(joint: np.ndarray, links: Links) -> tuple[np.ndarray, np.ndarray]:
    """Group peaks into people, so that nobody holds two peaks of one joint.

    People are the connected parts of the graph. A part that holds two peaks of one joint is more than one person tied
    by a wrong limb. So limbs are laid one by one, the surest first, leaving out those that would tie such peaks.

    Args:
        joint: joint of each peak, shape (peaks,)
        links: limbs between the peaks

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
