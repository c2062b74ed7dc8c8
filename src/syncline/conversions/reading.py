"""Reading a Dynamics value: one Python type per `Form`, whatever the words it came in.

What lives here: the forms, how each field type is read, and what a user means by a value in a replacement or filter.
Replacements and filters compare what was read, so that `True` is never taken for 1, and 1.50 is 1.5. No message here
ever holds a value. Source: Dynamics facts section 3 (types, dates, choices).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from syncline.definition_checks import Scalar
from syncline.records import Value
from syncline.schemas import FieldSchema, FieldType

__all__ = [
    "NUMBER_TEXT",
    "TRUTHS",
    "WHOLE_TEXT",
    "Form",
    "Reader",
    "RefuseReason",
    "UnfitError",
    "form_of",
    "literal",
    "local_date",
    "number_text",
    "read_date",
    "read_guid",
    "read_moment",
    "read_text",
    "read_whole",
    "reader",
    "wrong_type",
]

#: Dynamics keeps no earlier date.
_FIRST_YEAR = 1753

#: Dynamics keeps whole numbers of 32 or 64 bits, and doubles.
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_MOST_EXPONENT = 400

_DATE_LENGTH = len("2026-01-31")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_OPTIONS = re.compile(r"-?\d{1,10}(, ?-?\d{1,10})*", re.ASCII)
WHOLE_TEXT = re.compile(r"[+-]?\d{1,60}", re.ASCII)
NUMBER_TEXT = re.compile(r"[+-]?\d{1,60}(\.\d{1,60})?", re.ASCII)
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class RefuseReason(StrEnum):
    """Why a record cannot be written as it is."""

    #: The record was read without this column: read it again by key.
    NOT_READ = "not_read"
    WRONG_TYPE = "wrong_type"
    TOO_LONG = "too_long"
    OUT_OF_RANGE = "out_of_range"
    #: NaN or infinite.
    NOT_A_NUMBER = "not_a_number"
    #: More digits than the target keeps.
    TOO_PRECISE = "too_precise"
    #: Control characters, or half a character.
    FORBIDDEN_CHARACTERS = "forbidden_characters"
    UNKNOWN_OPTION = "unknown_option"


class UnfitError(ValueError):
    """A value that does not fit. Never leaves the mapping; `str` completes "the field ..." and holds no value."""

    def __init__(self, reason: RefuseReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Form(StrEnum):
    """What a value is once it was read."""

    #: bool
    BOOLEAN = "yes or no"
    #: int
    WHOLE = "a whole number"
    #: Decimal
    NUMBER = "a number"
    #: str
    TEXT = "text"
    #: date
    DATE = "a date"
    #: datetime in UTC; of a time-zone-independent field, its own digits with UTC written next to them
    MOMENT = "a moment"
    #: int, the technical value
    OPTION = "an option"
    #: tuple of int
    OPTIONS = "several options"
    #: str, in lower case without braces
    GUID = "a GUID"


_FORMS: Mapping[FieldType, Form] = {
    FieldType.BOOLEAN: Form.BOOLEAN,
    FieldType.INTEGER: Form.WHOLE,
    FieldType.DECIMAL: Form.NUMBER,
    FieldType.DOUBLE: Form.NUMBER,
    FieldType.MONEY: Form.NUMBER,
    FieldType.STRING: Form.TEXT,
    FieldType.OTHER: Form.TEXT,
    FieldType.DATE: Form.DATE,
    FieldType.DATETIME: Form.MOMENT,
    FieldType.PICKLIST: Form.OPTION,
    FieldType.MULTI_PICKLIST: Form.OPTIONS,
    FieldType.LOOKUP: Form.GUID,
    FieldType.GUID: Form.GUID,
}

#: A value of the source, never None, to the Python type of its form. Raises UnfitError.
Reader: TypeAlias = Callable[[Value], Any]


def form_of(field: FieldSchema) -> Form:
    """What values of a field are once they were read."""
    return _FORMS[field.type]


def local_date(moment: datetime, zone: tzinfo) -> date:
    """The date that a moment falls on in a time zone."""
    try:
        return moment.astimezone(zone).date()
    except OverflowError:
        raise UnfitError(RefuseReason.OUT_OF_RANGE, "is at the end of the calendar") from None


def reader(field: FieldSchema) -> Reader:
    """How values of a Dynamics field are read."""
    return _read_other if field.type is FieldType.OTHER else _READERS[form_of(field)]


def wrong_type(form: Form) -> UnfitError:
    return UnfitError(RefuseReason.WRONG_TYPE, f"does not hold {form}")


def _read_boolean(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    raise wrong_type(Form.BOOLEAN)


def read_whole(value: Value) -> int:
    whole = value
    if type(whole) is not int:
        number = _read_number(value)
        whole = int(number)
        if whole != number:
            raise wrong_type(Form.WHOLE)
    if not _LEAST <= whole <= _MOST:
        raise UnfitError(RefuseReason.OUT_OF_RANGE, "is out of range")
    return whole


def _read_number(value: object) -> Decimal:
    if type(value) is int:
        value = Decimal(value)
    elif isinstance(value, float):  # a pushed event may hold one; the services' answers never do
        value = Decimal(repr(value))
    if not isinstance(value, Decimal):
        raise wrong_type(Form.NUMBER)
    if not value.is_finite():
        raise UnfitError(RefuseReason.NOT_A_NUMBER, "is not a number")
    if abs(value.adjusted()) > _MOST_EXPONENT:
        raise UnfitError(RefuseReason.OUT_OF_RANGE, "is out of range")
    return value


def read_text(value: Value) -> str:
    if isinstance(value, str):
        return value
    raise wrong_type(Form.TEXT)


def _read_other(value: Value) -> str:
    """Types without a word of their own go as text, if they are one value at all."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number_text(_read_number(value))


def read_date(value: Value) -> date:
    if not isinstance(value, str) or len(value) != _DATE_LENGTH:
        raise wrong_type(Form.DATE)
    try:
        found = date.fromisoformat(value)
    except ValueError:
        if not _DATE.fullmatch(value):
            raise wrong_type(Form.DATE) from None
        raise UnfitError(RefuseReason.OUT_OF_RANGE, "does not hold a date of the calendar") from None
    if found.isoformat() != value:  # Python reads weeks too
        raise wrong_type(Form.DATE)
    if found.year < _FIRST_YEAR:
        raise UnfitError(RefuseReason.OUT_OF_RANGE, f"holds a date before {_FIRST_YEAR}")
    return found


def read_moment(value: Value, zone: tzinfo = UTC) -> datetime:
    """In UTC. `zone` is where a moment without an offset was told; of Dynamics' own, that is UTC."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise wrong_type(Form.MOMENT)
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is not UTC:
            found = (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnfitError(RefuseReason.OUT_OF_RANGE, "does not hold a moment of the calendar") from None
    if found.year < _FIRST_YEAR:
        raise UnfitError(RefuseReason.OUT_OF_RANGE, f"holds a moment before {_FIRST_YEAR}")
    return found


def _read_options(value: Value) -> tuple[int, ...]:
    if not isinstance(value, str) or not _OPTIONS.fullmatch(value):
        raise wrong_type(Form.OPTIONS)
    return tuple(int(digits) for digits in value.split(","))


def read_guid(value: Value) -> str:
    found = value.strip("{}").lower() if isinstance(value, str) else ""
    if not _GUID.fullmatch(found):
        raise wrong_type(Form.GUID)
    return found


_READERS: Mapping[Form, Reader] = {
    Form.BOOLEAN: _read_boolean,
    Form.WHOLE: read_whole,
    Form.NUMBER: _read_number,
    Form.TEXT: read_text,
    Form.DATE: read_date,
    Form.MOMENT: read_moment,
    Form.OPTION: read_whole,
    Form.OPTIONS: _read_options,
    Form.GUID: read_guid,
}


def literal(value: Scalar, field: FieldSchema, zone: tzinfo) -> Any:
    """What a user wrote in a replacement or filter, in the form of the field's own values.

    Options and booleans may be named by label, in any case; numbers may be text; a moment without an offset is one in
    `zone`. Raises UnfitError when the field can hold no such value.
    """
    form = form_of(field)
    if form is Form.BOOLEAN:
        return _named_boolean(value, field)
    if form is Form.OPTION or form is Form.OPTIONS:
        return _named_option(value, field)
    if isinstance(value, str) and form in (Form.WHOLE, Form.NUMBER) and NUMBER_TEXT.fullmatch(value):
        value = Decimal(value)
    if form is Form.TEXT:
        return _read_other(value)
    if form is Form.MOMENT:
        return read_moment(value, zone)
    return _READERS[form](value)


def _named_option(value: Scalar, field: FieldSchema) -> int:
    if isinstance(value, str):
        technical = value if value in field.options else _technical(value, field.options)
        if technical is not None and WHOLE_TEXT.fullmatch(technical):
            return int(technical)
        if not WHOLE_TEXT.fullmatch(value):
            raise UnfitError(RefuseReason.UNKNOWN_OPTION, "has no option of that label")
        return int(value)
    if isinstance(value, bool):
        raise wrong_type(Form.OPTION)
    return read_whole(value)


def _technical(label: str, options: Mapping[str, str]) -> str | None:
    named = [technical for technical, known in options.items() if known.casefold() == label.casefold()]
    return named[0] if len(named) == 1 else None


def _named_boolean(value: Scalar, field: FieldSchema) -> bool:
    text = _read_other(value)
    technical = _technical(text, field.options) or text
    truth = TRUTHS.get(technical.lower())
    if truth is None:
        raise wrong_type(Form.BOOLEAN)
    return truth


def number_text(number: Decimal) -> str:
    """Plain digits: no exponent, no zeros that say nothing."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
