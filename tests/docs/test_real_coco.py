"""The page on COCO: its JSON is read, its commands are composed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datamodules.coco.annotation_file import read_coco
from pose_oad.cli.command import CONF, compose_config

PAGE = (CONF.parent / "docs" / "real-coco.md").read_text()


def test_the_example_is_read(tmp_path: Path) -> None:
    [example] = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "train.json").write_text(example)
    file = read_coco(tmp_path / "train.json")
    skeleton = file.category.joint_set()
    assert skeleton.joints == ("nose", "withers", "tail", "left_hoof", "right_hoof")
    assert skeleton.limb_names[-1] == ("withers", "right_hoof")
    assert file.people[0].area == pytest.approx(0.53 * 310 * 340)


def test_the_commands_can_be_composed() -> None:
    whole, own = re.findall(r'make pretrain STUDENT=(\w+)[ \\\n]+ARGS="(.*?)"', PAGE, re.DOTALL)
    cfg = compose_config("pretrain", [f"student={whole[0]}", *whole[1].split()])
    assert (cfg.student.name, cfg.data.root, cfg.trainer.max_epochs) == ("resnet18", "/data/coco", 250)
    assert (cfg.data.batch_size, cfg.augmentation.scale) == (32, [0.5, 2.0])
    cfg = compose_config("pretrain", [f"student={own[0]}", *own[1].replace("\\\n", " ").split()])
    assert (cfg.data.val, cfg.student.skeleton) == ("val.json", "data")
    for arguments in re.findall(r"python -m pose_oad\.evaluate (.*)", PAGE):
        assert compose_config("evaluate", arguments.split())["on"] == "coco"
    [arguments] = re.findall(r'make online ARGS="(.*?)"', PAGE, re.DOTALL)
    cfg = compose_config("online", arguments.replace("\\\n", " ").split())
    assert cfg.checkpoint == "checkpoints/horse/best.ckpt"


@pytest.mark.parametrize("row", re.findall(r"^\| .* \| `(data\.train=[^`]*)`", PAGE, re.MULTILINE))
def test_the_keys_of_other_sets_exist(row: str) -> None:
    assert compose_config("pretrain", row.split()).data.train
