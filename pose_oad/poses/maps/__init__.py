"""Keypoints to maps and back.

- ``encode``: keypoints to confidence maps and part affinity fields, what a student is trained on.
- ``known``: where in these maps nothing is known, because a joint of somebody is missing.
- ``single``: confidence maps to one person's keypoints, a maximum per joint.
- ``people``: both kinds of maps to several people, by way of ``peaks`` (where joints may be) and ``links`` (which of
  them a limb connects).

Decoders speak continuous cell coordinates, in which a cell's centre lies at +0.5;
:class:`~pose_oad.poses.geometry.FrameResize` converts between px of the network input and px of the frame.
"""

from __future__ import annotations

from pose_oad.poses.maps.encode import MapTargets, encode
from pose_oad.poses.maps.known import KnownCells, known_cells
from pose_oad.poses.maps.people import People, decode_people
from pose_oad.poses.maps.single import decode_single

__all__ = ["KnownCells", "MapTargets", "People", "decode_people", "decode_single", "encode", "known_cells"]
