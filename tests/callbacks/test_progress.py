from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from callbacks.progress import WindowProgress


@pytest.mark.parametrize(("total", "counted"), [(24, "3/26"), (float("inf"), "3")])
def test_without_a_terminal_a_window_is_a_line_that_begins_with_the_run(
    total: float, counted: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    progress = WindowProgress()  # of a run that goes on behind its second window
    trainer = SimpleNamespace(num_training_batches=total, logger=SimpleNamespace(run_id="0123456789abcdef"))
    progress.on_train_start(cast("Any", trainer), cast("Any", None))
    row = {"window": 2, "mpjpe_px": 31.26, "frames_per_second": 40.7, "selected_total": 15}
    with caplog.at_level(logging.INFO):
        progress(row)
    assert caplog.messages == [f"01234567  window {counted}  mpjpe_px 31.3  41 frames/s  15 labels"]
