from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import pytest

from datamodules.synthetic import generate as module
from datamodules.synthetic.generate import MARKER, World, generate
from datamodules.synthetic.plan import Recordings
from pose_oad.tracking.errors import UserError
from tests.datamodules.synthetic.conftest import TINY


def annotation_bytes(root: Path) -> dict[str, bytes]:
    files = [*root.rglob("*.json"), *root.rglob("*.cdf")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_other_processes_give_the_same_bytes_and_the_same_pictures(tiny_world: Path, tmp_path: Path) -> None:
    assert generate(TINY, tmp_path / "again", workers=2)
    assert annotation_bytes(tmp_path / "again") == annotation_bytes(tiny_world)
    for folder in ("train2017", "val2017"):
        for path in (tiny_world / "coco" / folder).iterdir():
            assert path.read_bytes() == (tmp_path / "again" / "coco" / folder / path.name).read_bytes()


def test_another_seed_gives_other_annotations(tiny_world: Path, tmp_path: Path) -> None:
    small = dataclasses.replace(TINY, seed=1)
    generate(small, tmp_path / "other", workers=0)
    first, second = annotation_bytes(tiny_world), annotation_bytes(tmp_path / "other")
    assert all(first[name] != second[name] for name in first.keys() & second.keys())


def test_the_same_world_is_not_made_twice(tiny_world: Path) -> None:
    before = (tiny_world / MARKER).stat().st_mtime_ns
    assert not generate(TINY, tiny_world, workers=0)
    assert (tiny_world / MARKER).stat().st_mtime_ns == before


def test_another_world_is_replaced_only_when_asked(tmp_path: Path) -> None:
    one = World(train_images=1, val_images=1, image_size=64, recordings=(Recordings("S1", 1, 2),), frame_size=64,
                cameras=("55011271",))  # fmt: skip
    generate(one, tmp_path / "world", workers=0)
    two = dataclasses.replace(one, train_images=2)
    with pytest.raises(UserError, match=r"train_images=1.*overwrite=true"):
        generate(two, tmp_path / "world", workers=0)
    assert generate(two, tmp_path / "world", workers=0, overwrite=True)
    assert len(list((tmp_path / "world" / "coco" / "train2017").iterdir())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["world", "world.lock"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_else_is_never_touched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="root="):
        generate(TINY, tmp_path, workers=0, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_interrupted_run_leaves_no_world_and_the_next_one_starts_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(root: Path) -> Path:
        raise KeyboardInterrupt

    root = tmp_path / "world"
    one = dataclasses.replace(TINY, train_images=1, val_images=1, recordings=TINY.recordings[:1], cameras=("55011271",))
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_contact_sheet", interrupt)
        with pytest.raises(KeyboardInterrupt):
            generate(one, root, workers=0)
    assert not root.exists()
    assert generate(one, root, workers=0)
    assert not (tmp_path / "world.partial").exists()


def test_progress_counts_up_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    one = dataclasses.replace(TINY, train_images=1, val_images=1, recordings=TINY.recordings[:1], cameras=("55011271",))
    generate(one, tmp_path / "world", workers=0, progress=lambda done, total: seen.append((done, total)))
    total = seen[-1][1]
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_the_record_and_the_contact_sheet_are_there(tiny_world: Path) -> None:
    record = json.loads((tiny_world / MARKER).read_text())
    assert record["frame_size"] == 96
    assert record["cameras"] == ["54138969", "55011271"]
    sheet = cv2.imread(str(tiny_world / "contact_sheet.png"))
    assert sheet.shape[1] == 1920
    assert sheet.std() > 20


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cameras", ("1234",)), ("cameras", ()), ("cameras", ("55011271", "55011271")),
        ("recordings", (Recordings("S1", 30, 2), Recordings("S1", 1, 9))),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(UserError, match=f"^{key}="):
        dataclasses.replace(TINY, **{key: value})


def test_a_world_may_lack_either_domain_but_not_both(tmp_path: Path) -> None:
    streams = dataclasses.replace(TINY, train_images=0, val_images=0, recordings=(Recordings("S6", 1, 2),))
    generate(streams, tmp_path / "streams", workers=0)
    assert not (tmp_path / "streams" / "coco").exists()
    generate(dataclasses.replace(TINY, train_images=2, val_images=1, recordings=()), tmp_path / "pictures", workers=0)
    assert not (tmp_path / "pictures" / "human36m").exists()
    for root in ("streams", "pictures"):
        assert cv2.imread(str(tmp_path / root / "contact_sheet.png")) is not None
    with pytest.raises(UserError, match=r"^recordings="):
        World(train_images=0, val_images=0, recordings=())
