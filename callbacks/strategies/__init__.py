"""Query strategies: which frames of a window are worth labelling?

- ``base``: :class:`QueryStrategy`, the budget and everything else a strategy need not care about
- ``sampling``: uniform, random
- ``error``: largest student-teacher distance
- ``confidence``: least confident student
- ``k_centre``, ``typical``, ``subsets``, ``top_confidence``: sets of frames that differ, or stand for many
- ``temporal``, ``peaks``, ``pose_likelihood``: predictions that are probably wrong
- ``gradients``, ``change``, ``learned_loss``: what a network's inside says
- ``balanced``: the teacher's surest frames, a share for each joint; ``mixture``: a bandit over strategies
- ``geometry``, ``embedded``, ``outcome``: what these share
- ``references``: every frame, no frame, the frames of largest true error

Adding one: (1) a class here with ``score(view)``, or with ``select(view)`` where no score exists. (2)
``conf/strategy/<name>.yaml`` with its ``_target_`` and ``seed: ${seed.selection}``. (3) a test on a hand-made window.
It then runs as ``make online STRATEGY=<name>``.
"""

from callbacks.strategies.base import QueryStrategy

__all__ = ["QueryStrategy"]
