"""Objectives: what a student's maps are drawn towards.

Adding one: a subclass of :class:`Objective` in a file here, a file ``conf/objective/<name>.yaml`` that names it, a test
on maps small enough to work out by hand. Skip ``foreground`` only where cells are not weighed: confidences are decoded
by it, and would silently mean something else.
"""

from __future__ import annotations

from pose_oad.online.objectives.base import Loss, MapOutputs, Objective, TrainingTarget
from pose_oad.online.objectives.consistency import Consistency, DualConsistency
from pose_oad.online.objectives.feature_loss import FeatureLoss
from pose_oad.online.objectives.influence import InfluenceWeights
from pose_oad.online.objectives.map_loss import limbs_of, map_loss, masked_mse
from pose_oad.online.objectives.map_regression import MapRegression
from pose_oad.online.objectives.region_weights import RegionWeights
from pose_oad.online.objectives.self_distillation import SelfDistillation
from pose_oad.online.objectives.spatial_kl import SpatialKl
from pose_oad.online.objectives.weighted_sum import WeightedSum

__all__ = [
    "Consistency", "DualConsistency", "FeatureLoss", "InfluenceWeights", "Loss", "MapOutputs", "MapRegression",
    "Objective", "RegionWeights", "SelfDistillation", "SpatialKl", "TrainingTarget", "WeightedSum", "limbs_of",
    "map_loss", "masked_mse",
]  # fmt: skip
