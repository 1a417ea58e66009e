"""Objectives that are tried out: each is tested, none has been shown to help."""

from __future__ import annotations

from pose_oad.online.objectives.experimental.auxiliary_heads import AuxiliaryHeads
from pose_oad.online.objectives.experimental.frequency import FrequencyLoss
from pose_oad.online.objectives.experimental.margin import Margin
from pose_oad.online.objectives.experimental.ranked_cells import RankedCells

__all__ = ["AuxiliaryHeads", "FrequencyLoss", "Margin", "RankedCells"]
