"""Campaign's spelling of values: when two values say the same, and how fields become a request body and back.

What lives here: pure functions over values and schemas. Never a request, and never a verdict on an answer.

Nested groups are dotted names on our side: the field `city` inside `location` is `location.city`, in schemas, in
records that were read and in values to write. A linked record stays one value, a mapping with its `PKey`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from syncline.connectors.campaign.metadata import data_policy
from syncline.errors import RecordRefusedError
from syncline.records import Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["flatten", "nest", "same_value"]

#: Data policies that may rewrite what was sent, in letter case only: `smartCase` in names, `email` in addresses.
_CASE_POLICIES = frozenset({"email", "lowercase", "uppercase", "smartcase"})

#: What an enumeration of the profile shows while nothing was ever written.
_UNSET_OPTIONS = {"gender": "unknown", "emailFormat": "unknown", "preferredLanguage": "none", "timeZone": "none"}

_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.DOUBLE, FieldType.MONEY})
_MOMENTS = frozenset({FieldType.DATE, FieldType.DATETIME})
_BOOLEANS = {"": False, "false": False, "0": False, "true": True, "1": True}
# Campaign keeps milliseconds and prints no more.
_PRECISION = timedelta(milliseconds=1)


def same_value(schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
    """Whether `stored` already says `wanted`.

    Absent, null and `""` are one thing; a null number is 0 and a null boolean false. Numbers are compared by value,
    moments by instant to the millisecond (without a zone they are UTC), enumerations by name, texts under a data
    policy that changes letter case without regard to case, links by `PKey` or by the linked record's `name`.
    """
    if stored == wanted and type(stored) is type(wanted):
        return True
    kind = schema.type if schema is not None else _kind_of(wanted)
    if kind is FieldType.BOOLEAN:
        return _same_boolean(stored, wanted)
    if kind in _NUMBERS:
        return _same_number(stored, wanted)
    if kind in _MOMENTS:
        return _same_moment(stored, wanted)
    if kind is FieldType.LOOKUP:
        return _same_link(stored, wanted)
    return _same_text(schema, stored, wanted)


def _kind_of(wanted: Value) -> FieldType:
    if isinstance(wanted, bool):
        return FieldType.BOOLEAN
    if isinstance(wanted, int | Decimal):
        return FieldType.DECIMAL
    return FieldType.LOOKUP if isinstance(wanted, dict) else FieldType.STRING


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _same_text(schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
    if isinstance(stored, dict | list) or isinstance(wanted, dict | list):
        return not stored and not wanted
    left, right = _text(stored), _text(wanted)
    if left == right:
        return True
    if schema is None:
        return False
    if schema.type is FieldType.PICKLIST:
        unset = {"", _UNSET_OPTIONS.get(schema.name, "")}
        return left in unset and right in unset
    return data_policy(schema) in _CASE_POLICIES and left.casefold() == right.casefold()


def _same_boolean(stored: Value, wanted: Value) -> bool:
    left, right = _BOOLEANS.get(_text(stored).lower()), _BOOLEANS.get(_text(wanted).lower())
    return left is not None and left is right


def _number(value: Value) -> Decimal | None:
    text = _text(value).strip()
    if text in ("", "false", "true"):
        return Decimal(1 if text == "true" else 0)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _same_number(stored: Value, wanted: Value) -> bool:
    left, right = _number(stored), _number(wanted)
    if left is None or right is None:
        return _text(stored) == _text(wanted)
    # what Campaign keeps in a double comes back rounded to one
    return left == right or (not _is_whole(left, right) and float(left) == float(right))


def _is_whole(left: Decimal, right: Decimal) -> bool:
    return left == left.to_integral_value() and right == right.to_integral_value()


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _same_moment(stored: Value, wanted: Value) -> bool:
    left, right = _text(stored).strip(), _text(wanted).strip()
    if not left or not right:
        return left == right
    first, second = _moment(left), _moment(right)
    if first is None or second is None:
        return left == right
    return abs(first - second) < _PRECISION


def _same_link(stored: Value, wanted: Value) -> bool:
    left, right = _link_keys(stored), _link_keys(wanted)
    if not left or not right:
        return not left and not right
    return not left.isdisjoint(right)


def _link_keys(value: Value) -> set[str]:
    """What a link can be recognised by: the address token, or the business key that was written in its place."""
    if isinstance(value, dict):
        return {str(key) for key in (value.get("PKey"), value.get("name")) if key not in (None, "")}
    return {text} if (text := _text(value)) else set()


def flatten(record: Mapping[str, Any]) -> dict[str, Value]:
    """A record as Campaign answers it, as field values; the record's own address token and href are left out."""
    values: dict[str, Value] = {}
    for name, value in record.items():
        if type(value) is not dict or "PKey" in value or "href" in value:
            values[name] = value
        else:
            for inner, nested in flatten(value).items():
                values[f"{name}.{inner}"] = nested
    values.pop("PKey", None)
    values.pop("href", None)
    return values


def nest(resource: TableSchema, values: Values) -> dict[str, Value]:
    """Field values as a request body: dotted names become nested objects, links `{"PKey": ...}`.

    A plain string for a link is sent as its `PKey`: a business key stands there as well as an address token.
    Raises RecordRefusedError, before anything is sent, for a link without `PKey` (Campaign would create the record
    and silently leave the link empty) and for a list (collections are never written inline).
    """
    body: dict[str, Value] = {}
    for name, value in values.items():
        schema = resource.fields.get(name)
        if type(value) in (dict, list) or (schema is not None and schema.type is FieldType.LOOKUP):
            value = _link(resource, name, value)
        if "." in name:
            _put_nested(body, name, value)
        else:
            body[name] = value
    return body


def _put_nested(body: dict[str, Value], name: str, value: Value) -> None:
    *groups, last = name.split(".")
    inner: Any = body
    for group in groups:
        inner = inner.setdefault(group, {})
    inner[last] = value


def _link(resource: TableSchema, name: str, value: Value) -> Value:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return {"PKey": value}
    if isinstance(value, dict) and isinstance(key := value.get("PKey"), str) and key:
        return {"PKey": key}
    raise RecordRefusedError(
        f"{resource.name}.{name} was given a nested value without a PKey. Nothing was sent.",
        field=name,
        remedy="A link is written as {'PKey': key}; fields of a group have dotted names such as location.city.",
    )
