"""What a consumer of poses holds, and what a run says of the time."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from callbacks.latency import Latency
from pose_oad.metrics.keypoints import MissingRule, joint_errors
from pose_oad.metrics.latency import highest_rate, serve, verdict
from pose_oad.online.clocks import Charge, Device, ProfileClock
from pose_oad.online.measurement import Measured
from pose_oad.online.record import WindowRecord
from pose_oad.report.time_line import time_line
from tests.windows import make_window, record_of

DEVICE = Device("slow", "estimate", "none", 1.5, 0.0, 0.0)


def record(index: int, charge: Charge | None, predictions: torch.Tensor) -> WindowRecord:
    """Four frames, one a second; everybody is at the place of the frame's number, in px."""
    window = make_window(4, index=index)
    truth = torch.ones(4, 12, 3) * torch.from_numpy(window.ids).view(4, 1, 1)
    truth[..., 2] = 1
    errors = joint_errors(predictions, truth, MissingRule())
    joints = errors.counted.sum(1).numpy()
    measured = Measured(
        predictions, window.ids, errors.per_frame().numpy(), joints, errors, truth, window.metric_scale, None
    )
    return record_of(window, measured, [0, 1], charge=charge)


def followed(index: int, offset: float = 0.0) -> torch.Tensor:
    """Predict each frame's place, so far off along x."""
    found = torch.ones(4, 12, 3) * torch.arange(4 * index, 4 * index + 4).view(4, 1, 1)
    found[..., 0] += offset
    found[..., 2] = 1
    return found


def test_the_newest_frame_is_taken_whenever_the_student_is_free() -> None:
    arrivals = np.arange(4.0)
    served = serve(arrivals, 4.0, 1.5, 0.0)
    assert (served.positions.tolist(), served.finished_s.tolist()) == ([0, 1, 3], [1.5, 3.0, 4.5])
    # busy until 5.5: the frame of 4 is passed over for that of 5
    assert serve(arrivals + 4, 8.0, 1.5, 5.5).positions.tolist() == [1, 3]
    assert serve(arrivals, 4.0, 9.0, 0.0).positions.tolist() == [0]
    assert serve(arrivals, 4.0, 9.0, 9.0).positions.tolist() == []
    assert serve(arrivals, 4.0, 0.0, 0.0).positions.tolist() == [0, 1, 2, 3]


def test_the_pose_that_is_held_is_measured_against_the_frame_of_now() -> None:
    """Poses of frames 0, 1 and 3 are there at 1.5, 3 and 4.5: held are none, none, 0, 1; then 1, 3, 4, 5."""
    watching = Latency(ProfileClock(DEVICE, 4), MissingRule())
    first = watching.window_closed(record(0, Charge(5.0, 4.0, {"train": 1.0}), followed(0)))
    assert first["latency/smpjpe_px"] == pytest.approx(2 * 2**0.5)
    assert (first["latency/age_s"], first["latency/frames_skipped"]) == (2.0, 1)
    again = Latency(ProfileClock(DEVICE, 4), MissingRule())
    file = io.BytesIO()
    torch.save(watching.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    second = again.window_closed(record(1, None, followed(1)))
    # outputs begin at 4.5 (frame 4), 6 (frame 6), 7.5 (frame 7): finished at 6, 7.5, 9
    assert second["latency/age_s"] == pytest.approx(np.mean([3, 2, 2, 3]))
    assert second["latency/dropped"] == 1.0
    summary = again.summary()
    assert summary["latency/frames_before_first_pose"] == 2
    assert [summary[f"latency/windows{part}"] for part in ("", "_ready", "_dropped")] == [2, 1, 1]
    assert summary["latency/staleness_px"] == summary["latency/smpjpe_px"] > 0


def test_without_delay_nothing_is_stale() -> None:
    watching = Latency(ProfileClock(replace(DEVICE, student_s=0.0), 4), MissingRule())
    figures = watching.window_closed(record(0, Charge(4.0, 4.0), followed(0, offset=3.0)))
    assert (figures["latency/smpjpe_px"], figures["latency/staleness_px"], figures["latency/age_s"]) == (3.0, 0.0, 0.0)


def test_a_run_says_what_the_device_keeps_up_with() -> None:
    clock = ProfileClock(replace(DEVICE, teacher_s=0.5, train_frame_s=0.1, select_s=1.0, watts=10.0), 5)
    watching = Latency(clock, MissingRule())
    charges = [Charge(*start, clock.parts(_work), {"up": 2e6}, 30.0) for start in ((7.0, 4.0), (14.5, 8.0))]
    rows = []
    for index, charge in enumerate(charges):
        of = record(index, charge, followed(index))
        rows.append({"latency/dropped": 0.0} | watching.window_closed(of))
    summary = watching.summary()
    # a window of 4 s: 1 s to choose, and (1 + 1) s for two labels
    assert (summary["latency/windows_ready"], summary["latency/windows_late"]) == (1, 1)
    assert (summary["latency/slack_s"], summary["latency/smallest_slack_s"]) == (-0.75, -2.5)
    assert (summary["latency/up_mb"], summary["latency/joules"]) == (4.0, 60.0)
    assert summary["latency/highest_rate"] == pytest.approx(3 / (1.0 * 4))
    assert "1 of 2" in verdict(summary)
    assert len(time_line(rows, "run").axes) == 1
    assert [highest_rate(10, 100, fixed, each) for fixed, each in ((0, 0.2), (11, 0.2), (5, 0.0), (0, 0.01))] == [
        0.5, 0.0, 1.0, 1.0,
    ]  # fmt: skip


class _Work:
    steps, asked, seconds = 2, 2, {}  # type: ignore[var-annotated]


_work = _Work()
