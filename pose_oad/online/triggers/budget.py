"""What triggers have in common: what a window does not get is banked, so that mean rates stay comparable."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pose_oad.online.triggers.base import Plan, Trigger, WindowStats
from pose_oad.tracking.schema import Positive

Rate = Annotated[float, Field(gt=0, le=1)]
#: What becomes of a full bank: all of it is ``spent`` on the window at hand, or what is beyond it ``lost``.
WhenFull = Literal["spend", "lose"]

_ALL = float("inf")


# Types stand in these modules as such, not as text: the arguments of subclasses elsewhere are held against them too.
@dataclass(eq=False, repr=False)
class TokenBucket(Trigger):
    """Save up labels at a steady rate, and spend them where a subclass says so.

    Args:
        rate: share of the frames that is labelled in the long run, in (0, 1]
        burst: how many windows' labels can be saved up
        when_full: what becomes of more: ``spend`` labels the window at hand with all of them, so that every trigger
            labels as many frames in the long run; ``lose`` labels fewer in quiet times

    Attributes:
        saved: labels that have been saved up
    """

    #: Names of the attributes that a resumed run goes on with, beside ``saved``.
    remembered: ClassVar[tuple[str, ...]] = ()

    rate: Rate = 0.1
    burst: Positive = 8.0
    when_full: WhenFull = "spend"
    saved: float = field(default=0.0, init=False)

    def wanted(self, stats: WindowStats) -> float:
        """Return how many windows' labels this one is worth: 0 for none, infinity for all that has been saved.

        Args:
            stats: what is known of the window
        """
        raise NotImplementedError

    def plan(self, stats: WindowStats) -> Plan:
        """Give a window what it is worth, as far as that has been saved; one label at least."""
        share = self.rate * stats.frames
        self.saved += share
        wanted = self.wanted(stats)
        fired, full = wanted > 0, self.saved >= self.burst * share
        if full and self.when_full == "spend":
            wanted = _ALL
        self.saved = min(self.saved, self.burst * share)
        # The small term keeps ten times a tenth at one.
        labels = min(int(self.saved + 1e-9), stats.frames)
        if wanted < _ALL:
            labels = min(labels, max(1, round(wanted * share)) if wanted else 0)
        self.saved = max(0.0, self.saved - labels)
        return Plan(labels, fired=fired)

    def state_dict(self) -> dict[str, Any]:
        """Return what has been saved up, and what a subclass remembers."""
        return {name: getattr(self, name) for name in ("saved", *self.remembered)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        for name in ("saved", *self.remembered):
            setattr(self, name, state[name])


@dataclass(eq=False, repr=False)
class EveryN(TokenBucket):
    """Learn from every so-manieth window, with the labels of those before it.

    Args:
        windows: learn from one window in so many
        rate: see :class:`TokenBucket`; a window's labels are saved up as long as they have to be
    """

    windows: Annotated[int, Field(ge=1)] = 4
    burst: Positive = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.burst = self.windows + 1

    def wanted(self, stats: WindowStats) -> float:
        """Return everything in every so-manieth window."""
        return 0.0 if (stats.index + 1) % self.windows else _ALL
