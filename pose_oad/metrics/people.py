"""Several people in view: those found are matched with those who should be, and measured one by one.

People of a frame are matched as COCO does: the surest first, each with the most similar person of the reference that is
left (object keypoint similarity, OKS). A reference of poses has no segmented areas, which COCO takes for a person's
size: the box around the person's joints stands for it, so that figures are not comparable with those on COCO, and
nobody with fewer than :data:`MIN_JOINTS` joints is measured.

Two kinds of figures come of it. Precision and recall count people at ten similarities from .50 to .95. Distances are
taken to the people matched at :data:`NEAR`, a similarity low enough to see a bad pose improve; a joint that nobody has
located, and with it every joint of a person whom nobody has found, is taken to lie one diagonal of the person's box
away. Finding nobody is therefore not rewarded, unless the rule for missing joints says so.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchmetrics import Metric

from pose_oad.metrics.coco_ap import make_coco, quietly
from pose_oad.metrics.keypoints import JointErrors, MissingRule, joint_errors
from pose_oad.poses.maps import People
from pose_oad.poses.skeleton import Skeleton
from pose_oad.tracking.schema import check_value

#: Who is measured: ``one`` person per frame, ``many``, or ``many`` as soon as the reference holds several (``auto``).
Counting = Literal["auto", "one", "many"]
#: Joints that a person must have to be measured: fewer have no size to judge distances by.
MIN_JOINTS = 3
#: Similarity from which two are near enough for their distance to be taken.
NEAR = 0.1

_THRESHOLDS = np.linspace(0.5, 0.95, 10)


class PeopleErrors(NamedTuple):
    """The people of some frames, each compared with whom it was matched with."""

    errors: JointErrors  #: distances, a row for every person of the reference, px
    people: Tensor  #: keypoints of these persons, px, shape (persons, joints, 3)
    frame: Tensor  #: which frame each is in, int64, shape (persons,)
    #: of each frame: persons of the reference, people found, persons matched, joints compared in matched pairs, and the
    #: sum of these joints' distances, px; float64, shape (frames, 5)
    counts: Tensor
    scores: Tensor  #: how sure those found are, float32, shape (found,)
    hits: Tensor  #: at which of the ten similarities each was matched, a bit for each, int16, shape (found,)

    def per_frame(self) -> Tensor:
        """Return the mean distance of each frame's counted joints, px, shape (frames,); NaN where none counts."""
        return joints_of_frames(self.errors, self.frame, len(self.counts))[0]


def joints_of_frames(errors: JointErrors, frame: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Average persons' errors by the frame each is in, px (NaN for none), and count the joints that count."""
    total, joints = (
        torch.zeros(frames).index_add(0, frame, part.sum(1).float())
        for part in (errors.distance * errors.counted, errors.counted)
    )
    return total / joints, joints.long()


def check_people(people: object) -> None:
    """Refuse another way to count people."""
    check_value(Counting, people, "metric.people")


def measurable(people: Tensor) -> Tensor:
    """Tell who has joints enough to be measured, bool, shape (..., people) of people (..., people, joints, 3)."""
    return (people[..., 2] > 0).sum(-1) >= MIN_JOINTS


def holds_several(people: Tensor) -> bool:
    """Return True if a frame holds several people who can be measured; shape (frames, people, joints, 3)."""
    return bool((measurable(people).sum(-1) > 1).any())


def box_sizes(people: Tensor) -> Tensor:
    """Measure the boxes around people's joints: width and height, px, shape (people, 2); 0 without joints."""
    found, location = people[..., 2:] > 0, people[..., :2]
    low = location.masked_fill(~found, torch.inf).amin(1)
    high = location.masked_fill(~found, -torch.inf).amax(1)
    return (high - low).clamp(min=0)


def frame_means(values: Tensor, frame: Tensor, frames: int) -> Tensor:
    """Average values, shape (persons,), by the frame each person is in; NaN where a frame has no value."""
    known = ~values.isnan()
    total = values.new_zeros(frames).index_add(0, frame[known], values[known])
    return total / values.new_zeros(frames).index_add(0, frame[known], torch.ones_like(values[known]))


def people_errors(
    found: People, wanted: Tensor, skeleton: Skeleton, rule: MissingRule, scale: float | Tensor = 1.0
) -> PeopleErrors:
    """Match people frame by frame, and measure them.

    Args:
        found: who was found in each frame, px
        wanted: who is there, shape (frames, people, joints, 3), px; those with too few joints are left out
        skeleton: joint set of both
        rule: what becomes of joints that are not found
        scale: px of the reported image per px of the keypoints, of all frames or of each, shape (frames,)
    """
    frame, slot = measurable(wanted).nonzero(as_tuple=True)
    people = wanted[frame, slot]
    scale = torch.as_tensor(scale).expand(len(wanted))[frame]
    sizes = box_sizes(people)
    at, place = (found.keypoints[..., 2] > 0).any(-1).nonzero(as_tuple=True)
    scores = found.scores[at, place].float()
    partner, hits = _match(found.keypoints[at, place], scores, at, people, sizes, frame, skeleton)

    matched = partner >= 0
    nearest = torch.zeros_like(people)
    nearest[matched] = found.keypoints[at, place][partner[matched]]
    away = people[..., :2] + torch.nn.functional.pad(sizes.norm(dim=-1, keepdim=True), (0, 1))[:, None]
    predicted = torch.cat([nearest[..., :2].where(nearest[..., 2:] > 0, away), nearest[..., 2:]], -1)
    errors = joint_errors(predicted, people, rule, scale)

    compared = errors.labelled & (nearest[..., 2] > 0)
    true_distance = joint_errors(predicted, people, MissingRule(), scale).distance
    of_person = torch.stack(
        [torch.ones(len(people)), matched, compared.sum(1), (true_distance * compared).sum(1)], -1
    ).double()
    one, *others = torch.zeros(len(wanted), 4).double().index_add(0, frame, of_person).unbind(1)
    counts = torch.stack([one, torch.bincount(at, minlength=len(wanted)).double(), *others], 1)
    return PeopleErrors(errors, people, frame, counts, scores, hits)


def _match(
    found: Tensor, scores: Tensor, at: Tensor, people: Tensor, sizes: Tensor, frame: Tensor, skeleton: Skeleton
) -> tuple[Tensor, Tensor]:
    """Match those found with the people of their frame, at every similarity.

    Returns:
        the number in ``found`` of each person's partner at :data:`NEAR`, -1 for none; bits of the ten similarities at
        which each of ``found`` has one.
    """
    partner, hits = torch.full((len(people),), -1), np.zeros(len(found), dtype=np.int16)
    evaluation = COCOeval(
        _annotated(people, frame, sizes.prod(-1).clamp(min=1.0)),
        _annotated(found, at, torch.ones(len(found)), scores),
        "keypoints",
    )
    evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
    evaluation.params.iouThrs = np.array([NEAR, *_THRESHOLDS])
    evaluation.params.areaRng, evaluation.params.maxDets = [[0, 1e10]], [max(1, len(found))]
    evaluation.params.imgIds, evaluation.params.catIds = sorted({*at.tolist(), *frame.tolist()}), [1]
    with quietly():
        evaluation.evaluate()
    for image in filter(None, evaluation.evalImgs):
        # Numbers of annotations start at 1; 0 stands for no match.
        near = torch.as_tensor(image["gtMatches"][0]).long() - 1
        partner[torch.tensor(image["gtIds"]).long() - 1] = near
        bits = (image["dtMatches"][1:] > 0).T @ (1 << np.arange(len(_THRESHOLDS)))
        hits[np.array(image["dtIds"], dtype=int) - 1] = bits
    return partner, torch.from_numpy(hits)


def _annotated(people: Tensor, frame: Tensor, areas: Tensor, scores: Tensor | None = None) -> COCO:
    """Write people as COCO annotations, those of a frame as those of an image."""
    visible = people[..., 2:] > 0
    keypoints = (torch.cat([people[..., :2], visible * 2.0], -1) * visible).double().flatten(1).tolist()
    facts = zip(keypoints, visible.sum((1, 2)).tolist(), frame.tolist(), areas.tolist(), strict=True)
    annotations: list[dict[str, Any]] = [
        {
            "id": number + 1, "image_id": image, "category_id": 1, "keypoints": points, "num_keypoints": joints,
            "area": area, "bbox": [0, 0, 0, 0], "iscrowd": 0, "score": 0.0 if scores is None else float(scores[number]),
        }
        for number, (points, joints, image, area) in enumerate(facts)
    ]  # fmt: skip
    images = [{"id": image} for image in sorted(set(frame.tolist()))]
    return make_coco({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]})


class PeopleScores(Metric):
    """Average precision and recall of everybody in view, and the distance of those who were matched.

    Kept are six numbers a frame and six bytes for everybody found: nothing of the poses.
    """

    full_state_update = False
    frames: list[Tensor]
    scores: list[Tensor]
    hits: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("frames", "scores", "hits"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, ids: np.ndarray, people: PeopleErrors) -> None:
        """Take in the people of some frames, whose numbers, shape (frames,), ascend over all updates."""
        self.frames.append(torch.cat([torch.from_numpy(ids).double()[:, None], people.counts], 1))
        self.scores.append(people.scores)
        self.hits.append(people.hits)

    def compute(self) -> dict[str, float]:
        """Return the figures of all frames; see :meth:`since`."""
        return self.since(0)

    def since(self, first: float) -> dict[str, float]:
        """Return the figures of the frames from a number on; NaN where undefined.

        Returns:
            ``AP`` and ``AR`` (mean over OKS .50:.05:.95), ``AP50``, ``recall`` (share of the reference's people who
            were matched, at :data:`NEAR`), fractions; ``matched_px``, the mean distance of the joints located in
            matched pairs, px; ``frames`` and ``wanted``, how many frames and people of the reference these are of.
        """
        empty = [torch.zeros(0, 6).double()]
        frames = torch.cat(self.frames or empty)
        taken = frames[:, 0] >= first
        found = torch.repeat_interleave(taken, frames[:, 2].long())
        scores, hits = (torch.cat([*parts, torch.zeros(0)])[found].numpy() for parts in (self.scores, self.hits))
        _, wanted, _, matched, joints, distance = frames[taken].sum(0).tolist()
        return {
            **_precision(scores, hits.astype(np.int16), int(wanted)),
            "recall": matched / wanted if wanted else float("nan"),
            "matched_px": distance / joints if joints else float("nan"),
            "frames": float(taken.sum()),
            "wanted": wanted,
        }


def _precision(scores: np.ndarray, hits: np.ndarray, wanted: int) -> dict[str, float]:
    """Compute average precision and recall with pycocotools, which sees everybody as people of one image."""
    evaluation = COCOeval(iouType="keypoints")
    evaluation.params.imgIds, evaluation.params.catIds = [0], [1]
    evaluation.params.areaRng, evaluation.params.maxDets = [[0, 1e10]], [max(1, len(scores))]
    found = (hits[None] >> np.arange(len(_THRESHOLDS))[:, None]) & 1
    evaluation.evalImgs = [
        {"dtScores": scores, "dtMatches": found, "dtIgnore": found * 0, "gtIgnore": np.zeros(wanted)}
    ]
    evaluation._paramsEval = evaluation.params  # what evaluate() leaves; nothing else hands accumulate() matches
    with quietly():
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    values = {"AP": precision.mean(), "AP50": precision[0].mean(), "AR": recall.mean()}
    return {name: float(value) if wanted else float("nan") for name, value in values.items()}
