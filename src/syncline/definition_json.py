"""Definitions as JSON, and their hash.

What lives here: writing a definition down, reading it back with the path of every mistake, and one short hash that
tells whether two definitions say the same. What a definition may say is decided by its classes, not here. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import Any, TypeAlias, cast, get_args, get_origin, get_type_hints

import attrs

from syncline.definitions import Definition, EgressDefinition, IngressDefinition, OptOutDefinition
from syncline.errors import DefinitionError

__all__ = ["canonical_json", "definition_from_json", "definition_hash", "definition_kind", "definition_to_json"]

_VERSION = 1
_Order: TypeAlias = Callable[[list[Any]], list[Any]]
_KINDS: Mapping[str, type[Definition]] = {
    "egress": EgressDefinition,
    "ingress": IngressDefinition,
    "opt_out": OptOutDefinition,
}


def definition_kind(definition: Definition) -> str:
    """The name of the workflow that a definition is for: `ingress`, `egress` or `opt_out`."""
    return next(kind for kind, of in _KINDS.items() if isinstance(definition, of))


def definition_to_json(definition: Definition) -> str:
    """The definition as indented ASCII JSON with sorted keys; equal definitions give equal text.

    Every setting is written, defaults included, so that a file means the same under a later release.
    """
    return "".join(_write(_document(definition, _as_told), "\n")) + "\n"


def definition_from_json(text: str) -> Definition:
    """The definition that a JSON text tells. What is left out takes its default.

    Raises DefinitionError with the path of the mistake: text that is no JSON, a key that is not known or is there
    twice, a value of the wrong type, NaN, and everything that the definition's own classes refuse.
    """
    try:
        document = json.loads(
            text, parse_float=_decimal, parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates
        )
        return _definition(document)
    except json.JSONDecodeError as error:
        raise DefinitionError(f"this is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except ValueError:  # Python refuses whole numbers of more than 4,300 digits
        raise DefinitionError("a number has too many digits") from None
    except RecursionError:
        raise DefinitionError("this is nested too deeply") from None


def definition_hash(definition: Definition) -> str:
    """Sixteen hex digits that are equal when two definitions say the same, in whatever order they list it."""
    return sha256(canonical_json(definition).encode("ascii")).hexdigest()[:16]


def canonical_json(value: object) -> str:
    """A definition, or a part of one, as one line of JSON in which lists without an order are sorted."""
    shown = _document(value, _sorted) if isinstance(value, tuple(_KINDS.values())) else _plain(value, _sorted)
    return "".join(_write(shown, ""))


# ------------------------------------------------------------------------------------------------------------- writing


def _document(definition: Any, order: _Order) -> dict[str, Any]:
    return {"kind": definition_kind(definition), "version": _VERSION, **_plain(definition, order)}


def _as_told(items: list[Any]) -> list[Any]:
    return items


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: "".join(_write(item, "")))


def _plain(value: Any, order: _Order) -> Any:
    if attrs.has(type(value)):
        return {one.name: _plain(getattr(value, one.name), order) for one in attrs.fields(type(value))}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(_plain(item, order) for item in value)
    if isinstance(value, tuple):
        items = [_plain(item, order) for item in value]
        # The values of an `in` filter keep their order; what is listed as objects has none.
        return order(items) if all(isinstance(item, dict) for item in items) else items
    if isinstance(value, Mapping):
        return {str(key): _plain(item, order) for key, item in value.items()}
    return value


def _write(value: Any, newline: str) -> Iterator[str]:
    """Like json.dumps, but a Decimal becomes a number with all its digits. Without a newline all is in one line."""
    inner = newline + "  " if newline else ""
    if isinstance(value, Decimal):
        yield str(value)
    elif isinstance(value, dict) and value:
        for index, key in enumerate(sorted(value)):
            yield ("," if index else "{") + inner + json.dumps(key) + (": " if newline else ":")
            yield from _write(value[key], inner)
        yield newline + "}"
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield ("," if index else "[") + inner
            yield from _write(item, inner)
        yield newline + "]"
    else:
        yield json.dumps(value)


# ------------------------------------------------------------------------------------------------------------- reading


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise DefinitionError("a number has too many digits") from None


def _refuse_constant(word: str) -> None:
    raise DefinitionError(f"{word} is not a value")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise DefinitionError(f"the key {twice!r} is there twice in one object")
    return found


def _definition(document: Any) -> Definition:
    if not isinstance(document, dict):
        raise DefinitionError("a definition is a JSON object")
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise DefinitionError(f"one of {', '.join(_KINDS)} is needed here", path="kind")
    version = document.get("version")
    if version != _VERSION or isinstance(version, bool):
        raise DefinitionError(
            f"this release reads version {_VERSION}", path="version", remedy="Install the release that wrote the file."
        )
    told = {key: value for key, value in document.items() if key not in ("kind", "version")}
    definition: Definition = _built(_KINDS[kind], told, "")
    return definition


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _built(of: type[Any], value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise DefinitionError("an object in braces is needed here", path=path)
    known = {one.name: one for one in attrs.fields(of)}
    for key in value:
        if key not in known:
            raise DefinitionError(
                "this key is not known", path=_join(path, key), remedy=f"Known here: {', '.join(known)}."
            )
    for name, one in known.items():
        if one.default is attrs.NOTHING and name not in value:
            raise DefinitionError(f"{name} is missing", path=path)
    types = _types(cast(Hashable, of))
    given = {name: _read(types[name], item, _join(path, name)) for name, item in value.items()}
    try:
        return of(**given)
    except DefinitionError as error:
        if not path:
            raise
        message = error.message.removeprefix(f"{error.path}: ")
        raise DefinitionError(message, path=_join(path, error.path), remedy=error.remedy) from None


@cache
def _types(of: Any) -> Mapping[str, Any]:
    """The declared types of a class's fields: looked up once, since a status page reads definitions all the time."""
    return get_type_hints(of)


def _read(of: Any, value: Any, path: str) -> Any:
    """A value of the declared type. What a class checks itself, such as the type of a scalar, is left to it."""
    origin = get_origin(of)
    if origin in (tuple, frozenset):
        if not isinstance(value, list):
            raise DefinitionError("a list in brackets is needed here", path=path)
        return tuple(_read(get_args(of)[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is Mapping:
        return _read_mapping(of, value, path)
    if attrs.has(of):
        return _built(of, value, path)
    if isinstance(of, type) and issubclass(of, StrEnum):
        if value not in list(of):
            raise DefinitionError(f"one of {', '.join(of)} is needed here", path=path)
        return of(value)
    return value


def _read_mapping(of: Any, value: Any, path: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise DefinitionError("an object in braces is needed here", path=path)
    keys, values = get_args(of)
    return {_read(keys, key, _join(path, key)): _read(values, item, _join(path, key)) for key, item in value.items()}
