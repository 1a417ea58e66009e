from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from pose_oad.cli import command as cli
from pose_oad.cli.command import build, compose_config, run_command
from pose_oad.tracking.errors import UserError


def exit_code(argv: list[str], work=lambda cfg: None, verb: str = "online") -> int:
    work.__module__ = "pose_oad.cli.command"
    with pytest.raises(SystemExit) as stopped:
        run_command(verb, work, argv)
    return stopped.value.code


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("strategy=unifrom", "strategy=unifrom: "),
        ("ratee=0.1", "unknown config key 'ratee'; did you mean 'rate'?"),
        ("window.second=3", "unknown config key 'window.second'; did you mean 'window.seconds'?"),
        ("strateg=random", "unknown config key 'strateg'; did you mean 'strategy'?"),
        ("rate=[1", "cannot read the override 'rate=[1': expected key=value"),
        ("rate=${nothing}", "nothing"),
        ("--quiet", "unknown option --quiet"),
        ("seed=3", "seed=3: expected its keys one by one, as seed.base=3"),
        ("window=null", "window=null: expected the name of a choice"),
        ("retention=null", "retention=None: expected its keys one by one, as retention.root="),
        ("tracking=file", "tracking=file: unknown tracking; known: local-store, server"),
        ("stream.path=http://h/x?a=b", """quoted twice: "stream.path='http://h/x?a=b'\""""),
        ("modules=os", "modules=os: expected a list"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(override: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([override]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("error: ")
    assert message in out.err
    assert out.err.count("\n") == 1


def test_a_users_mistake_in_the_work_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    def work(cfg: DictConfig) -> None:
        raise UserError("stream.path=x:\n  expected   a file")

    assert exit_code([], work) == 2
    assert capsys.readouterr().err == "error: stream.path=x: expected a file\n"


def test_our_own_bugs_keep_their_traceback() -> None:
    def work(cfg: DictConfig) -> None:
        raise ZeroDivisionError

    work.__module__ = "pose_oad.cli.command"
    with pytest.raises(ZeroDivisionError):
        run_command("online", work, [])


def test_an_interrupt_ends_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    def work(cfg: DictConfig) -> None:
        raise KeyboardInterrupt

    assert exit_code([], work) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_an_interrupt_that_lightning_made_an_exit_is_one_too(capsys: pytest.CaptureFixture[str]) -> None:
    def work(cfg: DictConfig) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise SystemExit(1)  # noqa: B904  (its context is what is read)

    assert exit_code([], work) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_help_lists_choices_and_commented_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--help"]) == 0
    page = capsys.readouterr().out
    assert "strategy: all, badge, balanced_top_k, bins, confidence, coverage, disagreement, dpp, error" in page
    assert "rate: 0.10                  # share of each window's frames" in page
    for key in ("  batch_size: 16 ", "\nthreshold: 0.1 ", "\ndecoder_threads: 1 ", "\nuri: sqlite:"):  # of groups, too
        assert key in page


def test_a_choice_without_a_key_that_the_command_reads_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["window=decoded"], lambda cfg: cfg.window.seconds) == 2
    assert "window.seconds: missing" in capsys.readouterr().err


def test_cfg_prints_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--cfg", "rate=0.25", "seed.base=3"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert (shown.rate, shown.trigger.rate, shown.seed.selection, shown.teacher.seed) == (0.25, 0.25, 3, 3)


@pytest.mark.parametrize("path", sorted(cli.CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_composes(path) -> None:
    assert compose_config(path.stem)


@pytest.mark.parametrize("group", ["strategy", "student", "teacher", "stream"])
def test_every_choice_composes(group: str) -> None:
    for path in (cli.CONF / group).glob("*.yaml"):
        assert compose_config("online", [f"{group}={path.stem}"])[group]


def test_build_passes_values_and_names_what_a_class_does_not_take() -> None:
    node = OmegaConf.create({"_target_": "callbacks.strategies.sampling.Random", "min_gap": 3})
    assert build(node).min_gap == 3
    node.size = 3
    with pytest.raises(UserError, match=r"size=3: unknown key"):
        build(node)
    assert build(node, without=["size"]).min_gap == 3


@pytest.mark.parametrize(
    "target",
    [
        "os.system", "subprocess.Popen", "builtins.eval", "hydra.utils.instantiate", "",
        "pose_oad.tracking.store.subprocess.Popen", "pose_oad.cli.command.trust", "pose_oad.cli.command.get_object",
        "pose_oad",
        "pose_oadx.Thing", "callbacks.strategies.base.np.load",
    ],
)  # fmt: skip
def test_nothing_but_classes_of_this_project_is_named(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=rf"_target_={target}: expected a class of callbacks, .* modules=\[mine\]"):
        build(OmegaConf.create({"_target_": target}))


def test_a_module_that_the_command_line_names_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package.py").write_text("import os\n\n\nclass Mine:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cli, "_TRUSTED", set(cli._TRUSTED))
    node = OmegaConf.create({"_target_": "my_package.Mine"})

    def work(cfg: DictConfig) -> None:
        assert type(build(node)).__name__ == "Mine"
        with pytest.raises(UserError, match=r"_target_=my_package\.os\.system"):
            build(OmegaConf.create({"_target_": "my_package.os.system"}))

    with pytest.raises(UserError, match=r"_target_=my_package\.Mine: expected a class of"):
        build(node)
    assert exit_code(["modules=[my_package]"], work) == 0


def test_a_class_that_does_not_exist_is_named() -> None:
    with pytest.raises(UserError, match=r"_target_=pose_oad.nowhere.Thing: "):
        build(OmegaConf.create({"_target_": "pose_oad.nowhere.Thing"}))


@pytest.mark.parametrize("override", ["teacher=null", "teacher=5"])
def test_a_group_of_which_no_name_is_chosen_is_named(override: str) -> None:
    with pytest.raises(UserError, match=f"{override}: "):
        compose_config("teacher_eval", [override])


def test_a_mistyped_key_is_looked_for_among_those_of_the_choices_made() -> None:
    for stream, hint in (("live", "mean 'stream.buffer_seconds'"), ("human36m", "--help")):
        with pytest.raises(UserError, match=rf"'stream.buffer_second'.*{hint}"):
            compose_config("online", [f"stream={stream}", "stream.buffer_second=3"])


@pytest.mark.parametrize(
    ("verb", "given", "meant"),
    [
        ("online", "training.lr=1", "training.learning_rate"),
        ("pretrain", "lr=1", "optimiser.learning_rate"),
        ("online", "epochs=3", "training.epochs"),
        ("predict", "video=a.mp4", "output.video"),
        ("sweep", "study=search study.sampler.trials=3", "study.trials"),
        ("sweep", "seed=3", "study.seeds"),
    ],
)
def test_a_key_is_found_by_its_last_word_or_its_initials(verb: str, given: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"did you mean '{meant}'"):
        compose_config(verb, given.split())
