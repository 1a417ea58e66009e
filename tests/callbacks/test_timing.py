"""What the wall clock counts."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from callbacks.timing import Timing, peak_memory, peak_resident
from pose_oad.online.stopwatch import Stopwatch
from tests.windows import make_window, record_of


def test_measuring_is_no_part_of_the_wall_clock() -> None:
    watch = Stopwatch()
    timing, module = Timing(watch), SimpleNamespace(device=torch.device("cpu"))
    timing.on_train_epoch_start(None, module)  # type: ignore[arg-type]
    timing.on_train_batch_start(None, module, None, 0)  # type: ignore[arg-type]
    for phase, seconds in (("evaluate", 0.3), ("label", 0.1), ("retention", 0.3)):
        with watch(phase):  # to evaluate, a teacher labels frames only to measure
            time.sleep(seconds)
    figures = timing.window_closed(record_of(make_window(4), SimpleNamespace(counts={})))
    timing.on_train_end(None, module)  # type: ignore[arg-type]
    assert figures["wall_clock_s"] == pytest.approx(0.1, abs=0.08)
    assert figures["frames_per_second"] == pytest.approx(4 / 0.1, rel=0.45)
    assert timing.wall_clock == pytest.approx(0.1, abs=0.08)
    assert timing.totals["evaluate"] == pytest.approx(0.3, abs=0.08)


def test_a_phase_inside_another_is_its_own_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = iter([0.0, 2.0, 7.0, 10.0]), Stopwatch()  # query begins, label begins, label ends, query ends
    monkeypatch.setattr("pose_oad.online.stopwatch.time.perf_counter", lambda: next(clock))
    with watch("query"), watch("label"):
        pass
    assert watch.take() == {"label": 5.0, "query": 5.0}
    assert watch.take() == {}


def test_memory_of_a_run_on_the_processor_is_not_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: 7 * 2**20)
    assert peak_memory(torch.device("cpu")) == pytest.approx(peak_resident(), rel=0.01)
    assert peak_memory(torch.device("cuda", 0)) == 7
