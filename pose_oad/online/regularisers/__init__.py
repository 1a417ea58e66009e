"""Regularisers: what holds a student back from forgetting.

Adding one: a subclass of :class:`Regulariser` in a file here, a file ``conf/regulariser/<name>.yaml`` that names it, a
test of its penalty or of what it leaves of a step.
"""

from __future__ import annotations

from pose_oad.online.regularisers.base import NoRegulariser, Regulariser

__all__ = ["NoRegulariser", "Regulariser"]
