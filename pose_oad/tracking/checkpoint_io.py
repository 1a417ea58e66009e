"""Lightning's checkpoints, each of which replaces the one before in a single step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO

from pose_oad.tracking.torch_file import read_torch_file, write_torch_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the file first: whenever the process dies, the old checkpoint or the whole new one is there.

    Lightning alone moves it in from the system's folder for temporary files: a copy, where that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: tensors and plain values
            path: the file
            storage_options: must be None, as for Lightning's own

        Raises:
            UnwritableError: if it cannot be written, as on a full disk; the file is as before.
        """
        write_torch_file(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a checkpoint as every other file of torch's: tensors and plain values, checked.

        Args:
            path: the file

        Raises:
            UserError: if it is damaged.
        """
        return read_torch_file(Path(path))
