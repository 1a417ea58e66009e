"""The configuration that a run keeps, read back: data, checked like any input, of which nothing is run or looked up."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pose_oad.cli.command import CONF, compose_config
from pose_oad.tracking.errors import UserError, reason_of

_LARGEST = 2**20  # bytes; a run's configuration has some thousand
_DEEPEST = 32  # nodes inside one another
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_config(path: Path, verb: str) -> DictConfig:
    """Read the ``config.yaml`` that a run of a command has written.

    Raises:
        UserError: if it is missing or damaged, refers to something outside of it, or does not have the keys of that
            command and of the choices made: nothing is filled in.
    """
    try:
        text = _checked(path)
        cfg = OmegaConf.load(io.StringIO(text))
        if not isinstance(cfg, DictConfig):
            raise ValueError("a list")
        values = OmegaConf.to_container(cfg, throw_on_missing=True)
    except (OSError, ValueError, RecursionError, AttributeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: damaged, or no configuration of a run ({reason_of(error)})") from error
    expected = OmegaConf.to_container(compose_config(verb))
    for fault in _faults(cast("dict[str, Any]", values), cast("dict[str, Any]", expected)):
        raise UserError(f"{path}: {fault}; expected the configuration of a run of this version's `{verb}`")
    return cfg


def _checked(path: Path) -> str:
    """Read a file of YAML without what a run never writes: aliases, which multiply, and references."""
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path.stat().st_size} bytes")
    text, depth = path.read_bytes().decode(), 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"an alias, *{event.anchor}")
        if isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            raise ValueError(f"a reference, {event.value[:80]}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} nodes inside one another")
    return text


def _faults(values: Mapping[Any, Any], expected: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Say in what a configuration differs in kind from one with the defaults."""
    for key in values:
        # Arguments of Lightning's trainer may be added.
        if key not in expected and prefix != "trainer.":
            yield f"{prefix}{key}: no such key"
    for key, usual in expected.items():
        name = f"{prefix}{key}"
        if key not in values:
            yield f"{name}: missing"
        elif isinstance(usual, dict):
            given = values[key]
            if not isinstance(given, dict):
                yield f"{name}={given}: not a node of keys"
            elif "_target_" in usual or name == "student":  # whose joint set may be a node of its own
                yield from _faults_of_choice(name, given)
            else:
                yield from _faults(given, usual, f"{name}.")
        elif not _alike(values[key], usual) and prefix != "trainer.":
            yield f"{name}={values[key]}: of another kind than {usual}"


def _faults_of_choice(group: str, given: Mapping[Any, Any]) -> Iterator[str]:
    """Say which keys a choice lacks; of a class that no choice here names, all of its keys may be left out."""
    same = [choice for choice in _choices(group) if choice.get("_target_") == given.get("_target_")]
    lacking = [sorted(choice.keys() - given.keys()) for choice in same]
    if lacking and all(lacking):
        yield f"{group}.{min(lacking, key=len)[0]}: missing"


@cache
def _choices(group: str) -> list[dict[str, Any]]:
    choices = [OmegaConf.to_container(OmegaConf.load(file)) for file in (CONF / group).glob("*.yaml")]
    # What a choice is composed of is no key of it.
    return [{key: value for key, value in cast("dict[str, Any]", one).items() if key != "defaults"} for one in choices]


def _alike(value: object, usual: object) -> bool:
    """Tell whether a value can stand where another one does; null can, and stands for anything."""
    if value is None or usual is None:
        return True
    if isinstance(usual, int | float) and not isinstance(usual, bool):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, type(usual))
