"""Keypoints to maps and back.

- :mod:`~pose_oad.poses.maps.encode`: keypoints to confidence maps and part affinity fields, what a student is trained on.
- :mod:`~pose_oad.poses.maps.known`: where in these maps nothing is known, because a joint of somebody is missing.
- :mod:`~pose_oad.poses.maps.single`: confidence maps to one person's keypoints, a maximum per joint.
- :mod:`~pose_oad.poses.maps.people`: both kinds of maps to several people, by way of
  :mod:`~pose_oad.poses.maps.peaks` (where joints may be), :mod:`~pose_oad.poses.maps.links` (which of them a limb connects) and
  :mod:`~pose_oad.poses.maps.assembly` (which belong to one person).
- :mod:`~pose_oad.poses.maps.refine`: where between the cells a peak lies, shared by both decoders, and
  :mod:`~pose_oad.poses.maps.sparse`: how they read maps.

Decoders speak continuous cell coordinates, in which a cell's centre lies at +0.5;
:class:`~pose_oad.poses.geometry.FrameFit` converts between px of the network input and px of the frame.
"""

from __future__ import annotations

from pose_oad.poses.maps.encode import MapTargets, encode
from pose_oad.poses.maps.known import KnownCells, known_cells
from pose_oad.poses.maps.people import People, decode_people
from pose_oad.poses.maps.single import decode_single

__all__ = ["KnownCells", "MapTargets", "People", "decode_people", "decode_single", "encode", "known_cells"]
