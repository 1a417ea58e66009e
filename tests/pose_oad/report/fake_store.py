"""A tracking store of runs that never ran, with numbers that can be worked out by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

JOINTS = ("left_shoulder", "left_wrist")
SEEDS = (0, 1, 2)

#: Error of each label by rate, px; seed s adds s, and twice that for the strategy error.
ERRORS = {
    ("random", "0.01"): 50.0, ("random", "0.1"): 45.0,
    ("error", "0.01"): 52.0, ("error", "0.1"): 46.0,
    ("never adapted", "0.1"): 60.0,
}  # fmt: skip


def tags(label: str, kind: str = "online", study: str | None = "strategies", reference: bool = False) -> dict[str, str]:
    found = {"pose_oad.kind": kind, "pose_oad.label": label, "pose_oad.role": "reference" if reference else "strategy"}
    found |= {"mlflow.source.git.commit": "0123456789abcdef", "git.dirty": "False", "machine": "Linux"}
    return found | ({"pose_oad.study": study} if study else {})


def params(label: str, rate: str, seed: int, **more: str) -> dict[str, str]:
    found = {"rate": rate, "seed.base": str(seed), "seed.stream": str(seed), "strategy._target_": f"strategies.{label}"}
    found |= {
        "trigger.rate": rate,
        "strategy.seed": str(seed),
        "student.name": "small",
        "metric.undetected_joints": "argmax",
    }
    return found | {"teacher._target_": "teachers.TruthTeacher", "stream._target_": "streams.Source"} | more


def final_metrics(label: str, rate: str, error: float) -> dict[str, float]:
    """Metrics of a stream of 300 frames in three windows."""
    selected = 0 if label == "never adapted" else round(300 * float(rate))
    found = {
        "mpjpe_px": error, "mpjpe_last_third_px": error - 5, "pck_3px": 0.25, "frames": 300, "selected": selected,
        "teacher_calls": 300 if label == "error" else selected, "optimizer_steps": 10 * selected,
        "evaluation_teacher_calls": 30, "training_events": 3 if selected else 0, "seconds/train": selected / 10,
        "wall_clock_s": 20 + selected / 10,
        **{f"mpjpe_px/{joint}": error + 10 * number for number, joint in enumerate(JOINTS)},
    }  # fmt: skip
    return {f"final/{key}": float(value) for key, value in found.items()}


def ledger_rows(selected: int, error: float, order: Sequence[str] = ("Walking", "Eating")) -> list[dict[str, Any]]:
    """Three windows of 100 frames; the clip changes at frame 150; the error falls by 5 px a window."""
    per_window = selected // 3
    return [
        {
            "window": i, "first_frame": 100 * i, "last_frame": 100 * i + 99,
            "clips": [
                {"name": name, "first_frame": frame}
                for name, frame in ((order[0], 0), (order[0], 100), (order[1], 150), (order[1], 200))
                if 100 * i <= frame < 100 * i + 100
            ],
            "selected_frames": [100 * i + 3 * n for n in range(per_window)],
            "mpjpe_px": error + 5 - 5 * i,
        }
        for i in range(3)
    ]  # fmt: skip


def log_run(
    client: MlflowClient,
    experiment_id: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    ledger: list[dict[str, Any]] | None = None,
    status: str = "FINISHED",
) -> str:
    """Write one run as a command would, and return its id."""
    run_id = client.create_run(experiment_id).info.run_id
    client.log_batch(
        run_id,
        [Metric(key, value, 0, 0) for key, value in metrics.items()],
        [Param(key, value) for key, value in params.items()],
        [RunTag(key, value) for key, value in tags.items()],
    )
    if ledger:
        with tempfile.TemporaryDirectory() as folder:
            pq.write_table(pa.Table.from_pylist(ledger), Path(folder) / "ledger.parquet")
            client.log_artifact(run_id, str(Path(folder) / "ledger.parquet"))
    if status != "RUNNING":
        client.set_terminated(run_id, status)
    return run_id


def write_store(folder: Path) -> str:
    """Write a store with one study of online and fine-tuning runs, single runs, and runs that did not finish.

    Returns:
        Its URI.
    """
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri)
    online = client.create_experiment("online", (folder / "artifacts").as_uri())
    offline = client.create_experiment("finetune", (folder / "artifacts").as_uri())
    client.create_experiment("empty", (folder / "artifacts").as_uri())
    parent = {"pose_oad.kind": "study", "pose_oad.study": "strategies"}
    log_run(client, online, parent, {}, {})
    for (label, rate), error in ERRORS.items():
        reference = label == "never adapted"
        for seed in SEEDS:
            value = error + (2 * seed if label == "error" else seed)
            metrics = final_metrics(label, rate, value)
            rows = ledger_rows(int(metrics["final/selected"]), value)
            log_run(client, online, tags(label, reference=reference), params(label, rate, seed), metrics, rows)
    for label, error in (("random", 30.0), ("error", 33.0)):
        for seed in SEEDS[:2]:
            test = {f"final/test_mpjpe_px{part}": error + seed for part in ("", "/subject/S9", "/action/Eating")}
            costs = {"final/selection_s": 1.5, "final/training_s": 250.0, "final/selected": 30.0}
            log_run(client, offline, tags(label, "finetune"), params(label, "0.1", seed), test | costs)
    for status in ("FAILED", "FAILED", "RUNNING"):
        log_run(client, online, tags("random"), params("random", "0.1", 9), {}, status=status)
    single = {"final/teacher_distance_px": 12.0, "final/frames": 100.0, "final/selected": 10.0}
    log_run(client, online, tags("random", study=None), params("random", "0.1", 0, **{"window.seconds": "6.0"}), single)
    log_run(client, online, {}, {"rate": "0.1"}, {"final/mpjpe_px": 1.0})
    return uri


def shared_store(factory: pytest.TempPathFactory) -> str:
    """Return the URI of a store that is written once per test session; a test must not change it."""
    folder = factory.getbasetemp() / "fake-store"
    if folder.exists():
        return f"sqlite:///{folder / 'mlflow.db'}"
    folder.mkdir()
    return write_store(folder)
