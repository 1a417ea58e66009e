"""The recipes do what they say: their code is taken from the pages and run."""

from __future__ import annotations

import copy
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf

import callbacks.strategies
import pose_oad
import pose_oad.teachers
from callbacks.strategies.sampling import Uniform
from pose_oad import api
from pose_oad.cli.command import CONF, build, compose_config
from pose_oad.online.batch import LabelledBatch
from pose_oad.online.learner import Learner
from pose_oad.online.loop import Loop
from pose_oad.online.options import TrainingOptions
from pose_oad.students import StudentConfig, build_student, load_student
from pose_oad.teachers.base import TeacherRequest
from pose_oad.tracking.errors import UserError
from tests.media import counting_frames, write_video
from tests.windows import make_loop, make_window, play

DOCS = CONF.parent / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def make_module(name: str, code: str, package: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Put code where the page says it goes."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(package, name.rpartition(".")[2], module, raising=False)
    exec(compile(code, name, "exec"), module.__dict__)
    return module


def test_add_a_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    code, test = blocks("add-a-strategy.md", "python")
    [config] = blocks("add-a-strategy.md", "yaml")
    module = make_module("callbacks.strategies.motion", code, callbacks.strategies, monkeypatch)
    scope: dict = {}
    exec(compile(test, "test_motion", "exec"), scope)
    scope["test_the_frame_that_differs_is_chosen"]()
    cfg = OmegaConf.merge({"seed": {"selection": 7}}, {"strategy": OmegaConf.create(config)})
    strategy = build(cfg.strategy)
    assert isinstance(strategy, module.Motion)
    assert (strategy.seed, strategy.name) == (7, "motion")


def test_add_a_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of windows of ten frames, one a second: the third gets all labels, which serve 3.1 s after its end."""
    homes = {"triggers": "every", "clocks": "steady", "weights": "near"}
    for (package, name), code in zip(homes.items(), blocks("add-a-trigger.md", "python"), strict=True):
        full = f"pose_oad.online.{package}"
        make_module(f"{full}.{name}", code, importlib.import_module(full), monkeypatch)
    texts = dict(zip(homes, blocks("add-a-trigger.md", "yaml"), strict=True))
    nodes = OmegaConf.create({"rate": 0.1, **{kind: OmegaConf.create(text) for kind, text in texts.items()}})

    def loop() -> Loop:
        made = make_loop(strategy=Uniform(), unit="steps", steps=50)
        made.trigger, made.clock, made.weights = (build(nodes[kind]) for kind in homes)
        made.weights.started(made.learner.student)
        return made

    played = loop()
    records = play(played, *(make_window(10, index=index) for index in range(4)))
    assert [len(record.choice.positions) for record in records] == [0, 0, 3, 0]
    assert records[2].ready_s == pytest.approx(30 + 3 * 0.2 + 50 * 0.05)
    again = loop()
    again.trigger.load_state_dict(played.trigger.state_dict())
    assert again.trigger.state_dict() == {"saved": pytest.approx(1.0)}
    played.weights.distance = 0.0
    [refused] = play(played, make_window(10, index=5))
    assert (refused.training.made, refused.ready_s) == (True, None)


def test_add_a_learning_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage is built from its file, and a student learns with all of them; a resumed one ends with its weights."""
    homes = {"memory": "newest", "regularisers": "bounded", "averaging": "window_mean", "objectives": "joints_only"}
    codes = blocks("add-a-learning-stage.md", "python")
    for (package, name), code in zip(homes.items(), codes, strict=True):
        full = f"pose_oad.online.{package}"
        make_module(f"{full}.{name}", code, importlib.import_module(full), monkeypatch)
    nodes = [OmegaConf.create(text) for text in blocks("add-a-learning-stage.md", "yaml")]
    nodes[0].frames = 5

    def learner() -> Learner:
        torch.manual_seed(0)
        student = build_student(StudentConfig("small", "mobilenetv4_conv_small_050", input_size=(32, 32)))
        memory, regulariser, average, objective = map(build, nodes)
        options = TrainingOptions(epochs=1, batch_size=4, new_share=0.5, batch_norm="frozen")
        made = Learner(student, options, objective, memory, regulariser, average)
        made.average.serving(student)
        return made

    def learn(at: Learner, window: int) -> None:
        optimizer = torch.optim.SGD(at.student.parameters(), lr=0.1)

        def optimise(loss: torch.Tensor) -> None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        torch.manual_seed(window)
        keypoints = torch.rand(3, 1, 12, 3) * 32
        known, limbs = (
            torch.ones(3, 12, dtype=torch.bool),
            torch.ones(3, len(at.student.skeleton.limbs), dtype=torch.bool),
        )
        frames = torch.randint(255, (3, 32, 32, 3), dtype=torch.uint8)
        batch = LabelledBatch(frames, keypoints, known, limbs, torch.arange(3))
        at.learn(batch, window, optimise)
        at.keep(batch)

    whole, again = learner(), learner()
    learn(whole, 0)
    learn(whole, 1)
    assert len(whole.memory) == 5
    state, weights = copy.deepcopy(whole.state_dict()), copy.deepcopy(whole.student.state_dict())
    learn(whole, 2)
    again.load_state_dict(state)
    again.student.load_state_dict(weights)
    learn(again, 2)
    ends = [at.average.serving(at.student).state_dict() for at in (whole, again)]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
    assert any(not torch.equal(value, whole.student.state_dict()[key]) for key, value in ends[0].items())


@pytest.fixture
def labels(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "labels.npy"
    np.save(path, np.arange(10 * 2 * 17 * 3, dtype=np.float32).reshape(10, 2, 17, 3))
    return path


def test_add_a_teacher(labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = blocks("add-a-teacher.md", "python")
    [config] = blocks("add-a-teacher.md", "yaml")
    make_module("pose_oad.teachers.file", code, pose_oad.teachers, monkeypatch)
    node = OmegaConf.create(config)
    node.path = str(labels)
    teacher = build(node, without=["every"])
    assert teacher.image_size((64, 48)) is None
    answer = teacher.label(TeacherRequest(np.array([3, 8]), None, (64, 48)))
    assert answer.keypoints.shape == (2, 2, 17, 3)
    assert torch.equal(answer.keypoints, torch.from_numpy(np.load(labels)[[3, 8]]))
    node.skeleton = "body-12"
    with pytest.raises(UserError, match=r"path=.*\(frames, people, 12, 3\); .*\(10, 2, 17, 3\)"):
        build(node, without=["every"])


@pytest.mark.slow
def test_the_library(student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path("my.mp4"), counting_frames(30, 96))
    looking, running = blocks("library.md", "python")
    names: dict = {}
    exec(compile(looking, "library", "exec"), names)
    assert names["poses"].keypoints.shape[1:] == (12, 3)
    assert Path("frame.png").is_file()
    tiny = {"window.seconds": None, "window.frames": 15, "training.epochs": 1, "trainer.accelerator": "cpu",
            "threads": 1, "output.samples": 1, "output.figures": False, "metric.teacher_every": 5}  # fmt: skip

    def small(student: str, stream: str, **given: object) -> object:
        assert given.pop("teacher") == "teacher.onnx"
        return api.adapt(student, stream, teacher=student_checkpoint, options=tiny, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(pose_oad, "adapt", small, raising=False)
    exec(compile(running, "library", "exec"), names)
    assert load_student("adapted.ckpt").input_size == (160, 160)


COMMANDS = [*sorted(DOCS.glob("*.md")), CONF.parent / "README.md"]


@pytest.mark.parametrize("page", COMMANDS, ids=lambda path: path.name)
def test_every_make_target_and_study_in_the_pages_exists(page: Path) -> None:
    makefile = (CONF.parent / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    studies = {path.stem for path in (CONF / "study").glob("*.yaml")}
    text = page.read_text()
    for target in re.findall(r"\bmake ([a-z-]+)\b(?= *(?:[A-Z]+=|ARGS|`|\n|#))", text):
        assert target in targets, target
    for command in re.findall(r"make sweep.*", text):
        for study in re.findall(r"STUDY=(\w+)", command):
            assert study in studies, study


@pytest.mark.parametrize("page", COMMANDS, ids=lambda path: path.name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_the_site_shows_every_page_once() -> None:
    site = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text())
    listed = [page for section in site["nav"] for pages in section.values() for page in pages]
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_the_study_of_the_strategy_recipe_can_be_composed() -> None:
    page = (DOCS / "add-a-strategy.md").read_text()
    [arguments] = re.findall(r'make sweep STUDY=compare_strategies ARGS="(.*)"', page)
    cfg = compose_config("sweep", ["study=compare_strategies", *arguments.split()])
    assert cfg.study.grid.strategy == ["random", "uniform", "motion"]
    assert cfg.folder == "runs/studies/with_motion"


def test_the_study_on_several_machines_can_be_composed() -> None:
    page = (DOCS / "several-machines.md").read_text()
    [study, workers, arguments] = re.findall(r'make sweep STUDY=(\w+) WORKERS=(\d+) \\\n +ARGS="(.*)"', page)[0]
    cfg = compose_config("sweep", [f"study={study}", f"workers={workers}", *arguments.split()])
    assert cfg.workers == 4
    assert cfg.storage.startswith("postgresql+psycopg://")
    assert (cfg.tracking.uri, cfg.tracking.artifacts) == ("http://hub:5000", None)
    [report] = re.findall(r'make report STUDY=\w+ ARGS="(.*)"', page)
    assert compose_config("report", report.split()).tracking.uri == "http://hub:5000"
