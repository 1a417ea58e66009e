"""Frames that stand for many: where the window is dense and nothing has been labelled."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2

from callbacks.strategies.base import Scorer
from callbacks.strategies.embedded import By, Embedded
from callbacks.strategies.geometry import Points, distances, nearest
from pose_oad.online.view import SelectionView
from pose_oad.tracking.schema import Count, Positive


def clusters_of(points: Points, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return which of some clusters each point is in (k-means from k-means++ seeds), int, shape (points,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a cluster may lose all its points
        return kmeans2(points.values.numpy(), min(count, len(points.values)), 5, minit="++", rng=rng)[1]


@dataclass(eq=False, repr=False)
class Typicality(Embedded):
    """Cluster the window with everything labelled; choose the densest frame of those clusters that have fewest labels.

    There are as many clusters as labels, those to come included; a frame's density is one by the mean distance to its
    nearest neighbours in the cluster; of clusters with as many labels the larger comes first.

    Source: TypiClust, Hacohen et al., arXiv 2202.02794.

    Args:
        neighbours: how many of the nearest count
        most: clusters at most
    """

    neighbours: Count = 20
    most: Count = 100

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose the densest frame of the clusters that lack labels."""
        everything, spacing = self.points(view), self.spacing(view)
        points, labelled = everything.take(view.candidates), self.labelled(view, everything)
        both = Points(*(torch.cat(parts) for parts in zip(points, labelled, strict=True)))
        count = min(len(labelled.values) + view.budget, self.most)
        cluster = clusters_of(both, count, view.rng)
        of_frames, labels = cluster[: len(points.values)], np.bincount(cluster[len(points.values) :], minlength=count)
        typical = np.zeros(len(of_frames))
        for one in np.unique(of_frames):
            rows = np.flatnonzero(of_frames == one)
            apart = np.partition(distances(*[points.take(rows)] * 2), min(self.neighbours, len(rows) - 1), axis=1)
            typical[rows] = 1 / (1e-6 + apart[:, : self.neighbours + 1].sum(1) / min(self.neighbours, len(rows)))
        typical /= typical.max()  # in (0, 1]: it orders within a cluster
        sizes, chosen = np.bincount(of_frames, minlength=count) / (len(of_frames) + 1), list[int]()
        while len(chosen) < view.budget:
            want = sizes - labels  # fewest labels first, then the largest
            order = np.argsort(np.argsort(want))[of_frames]
            chosen.append(spacing.take_best(np.where(points.seen, 2.0 * order + typical, -1)))
            labels[of_frames[chosen[-1]]] += 1
        return view.candidates[chosen]


@dataclass(eq=False, repr=False)
class Coverage(Embedded):
    """Choose, one after another, the frame with most others close to it that none labelled or chosen is close to.

    Source: ProbCover, Yehuda et al., arXiv 2205.11320.

    Args:
        radius: what is close: in torsos for poses, where it is the root mean square distance of the joints
    """

    by: By = "pose"
    scorer: Scorer = "live"
    radius: Positive = 0.1

    def select(self, view: SelectionView) -> np.ndarray:
        """Choose the frames that cover most."""
        everything, spacing = self.points(view), self.spacing(view)
        points = everything.take(view.candidates)
        close = distances(points, points) < self.radius
        close[~points.seen] = close[:, ~points.seen] = False  # of nothing known, all is close
        covered = nearest(points, self.labelled(view, everything)) < self.radius
        chosen = list[int]()
        while len(chosen) < view.budget:
            gain = (close & ~covered).sum(1)
            chosen.append(spacing.take_best(gain + view.rng.random(len(gain)) / 2))
            covered |= close[chosen[-1]]
        return view.candidates[chosen]
