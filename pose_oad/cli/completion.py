"""What a shell offers behind a half-typed command line: commands, keys, choices.

``eval "$(pose-oad --completion)"`` in ``.bashrc`` makes bash ask for it; zsh needs ``autoload -U bashcompinit;
bashcompinit`` before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from omegaconf import DictConfig, OmegaConf

#: Bash breaks words at "=", and wants what stands behind it alone; files are its own affair.
SCRIPT = r"""_pose_oad() {
  local line=${COMP_LINE:0:COMP_POINT} IFS=$'\n'
  local word=${line##* }
  COMPREPLY=($(pose-oad --complete "$line"))
  if [[ $COMP_WORDBREAKS == *=* ]]; then COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}"); fi
}
complete -o nospace -o default -F _pose_oad pose-oad
"""


def offers(line: str, commands: Iterable[str]) -> list[str]:
    """List what the last word of a command line can become; the line is that up to the cursor."""
    _, *before, word = line.lstrip().split(" ")
    before = [each for each in before if each]
    known = [f"{command} " for command in commands] if not before else _of_command(before[0], before[1:], word)
    return sorted(offer for offer in known if offer.startswith(word))


def _of_command(command: str, given: Sequence[str], word: str) -> list[str]:
    """List keys up to their next dot, or the choices of the group or the switch whose value is being typed."""
    from pose_oad.cli.command import CONF, compose_config
    from pose_oad.tracking.errors import UserError

    verb = command.replace("-", "_")
    if not (CONF / f"{verb}.yaml").is_file():
        return []
    try:
        cfg = compose_config(verb, [each for each in given if "=" in each])
    except UserError:  # what is mistyped further left is said when the line is run
        cfg = compose_config(verb)
    key, equals, _ = word.partition("=")
    if equals:
        values = [path.stem for path in (CONF / key).glob("*.yaml")] or (
            ["true", "false"] if isinstance(OmegaConf.select(cfg, key), bool) else []
        )
        return [f"{key}={value} " for value in values]
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if not isinstance(node, DictConfig):
        return []
    names = {f"{parent}.{name!s}" if parent else str(name): node[name] for name in node}
    groups = [f"{name}=" for name in names if (CONF / name).is_dir()]
    return groups + [f"{name}." if isinstance(value, DictConfig) else f"{name}=" for name, value in names.items()]
