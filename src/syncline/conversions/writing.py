"""Writing a Campaign value: how what was read becomes what the target holds, and when it cannot.

What lives here: one writer per pair of form and target type. A value goes through as it is or not at all: nothing is
cut, rounded or guessed. Which fields belong together is for `syncline.mapping`. No message here ever holds a value.
Source: Campaign facts section 3 (dates, enumerations, lengths).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, TypeAlias

from attrs import frozen

from syncline.conversions.reading import (
    NUMBER_TEXT,
    TRUTHS,
    WHOLE_TEXT,
    Form,
    Reader,
    RefuseReason,
    UnfitError,
    form_of,
    local_date,
    number_text,
    read_date,
    read_guid,
    read_moment,
    read_text,
    read_whole,
    reader,
    wrong_type,
)
from syncline.records import Value
from syncline.schemas import FieldSchema, FieldType

__all__ = ["MAX_TEXT", "Converter", "constant_value", "converter"]

#: Longest text in characters where nobody tells a length.
MAX_TEXT = 1 << 20
#: What neither JSON nor XML nor a database column can be trusted with; tab and the line ends are text.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UP_TO_MILLISECONDS = len("2019-09-25 23:20:35.000")
_ZERO = Decimal(0)
_WHOLE_BITS = {"byte": 8, "short": 16, "int": 32, "integer": 32, "long": 32}

#: A value of the source to what the target is to hold; None stays None unless it is replaced. Raises UnfitError.
Converter: TypeAlias = Callable[[Value], Value]
_Writer: TypeAlias = Callable[[Any], Value]


@frozen(kw_only=True)
class _Pair:
    """What a writer has to know of both sides."""

    source: FieldSchema
    target: FieldSchema
    labels: bool
    zone: tzinfo
    max_length: int


def converter(
    source: FieldSchema,
    target: FieldSchema,
    *,
    labels: bool = False,
    zone: tzinfo = UTC,
    max_length: int | None = None,
    replaced: Mapping[Any, Value] | None = None,
) -> Converter:
    """How values of a Dynamics field become values of a Campaign field.

    `replaced` maps read values, and None, to values as Campaign is to hold them. `max_length` is in characters; None
    takes the target's own. Raises UnfitError when no value of the one type could become one of the other.
    """
    pair = _Pair(
        source=source,
        target=target,
        labels=labels,
        zone=UTC if source.time_zone_independent else zone,
        max_length=max_length or target.max_length or MAX_TEXT,
    )
    write = _writer(form_of(source), pair)
    read = reader(source)
    if replaced:
        return _replacing(read, write, replaced)
    if read is read_text and target.type is FieldType.STRING:
        return _text_to_text(pair.max_length)

    def convert(value: Value) -> Value:
        return None if value is None else write(read(value))

    return convert


def _text_to_text(most: int) -> Converter:
    """The commonest pair by far. One call: what is in order leaves here, and what is not is told by the slow way."""
    slow = _text_within(most)

    def convert(value: Value) -> Value:
        if value is None or (isinstance(value, str) and len(value) <= most and value.isprintable()):
            return value
        return slow(read_text(value))

    return convert


def _replacing(read: Reader, write: _Writer, replaced: Mapping[Any, Value]) -> Converter:
    known: dict[Any, Value] = dict(replaced)
    for_null = known.pop(None, None)

    def convert(value: Value) -> Value:
        if value is None:
            return for_null
        found = read(value)
        if found in known:
            return known[found]
        return write(found)

    return convert


#: bool comes first, because Python's bool is an int.
_WRITTEN: Mapping[type, FieldType] = {
    bool: FieldType.BOOLEAN,
    int: FieldType.INTEGER,
    Decimal: FieldType.DECIMAL,
    str: FieldType.STRING,
}


def constant_value(value: Value, target: FieldSchema, *, zone: tzinfo = UTC, max_length: int | None = None) -> Value:
    """A value that a user wrote down, as Campaign is to hold it. Raises UnfitError when the field cannot hold it.

    A link takes `{"PKey": key}`, or the key alone.
    """
    if value is None:
        return None
    if target.type is FieldType.LOOKUP:
        return _link(value)
    for kind, written in _WRITTEN.items():
        if isinstance(value, kind):
            source = FieldSchema(name="", type=written)
            return converter(source, target, zone=zone, max_length=max_length)(value)
    raise UnfitError(RefuseReason.WRONG_TYPE, "takes one value, not several")


def _link(value: Value) -> Value:
    key = value.get("PKey") if isinstance(value, dict) and len(value) == 1 else value
    if not isinstance(key, str) or not key:
        raise UnfitError(RefuseReason.WRONG_TYPE, "is a link and takes a PKey")
    return {"PKey": _text_within(MAX_TEXT)(key)}


def _writer(form: Form, pair: _Pair) -> _Writer:
    kind = pair.target.type
    if kind in _TEXTS:
        return _text_writer(form, pair)
    if kind is FieldType.LOOKUP:
        raise UnfitError(
            RefuseReason.WRONG_TYPE, "is a link: write the plain column that the link is joined on instead"
        )
    make = _WRITERS.get((form, FieldType.DOUBLE if kind in _NUMBERS else kind))
    if make is None:
        raise UnfitError(RefuseReason.WRONG_TYPE, f"takes {kind.value}, which {form} can never become")
    return make(pair)


#: Campaign keeps a double in each of these.
_NUMBERS = frozenset({FieldType.DECIMAL, FieldType.DOUBLE, FieldType.MONEY})
#: Campaign types that take text.
_TEXTS = frozenset({FieldType.STRING, FieldType.OTHER, FieldType.PICKLIST, FieldType.GUID})


def _text_writer(form: Form, pair: _Pair) -> _Writer:
    end = _end_of_text(pair)
    if form in (Form.TEXT, Form.GUID):
        return end
    tell = _TELLERS[form](pair)
    return lambda found: end(tell(found))


def _end_of_text(pair: _Pair) -> Callable[[str], str]:
    if pair.target.type is FieldType.GUID:
        return read_guid
    if pair.target.type is FieldType.PICKLIST and pair.target.options:
        return _one_of(frozenset(pair.target.options))
    return _text_within(pair.max_length)


def _text_within(most: int) -> Callable[[str], str]:
    forbidden = _FORBIDDEN.search

    def write(text: str) -> str:
        if len(text) > most:
            raise UnfitError(RefuseReason.TOO_LONG, f"has {len(text)} characters, and at most {most} fit")
        # printable text has none of them, and asking that is several times faster
        if not text.isprintable() and forbidden(text):
            raise UnfitError(RefuseReason.FORBIDDEN_CHARACTERS, "holds control characters or half a character")
        return text

    return write


def _one_of(options: frozenset[str]) -> Callable[[str], str]:
    def write(text: str) -> str:
        if text not in options:
            raise UnfitError(RefuseReason.UNKNOWN_OPTION, "is none of the options there; a replacement can name one")
        return text

    return write


def _label_of(pair: _Pair) -> Callable[[int], str]:
    """Options that nobody described go by their technical value."""
    known = pair.source.options if pair.labels else {}
    labels = {int(value): label for value, label in known.items() if WHOLE_TEXT.fullmatch(value)}

    def tell(option: int) -> str:
        return labels.get(option) or str(option)

    return tell


def _tell_boolean(pair: _Pair) -> Callable[[bool], str]:
    words = {True: "true", False: "false"}
    for value, label in pair.source.options.items() if pair.labels else ():
        truth = TRUTHS.get(value.lower())
        if truth is not None and label:
            words[truth] = label
    return words.__getitem__


def _tell_options(pair: _Pair) -> Callable[[tuple[int, ...]], str]:
    one = _label_of(pair)
    between = "; " if pair.labels else ","
    return lambda options: between.join(map(one, options))


_TELLERS: Mapping[Form, Callable[[_Pair], Callable[[Any], str]]] = {
    Form.BOOLEAN: _tell_boolean,
    Form.WHOLE: lambda _pair: str,
    Form.NUMBER: lambda _pair: number_text,
    Form.DATE: lambda _pair: date.isoformat,
    Form.MOMENT: lambda _pair: _moment_text,
    Form.OPTION: _label_of,
    Form.OPTIONS: _tell_options,
}


def _whole_writer(pair: _Pair) -> Callable[[int], int]:
    bits = _WHOLE_BITS.get(pair.target.native_type.partition(" ")[0].lower(), 64)
    first, last = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def write(number: int) -> int:
        if not first <= number <= last:
            raise UnfitError(RefuseReason.OUT_OF_RANGE, "is out of range")
        return number

    return write


def _number_to_whole(pair: _Pair) -> _Writer:
    write = _whole_writer(pair)
    return lambda number: write(read_whole(number))


def _text_to_whole(pair: _Pair) -> _Writer:
    write = _whole_writer(pair)

    def convert(text: str) -> Value:
        if not WHOLE_TEXT.fullmatch(text):
            raise wrong_type(Form.WHOLE)
        return write(int(text))

    return convert


def _write_number(number: Decimal | int) -> Decimal:
    """Campaign keeps doubles: what a double cannot tell from its neighbours would come back as another number."""
    text = repr(float(number))  # what was read is small enough for float not to raise
    if text.endswith("inf"):
        raise UnfitError(RefuseReason.OUT_OF_RANGE, "is out of range")
    written = Decimal(text.removesuffix(".0"))
    if written != number:
        raise UnfitError(RefuseReason.TOO_PRECISE, "has more digits than Campaign keeps")
    return written if written else _ZERO  # and not minus zero


def _text_to_number(text: str) -> Decimal:
    if not NUMBER_TEXT.fullmatch(text):
        raise wrong_type(Form.NUMBER)
    return _write_number(Decimal(text))


def _truth(number: Decimal | int) -> bool:
    if number not in (0, 1):
        raise wrong_type(Form.BOOLEAN)
    return bool(number)


def _text_to_boolean(text: str) -> bool:
    truth = TRUTHS.get(text.lower())
    if truth is None:
        raise wrong_type(Form.BOOLEAN)
    return truth


def _moment_text(moment: datetime) -> str:
    """As Campaign prints it: `2019-09-25 23:20:35.000Z`. Campaign keeps milliseconds and no more."""
    return moment.isoformat(" ", "milliseconds")[:_UP_TO_MILLISECONDS] + "Z"


def _midnight(zone: tzinfo) -> Callable[[date], str]:
    """The first moment of a day in a time zone."""
    return lambda day: _moment_text(datetime.combine(day, time(), zone).astimezone(UTC))


def _moment_to_date(pair: _Pair) -> _Writer:
    zone = pair.zone
    return lambda moment: local_date(moment, zone).isoformat()


def _text_to_date(text: str) -> str:
    return read_date(text).isoformat()


def _text_to_moment(pair: _Pair) -> _Writer:
    zone = pair.zone
    return lambda text: _moment_text(read_moment(text, zone))


_WRITERS: Mapping[tuple[Form, FieldType], Callable[[_Pair], _Writer]] = {
    (Form.BOOLEAN, FieldType.BOOLEAN): lambda _pair: bool,
    (Form.WHOLE, FieldType.BOOLEAN): lambda _pair: _truth,
    (Form.NUMBER, FieldType.BOOLEAN): lambda _pair: _truth,
    (Form.OPTION, FieldType.BOOLEAN): lambda _pair: _truth,
    (Form.TEXT, FieldType.BOOLEAN): lambda _pair: _text_to_boolean,
    (Form.BOOLEAN, FieldType.INTEGER): lambda _pair: int,
    (Form.WHOLE, FieldType.INTEGER): _whole_writer,
    (Form.NUMBER, FieldType.INTEGER): _number_to_whole,
    (Form.OPTION, FieldType.INTEGER): _whole_writer,
    (Form.TEXT, FieldType.INTEGER): _text_to_whole,
    (Form.BOOLEAN, FieldType.DOUBLE): lambda _pair: _write_number,
    (Form.WHOLE, FieldType.DOUBLE): lambda _pair: _write_number,
    (Form.NUMBER, FieldType.DOUBLE): lambda _pair: _write_number,
    (Form.OPTION, FieldType.DOUBLE): lambda _pair: _write_number,
    (Form.TEXT, FieldType.DOUBLE): lambda _pair: _text_to_number,
    (Form.DATE, FieldType.DATE): lambda _pair: date.isoformat,
    (Form.MOMENT, FieldType.DATE): _moment_to_date,
    (Form.TEXT, FieldType.DATE): lambda _pair: _text_to_date,
    (Form.DATE, FieldType.DATETIME): lambda pair: _midnight(pair.zone),
    (Form.MOMENT, FieldType.DATETIME): lambda _pair: _moment_text,
    (Form.TEXT, FieldType.DATETIME): _text_to_moment,
}
