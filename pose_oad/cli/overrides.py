"""Values written as overrides of a command line, so that Hydra reads back what was meant."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from hydra.core.override_parser.types import Quote, QuotedString

from pose_oad.tracking.errors import UserError

# Text that needs no quotes: words and paths that are no other kind of value.
_WORD = re.compile(r"(?!(null|true|false|nan|inf)$)[a-z_/][\w./-]*", re.ASCII | re.IGNORECASE)


def override(key: str, value: object) -> str:
    """Write one value as an override of a command line."""
    return f"{key}={render(value)}"


def render(value: object) -> str:
    """Write a plain value as Hydra reads it on a command line; text that looks like another value is quoted."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        return text if _WORD.fullmatch(text) else QuotedString(text, Quote.single).with_quotes()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(render, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{render(item)}' for key, item in value.items())}}}"
    raise UserError(f"options: a {type(value).__name__} ({value}); expected numbers, text, null, lists or dictionaries")
