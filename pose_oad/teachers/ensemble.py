"""Several teachers as one: their people matched, and averaged by confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pose_oad.metrics.people import box_sizes
from pose_oad.poses.skeleton import Skeleton, joint_map, map_keypoints
from pose_oad.teachers.base import Labels, Teacher, TeacherRequest, stack_people
from pose_oad.teachers.window_labels import WindowLabels, match_maps
from pose_oad.tracking.errors import require
from pose_oad.tracking.schema import Count, Share


class EnsembleTeacher:
    """The mean of several teachers, in the joint set of the first, with the keys of ``conf/teacher/ensemble.yaml``.

    People of different members are one person where their object keypoint similarity is large enough (best assignment,
    member by member). A joint lies at the members' mean weighted by their confidence; its confidence is the mean over
    the members that have such a joint, 0 where one does not find it: a joint or a person that a single member sees
    counts less. Members that could not label a frame have no part in it. Maps are averaged where all members have them.
    """

    def __init__(self, members: Mapping[str, Teacher] | None, min_oks: Share = 0.3, agree: Count = 1) -> None:
        names = list(members or {})
        require(len(names) >= 2, "members", names, "two or more, as +teacher@teacher.members.first=onnx")
        self._members = list((members or {}).values())
        require(agree <= len(names), "agree", agree, f"at most {len(names)}, the number of members")
        self._min_oks, self._agree = min_oks, agree
        self.skeleton: Skeleton = self._members[0].skeleton
        # Which member has which joint; refuses one that has none of them.
        self._has = torch.stack([joint_map(member.skeleton, self.skeleton).any(1) for member in self._members])
        self.uses_truth = any(member.uses_truth for member in self._members)
        self.name = "+".join(member.name for member in self._members)

    def image_size(self, frame_size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the smallest size from which every member's own can be had by shrinking; None if none reads pixels."""
        sizes = [size for member in self._members if (size := member.image_size(frame_size)) is not None]
        return (max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None

    def label(self, request: TeacherRequest) -> Labels:
        """Ask every member, and average what they say."""
        answers = [member.label(request.seen_by(member)) for member in self._members]
        people = [
            map_keypoints(answer.keypoints, member.skeleton, self.skeleton)
            for answer, member in zip(answers, self._members, strict=True)
        ]
        frames = len(request.ids)
        silent = torch.stack(
            [torch.zeros(frames, dtype=torch.bool) if a.unusable is None else a.unusable for a in answers], dim=1
        )
        merged, lonely = [], 0
        for frame in range(frames):
            groups = self._match([part[frame] for part in people])
            together = ((groups[..., 2] > 0).any(-1).sum(1) >= self._agree).nonzero().squeeze(1)
            lonely += len(groups) - len(together)
            person = _mean(groups[together], self._has & ~silent[frame].unsqueeze(1))
            merged.append(person[person[..., 2].mean(-1).argsort(descending=True, stable=True)])
        keypoints = stack_people(merged, len(self.skeleton))
        nobody = ~(keypoints[..., 2] > 0).flatten(1).any(1)
        counts = Counter({"labels_rejected/not_agreed": lonely})
        for answer in answers:
            counts.update(answer.counts)
        return Labels(keypoints, *self._mean_maps(answers), dict(counts), unusable=nobody & silent.any(1))

    def _match(self, people: Sequence[Tensor]) -> Tensor:
        """Match the people of one frame: persons, shape (persons, members, joints, 3), zero where a member finds none.

        ``people`` are those of each member, shape (people, joints, 3), px; those all zero are nobody.
        """
        groups = people[0].new_zeros(0, len(people), len(self.skeleton), 3)
        for member, found in enumerate(people):
            found = found[(found[..., 2] > 0).any(-1)]
            likeness = similarity(_mean(groups, self._has), found, self.skeleton)
            rows, columns = linear_sum_assignment(likeness.numpy(), maximize=True)
            alike = likeness[rows, columns].numpy() >= self._min_oks
            groups[rows[alike], member] = found[columns[alike]]
            new = found[np.setdiff1d(np.arange(len(found)), columns[alike])]
            fresh = groups.new_zeros(len(new), *groups.shape[1:])
            fresh[:, member] = new
            groups = torch.cat([groups, fresh])
        return groups

    def _mean_maps(self, answers: Sequence[Labels]) -> tuple[Tensor | None, Tensor | None]:
        """Average maps over the members that have a channel, on the first member's grid."""
        if any(answer.confidence_maps is None or answer.part_affinity_fields is None for answer in answers):
            return None, None
        total, known = self._channels(answers[0], self._members[0])
        for answer, member in zip(answers[1:], self._members[1:], strict=True):
            maps, has = self._channels(answer, member)
            total = total + F.interpolate(maps, total.shape[2:], mode="bilinear", align_corners=False)
            known = known + has
        mean = total / known.view(1, -1, 1, 1)
        joints = len(self.skeleton)
        return mean[:, :joints], mean[:, joints:].unflatten(1, (-1, 2))

    def _channels(self, answer: Labels, member: Teacher) -> tuple[Tensor, Tensor]:
        """Put a member's maps and fields in the order of the joint set, and tell which of these channels it has."""
        labels = WindowLabels(member.skeleton, answer.keypoints, answer.confidence_maps, answer.part_affinity_fields)
        (maps, fields), joints, limbs = match_maps(labels, self.skeleton)
        return torch.cat([maps, fields.flatten(1, 2)], 1), torch.cat([joints, limbs.repeat_interleave(2)]).to(maps)


def similarity(people: Tensor, others: Tensor, skeleton: Skeleton) -> Tensor:
    """Compare every person with every other one: COCO's object keypoint similarity over the joints that both have.

    The area that COCO takes from the segmentation is the mean of the boxes around their joints, at least 1 px². Both
    have the shape (people, joints, 3), px; two without a joint in common are at 0.
    """
    both = (people[:, None, :, 2] > 0) & (others[None, :, :, 2] > 0)
    squared = (people[:, None, :, :2] - others[None, :, :, :2]).square().sum(-1)
    areas, other_areas = box_sizes(people).prod(-1), box_sizes(others).prod(-1)
    area = ((areas[:, None] + other_areas[None]) / 2).clamp(min=1.0)
    spread = (2 * people.new_tensor(skeleton.sigmas)).square()
    likeness = torch.exp(-squared / (2 * area.unsqueeze(-1) * spread)) * both
    return likeness.sum(-1) / both.sum(-1).clamp(min=1)


def _mean(groups: Tensor, has: Tensor) -> Tensor:
    """Average persons, shape (persons, members, joints, 3), px, over the members that could have found a joint."""
    weight = groups[..., 2:]
    location = (groups[..., :2] * weight).sum(1) / weight.sum(1).clamp(min=torch.finfo(weight.dtype).tiny)
    confidence = weight.sum(1) / has.sum(0).clamp(min=1).view(1, -1, 1)
    return torch.cat([location, confidence], -1)
