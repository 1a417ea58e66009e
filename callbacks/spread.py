"""Some of many, spread evenly over however many come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Spread(Generic[T]):
    """Keep items evenly spread over those that are offered, never more than twice ``count``.

    Attributes:
        count: how many are kept at least, once as many have been offered
        kept: those kept so far
        stride: of how many that are offered one is kept
        offered: how many have been offered
    """

    count: int
    kept: list[T] = field(default_factory=list)
    stride: int = 1
    offered: int = 0

    def wants(self) -> bool:
        """Count one that is offered, and return whether it is its turn to be added."""
        self.offered += 1
        return (self.offered - 1) % self.stride == 0

    def add(self, item: T) -> None:
        """Keep one."""
        self.kept.append(item)
        if len(self.kept) >= 2 * self.count:
            self.kept, self.stride = self.kept[::2], 2 * self.stride
