"""The notebooks run, cell by cell, on a tiny stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "examples" / "adapt_a_student.ipynb"
# What Jupyter would do: all cells in one namespace, each compiled for itself, the value of a last expression shown.
RUNNER = """
import ast, json, sys
names = {"__name__": "__main__"}
for cell in json.load(sys.stdin)["cells"]:
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is not None:
        print(repr(eval(compile(ast.Expression(last.value), "cell", "eval"), names)))
"""


def test_notebooks_are_kept_with_outputs_and_without_places_of_this_machine() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], len({cell["id"] for cell in notebook["cells"]})) == (4, len(notebook["cells"]))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell["outputs"] for cell in code[1:])
    words = [cell["source"] for cell in code] + [
        text for cell in code for one in cell["outputs"] for kind, text in one["data"].items() if "image" not in kind
    ]
    assert not any(place in json.dumps(words) for place in ('"/', "/home/", "/tmp", "/root/", "C:\\\\"))


@pytest.mark.slow
def test_the_example_runs(human36m_tree: Path, student_checkpoint: Path, tmp_path: Path) -> None:
    options = {
        "stream.root": str(human36m_tree), "window.seconds": None, "window.frames": 36,
        "framework": "paper", "training.epochs": 1,
        "trainer.accelerator": "cpu", "output.figures": False, "metric.teacher_every": None, "threads": 1,
    }  # fmt: skip
    env = os.environ | {
        "POSE_OAD_STUDENT": str(student_checkpoint), "POSE_OAD_ROOT": ".", "POSE_OAD_OPTIONS": json.dumps(options),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=NOTEBOOK.read_text(), cwd=tmp_path, env=env, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Adaptation(" in done.stdout
    assert (tmp_path / "error.png").is_file()
    assert "'adapted.ckpt'" in done.stdout
    assert (tmp_path / "adapted.ckpt").is_file()
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()
