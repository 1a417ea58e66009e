"""What a run has left is data: damaged in any way it is refused in one line, or the run goes on with all of it."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from callbacks.checkpoint import STATE_FILE, read_state
from callbacks.ledger import Ledger, read_ledger
from pose_oad.cli.assembly import observers, prepare
from pose_oad.cli.command import compose_config
from pose_oad.cli.online import play
from pose_oad.cli.run_config import read_config
from pose_oad.tracking.errors import UserError

#: Values of every kind that YAML, JSON and torch write.
STRANGE = (None, True, -1, 0, 10**30, 1e308, float("inf"), float("nan"), "", "text", "???", [], ["a"], {}, {"a": 1})


@pytest.fixture(scope="module")
def stopped(human36m_tree: Path, student_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run that was stopped behind its third window."""
    folder = tmp_path_factory.mktemp("stopped")
    overrides = [
        f"stream.root={human36m_tree}", f"checkpoint={student_checkpoint}", "student.input_size=[64,64]",
        "window.seconds=null", "window.frames=25",
        "framework=paper", "training.epochs=1", "rate=0.1", "trainer.accelerator=cpu",
        "training.optimizer_state=kept", f"output.folder={folder}/online", "output.figures=false", "logger=local",
        "metric.teacher_every=null", "threads=1",
    ]  # fmt: skip

    def stop(row: Mapping[str, Any]) -> None:
        if row["window"] == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            play(compose_config("online", overrides), watchers=[stop])
        [run] = (folder / "online").iterdir()
        yield run


def mutants(value: Any, count: int, seed: int) -> Iterator[Any]:
    """Yield copies of nested values in which one place has gone or holds something else."""
    rng = random.Random(seed)
    for _ in range(count):
        damaged = copy.deepcopy(value)
        holder, key, place = None, None, damaged
        while isinstance(place, dict | list) and place and (holder is None or rng.random() < 0.8):
            holder, key = place, rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            place = place[key]
        if rng.random() < 0.4:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(rng.choice(STRANGE))
        yield damaged


def torn(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield a file cut off, with bits flipped, or with a stretch of zeros."""
    rng = random.Random(seed)
    yield from (b"", b"\x00" * 64, b"[1, 2]", b"text", b"\xff\xfe", b"{" * 5000, b"[" * 5000)
    for number in range(count):
        at, damaged = rng.randrange(len(content)), bytearray(content)
        if number % 3 == 0:
            yield content[:at]
        else:
            damaged[at : at + 8] = (
                bytes(8) if number % 3 == 1 else bytes(byte ^ 1 << rng.randrange(8) for byte in damaged[at : at + 8])
            )
            yield bytes(damaged)


def refused(use: Callable[[], object]) -> bool:
    """Use a damaged file: to raise anything but a line for its user is a fault."""
    try:
        use()
    except UserError:
        return True
    return False


def settings_of(path: Path) -> DictConfig | None:
    """The configuration that a damaged file stands for, built as far as a run builds it; None if it is refused."""
    cfg = read_config(path, "online")
    observers(cfg, prepare(cfg))
    return cfg


@pytest.mark.slow
def test_a_damaged_configuration_is_refused_or_used_as_it_is(stopped: Path, tmp_path: Path) -> None:
    content = (stopped / "config.yaml").read_bytes()
    values, path, count = yaml.load(content, Loader=yaml.SafeLoader), tmp_path / "config.yaml", 0
    for damaged in mutants(values, 80, seed=0):
        path.write_text(yaml.safe_dump(damaged))
        if refused(lambda: settings_of(path)):
            count += 1
        else:  # nothing was filled in
            assert OmegaConf.to_container(read_config(path, "online")).keys() == values.keys()
    for damaged in torn(content, 40, seed=1):
        path.write_bytes(damaged)
        count += refused(lambda: settings_of(path))
    assert count >= 80


@pytest.mark.slow
def test_a_damaged_ledger_is_refused_or_read(stopped: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    content = (stopped / "ledger.jsonl").read_bytes()
    rows = [json.loads(line) for line in content.splitlines()]
    assert len(rows) == 4
    for damaged in mutants(rows, 150, seed=2):
        path.write_text("".join(json.dumps(row) + "\n" for row in damaged))
        if not refused(lambda: Ledger(tmp_path).write_table()):
            assert [row["window"] for row in read_ledger(path)] == list(range(len(read_ledger(path))))
    for damaged in torn(content, 40, seed=3):
        path.write_bytes(damaged)
        refused(lambda: Ledger(tmp_path).write_table())


@pytest.mark.slow
def test_a_run_goes_on_from_a_whole_state_only(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each damaged state is taken on by a run that is stopped before its next window."""
    monkeypatch.chdir(tmp_path)
    content = (stopped / STATE_FILE).read_bytes()
    cfg = read_config(stopped / "config.yaml", "online")
    whole = read_state(stopped)
    assert whole is not None

    def copied(name: str) -> Path:
        return Path(shutil.copytree(stopped, tmp_path / name / stopped.name))

    run = copied("torn")
    for damaged in torn(content, 30, seed=4):
        (run / STATE_FILE).write_bytes(damaged)
        assert refused(lambda: read_state(run)) or damaged == content, len(damaged)  # zeros where they were
    parts = [{**whole, kind: part} for kind in ("stages", "callbacks") for part in mutants(whole[kind], 12, seed=5)]
    for number, damaged in enumerate((*mutants({**whole, "student": dict(whole["student"])}, 12, seed=6), *parts)):
        run = copied(str(number))
        torch.save(damaged, run / STATE_FILE)
        refused(lambda run=run: play(cfg.copy(), resume=run))


def test_what_a_file_names_is_not_run(stopped: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((stopped / "config.yaml").read_bytes())
    path, mark = tmp_path / "config.yaml", tmp_path / "it-ran"
    for target in ("os.mkdir", "pathlib.Path.mkdir", "pose_oad.tracking.store.os.mkdir"):
        path.write_text(
            yaml.safe_dump(values | {"strategy": {"_target_": target, "path": str(mark)}, "modules": ["os"]})
        )
        with pytest.raises(UserError, match=f"_target_={target}: expected a class of"):
            settings_of(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("rate: 0.1", "rate: ${oc.env:HOME}", 1), "a reference"),
        (lambda text: text.replace("rate: 0.1", 'rate: "\\x24{oc.env:HOME}"', 1), "a reference"),
        (lambda text: "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n" + text, "an alias"),
        (lambda text: "deep: " + "[" * 40 + "]" * 40 + "\n" + text, "inside one another"),
        (lambda text: text[: text.index("stream:")], "missing"),
        (lambda text: text.replace("  shuffle:", "  x:"), r"stream\.shuffle: missing"),
        (lambda text: text + "x" * 2**20, "bytes"),
        (lambda text: "- " + text.splitlines()[0], "no configuration of a run"),
    ],
)  # fmt: skip
def test_a_file_refers_to_nothing_and_lacks_nothing(change: Callable[[str], str], said: str, stopped: Path) -> None:
    path = stopped.parent / "config.yaml"
    path.write_text(change((stopped / "config.yaml").read_text()))
    with pytest.raises(UserError, match=said):
        read_config(path, "online")


def test_a_ledger_that_does_not_fit_the_state_is_refused(stopped: Path) -> None:
    ledger, state = stopped / "ledger.jsonl", read_state(stopped)
    content = ledger.read_bytes()
    try:
        ledger.write_bytes(content[: content.index(b"\n") + 1])
        with pytest.raises(UserError, match="holds 1 windows with 25 frames; expected the 3 with 75"):
            Ledger(stopped).cut(state["stream"]["window"], state["stream"]["frame"])
    finally:
        ledger.write_bytes(content)
