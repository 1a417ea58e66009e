"""Left and right: whether a network gives a person's joints to the sides they belong to."""

from __future__ import annotations

from torch import Tensor

from pose_oad.poses.skeleton import Skeleton


def sides_told(found: Tensor, truth: Tensor, skeleton: Skeleton) -> tuple[int, int]:
    """Count the pairs of a left and a right joint that are found in an image, and those of them on the right sides.

    A pair is found where two joints of a person lie, one way round or the other, nearer to the true two (the sum of the
    distances) than these to each other. A person of the truth is compared with whoever found most of its pairs.

    Args:
        found: people of the network, shape (people, joints, 3): px, confidence (0 = not found)
        truth: labelled people, likewise, in px of the same image
        skeleton: joint set of both

    Returns:
        number of pairs on their own sides, number of pairs found.
    """
    left = [joint for joint, other in enumerate(skeleton.flip) if joint < other]
    if not (len(found) and len(truth) and left):
        return 0, 0
    both = [left, [skeleton.flip[joint] for joint in left]]
    pairs, goals = found[:, None, both], truth[None, :, both]  # the third axis: left, right
    own = (pairs - goals)[..., :2].norm(dim=-1).sum(2)
    other = (pairs.flip(2) - goals)[..., :2].norm(dim=-1).sum(2)
    apart = (goals[:, :, 0] - goals[:, :, 1])[..., :2].norm(dim=-1)
    known = (pairs[..., 2] > 0).all(2) & (goals[..., 2] > 0).all(2)
    near = known & (own.minimum(other) < apart)  # (found, truth, pairs)
    most = near.sum(-1).argmax(0, keepdim=True)[..., None].expand(1, -1, len(left))
    return int((near & (own < other)).gather(0, most).sum()), int(near.gather(0, most).sum())
