from __future__ import annotations

import pytest
import torch

from callbacks.timing import peak_memory, peak_resident


def test_memory_of_a_run_on_the_processor_is_not_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: 7 * 2**20)
    assert peak_memory(torch.device("cpu")) == pytest.approx(peak_resident(), rel=0.01)
    assert peak_memory(torch.device("cuda", 0)) == 7
