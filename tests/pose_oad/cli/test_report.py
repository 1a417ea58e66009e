"""The report command on a store of runs that never ran."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pose_oad.cli.command import compose_config
from pose_oad.cli.report import Report, main
from pose_oad.tracking.errors import UserError
from tests.pose_oad.report.fake_store import SEEDS, final_metrics, log_run, params, shared_store, tags


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own in which a study's report can be kept, and a place for reports."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copy(shared_store(tmp_path_factory).removeprefix("sqlite:///"), folder / "mlflow.db")
    return folder


def run(folder: Path, *overrides: str) -> Report:
    uri = f"tracking.uri=sqlite:///{folder / 'mlflow.db'}"
    return main(compose_config("report", [uri, f"folder={folder / 'out'}", *overrides]))


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return run(folder, "study_name=strategies")


def test_a_report_has_all_its_files(report: Report) -> None:
    figures = {path.name for path in (report.folder / "figures").iterdir()}
    names = ("error_over_stream", "error_against_rate", "pareto", "error_by_joint", "selection")
    assert {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")} <= figures
    tables = {path.name for path in (report.folder / "tables").iterdir()}
    names = ("online", "online_matrix", "offline", "offline_matrix", "offline_parts")
    assert tables == {f"{name}.{suffix}" for name in names for suffix in ("md", "csv", "tex")}
    described = json.loads((report.folder / "report.json").read_text())
    assert len(described["runs"]) == 19
    assert described["left_out"] == {"FAILED": 2, "RUNNING": 1, "superseded": 0}
    assert "tables/online.csv" in described["files"]
    with (report.folder / "tables" / "online.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mpjpe_px"]) for row in rows] == [54.0, 48.0, 51.0, 46.0, 61.0]


def test_the_page_needs_nothing_but_itself(report: Report) -> None:
    html = (report.folder / "index.html").read_text()
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)|url\(|@import|<script|<link""", html) == []
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    assert html.count("<img ") == html.count("<figcaption>") == 8
    for said in ("3 runs left out: 2 FAILED, 1 RUNNING", "0123456789", "15 online, 4 fine-tuning", "n = 3 is small"):
        assert said in html


def test_a_study_s_report_is_kept_with_its_run(report: Report, folder: Path) -> None:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    assert report.selection.parent is not None
    kept = {item.path for item in client.list_artifacts(report.selection.parent.run_id, "report")}
    assert kept == {f"report/{name}" for name in ("index.html", "report.json", "tables", "figures")}


def test_the_terminal_shows_the_main_table(folder: Path, report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "study_name=strategies")
    shown = capsys.readouterr().out
    assert "54.0 ± 5.0" in shown
    assert "3 runs left out: 2 FAILED, 1 RUNNING" in shown
    assert str(report.folder / "index.html") in shown


def test_labels_with_markup_are_shown_as_text(folder: Path) -> None:
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("odd", (folder / "artifacts").as_uri())
    for label in ("<b>100 %_bold</b>", "random"):
        for seed in SEEDS:
            log_run(
                client, experiment, tags(label, study=None), params("odd", "0.1", seed), final_metrics("x", "0.1", 50.0)
            )
    odd = run(folder, "experiments=odd", f"folder={folder / 'odd'}")
    html = (odd.folder / "index.html").read_text()
    assert "&lt;b&gt;100 %_bold&lt;/b&gt;" in html
    assert "<b>" not in html
    assert r"\textless{}b\textgreater{}100 \%\_bold" in (odd.folder / "tables" / "online.tex").read_text()
    assert not list((odd.folder / "figures").glob("selection*"))
    assert "no ledger names chosen frames" in html


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("study_name=strategy", r"study_name=strategy: .*did you mean 'strategies'\?"),
        ("error=mpjpe", "error=mpjpe: expected .*_px"),
        ("error=mpjpee_px", r"error=mpjpee_px: .*did you mean 'mpjpe_px'\?"),
        ("confidence=95", "confidence=95: expected .*above 0, below 1"),
        ("runs=[]", r"runs=\[\]: expected .*at least 1"),
        ("tracking.uri=sqlite:///nowhere.db", "tracking.uri=sqlite:///nowhere.db"),
        ("folder=/dev/null/report", "folder=/dev/null/report"),
    ],
)
def test_mistakes_are_refused_and_nothing_is_written(
    folder: Path, report: Report, override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(folder, f"folder={tmp_path / 'out'}", override)
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_not_written_over_other_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds thesis\.tex"):
        run(folder, f"folder={tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
