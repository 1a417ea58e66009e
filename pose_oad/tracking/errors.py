"""The one exception a command turns into a single line and exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_SHOWN = 30  # names in a message


class UserError(Exception):
    """A mistake in the input that its author can mend: a config value, a file, a combination of choices.

    The message is one line that names the config key or the file, the value it had and what would be accepted.
    Commands print it and exit with code 2; anything else that escapes a command is a bug and keeps its traceback.
    """


class RefusedError(ValueError):
    """An argument that its type allows and its object cannot use: with others, or for want of a file.

    Whoever builds the object of a configuration knows the argument's key; the object does not.

    Args:
        name: of the argument
        value: what it was
        accepted: what would be accepted, in a few words
    """

    def __init__(self, name: str, value: object, accepted: str) -> None:
        self.name = name
        super().__init__(f"{name}={value}: expected {accepted}")


class UnwritableError(UserError):
    """A file cannot be written, as on a full disk."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Phrase the names closest to a mistyped one, or else what is known, for the end of an error message."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    shown = known if len(known) <= _MOST_SHOWN else [*known[:_MOST_SHOWN], f"… ({len(known)} in all)"]
    return f"; known: {', '.join(shown)}" if known else ""


def meant(key: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Find the dotted keys that a mistyped one may mean: they end in its last word or its initials, or look like it.

    Args:
        key: as ``training.lr``
        known: the keys there are, as ``training.learning_rate``
        most: how many are named

    Returns:
        The likeliest ones, best first.
    """
    last, found = key.rpartition(".")[2], dict[str, float]()
    for name in known:
        word = name.rpartition(".")[2]
        initials = "".join(part[:1] for part in word.split("_"))
        whole, ends = (difflib.SequenceMatcher(None, a, b).ratio() for a, b in ((key, name), (last, word)))
        named = word == last or (initials == last and len(last) > 1)
        if named or whole >= 0.8 or ends >= 0.85:
            found[name] = whole + ends + named
    ranked = sorted(found, key=lambda name: (-found[name], name))
    return [name for name in ranked[:most] if found[name] >= 0.9 * found[ranked[0]]]


def require(ok: bool, name: str, value: object, accepted: str) -> None:
    """Refuse an argument, given by its name and value, unless ``ok``; say what would be accepted.

    Raises:
        RefusedError: if ``ok`` is false.
    """
    if not ok:
        raise RefusedError(name, value, accepted)


def reason_of(error: BaseException, most: int = 160) -> str:
    """Put what a library says into one line of at most so many characters."""
    return " ".join(str(error).split())[:most]


def check(ok: bool, key: str, value: object, accepted: str) -> None:
    """Refuse a value, unless it is ``ok``, with a message that names the config key, the value and what is accepted.

    Raises:
        UserError: if ``ok`` is false.
    """
    if not ok:
        raise UserError(f"{key}={value}: expected {accepted}")
