"""The checks and converters that the definitions are built with.

What lives here: what counts as a name, a value, a flag or a number, and the names of Campaign's opt-out fields. Every
failure is a DefinitionError whose path names the attribute. Nothing here knows one definition from another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from attrs import Attribute

from syncline.errors import DefinitionError

__all__ = [
    "OPT_OUT_FIELDS",
    "PROFILE",
    "Scalar",
    "a_count",
    "a_flag",
    "a_name",
    "a_part",
    "a_percentage",
    "a_scalar",
    "all_of",
    "as_dict",
    "as_tuple",
    "check_name",
    "check_value",
    "member_of",
    "opt_out_field",
    "plain",
    "refuse_twice",
    "typed",
]

#: One value as a user writes it. Numbers with a fraction are `Decimal`; a float is taken as the decimal it prints as.
Scalar: TypeAlias = str | int | bool | Decimal | None

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}(\.[A-Za-z_][A-Za-z0-9_]{0,127}){0,3}", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Numbers of more digits than this are mistakes: Dynamics keeps 21 at most.
_MOST_DIGITS = 60

PROFILE = "profile"
OPT_OUT_FIELDS = (
    "blackList",
    "blackListEmail",
    "blackListFax",
    "blackListMobile",
    "blackListPhone",
    "blackListPostalMail",
    "blackListPushnotification",
    "ccpaOptOut",
)
_OPT_OUT_BY_ALIAS = {
    prefix + name.removeprefix("blackList").lower(): name
    for name in OPT_OUT_FIELDS
    for prefix in (("blacklist", "denylist", "blocklist") if name.startswith("blackList") else ("",))
}


def opt_out_field(name: str) -> str | None:
    """The wire name of a Campaign opt-out field, or None when `name` is no such field.

    The documentation's `denyList...` and `blockList...` mean the fields that travel as `blackList...`; upper and lower
    case do not matter.
    """
    return _OPT_OUT_BY_ALIAS.get(name.lower())


def a_name(_instance: object, attribute: Attribute[Any], value: object) -> None:
    check_name(value, attribute.name)


def check_name(value: object, path: str) -> None:
    """Raise DefinitionError unless `value` can be the name of a table or field: such names end up in addresses."""
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError("a name is needed here", path=path)
    if not _NAME.fullmatch(value):
        raise DefinitionError("this is not a name: use letters, digits and underscores", path=path)


def a_flag(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise DefinitionError("true or false is needed here", path=attribute.name)


def a_count(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DefinitionError("a whole number of 0 or more is needed here", path=attribute.name)


def a_percentage(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise DefinitionError("a whole number from 0 to 100 is needed here", path=attribute.name)


def a_part(kind: type) -> Callable[[object, Attribute[Any], object], None]:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise DefinitionError(f"a {kind.__name__} is needed here", path=attribute.name)

    return check


def member_of(kind: type[StrEnum]) -> Callable[[object, Attribute[Any], object], None]:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise DefinitionError(f"one of {', '.join(kind)} is needed here", path=attribute.name)

    return check


def all_of(kind: type) -> Callable[[object, Attribute[Any], Iterable[object]], None]:
    def check(_instance: object, attribute: Attribute[Any], value: Iterable[object]) -> None:
        for index, item in enumerate(value):
            if not isinstance(item, kind):
                raise DefinitionError(f"a {kind.__name__} is needed here", path=f"{attribute.name}[{index}]")

    return check


def plain(value: Any) -> Any:
    """The one form of a value: lists for sequences, `Decimal` only for what has a fraction, without trailing zeros."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) <= _MOST_DIGITS:
        whole = value.to_integral_value()
        if whole == value:
            return int(whole)
        return Decimal(format(value, "f").rstrip("0"))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def check_value(value: object, path: str, *, nested: bool = False) -> None:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise DefinitionError("NaN and infinity are not values", path=path)
        if len(value.as_tuple().digits) > _MOST_DIGITS or abs(value.adjusted()) > _MOST_DIGITS:
            raise DefinitionError("this number has too many digits", path=path)
    elif isinstance(value, str):
        if _SURROGATE.search(value):
            raise DefinitionError("this text holds half a character (a lone surrogate)", path=path)
    elif isinstance(value, int):
        if abs(value) >= 10**_MOST_DIGITS:
            raise DefinitionError("this number has too many digits", path=path)
    elif nested and isinstance(value, list):
        for index, item in enumerate(value):
            check_value(item, f"{path}[{index}]", nested=True)
    elif nested and isinstance(value, dict):
        for key, item in value.items():
            check_name(key, path)
            check_value(item, f"{path}.{key}", nested=True)
    elif isinstance(value, date):
        told = "2026-01-31T09:30:00Z" if isinstance(value, datetime) else "2026-01-31"
        raise DefinitionError(
            "dates and times are written as text here", path=path, remedy=f"Write it in the form {told!r}."
        )
    elif value is not None:
        raise DefinitionError("text, a number, true, false or null is needed here", path=path)


def a_scalar(_instance: object, attribute: Attribute[Any], value: object) -> None:
    check_value(value, attribute.name)


def typed(value: Any) -> Any:
    """What two values are compared by: True is not 1."""
    if isinstance(value, list | tuple):
        return tuple(typed(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((key, typed(item)) for key, item in value.items()))
    return (type(value).__name__, str(value))


def refuse_twice(named: Iterable[tuple[str, str]], message: str) -> None:
    """Refuse a second appearance of a name. `named` is (path, name); case does not tell two names apart."""
    seen: dict[str, str] = {}
    for path, name in named:
        first = seen.setdefault(name.lower(), path)
        if first != path:
            raise DefinitionError(f"{message.format(name=name)}, first in {first}", path=path)


def as_tuple(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(items)


def as_dict(items: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in items.items()}
