"""Experiment tracking: the MLflow logger of a run, and where the run came from.

One store serves every command: an SQLite file with the runs, a folder beside it with their artifacts (MLflow refuses a
plain-folder store since 3.13). Lightning's own MLflow logger does the talking; commands hand it one batch of metrics
per window or epoch, since a call costs milliseconds.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
import shutil
import sqlite3
import subprocess
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

# MLflow reports its use to its makers and prints advice unless told not to; set before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from omegaconf import DictConfig, OmegaConf

from pose_oad.tracking.errors import UserError, reason_of

if TYPE_CHECKING:
    from lightning.pytorch.loggers import MLFlowLogger
    from mlflow import MlflowClient

    from pose_oad.tracking.delivery import RunLogger

_VERSIONED = ("torch", "torchvision", "timm", "lightning", "mlflow", "albumentations", "numpy", "av", "onnxruntime")


def make_logger(
    cfg: DictConfig,
    run_name: str,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
    token: str | None = None,
) -> RunLogger:
    """Open a run in the tracking store.

    Args:
        cfg: a command's configuration; its ``tracking`` node has ``uri``, ``artifacts`` (folder) and ``experiment``;
            with ``logger: local`` the store is not asked, and everything is kept for ``make sync``
        run_name: name of the run in the MLflow UI
        tags: tags of the run
        run_id: a run to go on with; None creates one
        token: name that the run carries as a tag, by which it is found if it has been created already

    Returns:
        A logger whose run exists: an unusable store is found before any work. What it does not take later is kept.

    Raises:
        UserError: if the store cannot be opened.
    """
    from pose_oad.tracking.delivery import RunLogger, ensure_experiment, tagged_run
    from pose_oad.tracking.schema import Text, check_value

    tracking, where = cfg.tracking, cfg.get("logger", "mlflow")
    check_value(Literal["mlflow", "local"], where, "logger")
    check_value(Text, tracking.uri, "tracking.uri")
    artifacts = Path(tracking.artifacts).resolve().as_uri() if tracking.artifacts else None
    try:
        if where == "mlflow":
            client = connect(str(tracking.uri))
            experiment = ensure_experiment(client, tracking.experiment, artifacts)
            if token is not None:
                run_id = tagged_run(client, experiment, "pose_oad.begun", token)
        logger = RunLogger(
            local=where == "local",
            experiment_name=tracking.experiment,
            run_name=run_name,
            tracking_uri=tracking.uri,
            tags=dict(tags or {}) | ({"pose_oad.begun": token} if token else {}),
            run_id=token if token and where == "local" else run_id,
            artifact_location=artifacts,
        )
        if run_id is not None and where == "mlflow":
            logger.experiment.update_run(run_id, status="RUNNING")
    except UserError as error:
        raise UserError(f"{error}; logger=local does without it") from error
    except Exception as error:  # whatever the store's driver raises, it is the store that is unusable
        raise UserError(f"tracking.uri={tracking.uri}: {reason_of(error)}; logger=local does without it") from error
    return logger


def connect(uri: str) -> MlflowClient:
    """Open a tracking store, making it if it is a file that does not exist; one that cannot be reached is refused."""
    # A server that is down is a matter of seconds then, not of minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    try:
        if uri.startswith("sqlite:///"):
            _make_store(Path(uri.removeprefix("sqlite:///")))
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except Exception as error:  # whatever the store's driver raises, it is the store that is unusable
        raise UserError(f"tracking.uri={uri}: cannot open the tracking store ({reason_of(error)})") from error
    return client


def _make_store(path: Path) -> None:
    """Make an SQLite store unless it is there: by one process, and whole, for a half-made one cannot be mended."""
    from filelock import FileLock
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.exists() and path.stat().st_size:
            return
        for left in path.parent.glob(f".{path.name}-*"):  # by a kill
            shutil.rmtree(left)
        # A name of its own every time: MLflow keeps connections by name.
        with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            new = Path(folder) / path.name
            MlflowClient(f"sqlite:///{new}").search_experiments(max_results=1)
            new.replace(path)


def open_store(uri: str) -> MlflowClient:
    """Open a tracking store for reading; never creates one, and refuses a file that is none."""
    from pose_oad.tracking.schema import Text, check_value

    quiet_libraries()
    check_value(Text, uri, "tracking.uri")
    if uri.startswith("sqlite:///"):
        _check_sqlite(uri)
    return connect(uri)


def _check_sqlite(uri: str) -> None:
    """Refuse a file that MLflow would otherwise create or fill with tables of its own."""
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.is_file():
        raise UserError(f"tracking.uri={uri}: no such file; expected a tracking store that runs have been logged to")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise UserError(f"tracking.uri={uri}: cannot read the tracking store ({error})") from error
    if not {"experiments", "runs"} <= tables:
        raise UserError(f"tracking.uri={uri}: not a tracking store: it has no tables 'experiments' and 'runs'")


def quiet_libraries() -> None:
    """Silence what libraries say about themselves, so that what a command says can be seen."""
    for noisy in ("alembic", "mlflow", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    for message in (
        ".*LeafSpec.*",
        ".*does not have many workers.*",
        "Checkpoint directory .*",
        ".*`isinstance\\(treespec.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def log_provenance(logger: MLFlowLogger, cfg: DictConfig) -> None:
    """Record what made this run: every config value as a parameter; commit, versions and machine as tags."""
    resolved = OmegaConf.to_container(cfg, resolve=True)
    logger.log_hyperparams(dict(flatten(resolved)))
    client, run_id = logger.experiment, logger.run_id
    tags = {f"version.{name}": _version(name) for name in (*_VERSIONED, "pose_oad")}
    tags |= {"version.python": platform.python_version(), "machine": platform.platform(), **git_tags()}
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_tags() -> dict[str, str]:
    """Return the commit this code stands at and whether files differ from it; empty outside a git checkout."""

    def git(*args: str) -> str:
        command = ["git", "-C", str(Path(__file__).resolve().parents[2]), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = str(bool(git("status", "--porcelain")))
        return {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "git.dirty": dirty}
    except (OSError, subprocess.CalledProcessError):
        return {}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def flatten(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """List the leaves of nested mappings by dotted key."""
    if isinstance(node, dict):
        return [pair for key, value in node.items() for pair in flatten(value, f"{prefix}{key}.")]
    return [(prefix.rstrip("."), node)]
