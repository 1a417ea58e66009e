from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pose_oad

# Distributions that do not have the name of their package.
_HOMES = {
    "cv2": "opencv-python-headless",
    "google": "protobuf",
    "hydra": "hydra-core",
    "PIL": "pillow",
    "yaml": "pyyaml",
}


def test_public_names_are_found_and_others_are_not() -> None:
    for name in pose_oad.__all__:
        assert getattr(pose_oad, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = pose_oad.nothing


def test_the_package_is_imported_without_what_its_names_need() -> None:
    code = "import pose_oad, sys; print(pose_oad.__version__, sorted({'torch', 'numpy', 'hydra'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split(maxsplit=1) == [importlib.metadata.version("pose_oad"), "[]\n"]


def test_the_map_names_modules_that_exist() -> None:
    root = Path(pose_oad.__file__).parent
    for name in re.findall(r":mod:`~pose_oad\.(\w+)`", pose_oad.__doc__ or ""):
        assert (root / f"{name}.py").exists() or (root / name).is_dir(), name


def test_every_imported_distribution_is_declared() -> None:
    root = Path(pose_oad.__file__).parents[1]
    own, homes = ("pose_oad", "datamodules", "callbacks"), _HOMES
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    declared = {re.split(r"\W", line.replace("-", "_"))[0] for lines in groups for line in lines}
    imported = {
        name.partition(".")[0]
        for folder in own
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    foreign = imported - set(own) - sys.stdlib_module_names
    assert {homes.get(name, name).replace("-", "_") for name in foreign} <= declared
