"""The shell of every command: compose the configuration, run it, turn a user's mistake into one line.

A command is a module ``pose_oad/cli/<verb>.py`` with a function ``main(cfg)`` and a file ``conf/<verb>.yaml``.
Everything in the configuration can be overridden in Hydra's syntax (``key=value``, ``group=choice``). The module is
imported when its work begins, so that ``--help`` and a mistyped key are answered at once.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, OmegaConfBaseException

from pose_oad.tracking.errors import UserError, check, meant, nearest
from pose_oad.tracking.locks import using_checkout

#: Where the configuration files live: beside the packages.
CONF = Path(__file__).resolve().parents[2] / "conf"
_SHIPPED = Path(__file__).resolve().parents[1] / "students" / "weights"

# Modules of which _target_ may name classes; a user names his own on the command line (see trust).
_TRUSTED = {"pose_oad", "datamodules", "callbacks", "optuna.samplers"}
# What stands below these is itself a key of a configuration, dots and all: a choice and a key inside it can be given
# side by side, as study.set.stream=video study.set.stream.path=my.mp4.
_DOTTED_KEYS = re.compile(r"^\+{0,2}(study\.(?:set|grid|(?:streams|tuning|arms)\.[^.=]+))\.([^=]+)=(.*)$", re.DOTALL)


def default_weights(student: str) -> str:
    """Name the weights that a student starts from where no others are named.

    Args:
        student: its name, as in ``conf/student``

    Returns:
        Those that ship with the package, as seen from the working directory where they lie below it; of a student that
        has none those that ``make pretrain`` writes.
    """
    shipped = _SHIPPED / f"{student}.safetensors"
    if not shipped.is_file():
        return f"checkpoints/{student}/best.ckpt"
    return str(shipped.relative_to(Path.cwd()) if shipped.is_relative_to(Path.cwd()) else shipped)


OmegaConf.register_new_resolver("default_weights", default_weights, replace=True)

_USAGE = """\
usage: pose-oad {verb} [key=value …] [group=choice …]

{doc}

Choices (conf/<group>/<choice>.yaml):
{groups}

Keys and their defaults (conf/{verb}.yaml, which counts, then the usual choices); --cfg prints what would run:

{keys}"""


def compose_config(verb: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the configuration ``conf/<verb>.yaml`` with Hydra overrides, and resolve every reference in it.

    Raises:
        UserError: for an override that names an unknown key or choice, cannot be parsed or does not resolve.
    """
    overrides = [_DOTTED_KEYS.sub(r"++\1={\2: \3}", override) for override in overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            cfg = compose(verb, list(overrides))
            _check_nodes(cfg, verb)
            OmegaConf.resolve(cfg)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(_explain(error, verb, overrides)) from error
        except ValueError as error:  # Hydra's word for a group of which null or a number is chosen
            groups = [override for override in overrides if (CONF / override.partition("=")[0]).is_dir()]
            raise UserError(f"{' '.join(groups)}: expected the name of a choice ({error})") from error
    return cfg


def build(node: DictConfig, *, without: Sequence[str] = (), **extra: Any) -> Any:
    """Make the object that a config node names by ``_target_``, of its keys but some, and of extra arguments.

    Raises:
        UserError: if the class does not exist, does not take one of the keys, or refuses a value: by the type that it
            declares for it (see :mod:`pose_oad.tracking.schema`), or itself.
    """
    from pose_oad.tracking.schema import build_options

    factory = factory_of(node)
    values = {key: value for key, value in plain(node).items() if key not in (*without, "_target_")}
    try:
        return build_options(factory, values, node._get_full_key(None), **extra)
    except (TypeError, ValueError) as error:  # values that do not go together, or have no types declared
        raise UserError(f"{node.get('_target_')}: cannot be made of {values} ({error})") from error


def check_keys(cfg: DictConfig, accepted: Mapping[str, Any]) -> None:
    """Hold values of a configuration against types by dotted key, see :func:`pose_oad.tracking.schema.check_value`."""
    from pose_oad.tracking.schema import check_value

    for key, kind in accepted.items():
        value = OmegaConf.select(cfg, key)
        check_value(kind, OmegaConf.to_container(value) if OmegaConf.is_config(value) else value, key)


def factory_of(node: DictConfig) -> type:
    """Return the class that a config node names by ``_target_``.

    Raises:
        UserError: if there is none of that name, or it is none of this project and of no module that a user named: a
            configuration can come from a file or a store, and what it names is run.
    """
    target = str(node.get("_target_"))
    accepted = f"a class of {', '.join(sorted(_TRUSTED))} or of a module named on the command line, as modules=[mine]"
    check(any(target.startswith(f"{module}.") for module in _TRUSTED), "_target_", target, accepted)
    try:
        found = get_object(target)
    except Exception as error:  # whatever importing it raised, the name in the config is what led there
        raise UserError(f"_target_={target}: cannot be imported ({error})") from error
    # Not what a module of these has merely imported, as pose_oad.tracking.store.subprocess.Popen.
    own = isinstance(found, type) and found.__module__.partition(".")[0] == target.partition(".")[0]
    check(own, "_target_", target, accepted)
    return cast("type", found)


def trust(modules: Sequence[str]) -> None:
    """Let ``_target_`` name classes of further modules, in this process. Never of what a file or a store says."""
    from pose_oad.tracking.schema import Text, check_value

    _TRUSTED.update(check_value(list[Text], list(modules) if OmegaConf.is_list(modules) else modules, "modules"))


def plain(node: DictConfig) -> dict[str, Any]:
    """Return a config node as plain Python values by key, references resolved."""
    values = OmegaConf.to_container(node, resolve=True)
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def run_command(
    verb: str, main: Callable[[DictConfig], object], argv: Sequence[str] | None = None, doc: str | None = None
) -> NoReturn:
    """Run a command line, by default the process's own, to its end: help, configuration, the work, the exit code.

    Exit codes: 0 done, 2 a mistake of the user (one line on stderr), 130 interrupted; a traceback is a bug of ours.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if any(arg in ("-h", "--help") for arg in argv):
            sys.stdout.write(help_text(verb, doc or sys.modules[main.__module__].__doc__ or ""))
            sys.exit(0)
        flags = [arg for arg in argv if arg.startswith("-")]
        if set(flags) - {"--cfg"}:
            raise UserError(f"unknown option {flags[0]}: options are written key=value; see --help")
        cfg = compose_config(verb, [arg for arg in argv if arg != "--cfg"])
        if "--cfg" in argv:
            sys.stdout.write(OmegaConf.to_yaml(cfg))
            sys.exit(0)
        trust(cfg.get("modules", []))
        with using_checkout():
            main(cfg)
    except UserError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except ConfigAttributeError as error:
        sys.stderr.write(f"error: {error.full_key}: missing in what was chosen; --help lists the choices\n")
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.stderr.write(f"error: {error.filename or verb}: cannot be written ({os.strerror(error.errno)})\n")
        sys.exit(2)
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as stop:
        # Lightning's trainer turns an interrupt into exit code 1.
        if isinstance(stop.__context__, KeyboardInterrupt):
            _interrupted()
        raise
    sys.exit(0)


def _interrupted() -> NoReturn:
    sys.stderr.write("interrupted\n")
    sys.exit(130)


def _check_nodes(cfg: DictConfig, verb: str) -> None:
    """Refuse a value in the place of a node that has keys of its own."""
    given: Any = OmegaConf.to_container(cfg)
    nodes: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{verb}.yaml"))
    for key, node in nodes.items():
        if isinstance(node, dict) and not isinstance(given[key], dict):
            one = f"{key}.{next(iter(node))}={given[key]}"
            raise UserError(f"{key}={given[key]}: expected its keys one by one, as {one}")


def help_text(verb: str, doc: str) -> str:
    """Return the help page of a command: its docstring, its choices, its commented keys and those of usual choices."""
    keys = (CONF / f"{verb}.yaml").read_text()
    usual = re.findall(r"^\s*- (?:override )?/?([\w@]+)\s*: *(\S*)", keys, flags=re.MULTILINE)
    groups = {group: _choices(group.partition("@")[0]) for group, _ in usual}
    listed = "\n".join(f"  {group}: {', '.join(choices)}" for group, choices in groups.items()) or "  (none)"
    keys += "".join(_keys_of(group, choice) for group, choice in usual if choice in groups[group])
    return _USAGE.format(verb=verb, doc=doc.strip(), groups=listed, keys=keys)


def _keys_of(group: str, choice: str) -> str:
    """Return the commented keys of a choice, below those of the choices that it begins with."""
    folder, _, package = group.partition("@")
    text = (CONF / folder / f"{choice}.yaml").read_text()
    base = re.findall(r"^  - (\w+)$", re.sub("_self_", "", text), flags=re.MULTILINE)
    own = re.sub(r"^defaults:\n(?:  - .*\n)+", "", text, flags=re.MULTILINE)
    return "".join(_keys_of(group, name) for name in base) + f"\n# {package or folder}: {choice}\n{own}"


def _choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group.strip("/")).glob("*.yaml"))


def _explain(error: Exception, verb: str, overrides: Sequence[str]) -> str:
    """Say in one line what was wrong with an override, with the nearest name that exists."""
    text = str(error)
    if isinstance(error, MissingConfigException):
        missing = str(error.missing_cfg_file or "")
        group, _, choice = missing.removesuffix(".yaml").rpartition("/")
        return f"{group}={choice}: unknown {group or 'config'}{nearest(choice, _choices(group))}"
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown.group(1)
        with_choices = _known_keys(verb, overrides)
        if key in with_choices:
            return f"{key}: {text.splitlines()[-1]}"
        close = " or ".join(f"'{name}'" for name in meant(key, with_choices))
        return f"unknown config key '{key}'; {f'did you mean {close}?' if close else 'see --help for the keys'}"
    if isinstance(error, OverrideParseException):
        key, _, value = str(error.override).partition("=")
        hint = f"""; a value with signs such as = or , is quoted twice: "{key}='{value}'\"""" if key and value else ""
        return f"cannot read the override '{error.override}': expected key=value{hint}"
    return " ".join(text.split())


def _known_keys(verb: str, overrides: Sequence[str]) -> list[str]:
    """List the keys there are with the choices that a command line makes: another choice has other keys."""
    pairs = [override.partition("=") for override in overrides]
    chosen = [f"{group}={choice}" for group, _, choice in pairs if (CONF / group / f"{choice}.yaml").is_file()]
    return list(_walk(OmegaConf.to_container(compose(verb, chosen))))


def _walk(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield f"{prefix}{key}"
            yield from _walk(child, f"{prefix}{key}.")
