"""Values of a configuration, held against the types that a class declares for its arguments.

A limit is part of the type, as ``rate: Annotated[float, Field(gt=0, le=1)]`` or a :data:`Share`, and nowhere else.
YAML's types are taken strictly, as JSON's are: no number is read from text, and a truth value is no number; a whole
number does for a float, a list for a tuple, keys and values for a dataclass.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from pose_oad.tracking.errors import RefusedError, UserError, nearest

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
#: A part of a whole, a probability or a confidence.
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]

_Made = TypeVar("_Made")

_KINDS = {
    "integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false", "null": "null",
    "array": "a list", "object": "keys and values",
}  # fmt: skip
_LIMITS = {
    "exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most",
    "multipleOf": "a multiple of", "minLength": "length at least", "minItems": "length at least", "pattern": "like",
}  # fmt: skip


def build_options(kind: Callable[..., _Made], values: Mapping[str, Any], key: str = "", **extra: Any) -> _Made:
    """Make an object of a class of plain values, as a configuration has them, that its types accept, and of others.

    Raises:
        UserError: if the class does not take one of the values; it names the key, the value and what is accepted.
    """
    checked = check_values(kind, values, key, extra)
    try:
        return kind(**checked, **extra)
    except RefusedError as error:
        raise UserError(_join(key, str(error))) from error


def check_values(
    kind: Callable[..., Any], values: Mapping[str, Any], key: str = "", given: Collection[str] = ()
) -> dict[str, Any]:
    """Hold values against the types of a class's arguments, but for those ``given`` from elsewhere.

    Returns:
        The values by name, in the types that are declared for them.

    Raises:
        UserError: for the first that is unknown, missing or refused.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{key}={values}: expected keys and values")
    parameters = inspect.signature(kind).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = [one.name for one in parameters if one.kind in named and one.name not in given]
    hints = _hints(kind)
    for name, value in values.items():
        if name not in names and not any(one.kind is one.VAR_KEYWORD for one in parameters):
            raise UserError(f"{_join(key, name)}={value}: unknown key{nearest(name, names)}")
    checked = {name: check_value(hints.get(name, Any), value, _join(key, name)) for name, value in values.items()}
    for one in parameters:
        if one.name in names and one.default is one.empty and one.name not in values:
            raise UserError(f"{_join(key, one.name)}: missing, and there is no default")
    return checked


def check_value(hint: Any, value: Any, key: str) -> Any:
    """Return one value of a configuration in a type, which has its limits.

    Raises:
        UserError: if it is refused; the message names the key, the value and what the type accepts.
    """
    try:
        adapter = TypeAdapter(hint)
    except PydanticSchemaGenerationError:  # a type of which no configuration holds a value
        return value
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # a file may hold what no configuration does
        raise UserError(f"{key}: expected plain values ({error})") from error
    try:
        return adapter.validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        raise UserError(_explain(error, adapter.json_schema(), value, key)) from error


def _hints(kind: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(kind.__init__ if isinstance(kind, type) else kind, include_extras=True)  # type: ignore[misc]
    except NameError:  # names that are imported for type checkers only, as another library may have them
        return {}


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _explain(error: ValidationError, schema: dict[str, Any], value: Any, key: str) -> str:
    """Say what was refused: the innermost key, its value, and what its part of the JSON schema accepts."""
    definitions, refusal = schema.get("$defs", {}), error.errors()[0].get("ctx", {}).get("error")
    for name in error.errors()[0]["loc"]:
        objects = [_resolve(part, definitions) for part in schema.get("anyOf", [schema])]
        known = {field: part for one in objects for field, part in one.get("properties", {}).items()}
        others = [one["additionalProperties"] for one in objects if isinstance(one.get("additionalProperties"), dict)]
        if not isinstance(value, Mapping) or not (known or others):
            break
        if name not in known and name not in value:  # the name of one of several types
            continue
        key = f"{key}.{name}"
        if name not in known and not others:
            return f"{key}={value[name]}: unknown key{nearest(str(name), known)}"
        schema, value = known[str(name)] if name in known else others[0], value.get(name)
    if isinstance(refusal, RefusedError):  # by an object in the value
        return _join(key, str(refusal))
    return f"{key}={value}: expected {_accepted(schema, definitions)}"


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _accepted(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Put a JSON schema into words."""
    schema = _resolve(schema, definitions)
    for choices in ("enum", "anyOf"):
        if choices in schema:
            parts = [_accepted(part, definitions) if choices == "anyOf" else str(part) for part in schema[choices]]
            return (" or " if choices == "enum" else ", or ").join(dict.fromkeys(parts))
    if "const" in schema:
        return str(schema["const"])
    if "prefixItems" in schema:
        return f"a list [{', '.join(_accepted(part, definitions) for part in schema['prefixItems'])}]"
    of = f" of {_accepted(schema['items'], definitions)}" if schema.get("items") else ""
    limits = [f"{words} {schema[name]}" for name, words in _LIMITS.items() if name in schema]
    return ", ".join([_KINDS.get(schema.get("type", ""), "another value") + of, *limits])
