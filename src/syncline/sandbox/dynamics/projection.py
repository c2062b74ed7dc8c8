"""Rows as they leave: the properties of one table for one `$select`, with the annotations that were asked for.

Lives here: a compiled projection from a stored row to the dictionary that is written as JSON.
Never here: choosing rows, paging, contexts of collections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import attrs

from .answers import DataverseError
from .rows import Row, Rows
from .tables import Column, Table
from .values import renderer

__all__ = ["Annotations", "Projection", "project", "stored_value", "target_of", "unknown_property"]

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"

Emit = Callable[[Row, dict[str, Any]], None]


@attrs.frozen(kw_only=True)
class Annotations:
    """Which annotations `odata.include-annotations` asked for."""

    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, wanted: str | None) -> Annotations:
        """From the preference's value: names or patterns separated by commas."""
        return cls(patterns=tuple(part.strip() for part in (wanted or "").split(",") if part.strip()))

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def wants(self, name: str) -> bool:
        """Whether that annotation is asked for; a leading minus excludes."""
        if any(fnmatchcase(name, pattern[1:]) for pattern in self.patterns if pattern.startswith("-")):
            return False
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    @property
    def everything(self) -> bool:
        """Whether `*` was asked for."""
        return "*" in self.patterns


@attrs.frozen(kw_only=True)
class Projection:
    """What each row shows: `select` is the text for the context (None: all), `emits` write the properties."""

    table: Table
    select: tuple[str, ...] | None
    emits: tuple[Emit, ...]

    def __call__(self, row: Row) -> dict[str, Any]:
        """The row as JSON data, beginning with its etag."""
        shown: dict[str, Any] = {"@odata.etag": f'W/"{row.version}"'}
        for emit in self.emits:
            emit(row, shown)
        return shown

    @property
    def context(self) -> str:
        """The part of the context in parentheses, with them, or nothing when all columns are shown."""
        return "" if self.select is None else f"({','.join(self.select)})"


def project(table: Table, select: Sequence[str] | None, annotations: Annotations, rows: Rows) -> Projection:
    """Compiles a projection. Raises the documented 400 for a name that is not a property of the table."""
    if select is None:
        columns = [column for column in table.columns.values() if column.on_wire]
        names = None
    else:
        columns = [_selected(table, name) for name in select]
        names = tuple(column.wire_name for column in columns)
        columns = _with_companions(table, columns)
    notes = _Notes(annotations, rows)
    emits: list[Emit] = []
    for column in columns:
        emits.extend(notes.before(table, column))
        emits.append(_value_emit(table, column))
    return Projection(table=table, select=names, emits=tuple(emits))


def _selected(table: Table, name: str) -> Column:
    column = table.by_wire_name(name)
    if column is None or not column.on_wire:
        raise unknown_property(table, name)
    return column


def unknown_property(table: Table, name: str) -> DataverseError:
    """The documented refusal of a name in `$select`, `$filter` or `$orderby`."""
    return DataverseError(
        400, "0x0", f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'."
    )


def _with_companions(table: Table, chosen: Sequence[Column]) -> list[Column]:
    """The primary key always comes; money brings its currency, a part of an address its composite."""
    names = [column.name for column in chosen]
    for column in chosen:
        if column.type == "Money":
            names.append("transactioncurrencyid")
        elif column.name.startswith(("address1_", "address2_")):
            names.append(f"{column.name[:9]}composite")
    names.append(table.primary_id)
    return [table.columns[name] for name in dict.fromkeys(names) if name in table.columns]


def _value_emit(table: Table, column: Column) -> Emit:
    name = column.wire_name
    if column.name == table.primary_id:
        return lambda row, shown: shown.__setitem__(name, row.id)
    if column.name == "modifiedon":
        return lambda row, shown: shown.__setitem__(name, row.modified)
    if column.name == "versionnumber":
        return lambda row, shown: shown.__setitem__(name, row.version)
    place = column.ordinal
    render = renderer(column)
    if render is not None:
        return lambda row, shown: shown.__setitem__(name, render(row.values[place]))
    return lambda row, shown: shown.__setitem__(name, row.values[place])


class _Notes:
    """Makes the emits for annotations, which come right before the property they describe."""

    def __init__(self, annotations: Annotations, rows: Rows) -> None:
        self._rows = rows
        self._formatted = annotations.wants(FORMATTED)
        self._lookup_table = annotations.wants(LOOKUP_TABLE)
        self._navigation = annotations.wants(NAVIGATION)

    def before(self, table: Table, column: Column) -> list[Emit]:
        emits: list[Emit] = []
        name = column.wire_name
        if column.is_lookup and self._navigation:
            emits.append(self._navigation_emit(column, f"{name}@{NAVIGATION}"))
        if column.is_lookup and self._lookup_table:
            key = f"{name}@{LOOKUP_TABLE}"
            emits.append(lambda row, shown: _put(shown, key, target_of(column, row.values)))
        if self._formatted:
            format_value = self._format(column)
            if format_value is not None:
                emits.append(_text_emit(table, column, format_value))
        return emits

    def _navigation_emit(self, column: Column, key: str) -> Emit:
        def emit(row: Row, shown: dict[str, Any]) -> None:
            target = target_of(column, row.values)
            _put(shown, key, column.navigation.get(target) if target else None)

        return emit

    def _format(self, column: Column) -> Callable[[Row, Any], str | None] | None:
        """The text of a value in the language of the (English, UTC) application user, or None if it has none."""
        if column.type == "Boolean":
            return lambda _row, value: column.label_of(int(value))
        if column.type in {"Picklist", "State", "Status"}:
            return lambda _row, value: column.label_of(value)
        if column.type == "MultiSelectPicklist":
            return lambda _row, value: "; ".join(column.label_of(int(part)) or part for part in value.split(","))
        if column.is_lookup:
            return lambda row, value: self._name_of(target_of(column, row.values), value)
        if column.type == "DateTime":
            return lambda _row, value: _date_label(value)
        if column.type == "Money":
            return lambda _row, value: f"${float(value):,.2f}"
        if column.type in {"Integer", "BigInt"}:
            return lambda _row, value: f"{value:,}"
        if column.type in {"Decimal", "Double"}:
            return lambda _row, value: f"{float(value):,.{column.precision or 0}f}"
        return None

    def _name_of(self, target: str | None, row_id: str) -> str | None:
        other = self._rows.schema.find(target) if target else None
        row = self._rows.get(other, row_id) if other is not None else None
        if other is None or row is None or other.primary_name not in other.columns:
            return None
        name = row.values[other.columns[other.primary_name].ordinal]
        return None if name is None else str(name)


def target_of(column: Column, values: list[Any]) -> str | None:
    """The table a lookup's value points to, or None when it is empty."""
    if values[column.ordinal] is None:
        return None
    if column.is_polymorphic:
        stored = values[column.ordinal + 1]
        return stored if stored is not None else column.targets[0]
    return column.targets[0]


def _text_emit(table: Table, column: Column, format_value: Callable[[Row, Any], str | None]) -> Emit:
    key = f"{column.wire_name}@{FORMATTED}"

    def emit(row: Row, shown: dict[str, Any]) -> None:
        stored = stored_value(table, column, row)
        if stored is not None:
            _put(shown, key, format_value(row, stored))

    return emit


def stored_value(table: Table, column: Column, row: Row) -> Any:
    """A column's value in storage form, wherever it is kept."""
    if column.name == "modifiedon":
        return row.modified
    if column.name == "versionnumber":
        return row.version
    return row.id if column.name == table.primary_id else row.values[column.ordinal]


def _put(shown: dict[str, Any], key: str, value: str | None) -> None:
    if value is not None:
        shown[key] = value


def _date_label(stored: str) -> str:
    day = f"{int(stored[5:7])}/{int(stored[8:10])}/{stored[:4]}"
    if len(stored) == 10:
        return day
    hour = int(stored[11:13])
    return f"{day} {hour % 12 or 12}:{stored[14:16]} {'AM' if hour < 12 else 'PM'}"
