from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from pose_oad.tracking.tables import facts_table, print_paths


def test_nothing_is_cut_and_paths_stay_in_one_line() -> None:
    text = io.StringIO()
    console = Console(file=text, width=80)
    table = facts_table("a [title]")
    table.add_row("name" * 30, "fact" * 40)
    console.print(table)
    path = Path("runs/online") / ("0123456789abcdef" * 6) / "[a]"
    print_paths(console, "kept in", path)
    shown = text.getvalue()
    assert "…" not in shown
    assert shown.count("name") + shown.count("fact") >= 66  # but where a line breaks
    assert f"kept in {path}\n" in shown
    assert "a [title]" in shown
