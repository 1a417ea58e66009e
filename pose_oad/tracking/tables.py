"""Tables for the terminal, in which nothing is cut: what is too long for its column goes on in the next line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_paths(console: Console, what: str, *paths: Path) -> None:
    """Say where something is, each path in a line of its own that is not broken: it can be copied."""
    for path in paths:
        console.print(f"{what} {path}", markup=False, highlight=False, soft_wrap=True)


def facts_table(title: str = "") -> Table:
    """Make a table of facts by name, to be filled row by row."""
    table = Table(title=escape(title) or None, show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    return table
