"""How the tracking store calls a run, and the stream that it has learnt from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from datamodules.video.clips import Clip


def run_name(cfg: DictConfig, strategy: str, teacher: str) -> str:
    """Name a run by what it was made of, without blanks: ``uniform-0.1-walk-onnx:movenet-seed0``."""
    parts = (strategy, f"{cfg.rate:g}", stream_name(cfg.stream), teacher, f"seed{cfg.seed.base}")
    return re.sub(r"\s+", "_", "-".join(parts))


def stream_name(stream: DictConfig) -> str:
    """Name a stream by its one file, folder or camera, or else by its kind."""
    path = stream.get("path")
    if isinstance(path, str | int):
        return f"camera{path}" if str(path).isdecimal() else Path(str(path)).stem
    return str(stream._target_).split(".")[-2]


def stream_dataset(stream: DictConfig, clips: Sequence[Clip]) -> dict[str, str]:
    """Describe a stream as MLflow describes a data set, in plain values.

    The digest is that of the clips' names, stretches and sizes in bytes: that of their content would take as long as
    reading all of it. A camera has nothing that a digest could be of but its name.
    """
    facts = [
        (clip.name, clip.start, clip.stop, clip.path.stat().st_size if clip.path.is_file() else 0) for clip in clips
    ]
    places = sorted({str(clip.url or clip.path.parent) for clip in clips})
    return {
        "name": stream_name(stream), "digest": hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16],
        "source_type": "local", "source": json.dumps({"uri": places[0] if places else "", "clips": len(clips)}),
    }  # fmt: skip
