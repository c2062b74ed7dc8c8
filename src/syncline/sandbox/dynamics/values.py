"""Values: from the wire into storage form, and back onto the wire.

Lives here: the conversion and validation of one value of one column, with Dataverse's error texts.
Never here: whole rows (see `writing`, `projection`) or conditions (see `filter_sql`).

Storage form: what SQLite keeps. Booleans are 0 and 1, dates are `YYYY-MM-DD`, moments `YYYY-MM-DDTHH:MM:SSZ`, ids lower
case, decimals and money fixed-point text, multi-selects the numbers joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from .answers import DataverseError, decimal_mark
from .tables import Column, Table

__all__ = ["Coerce", "coercer", "guid_or_none", "moment_text", "renderer"]

Coerce = Callable[[Any], Any]

_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")
_STORED_MOMENT = re.compile(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_STORED_DATE = re.compile(r"[12]\d{3}-\d\d-\d\d\Z")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:Z|[+-]\d\d:\d\d)?)?\Z", re.ASCII)
_EARLIEST = datetime(1753, 1, 1, tzinfo=UTC)
_MAX_SELECTED = 150
EDM = {
    "String": "Edm.String",
    "Memo": "Edm.String",
    "EntityName": "Edm.String",
    "Integer": "Edm.Int32",
    "Picklist": "Edm.Int32",
    "State": "Edm.Int32",
    "Status": "Edm.Int32",
    "MultiSelectPicklist": "Edm.String",
    "BigInt": "Edm.Int64",
    "Decimal": "Edm.Decimal",
    "Money": "Edm.Decimal",
    "Double": "Edm.Double",
    "Boolean": "Edm.Boolean",
    "Uniqueidentifier": "Edm.Guid",
    "Lookup": "Edm.Guid",
    "Customer": "Edm.Guid",
    "Owner": "Edm.Guid",
}


def edm_type(column: Column) -> str:
    """The Edm type name of a column's property."""
    if column.type == "DateTime":
        return "Edm.Date" if column.date_only else "Edm.DateTimeOffset"
    return EDM[column.type]


def guid_or_none(value: Any) -> str | None:
    """The id in lower case, or None if it is not one. Braces are accepted, as Dataverse does."""
    if not isinstance(value, str):
        return None
    bare = value[1:-1] if value.startswith("{") and value.endswith("}") else value
    return bare.lower() if _GUID.match(bare) else None


def moment_text(moment: datetime) -> str:
    """A moment in storage form; fractions of a second are cut off."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mismatch(table: Table, column: Column, value: Any) -> DataverseError:
    shown = str(value).lower() if isinstance(value, bool) else value
    return DataverseError(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'{table.entity_set}', For more information"
        " on this error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->"
        f"  InnerException : Microsoft.OData.ODataException: Cannot convert the literal '{shown}' to the expected"
        f" type '{edm_type(column)}'.",
    )


def _out_of_range(table: Table, column: Column) -> DataverseError:
    return DataverseError(
        400,
        "0x80044330",
        f"A validation error occurred.  The value of '{column.name}' on record of type '{table.name}' is outside the"
        " valid range.",
    )


def coercer(table: Table, column: Column) -> Coerce:
    """A function from a wire value, never None, to its storage form. It raises DataverseError."""
    return _MAKERS[column.type](table, column)


def _text(table: Table, column: Column) -> Coerce:
    limit = column.max_length or 1_000_000_000

    safe = limit // 2

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise _mismatch(table, column, value)
        if len(value) <= safe:
            return value
        # SQL Server counts UTF-16 code units, so a character outside the basic plane counts twice.
        if len(value) > limit or (
            len(value) * 2 > limit and len(value.encode("utf-16-le", "surrogatepass")) // 2 > limit
        ):
            raise DataverseError(
                400,
                "0x80044331",
                f"A validation error occurred.  The length of the '{column.name}' attribute of the '{table.name}'"
                f" entity exceeded the maximum allowed length of '{limit}'.",
            )
        return value

    return convert


def _integer(table: Table, column: Column) -> Coerce:
    low = column.minimum if column.minimum is not None else -(2**63)
    high = column.maximum if column.maximum is not None else 2**63 - 1

    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _mismatch(table, column, value)
        if not low <= value <= high:
            raise _out_of_range(table, column)
        return value

    return convert


def _fixed_point(table: Table, column: Column) -> Coerce:
    # Decimal columns answer with ten decimals trimmed to the column's precision; money with four.
    step = Decimal(1).scaleb(-(column.precision or 0))
    low = Decimal(str(-(10**11) if column.minimum is None else column.minimum))
    high = Decimal(str(10**11 if column.maximum is None else column.maximum))

    def convert(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise _mismatch(table, column, value)
        try:
            number = Decimal(str(value))
        except InvalidOperation as error:
            raise _mismatch(table, column, value) from error
        if not number.is_finite():
            raise _mismatch(table, column, value)
        if not low <= number <= high:
            raise _out_of_range(table, column)
        return f"{number.quantize(step, ROUND_HALF_EVEN):f}"

    return convert


def _double(table: Table, column: Column) -> Coerce:
    low = column.minimum if column.minimum is not None else -1e11
    high = column.maximum if column.maximum is not None else 1e11

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise _mismatch(table, column, value)
        if not low <= value <= high:
            raise _out_of_range(table, column)
        return round(float(value), column.precision if column.precision is not None else 5)

    return convert


def _boolean(table: Table, column: Column) -> Coerce:
    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise _mismatch(table, column, value)
        return value

    return convert


def _bad_option(table: Table, column: Column, value: Any) -> DataverseError:
    accepted = ",".join(str(option.value) for option in column.options)
    return DataverseError(
        400,
        "0x8004431a",
        f"A validation error occurred. The value {value} of '{column.name}' on record of type '{table.name}' is"
        f" outside the valid range. Accepted Values: {accepted}",
    )


def _option(table: Table, column: Column) -> Coerce:
    known = frozenset(option.value for option in column.options)

    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _mismatch(table, column, value)
        if value not in known:
            raise _bad_option(table, column, value)
        return value

    return convert


def _options(table: Table, column: Column) -> Coerce:
    known = frozenset(option.value for option in column.options)

    def convert(value: Any) -> str | None:
        if not isinstance(value, str):
            raise _mismatch(table, column, value)
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not all(re.fullmatch(r"-?[0-9]{1,10}", part) for part in parts):
            raise _mismatch(table, column, value)
        chosen = sorted({int(part) for part in parts})
        for number in chosen:
            if number not in known:
                raise _bad_option(table, column, number)
        if len(chosen) > _MAX_SELECTED:
            raise DataverseError(
                400, "0x80040203", f"At most {_MAX_SELECTED} choices of '{column.name}' can be selected."
            )
        return ",".join(map(str, chosen)) or None

    return convert


def _date_or_moment(table: Table, column: Column) -> Coerce:
    return _date(table, column) if column.date_only else _moment(table, column)


def _date(table: Table, column: Column) -> Coerce:
    def convert(value: Any) -> str:
        if not isinstance(value, str) or not _STORED_DATE.match(value):
            raise _mismatch(table, column, value)
        try:
            day = date.fromisoformat(value)
        except ValueError as error:
            raise _mismatch(table, column, value) from error
        if day < _EARLIEST.date():
            raise _too_early(day.isoformat())
        return value

    return convert


def _moment(table: Table, column: Column) -> Coerce:
    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise _mismatch(table, column, value)
        if _STORED_MOMENT.match(value) and value[:4] > "1753" and _plausible(value):
            return value
        if not _MOMENT.match(value):
            raise _mismatch(table, column, value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise _mismatch(table, column, value) from error
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if moment < _EARLIEST:
            raise _too_early(value)
        return moment_text(moment)

    return convert


def _plausible(stored: str) -> bool:
    """A quick calendar check for the common case; the 29th and later take the slow road."""
    return (
        "01" <= stored[5:7] <= "12"
        and "01" <= stored[8:10] <= "28"
        and stored[11:13] <= "23"
        and max(stored[14], stored[17]) <= "5"
    )


def _too_early(value: str) -> DataverseError:
    return DataverseError(
        400,
        "0x80040239",
        f"DateTime is less than minumum value supported by CrmDateTime. Actual value: {value},"
        " Minimum value supported: 01/01/1753 00:00:00",
    )


def _guid(table: Table, column: Column) -> Coerce:
    def convert(value: Any) -> str:
        bare = guid_or_none(value)
        if bare is None:
            raise _mismatch(table, column, value)
        return bare

    return convert


_MAKERS: dict[str, Callable[[Table, Column], Coerce]] = {
    "String": _text,
    "Memo": _text,
    "EntityName": _text,
    "Integer": _integer,
    "BigInt": _integer,
    "Decimal": _fixed_point,
    "Money": _fixed_point,
    "Double": _double,
    "Boolean": _boolean,
    "Picklist": _option,
    "State": _option,
    "Status": _option,
    "MultiSelectPicklist": _options,
    "DateTime": _date_or_moment,
    "Uniqueidentifier": _guid,
    "Lookup": _guid,
    "Customer": _guid,
    "Owner": _guid,
    "PartyList": _text,
    "Virtual": _text,
}


def _render_fixed_point(stored: Any) -> Any:
    return None if stored is None else decimal_mark(stored)


def _render_boolean(stored: Any) -> Any:
    return None if stored is None else bool(stored)


_RENDERERS = {"Decimal": _render_fixed_point, "Money": _render_fixed_point, "Boolean": _render_boolean}


def renderer(column: Column) -> Callable[[Any], Any] | None:
    """A function from storage form to the value the JSON writer takes, or None where they are the same."""
    return _RENDERERS.get(column.type)
