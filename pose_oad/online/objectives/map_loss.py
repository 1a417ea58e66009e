"""The training objective on maps: squared error on confidence maps plus squared error on part affinity fields."""

from __future__ import annotations

import torch
from torch import Tensor

from pose_oad.poses.maps import KnownCells, MapTargets
from pose_oad.poses.skeleton import Skeleton


def map_loss(
    prediction_cmaps: Tensor,
    prediction_pafs: Tensor,
    target: MapTargets,
    skeleton: Skeleton,
    joint_mask: Tensor | None = None,
    pixel_mask: Tensor | None = None,
    limb_mask: Tensor | None = None,
    *,
    cells: KnownCells | None = None,
    foreground: float = 0.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Compare predicted maps with their targets: the paper's loss, with masks for what the labels do not say.

    The loss is the mean squared error over the unmasked elements of the confidence maps plus that over the unmasked
    elements of the fields, so neither the number of channels nor the share that is masked changes its scale. A limb is
    masked as soon as one of its joints is.

    Nearly all of a map is empty, so that a network without pretrained weights first learns to predict nothing and may
    stay there for long; ``foreground`` weighs the cells where something is.

    Args:
        prediction_cmaps: shape (batch, joints, rows, columns)
        prediction_pafs: shape (batch, limbs, 2, rows, columns), x then y component
        target: maps of the same shapes
        skeleton: joint set of the maps; its limbs say which joints a field connects
        joint_mask: true where a joint's map is to be learnt, bool, shape (batch, joints); all where None
        pixel_mask: true where the maps are to be learnt, bool, shape (batch, rows, columns); everywhere where None
        limb_mask: true where the target has a field for a limb at all, bool, shape (limbs,) or (batch, limbs); all
            where None
        cells: true where each map is to be learnt, see :func:`known_cells`; everywhere where None
        foreground: additional weight of a map element whose target is 1; 0 is the paper's
        weight: how much each frame counts, shape (batch,); all alike where None

    Returns:
        the loss, a scalar; zero (with zero gradient) where everything is masked.
    """
    known = None if joint_mask is None else limbs_of(joint_mask, skeleton)
    if limb_mask is not None:
        known = limb_mask.expand(len(prediction_pafs), -1) if known is None else known & limb_mask
    fields = prediction_pafs.flatten(1, 2), target.part_affinity_fields.flatten(1, 2)
    field_mask = None if known is None else known.repeat_interleave(2, dim=1)
    joint_cells, limb_cells = (None, None) if cells is None else (cells.joints, cells.limbs.repeat_interleave(2, dim=1))
    confidence = masked_mse(
        prediction_cmaps, target.confidence_maps, joint_mask, pixel_mask, foreground, joint_cells, weight
    )
    return confidence + masked_mse(*fields, field_mask, pixel_mask, foreground, limb_cells, weight)


def masked_mse(
    prediction: Tensor,
    target: Tensor,
    channel_mask: Tensor | None = None,
    pixel_mask: Tensor | None = None,
    foreground: float = 0.0,
    cell_mask: Tensor | None = None,
    frame_weight: Tensor | None = None,
) -> Tensor:
    """Average the squared error over the elements that no mask excludes.

    An element weighs ``1 + foreground * |target|``; the average is over these weights.

    Args:
        prediction: shape (batch, channels, rows, columns)
        target: likewise
        channel_mask: true where a channel counts, bool, shape (batch, channels); all where None
        pixel_mask: true where a cell counts, bool, shape (batch, rows, columns); all where None
        foreground: additional weight of an element whose target is 1
        cell_mask: true where a cell of a channel counts, bool, the shape of the prediction; all where None
        frame_weight: how much each frame counts, shape (batch,); all alike where None

    Returns:
        a scalar; zero where nothing counts.
    """
    error = (prediction - target).square()
    masks = (channel_mask, pixel_mask, cell_mask, frame_weight)
    if foreground == 0 and all(mask is None for mask in masks):
        return error.mean()
    weight = target.abs().mul_(foreground).add_(1) if foreground else torch.ones_like(target)
    if channel_mask is not None:
        weight = weight * channel_mask[:, :, None, None]
    if pixel_mask is not None:
        weight = weight * pixel_mask[:, None]
    if cell_mask is not None:
        weight = weight * cell_mask
    if frame_weight is not None:
        weight = weight * frame_weight[:, None, None, None]
    return (error * weight).sum() / weight.sum().clamp(min=1)


def limbs_of(joint_mask: Tensor, skeleton: Skeleton) -> Tensor:
    """Derive which limbs are known from which joints are.

    Args:
        joint_mask: bool, shape (batch, joints)
        skeleton: joint set of the mask

    Returns:
        true where both ends of a limb are, bool, shape (batch, limbs).
    """
    ends = torch.tensor(skeleton.limbs, dtype=torch.long, device=joint_mask.device).view(-1, 2)
    return joint_mask[:, ends[:, 0]] & joint_mask[:, ends[:, 1]]
