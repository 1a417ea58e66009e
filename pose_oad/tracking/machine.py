"""The machine that a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

from pose_oad.tracking.store import git_tags

_PACKAGES = ("torch", "timm", "lightning", "mlflow", "av", "numpy")


def machine() -> dict[str, Any]:
    """Return what a figure depends on beside the code: processor, threads, load, versions, commit."""
    return {
        "machine": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
        **git_tags(),
    }


def _processor() -> str:
    """Name the processor as Linux does; elsewhere as far as Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
