"""JSON as both services must send it, and as we send it.

What lives here: a strict reader and an exact writer. Python's own reader is too kind to be trusted with another
system's answers: it keeps the last of two equal keys, accepts NaN and 1e999, and raises RecursionError on nesting.
Messages here name the defect and never a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from syncline.connectors.http.limits import Limits
from syncline.errors import ConversionError

__all__ = ["dump", "load"]

_MOST_KEYS = 10_000
_MOST_VALUES = 4_000_000
_BOM = b"\xef\xbb\xbf"
_NOT_OPENING = bytes(byte for byte in range(256) if byte not in b"[{")
# Either may also be met inside a string: then the slower functions look at each number, and nothing else changes.
_LONG_NUMBER = re.compile(r"[0-9.]{200}|[eE][+-]?[0-9]{3}")


def load(body: bytes, limits: Limits) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark; fractions become `Decimal`.

    Raises ValueError for anything else: NaN and Infinity, two equal keys in one object, numbers beyond `json_digits`,
    nesting beyond `json_depth`, or more than 10,000 keys in one object.
    """
    try:
        text = body.removeprefix(_BOM).decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if text.count(",") > _MOST_VALUES:
        raise ValueError("it holds too many values")
    try:
        value = _decoder(text, limits.json_digits).decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON from character {error.pos} on") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if len(body.translate(None, _NOT_OPENING)) > limits.json_depth and _is_deeper(value, limits.json_depth):
        raise ValueError("it is nested too deeply")
    return value


def dump(value: object) -> bytes:
    """JSON in UTF-8; a `Decimal` keeps every digit.

    Raises `ConversionError` for NaN, an infinity and text that is not Unicode (a lone surrogate); TypeError for what
    JSON does not know.
    """
    try:
        try:
            return _encode(value).encode()
        except _DecimalFound:
            return _exact(value).encode()
    except UnicodeEncodeError:
        raise ConversionError("Text with half a character (a lone surrogate) cannot be sent.") from None
    except (ValueError, RecursionError):
        raise ConversionError(
            "A value that is not a number, is infinite or is nested too deeply cannot be sent."
        ) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("it holds an object with two equal keys")
    if len(result) > _MOST_KEYS:
        raise ValueError("it holds an object with too many keys")
    return result


_PLAIN = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object)


def _decoder(text: str, digits: int) -> json.JSONDecoder:
    if digits >= 200 and not _LONG_NUMBER.search(text):
        return _PLAIN

    def whole(number: str) -> int:
        if len(number.lstrip("-")) > digits:
            raise ValueError("it holds a number with too many digits")
        return int(number)

    def fraction(number: str) -> Decimal:
        value = Decimal(number)
        if len(number) > digits + 8 or abs(value.adjusted()) > digits:
            raise ValueError("it holds a number with too many digits")
        return value

    return json.JSONDecoder(
        parse_float=fraction, parse_int=whole, parse_constant=_refuse_constant, object_pairs_hook=_object
    )


def _is_deeper(value: object, depth: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        level = [
            child
            for parent in level
            for child in (parent.values() if parent.__class__ is dict else parent)
            if child.__class__ is dict or child.__class__ is list
        ]
        if not level:
            return False
    return True


class _DecimalFound(Exception):  # noqa: N818 - a way out of the fast writer, not an error
    pass


def _not_json(value: object) -> NoReturn:
    if isinstance(value, Decimal):
        raise _DecimalFound
    raise TypeError(f"{type(value).__name__} has no JSON form.")


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=True, default=_not_json
).encode


def _exact(value: object) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(key)}:{_exact(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_exact, value)) + "]"
    return _encode(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("Keys of a JSON object are text.")
    return _encode(key)
