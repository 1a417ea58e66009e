"""The commands of the page can be composed as they stand, but for the weights that nobody may ship."""

from __future__ import annotations

import re
import shlex

import pytest

from pose_oad.cli.command import compose_config
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "openpose-teacher.md").read_text().replace("\\\n", " ")
ONLINE = re.findall(r"^make online (.*)$", PAGE, re.MULTILINE)
[EVALUATION] = re.findall(r"^make teacher-eval (.*)$", PAGE, re.MULTILINE)
OPTIONS = re.findall(r"`((?:teacher|training|label_cache|threads)[\w.]*=\S+)`", PAGE)


def arguments(line: str) -> dict[str, str]:
    """Read the variables of a call of make."""
    return dict(part.split("=", 1) for part in shlex.split(line))


@pytest.mark.parametrize("line", ONLINE)
def test_every_run_can_be_composed(line: str) -> None:
    cfg = compose_config("online", arguments(line)["ARGS"].split())
    name = "OpenPoseJsonTeacher" if "openpose_json" in line else "OpenPoseTeacher"
    assert cfg.teacher._target_.endswith(f".{name}")


def test_the_evaluation_can_be_composed() -> None:
    given = arguments(EVALUATION)
    cfg = compose_config("teacher_eval", [f"teacher={given['TEACHER']}", *given["ARGS"].split()])
    assert (cfg["on"], cfg.teacher.path) == ("coco", "body_pose_model.pth")


def test_every_option_that_is_named_exists() -> None:
    assert len(ONLINE) == 4
    assert len(OPTIONS) >= 7
    compose_config("online", ["teacher=openpose", *OPTIONS])
