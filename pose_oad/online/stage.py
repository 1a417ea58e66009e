"""What every stage of learning has in common: a state that the run's checkpoint keeps."""

from __future__ import annotations

from typing import Any


class Stage:
    """A part of the run that is chosen by one config file, and may remember something from window to window.

    The checkpoint walks over the stages: whatever a stage returns from :meth:`state_dict` (tensors and plain values) is
    handed to :meth:`load_state_dict` of its like when the run goes on. A stage that remembers nothing needs neither.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return what it has to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
