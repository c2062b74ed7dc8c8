"""How the Campaign engine says no: a status and a text, almost always HTTP 500 with a bare JSON string.

The texts are those Adobe documents side by side for Campaign Standard and version 8 (help/v8/dev/api/limitations.md)
or that public clients quote. What never lives here: the decision to refuse.
"""

from __future__ import annotations

__all__ = [
    "CONTACT",
    "EngineError",
    "duplicate_key",
    "invalid_enumeration",
    "invalid_pkey",
    "invalid_value",
    "key_change",
    "read_only",
    "unknown_document",
    "unknown_property",
    "unsupported",
]

CONTACT = "An error has occurred - please contact your administrator."
_PREFIX = f"RST-360011 {CONTACT}"


class EngineError(ValueError):
    """The engine refuses a request. `text` is Campaign Standard's, `v8` what version 8 says instead."""

    def __init__(self, status: int, text: str, *, v8: str = CONTACT, v8_status: int = 0) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.v8 = v8
        self.v8_status = v8_status or status


def unknown_document(display: str, key: str) -> EngineError:
    """A raw id, or a PKey of a record that is gone: 404."""
    found = f"(document with schema '{display[:1].lower()}{display[1:]}' and name '{key}')"
    path = f"Unable to find document with path '{display}' from key"
    return EngineError(404, f"{_PREFIX}\n{path} '{key}:0' {found}", v8=f"{path} '{key}' {found}")


def invalid_pkey(resource_label: str, schema: str, pkey: str) -> EngineError:
    """An `@...` key that this deployment did not make, or a raw id where there is no identification key."""
    bare = pkey.removeprefix("@")
    text = (
        f"'{bare}' attribute unknown (see definition of '{resource_label} ({schema})' schema). "
        f"XTK-170036 Unable to parse expression '@id = @{bare}'."
    )
    return EngineError(500, text, v8=f"Unable to decrypt PKey. (PKey={pkey})", v8_status=404)


def duplicate_key(display: str, table: str, column: str, key: str) -> EngineError:
    """The identification key's value exists already."""
    return EngineError(
        500,
        f"A '{display}' with the same key '{key}' already exists.\nPGS-220000 PostgreSQL error: ERROR:  duplicate key "
        f'value violates unique constraint "{table}_{column}" DETAIL:  Key (s{column})=({key}) already exists.',
    )


def key_change(resource: str, old: str, new: str) -> EngineError:
    """A PATCH may not give a record another identification key."""
    return EngineError(
        500,
        f"{_PREFIX}\nRST-360012 Inconsistent operation on resource '{resource}'"
        f" - Cannot update key '{old}' to '{new}'.",
    )


def unknown_property(resource: str, name: str) -> EngineError:
    text = f"'{name}' property is not valid for the '{resource}' resource."
    return EngineError(500, f"{_PREFIX}\n{text}", v8=text)


def read_only(resource: str, name: str) -> EngineError:
    text = f"Cannot update the '{name}' property that is read-only"
    return EngineError(500, f"{_PREFIX}\n{text}\n'{name}' property is not valid for the '{resource}' resource.")


def invalid_enumeration(schema: str, name: str, value: object) -> EngineError:
    return EngineError(
        500,
        f"{_PREFIX}\nThe value '{value}' is not valid for the '{schema}:{name}' enumeration of the '@{name}' field",
    )


def invalid_value(name: str, why: str) -> EngineError:
    """A value that the field's type, length or data policy refuses. The value itself is not repeated."""
    return EngineError(500, f"{_PREFIX}\nXTK-170049 The value of the '{name}' field is not valid: {why}.")


def unsupported(path: str) -> EngineError:
    return EngineError(404, f"{_PREFIX} Error rc=-2003", v8=f"Unsupported endpoint. (endpoint=rest/{path})")
