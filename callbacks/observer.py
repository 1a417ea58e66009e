"""What every callback that looks at windows has in common."""

from __future__ import annotations

from typing import Any

from lightning import Callback

from pose_oad.online.record import WindowRecord


class Observer(Callback):
    """Look at every window when the loop is done with it, and add figures to its row; it changes nothing.

    What it returns from ``state_dict`` is kept in the run's checkpoint.
    """

    def window_closed(self, record: WindowRecord) -> dict[str, float]:
        """Return figures of a window by logged name."""
        return {}

    def summary(self) -> dict[str, float]:
        """Return figures of the whole run by logged name, when the stream has ended."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what has been noted so far, in tensors and plain values."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
