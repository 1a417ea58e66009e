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
        """Write tensors and plain values; see :func:`~pose_oad.tracking.torch_file.write_torch_file`."""
        write_torch_file(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a checkpoint as every other file of torch's: tensors and plain values, checked."""
        return read_torch_file(Path(path))
