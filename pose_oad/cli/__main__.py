"""``pose-oad <command> [key=value …]``: find the command and hand its arguments over.

``python -m pose_oad.cli <command>`` is the same.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import NoReturn

from pose_oad import __version__

#: What each command does; its page is ``pose-oad <command> --help``.
COMMANDS = {
    "data": "make the embedded data set, or prepare what you own",
    "pretrain": "pre-train a student on COCO keypoints",
    "adapt": "adapt a student to a video of one's own",
    "online": "run a stream: choose, label, distil",
    "live": "serve a camera, and keep adapting",
    "finetune": "choose in videos, train on all, test on other people",
    "sweep": "run a study, or go on with it",
    "report": "tables, figures and a page of a study",
    "strategies": "list query strategies and triggers with source and cost",
    "look": "open the page of a run",
    "frames": "write frames of a run to be corrected",
    "replay": "do a run again and compare",
    "sync": "deliver records that the tracking store could not take",
    "predict": "draw poses into a video and write them to a file",
    "evaluate": "errors of checkpoints",
    "teacher-eval": "a teacher's errors",
    "profile": "measure what labels, steps and frames take on this machine",
    "export": "write a student as an ONNX file or trt_pose's .pth",
}


def main(argv: list[str] | None = None) -> NoReturn:
    """Run a command line; exit codes are those of :func:`pose_oad.cli.command.run_command`."""
    verb, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("-h", "--help"):
        listed = "\n".join(f"  {name:13} {what}" for name, what in COMMANDS.items())
        sys.stdout.write(
            f"usage: pose-oad <command> [key=value …]\n\n{listed}\n\nEvery key: pose-oad <command> --help\n"
            'Completion in bash: eval "$(pose-oad --completion)"\n'
        )
        sys.exit(0)
    if verb == "--version":
        sys.stdout.write(f"pose-oad {__version__}\n")
        sys.exit(0)
    if verb in ("--completion", "--complete"):
        from pose_oad.cli.completion import SCRIPT, offers

        sys.stdout.write(SCRIPT if verb == "--completion" else "".join(f"{one}\n" for one in offers(rest[0], COMMANDS)))
        sys.exit(0)
    if verb not in COMMANDS:
        from pose_oad.tracking.errors import nearest

        sys.stderr.write(f"error: unknown command '{verb}'{nearest(verb, COMMANDS)}\n")
        sys.exit(2)
    from pose_oad.cli.command import run_command

    module = verb.replace("-", "_")
    doc = ast.get_docstring(ast.parse(Path(__file__).with_name(f"{module}.py").read_text()))
    run_command(module, lambda cfg: importlib.import_module(f"pose_oad.cli.{module}").main(cfg), rest, doc)


if __name__ == "__main__":
    main()
