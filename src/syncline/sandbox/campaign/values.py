"""What a field accepts, how it is kept and how it is shown: types, lengths, enumerations and data policies.

Null and empty are one thing in Campaign: a null string is "", a null number 0, a null boolean false, an unset date "".
What never lives here: links, keys, or anything about more than one field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from .fields import Field
from .refusals import EngineError, invalid_enumeration, invalid_value, read_only, unknown_property
from .settings import Settings

__all__ = ["accept", "now_text", "stamp_text"]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LONG = 2**31


def stamp_text(moment: datetime) -> str:
    """A moment as Campaign prints it: `2019-09-25 23:20:35.000Z`."""
    return now_text(moment.astimezone(UTC))


def now_text(now: datetime) -> str:
    """`stamp_text` for a moment that is in UTC already."""
    return f"{now.isoformat(' ', 'milliseconds')[:23]}Z"


def accept(field: Field, value: Any, settings: Settings, *, schema: str, resource: str, trusted: bool = False) -> Any:
    """The value as it is kept. Raises EngineError. `trusted` lets the control commands write read-only fields."""
    if field.read_only and not trusted:
        raise read_only(resource, field.name)
    if field.kind == "item":
        return _item(field, value, settings, schema=schema, resource=resource)
    if field.kind == "enumeration":
        return _enumeration(field, value, schema)
    return _ACCEPT[field.kind](field, value, settings)


def _item(field: Field, value: Any, settings: Settings, *, schema: str, resource: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_value(field.name, "an object was expected")
    inner = {one.name: one for one in field.fields}
    for name in value:
        if name not in inner:
            raise unknown_property(resource, name)
    return {n: accept(inner[n], v, settings, schema=schema, resource=resource) for n, v in value.items()}


def _enumeration(field: Field, value: Any, schema: str) -> Any:
    if value is None or value == "":
        return field.empty
    if value not in [name for name, _, _ in field.values]:
        raise invalid_enumeration(schema, field.name, value)
    return value


def _string(field: Field, value: Any, settings: Settings) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        value = _scalar_as_text(field, value)
    if not value:
        return ""
    if "\0" in value or not value.isascii():
        _storable(value)
    if field.policy:
        value = _policy(field, value, settings)
    if len(value) > field.length:
        if settings.too_long == "truncate":
            return str(value[: field.length])
        raise invalid_value(field.name, f"it has {len(value)} characters, at most {field.length} fit")
    return str(value)


def _storable(value: str) -> None:
    """PostgreSQL takes neither NUL nor half a surrogate pair."""
    if "\0" in value:
        raise EngineError(500, 'PGS-220000 PostgreSQL error: ERROR:  invalid byte sequence for encoding "UTF8": 0x00')
    try:
        value.encode()
    except UnicodeEncodeError:
        text = 'PGS-220000 PostgreSQL error: ERROR:  invalid byte sequence for encoding "UTF8": 0xed'
        raise EngineError(500, text) from None


def _scalar_as_text(field: Field, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise invalid_value(field.name, "a string was expected")


def _policy(field: Field, value: str, settings: Settings) -> str:
    if field.policy == "email":
        if not _EMAIL.fullmatch(value):
            raise invalid_value(field.name, "the data policy 'email' refuses it")
        return value.lower() if settings.lower_email else value
    if field.policy == "smartCase" and settings.smart_case:
        return " ".join(word[:1].upper() + word[1:].lower() for word in value.split(" "))
    return value


def _integer(field: Field, value: Any, _: Settings) -> int:
    number = _number(field, value)
    if not number.is_integer() or not -_LONG <= number < _LONG:
        raise invalid_value(field.name, "a whole number of 32 bits was expected")
    return int(number)


def _float(field: Field, value: Any, _: Settings) -> float:
    number = _number(field, value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _number(field: Field, value: Any) -> float:
    if value is None or value == "":
        return 0.0
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid_value(field.name, "a number was expected") from None
    if number - number != 0:
        raise invalid_value(field.name, "a finite number was expected")
    return number


_BOOLEANS = {True: True, False: False, None: False, "": False, "true": True, "false": False, "1": True, "0": False}


def _boolean(field: Field, value: Any, _: Settings) -> bool:
    try:
        return _BOOLEANS[value]
    except (KeyError, TypeError):
        raise invalid_value(field.name, "a boolean was expected") from None


def _date(field: Field, value: Any, settings: Settings) -> str:
    if value is None or value == "":
        return ""
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        return _datetime(field, value, settings)[:10]


def _datetime(field: Field, value: Any, _: Settings) -> str:
    if value is None or value == "":
        return ""
    try:
        moment = datetime.fromisoformat(value)
        return stamp_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (TypeError, ValueError, OverflowError):
        raise invalid_value(field.name, "a date and time in ISO form was expected") from None


def _collection(field: Field, _value: Any, _: Settings) -> None:
    raise invalid_value(field.name, "a collection is written through its own address")


_ACCEPT: dict[str, Callable[[Field, Any, Settings], Any]] = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "collection": _collection,
}
