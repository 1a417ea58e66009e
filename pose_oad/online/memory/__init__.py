"""Memories: labelled frames of earlier windows, replayed beside new ones.

Adding one: a subclass of :class:`Memory` in a file here, a file ``conf/memory/<name>.yaml`` that names it, a test on a
handful of frames. Everything it keeps must be in its state, or a resumed run silently replays something else.
"""

from __future__ import annotations

from pose_oad.online.memory.base import Memory
from pose_oad.online.memory.none import NoMemory

__all__ = ["Memory", "NoMemory"]
