"""Memories: labelled frames of earlier windows, replayed beside new ones.

Adding one: a subclass of :class:`Memory` (or of :class:`Fifo`, which has the limits) in a file here, a file
``conf/memory/<name>.yaml`` that names it, a test on a handful of frames. Everything it keeps must be in its state, or a
resumed run silently replays something else.
"""

from __future__ import annotations

from pose_oad.online.memory.base import Memory, ReplayContext
from pose_oad.online.memory.fifo import Fifo
from pose_oad.online.memory.mir import Mir
from pose_oad.online.memory.none import NoMemory
from pose_oad.online.memory.prioritised import Prioritised
from pose_oad.online.memory.reservoir import Reservoir
from pose_oad.online.memory.similar import Similar

__all__ = ["Fifo", "Memory", "Mir", "NoMemory", "Prioritised", "ReplayContext", "Reservoir", "Similar"]
