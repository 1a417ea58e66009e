from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pose_oad.report.store import Ledgers, Selection, load_runs
from pose_oad.tracking.errors import UserError
from pose_oad.tracking.store import open_store


def test_only_finished_runs_of_the_study_are_kept_and_the_others_counted(selection: Selection) -> None:
    assert len(selection.of_kind("online")) == 15
    assert len(selection.of_kind("finetune")) == 4
    assert selection.left_out_text() == "3 runs left out: 2 FAILED, 1 RUNNING"
    assert selection.parent is not None
    assert selection.parent.kind == "study"


def test_without_a_study_every_run_counts(store: str) -> None:
    everything = load_runs(open_store(store))
    assert len(everything.runs) == 20
    assert everything.parent is None
    assert everything.left_out == {"FAILED": 2, "RUNNING": 1, "without the tag pose_oad.kind": 1}


def test_experiments_and_runs_narrow_it_down(store: str, selection: Selection) -> None:
    client = open_store(store)
    assert {run.kind for run in load_runs(client, experiments=["finetune"]).runs} == {"finetune"}
    wanted = [selection.runs[3].run_id, selection.runs[0].run_id]
    assert [run.run_id for run in load_runs(client, run_ids=wanted).runs] == wanted[::-1]


def test_a_ledger_comes_back_row_by_row(store: str, selection: Selection) -> None:
    ledgers = Ledgers(open_store(store))
    run = next(r for r in selection.runs if r.label == "random" and r.rate == 0.01 and r.seed == "0")
    rows = ledgers(run)
    assert [row["first_frame"] for row in rows] == [0, 100, 200]
    assert [row["selected_frames"] for row in rows] == [[0], [100], [200]]
    assert rows[1]["clips"][1] == {"name": "Eating", "first_frame": 150}
    assert ledgers(run) is rows


def test_a_run_without_a_ledger_has_no_rows(store: str, selection: Selection) -> None:
    assert Ledgers(open_store(store))(selection.of_kind("finetune")[0]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"study": "strategis"}, "study_name=strategis: no such study in the store; did you mean 'strategies'?"),
        ({"experiments": ["onlin"]}, "experiments=onlin: no such experiment in the store; did you mean 'online'?"),
        ({"run_ids": ["nothing"]}, "runs=nothing: no such run"),
        ({"experiments": ["empty"]}, "no finished run of kind online or finetune"),
    ],
)
def test_unknown_names_are_refused(store: str, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        load_runs(open_store(store), **arguments)


def test_a_missing_store_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tracking\.uri=sqlite:///"):
        open_store(f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}")
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("not a database, whatever its name says" * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    connection.close()
    before = other.read_bytes()
    for path in (text, other):
        with pytest.raises(UserError, match="tracking store"):
            open_store(f"sqlite:///{path}")
    assert other.read_bytes() == before


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(UserError, match=r"tracking\.uri=nonsense://x: "):
        open_store("nonsense://x")
