"""From named values to a stored row: one compiled plan per table and revision.

Lives here: defaults, the coercion of named values, values computed from others (full name, composite address).
Never here: what a request may write (see `writing`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from .projection import LOOKUP_TABLE
from .tables import Column, Table
from .values import Coerce, coercer, guid_or_none

__all__ = ["RowPlan", "plan_of"]

Compute = Callable[[list[Any]], None]


class _Steps(NamedTuple):
    """The values of one shape of row: where each goes, how long it may be unchecked, and the check."""

    places: list[int]
    safe: list[int]
    coerce: list[Coerce]


class RowPlan:
    """How rows of one table are made. Raises KeyError for unknown names, DataverseError for unfit values."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.revision = table.revision
        self.template: list[Any] = [None] * table.width
        self.fields: dict[str, tuple[int, Coerce]] = {}
        self._types: dict[str, tuple[int, Column]] = {}
        self._shapes: dict[tuple[str, ...], _Steps | None] = {}
        for column in table.columns.values():
            self.template[column.ordinal] = column.default
            self._add(column)
        self._computes = _computes(table)

    def __repr__(self) -> str:
        return f"RowPlan({self.table.name}, revision {self.revision})"

    def _add(self, column: Column) -> None:
        # The key is kept beside the values; what a row says about it was read before.
        convert = _kept_elsewhere if column.primary_id else coercer(self.table, column)
        entry = (column.ordinal, convert)
        self.fields[column.name] = entry
        self.fields[column.wire_name] = entry
        if column.is_polymorphic:
            self._types[f"{column.wire_name}@{LOOKUP_TABLE}"] = (column.ordinal, column)
            self._types[f"{column.name}@{LOOKUP_TABLE}"] = (column.ordinal, column)

    def fill(self, values: list[Any], given: Mapping[str, Any]) -> None:
        """Puts named values into a row in place. Names are logical or as on the wire; the table a polymorphic lookup
        points to may stand beside it as its `lookuplogicalname` annotation, other annotations are ignored."""
        # Rows that are loaded mostly name the same columns in the same order: look each name up once, not per row.
        shape = tuple(given)
        if shape not in self._shapes:
            self._shapes[shape] = self._steps(shape)
        steps = self._shapes[shape]
        if steps is None:
            self._fill_slowly(values, given)
            return
        for place, safe, coerce, value in zip(steps.places, steps.safe, steps.coerce, given.values(), strict=True):
            if value is None:
                values[place] = None
            elif value.__class__ is str and len(value) <= safe:
                values[place] = value
            else:
                values[place] = coerce(value)

    def _steps(self, shape: tuple[str, ...]) -> _Steps | None:
        """What to do with the values of rows of that shape, or None if a name needs a closer look."""
        if not all(name in self.fields for name in shape):
            return None
        fields = [self.fields[name] for name in shape]
        safe = [self._safe_length(name) for name in shape]
        return _Steps([place for place, _coerce in fields], safe, [coerce for _place, coerce in fields])

    def _safe_length(self, name: str) -> int:
        """Text up to this length needs no check, whatever its characters; -1 where there is nothing of the kind."""
        column = self.table.columns.get(name)
        return (column.max_length or 0) // 2 if column is not None and column.type in {"String", "Memo"} else -1

    def _fill_slowly(self, values: list[Any], given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            entry = self.fields.get(name)
            if entry is not None:
                values[entry[0]] = None if value is None else entry[1](value)
            elif name in self._types:
                self._set_type(values, name, value)
            elif "@" not in name:
                raise KeyError(name)

    def _set_type(self, values: list[Any], name: str, target: Any) -> None:
        place, column = self._types[name]
        if target not in column.targets:
            raise ValueError(f"{self.table.name}.{column.name} cannot point to {target!r}")
        values[place + 1] = target

    def compute(self, values: list[Any]) -> None:
        """Fills in what follows from other values."""
        for compute in self._computes:
            compute(values)

    def key(self, given: Mapping[str, Any]) -> str | None:
        """The primary key among named values, or None."""
        return guid_or_none(given.get(self.table.primary_id))


def _kept_elsewhere(_value: Any) -> None:
    return None


def plan_of(table: Table) -> RowPlan:
    """The plan for the table as it is now."""
    plan: RowPlan | None = table.plan
    if plan is None or plan.revision != table.revision:
        plan = table.plan = RowPlan(table)
    return plan


def _computes(table: Table) -> list[Compute]:
    computes: list[Compute] = []
    columns = table.columns
    if {"fullname", "firstname", "lastname"} <= columns.keys():
        computes.append(_full_name(*(columns[name].ordinal for name in ("fullname", "firstname", "lastname"))))
    for prefix in ("address1_", "address2_"):
        parts = [f"{prefix}{part}" for part in _ADDRESS]
        if f"{prefix}composite" in columns and all(part in columns for part in parts):
            places = [columns[part].ordinal for part in parts]
            computes.append(_composite(columns[f"{prefix}composite"].ordinal, places))
    return computes


_ADDRESS = ("line1", "line2", "line3", "city", "stateorprovince", "postalcode", "country")


def _full_name(whole: int, first: int, last: int) -> Compute:
    def compute(values: list[Any]) -> None:
        a, b = values[first], values[last]
        values[whole] = f"{a} {b}" if a and b else a or b

    return compute


def _composite(whole: int, places: list[int]) -> Compute:
    line1, line2, line3, city, state, postal, country = places
    parts = itemgetter(*places)

    def compute(values: list[Any]) -> None:
        if not any(parts(values)):
            values[whole] = None
            return
        region = " ".join(part for part in (values[state], values[postal]) if part)
        town = ", ".join(part for part in (values[city], region) if part)
        lines = (values[line1], values[line2], values[line3], town, values[country])
        values[whole] = "\r\n".join(line for line in lines if line)

    return compute
