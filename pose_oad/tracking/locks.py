"""Who works on what: a file is locked as long as a process makes or uses something, and says which process it is.

The operating system takes a lock away however its holder dies.
``python -m pose_oad.tracking.locks [--wait] PLACE COMMAND …`` runs a command while nobody else holds a place; it needs
nothing but Python's standard library.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pose_oad.tracking.errors import UserError

#: Held in common by every command that runs, and alone by ``make clean``.
CHECKOUT = Path(__file__).resolve().parents[2] / ".commands"


@contextmanager
def holding(place: Path, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a place, by a lock on a file beside it.

    Args:
        place: what is made or used; need not exist
        shared: whether others may hold it in common
        wait: whether to wait for others, who are named on stderr, instead of refusing

    Raises:
        UserError: if another process holds it, which is named.
        OSError: if the file beside it cannot be made.
    """
    path = place.with_name(f"{place.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        alone = _locked(file.fileno(), fcntl.LOCK_EX)
        if not alone and wait:
            sys.stderr.write(f"{place}: waiting for {_holders(path)}\n")
            fcntl.flock(file, fcntl.LOCK_EX)
            alone = True
        if alone:
            file.truncate(0)
        if not (_locked(file.fileno(), fcntl.LOCK_SH, patience=1.0) if shared else alone):
            raise UserError(f"{place}: held by {_holders(path)}; expected nobody else to be at work on it")
        with suppress(OSError):  # as on a full disk: the lock holds without a name, too
            os.write(file.fileno(), f"{os.getpid()} {_command()}\n".encode())
        yield


@contextmanager
def using_checkout() -> Iterator[None]:
    """Keep ``make clean`` away; where no file can be made, as in a read-only checkout, there is nothing to keep."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(holding(CHECKOUT, shared=True))
        yield


def _locked(descriptor: int, kind: int, patience: float = 0.0) -> bool:
    """Take a lock, perhaps with patience (s) for the moment in which one who will share it is alone."""
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if patience <= 0:
                return False
            patience -= 0.1
            time.sleep(0.1)
        else:
            return True


def _holders(path: Path) -> str:
    """Name the processes that a lock file lists and that live."""
    entries = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
    alive = [f"process {pid} ({verb})" for pid, verb in entries if _lives(int(pid))]
    return ", ".join(alive) or "another process"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def _command() -> str:
    """Name what this process does: the command behind ``pose-oad``, else its program."""
    program, *arguments = sys.argv
    own = Path(program).stem in ("__main__", "pose-oad")
    return arguments[0] if own and arguments else Path(program).stem


if __name__ == "__main__":
    waits, (target, *command) = sys.argv[1] == "--wait", sys.argv[1 + (sys.argv[1] == "--wait") :]
    try:
        with holding(Path(target), wait=waits):
            sys.exit(subprocess.run(command, check=False).returncode)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
