"""A command that is killed at any instant, given again to go on, ends as if nobody had killed it.

``POSE_OAD_KILLS`` says how often each command is killed (2 by default): half of the kills come before a step that
leaves a trace (a file moved or removed, a call to the tracking store), the other half at random times. What is drawn
depends on ``POSE_OAD_KILLS_SEED``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from tests.coco import small_set, write_tree
from tests.media import write_sequence

KILLS = int(os.environ.get("POSE_OAD_KILLS", "2"))
SEED = int(os.environ.get("POSE_OAD_KILLS_SEED", "0"))
TIMES = re.compile(r"seconds|wall_clock|frames_per_second|peak_memory|_s$")


def work(verb: str, arguments: list[str], kill_before: int, steps: Path) -> None:
    """Run a command in this process; count its steps, and die before one of them (0: none)."""
    import importlib

    from pose_oad.cli.command import compose_config
    from pose_oad.tracking.delivery import DeliveringClient

    done = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return call

    for owner, names in (
        (Path, ("mkdir", "rename", "replace", "unlink")), (os, ("replace",)), (shutil, ("rmtree",)),
        (DeliveringClient, ("_do",)), (mlflow.MlflowClient, ("create_run", "update_run")),
    ):  # fmt: skip
        for name in names:
            setattr(owner, name, counted(getattr(owner, name)))
    module = importlib.import_module(f"pose_oad.cli.{verb}")
    module.main(compose_config(verb, arguments))
    steps.write_text(str(done))


class Command:
    """A command in a folder of its own.

    Args:
        verb: the command
        place: the folder
        arguments: its overrides, in which ``{place}`` is the folder
        store: an empty tracking store, which is copied: its own making is not looked at here
    """

    def __init__(self, verb: str, place: Path, arguments: list[str], store: Path) -> None:
        self.verb, self.place = verb, place
        self.arguments = [argument.replace("{place}", str(place)) for argument in arguments]
        self.steps = place / "steps"
        place.mkdir()
        shutil.copyfile(store, place / "mlflow.db")

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.place}/mlflow.db"

    def start(self, arguments: list[str], kill_before: int = 0) -> multiprocessing.Process:
        # A process of the server has torch and Lightning imported, and nothing else of this one.
        context = multiprocessing.get_context("forkserver")
        preloaded = ["mlflow", "lightning", "pose_oad.studies.runner", "datamodules.coco.datamodule"]
        context.set_forkserver_preload(preloaded)
        process: Any = context.Process(target=work, args=(self.verb, arguments, kill_before, self.steps))
        process.start()
        return process

    def run(self) -> float:
        """Run it to its end; return the seconds."""
        began = time.monotonic()
        process = self.start(self.again())
        process.join()
        assert process.exitcode == 0, (self.verb, self.again())
        return time.monotonic() - began

    def again(self) -> list[str]:
        """What a user gives to begin, or to go on."""
        if self.verb == "pretrain":
            begun = any((self.place / "checkpoints" / name).exists() for name in ("unfinished.run", "last.ckpt"))
            return [*self.arguments, *(["resume=true"] if begun else [])]
        folders = sorted(path.parent for path in (self.place / "runs").glob("*/config.yaml"))
        if self.verb == "sweep" or not folders:
            return self.arguments
        [folder] = folders
        return [f"resume={folder.name}", f"output.folder={self.place}/runs"]

    def outcome(self) -> dict[str, Any]:
        """What is left: runs and their figures, weights, rows."""
        client, runs = mlflow.MlflowClient(self.uri), []
        for experiment in client.search_experiments():
            for run in client.search_runs([experiment.experiment_id]):
                if self.verb == "sweep" and run.info.status in ("KILLED", "FAILED"):
                    continue
                values = {k: v for k, v in run.data.metrics.items() if not TIMES.search(k)}
                names = (run.info.status, run.data.tags.get("pose_oad.point"), run.data.params.get("seed.base"))
                artifacts = sorted(artifact.path for artifact in client.list_artifacts(run.info.run_id))
                runs.append((*map(str, names), values, artifacts))
        weights = {}
        for path in self.place.glob("**/student.ckpt") if self.verb in ("online", "finetune") else [self.best]:
            if path.exists() and "artifacts" not in path.parts:
                state = torch.load(path, weights_only=True)["state_dict"]
                weights[path.name] = {name: value.double().sum().item() for name, value in state.items()}
        rows = [
            {k: v for k, v in json.loads(line).items() if not TIMES.search(k)}
            for name in ("ledger.jsonl", "selection.jsonl")
            for path in self.place.glob(f"runs/*/{name}")
            for line in path.read_text().splitlines()
        ]
        files = sorted(path.name for path in self.place.glob("runs/*/*"))
        return {"runs": sorted(runs, key=str), "weights": weights, "rows": rows, "files": files}

    @property
    def best(self) -> Path:
        return self.place / "checkpoints" / "best.ckpt"


@pytest.fixture(scope="module")
def common(student_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    tree = tmp_path_factory.mktemp("human36m")
    write_sequence(tree, "S1", "Walking 1", "55011271", 60)
    write_sequence(tree, "S9", "Walking 1", "55011271", 20)
    return [
        f"stream.root={tree}", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]",
        "window.seconds=null", "window.frames=20",
        "training.epochs=2", "rate=0.2", "trainer.accelerator=cpu",
    ]  # fmt: skip


STORE = ["tracking.uri=sqlite:///{place}/mlflow.db", "tracking.artifacts={place}/artifacts"]
RUNS = [*STORE, "output.folder={place}/runs", "threads=1"]


@pytest.fixture(scope="module")
def arguments(common: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Of every command, on the smallest of everything."""
    images = write_tree(tmp_path_factory.mktemp("coco"), small_set())
    online = [
        *common,
        "framework=paper",
        "trainer.limit_train_batches=2",
        "training.optimizer_state=kept",
        "metric.final_pass=true",
    ]
    settings = [f"+study.set.{argument}" for argument in [*common, "framework=paper", "trainer.limit_train_batches=2"]]
    return {
        "online": [*online, *RUNS],
        "finetune": [*common, *RUNS, "train.subjects=[S1]", "test.subjects=[S9]"],
        "pretrain": [
            f"data.root={images}", "data.batch_size=1", "data.workers=1", "student.head_channels=16",
            "student.input_size=[64,64]", "trainer.max_epochs=3", "trainer.accelerator=cpu",
            "trainer.check_val_every_n_epoch=1", "checkpoint.folder={place}/checkpoints", *STORE,
        ],
        "sweep": [
            "study.name=small", "study.seeds=[0]", "study.grid={strategy: [random, uniform]}", "study.prepare=[]",
            "study.references=[]", "~study.set", *settings, "folder={place}/study", "cache={place}/frames", *STORE,
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["online", "pretrain", "finetune", "sweep"])
def test_a_killed_command_ends_as_an_uninterrupted_one(
    verb: str, arguments: dict[str, list[str]], store: Path, tmp_path: Path
) -> None:
    whole = Command(verb, tmp_path / "whole", arguments[verb], store)
    seconds, expected = whole.run(), whole.outcome()
    steps = int(whole.steps.read_text())
    drawn = random.Random(SEED)
    # Ending and beginning have the most to get wrong: the last step comes first, then the first, and so on inwards.
    inwards = [step for pair in zip(range(steps, 0, -1), range(1, steps + 1), strict=True) for step in pair]
    before = list(dict.fromkeys(inwards))[: (KILLS + 1) // 2]
    instants = [("step", number) for number in before]
    instants += [("second", drawn.uniform(0, 1.1 * seconds)) for _ in range(KILLS // 2)]
    for number, (kind, instant) in enumerate(instants):
        said = f"{verb}: killed at {kind} {instant:.4g} of {steps if kind == 'step' else round(seconds, 1)}"
        print(said, flush=True)  # noqa: T201 (a failure must be repeatable)
        command = Command(verb, tmp_path / str(number), arguments[verb], store)
        process = command.start(command.arguments, int(instant) if kind == "step" else 0)
        process.join(None if kind == "step" else instant)
        process.kill()
        process.join()
        command.run()
        if number == 0:
            command.run()  # there is nothing left to do
        assert command.outcome() == expected, said
        shutil.rmtree(command.place)
