"""List query strategies and triggers with their sources and what they cost, as the code and ``conf`` say it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from pose_oad.cli.command import CONF, check_keys, factory_of
from pose_oad.report.layout import Column, Table, to_rich

_TITLES = {"strategy": "Query strategies: strategy=…", "trigger": "Triggers: trigger=…"}
_COLUMNS = (Column("name", ""), Column("what", "what"), Column("source", "source"), Column("cost", "cost"))
_NOTE = {
    "strategy": "costly: takes forward passes of its own beside the predictions; docs/strategies.md has measured ones.",
    "trigger": "Triggers cost next to nothing.",
}


def main(cfg: DictConfig) -> list[Table]:
    """Print the tables of ``conf/strategies.yaml``, and return them."""
    check_keys(cfg, {"kinds": list[Literal["strategy", "trigger"]]})
    tables = [
        Table(kind, _TITLES[kind], _COLUMNS, tuple(map(_row, sorted((CONF / kind).glob("*.yaml")))), _NOTE[kind])
        for kind in cfg.kinds
    ]
    for table in tables:
        Console().print(to_rich(table))
    return tables


def _row(path: Path) -> tuple[str, str, str, str]:
    """Describe a choice: what its file says first, the source that its class names, and whether it is costly."""
    node = OmegaConf.load(path)
    assert isinstance(node, DictConfig)
    kind = factory_of(node)
    what = path.read_text().split(". ")[0].partition("\n")[0].removeprefix("# ").rstrip(".:")
    doc = inspect.getdoc(kind) or ""
    named = re.search(r"Source: (.+?)\.?(?:\n\n|$)", doc, re.DOTALL) or re.search(r"\(([^()]+)\)", doc.split("\n")[0])
    source = " ".join(named[1].split()) if named else ""
    costly = getattr(kind, "costly", False)
    if isinstance(costly, property):  # it depends on what is compared
        own = {
            str(key): node[key] for key in node if key != "_target_" and not OmegaConf.is_interpolation(node, str(key))
        }
        costly = kind(**own).costly
    return path.stem, what, source, "costly" if costly else ""
