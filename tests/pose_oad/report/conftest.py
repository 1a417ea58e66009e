from __future__ import annotations

from collections.abc import Callable

import pytest

from pose_oad.report.groups import Group
from pose_oad.report.material import Material, gather
from pose_oad.report.store import Ledgers, Selection, load_runs
from pose_oad.tracking.store import open_store
from tests.pose_oad.report.fake_store import shared_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return shared_store(tmp_path_factory)


@pytest.fixture(scope="session")
def selection(store: str) -> Selection:
    return load_runs(open_store(store), "strategies")


@pytest.fixture(scope="session")
def material(store: str, selection: Selection) -> Material:
    return gather(selection, "mpjpe_px", "random", 0.95, Ledgers(open_store(store)))


@pytest.fixture(scope="session")
def group(material: Material) -> Callable[[str, float | None], Group]:
    """Return the online group of a label and rate."""
    return lambda label, rate: next(g for g in material.online if (g.label, g.rate) == (label, rate))
