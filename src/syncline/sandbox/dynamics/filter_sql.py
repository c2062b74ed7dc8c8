"""`$filter` and `$orderby` of rows, as SQL.

Lives here: the meaning of property names and operators for stored rows, type checks, the text comparison rules.
Never here: the grammar (see `odata_filter`) or running the statement.
"""

# ruff: noqa: S608 - every name that is put into SQL is a checked logical name or a column ordinal
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from .answers import DataverseError
from .odata_filter import And, Call, Compare, Literal, Node, Not, Or, Path, parse_filter
from .projection import unknown_property
from .rows import column_sql, rows_table
from .tables import Column, Schema, Table
from .values import edm_type, guid_or_none

__all__ = ["Condition", "Order", "filter_sql", "keyset", "order_by"]

_SQL = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_MIRROR = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
_KINDS = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}
_TEXT = frozenset({"String", "Memo", "EntityName", "MultiSelectPicklist"})
_WHOLE = frozenset({"Integer", "BigInt", "Picklist", "State", "Status"})
_NUMBERS = _WHOLE | {"Decimal", "Money", "Double"}
_IDS = frozenset({"Uniqueidentifier", "Lookup", "Customer", "Owner"})
_NAMESPACE = "Microsoft.Dynamics.CRM."


@attrs.frozen
class Condition:
    """An SQL condition over `r` and its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


@attrs.frozen(kw_only=True)
class Order:
    """One term of `$orderby`: its SQL expression, and whether it descends."""

    column: Column
    sql: str
    descending: bool


def filter_sql(schema: Schema, table: Table, text: str, aliases: Mapping[str, str]) -> Condition:
    """The condition of a `$filter`. Rows for which it is null are dropped. Raises DataverseError (400)."""
    return _Compiler(schema, table).node(parse_filter(text, aliases))


def order_by(table: Table, text: str) -> list[Order]:
    """The terms of an `$orderby`. Raises DataverseError (400) for an unknown property or direction."""
    terms = []
    for part in text.split(","):
        words = part.split()
        if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1] not in {"asc", "desc"}):
            raise DataverseError(400, "0x80060888", f"Syntax error in $orderby '{text}'.")
        column = table.by_wire_name(words[0])
        if column is None or not column.on_wire:
            raise unknown_property(table, words[0])
        terms.append(Order(column=column, sql=_ordered(table, column), descending=words[-1] == "desc"))
    return terms


def _ordered(table: Table, column: Column) -> str:
    expression = column_sql(table, column, alias="r")
    if column.type in {"Decimal", "Money"}:
        return f"CAST({expression} AS REAL)"
    return f"{expression} COLLATE NOCASE" if column.type in _TEXT else expression


class _Compiler:
    def __init__(self, schema: Schema, table: Table) -> None:
        self._schema = schema
        self._table = table

    def node(self, node: Node) -> Condition:
        if isinstance(node, And | Or):
            left, right = self.node(node.left), self.node(node.right)
            word = "AND" if isinstance(node, And) else "OR"
            return Condition(f"({left.sql} {word} {right.sql})", left.parameters + right.parameters)
        if isinstance(node, Not):
            inner = self.node(node.inner)
            # A condition on null is dropped before `not` sees it, so `not` of it holds.
            return Condition(f"NOT COALESCE({inner.sql}, 0)", inner.parameters)
        if isinstance(node, Path):
            column, sql = self._column(node)
            if column.type != "Boolean":
                raise _incompatible("Equal", edm_type(column), "Edm.Boolean")
            return Condition(f"{sql} = 1")
        return self._call(node) if isinstance(node, Call) else self._compare(node)

    def _column(self, path: Path) -> tuple[Column, str]:
        if len(path.parts) == 1:
            column = self._table.by_wire_name(path.parts[0])
            if column is None or not column.on_wire:
                raise unknown_property(self._table, path.parts[0])
            return column, column_sql(self._table, column, alias="r")
        return self._behind(path)

    def _behind(self, path: Path) -> tuple[Column, str]:
        """A column of the row a lookup points to, one step away."""
        found = self._table.by_navigation(path.parts[0])
        if found is None or len(path.parts) != 2:
            raise unknown_property(self._table, path.parts[0])
        lookup, target = found
        other = self._schema.table(target)
        column = other.by_wire_name(path.parts[1])
        if column is None or not column.on_wire:
            raise unknown_property(other, path.parts[1])
        link = column_sql(self._table, lookup, alias="r")
        inner = column_sql(other, column, alias="o")
        return column, f"(SELECT {inner} FROM {rows_table(other)} AS o WHERE o.id = {link})"

    def _compare(self, node: Compare) -> Condition:
        left, operator, right = node.left, node.operator, node.right
        if isinstance(left, Literal):
            left, operator, right = right, _MIRROR[operator], left
        if isinstance(left, Literal):
            raise DataverseError(400, "0x80060888", "A comparison needs a property.")
        column, sql = self._column(left)
        if isinstance(right, Path):
            _other, other_sql = self._column(right)
            return Condition(f"{sql} {_SQL[operator]} {other_sql}")
        if right.kind == "null":
            return _null_test(sql, operator)
        return _against(column, sql, operator, right)

    def _call(self, call: Call) -> Condition:
        if call.name in {"contains", "startswith", "endswith"}:
            return self._text_call(call)
        if call.name.startswith(_NAMESPACE):
            return self._query_function(call)
        raise DataverseError(400, "0x80060888", f"An unknown function with name '{call.name}' was found.")

    def _text_call(self, call: Call) -> Condition:
        path, sought = call.arguments.get("0"), call.arguments.get("1")
        if not isinstance(path, Path) or not isinstance(sought, Literal) or sought.kind != "string":
            raise DataverseError(400, "0x80060888", f"No function signature for the function with name '{call.name}'.")
        column, sql = self._column(path)
        if column.type not in _TEXT:
            raise DataverseError(400, "0x80060888", f"No function signature for the function with name '{call.name}'.")
        before = "" if call.name == "startswith" else "%"
        after = "" if call.name == "endswith" else "%"
        return Condition(f"text_match({sql}, ?)", (f"{before}{sought.value}{after}",))

    def _query_function(self, call: Call) -> Condition:
        name = call.name.removeprefix(_NAMESPACE)
        function = _FUNCTIONS.get(name)
        given, values = call.arguments.get("PropertyName"), call.arguments.get("PropertyValues")
        if function is None or not isinstance(given, Literal) or not isinstance(values, Literal):
            raise DataverseError(400, "0x80060888", f"The query function '{name}' is unknown or lacks a parameter.")
        if not isinstance(values.value, list):
            raise DataverseError(400, "0x80060888", f"PropertyValues of '{name}' must be an array.")
        column, sql = self._property(str(given.value))
        return function(column, sql, [_from_text(column, str(value)) for value in values.value])

    def _property(self, name: str) -> tuple[Column, str]:
        """Query functions take logical names, and the names on the wire too."""
        column = self._table.columns.get(name) or self._table.by_wire_name(name)
        if column is None or not column.on_wire:
            raise unknown_property(self._table, name)
        return column, column_sql(self._table, column, alias="r")


def _null_test(sql: str, operator: str) -> Condition:
    if operator in {"eq", "ne"}:
        return Condition(f"{sql} IS {'NOT ' if operator == 'ne' else ''}NULL")
    return Condition("0")


def _incompatible(kind: str, left: str, right: str) -> DataverseError:
    return DataverseError(
        400,
        "0x80060888",
        "A binary operator with incompatible types was detected. Found operand types"
        f" '{left}' and '{right}' for operator kind '{kind}'.",
    )


def _against(column: Column, sql: str, operator: str, literal: Literal) -> Condition:
    """A column compared with a constant that is not null."""
    sign = _SQL[operator]
    if column.type in _TEXT and literal.kind == "string":
        if literal.value.isascii():
            return Condition(f"{sql} {sign} ? COLLATE NOCASE", (literal.value,))
        return Condition(f"folded({sql}) {sign} ?", (literal.value.casefold(),))
    if column.type in _NUMBERS and literal.kind == "number":
        wrapped = f"CAST({sql} AS REAL)" if column.type in {"Decimal", "Money"} else sql
        return Condition(f"{wrapped} {sign} ?", (literal.value,))
    if column.type == "Boolean" and literal.kind == "bool":
        return Condition(f"{sql} {sign} ?", (int(literal.value),))
    if column.type in _IDS:
        row_id = guid_or_none(literal.value)
        if row_id is not None:
            return Condition(f"{sql} {sign} ?", (row_id,))
    if column.type == "DateTime" and literal.kind in {"moment", "date"}:
        return _against_time(column, sql, operator, literal)
    raise _incompatible(_KINDS[operator], edm_type(column), _literal_type(literal))


def _literal_type(literal: Literal) -> str:
    names = {
        "string": "Edm.String",
        "bool": "Edm.Boolean",
        "guid": "Edm.Guid",
        "date": "Edm.Date",
        "moment": "Edm.DateTimeOffset",
    }
    if literal.kind == "number":
        return "Edm.Int32" if isinstance(literal.value, int) else "Edm.Double"
    return names.get(literal.kind, "Edm.String")


def _against_time(column: Column, sql: str, operator: str, literal: Literal) -> Condition:
    if column.date_only:
        if literal.kind != "date":
            raise _incompatible(_KINDS[operator], "Edm.Date", "Edm.DateTimeOffset")
        return Condition(f"{sql} {_SQL[operator]} ?", (literal.value,))
    try:
        moment = datetime.fromisoformat(literal.value)
    except ValueError as error:
        raise DataverseError(400, "0x80060888", f"'{literal.value}' is not a valid date and time.") from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment.microsecond:
        # Stored moments are whole seconds, so a fraction turns `ge` into `gt` of the second before it.
        if operator in {"eq", "ne"}:
            return Condition("0" if operator == "eq" else f"{sql} IS NOT NULL")
        operator = {"ge": "gt", "lt": "le"}.get(operator, operator)
    return Condition(f"{sql} {_SQL[operator]} ?", (moment.strftime("%Y-%m-%dT%H:%M:%SZ"),))


def _from_text(column: Column, text: str) -> Any:
    """A value of a query function, which always comes as text."""
    try:
        if column.type in _WHOLE:
            return int(text)
        if column.type in _NUMBERS:
            return float(text)
    except ValueError as error:
        raise DataverseError(400, "0x80040203", f"'{text}' is not a value of '{column.name}'.") from error
    if column.type == "Boolean":
        return int(text.lower() in {"true", "1"})
    if column.type in _IDS:
        row_id = guid_or_none(text)
        if row_id is None:
            raise DataverseError(400, "0x80040203", f"'{text}' is not a value of '{column.name}'.")
        return row_id
    return text


def _comparable(column: Column, sql: str) -> str:
    return f"CAST({sql} AS REAL)" if column.type in {"Decimal", "Money"} else sql


def _is_in(column: Column, sql: str, values: list[Any]) -> Condition:
    marks = ",".join("?" * len(values))
    if column.type in _TEXT:
        return Condition(f"folded({sql}) IN ({marks})", tuple(value.casefold() for value in values))
    return Condition(f"{_comparable(column, sql)} IN ({marks})", tuple(values))


def _is_not_in(column: Column, sql: str, values: list[Any]) -> Condition:
    inside = _is_in(column, sql, values)
    return Condition(f"NOT {inside.sql}", inside.parameters)


def _between(column: Column, sql: str, values: list[Any]) -> Condition:
    if len(values) != 2:
        raise DataverseError(400, "0x80040203", "Between takes two values.")
    return Condition(f"{_comparable(column, sql)} BETWEEN ? AND ?", tuple(values))


def _not_between(column: Column, sql: str, values: list[Any]) -> Condition:
    inside = _between(column, sql, values)
    return Condition(f"NOT ({inside.sql})", inside.parameters)


def _contains_values(_column: Column, sql: str, values: list[Any]) -> Condition:
    tests = [f"instr(',' || {sql} || ',', ',' || ? || ',') > 0" for _ in values]
    return Condition(f"({' OR '.join(tests) or '0'})", tuple(str(value) for value in values))


def _lacks_values(column: Column, sql: str, values: list[Any]) -> Condition:
    inside = _contains_values(column, sql, values)
    return Condition(f"NOT COALESCE({inside.sql}, 0)", inside.parameters)


_FUNCTIONS: dict[str, Callable[[Column, str, list[Any]], Condition]] = {
    "In": _is_in,
    "NotIn": _is_not_in,
    "Between": _between,
    "NotBetween": _not_between,
    "ContainValues": _contains_values,
    "DoesNotContainValues": _lacks_values,
}


def keyset(orders: Sequence[Order], last: Sequence[Any]) -> Condition:
    """The rows that come after the one whose order values (and then id) are `last`, nulls being smallest."""
    terms = [(order.sql, order.descending) for order in orders] + [("r.id", False)]
    alternatives, parameters = [], []
    for index, (sql, descending) in enumerate(terms):
        equal = [f"{other} IS ?" for other, _ in terms[:index]]
        step, more = _beyond(sql, last[index], descending=descending)
        alternatives.append(" AND ".join([*equal, step]))
        parameters.extend([*last[:index], *more])
    joined = " OR ".join(f"({alternative})" for alternative in alternatives)
    first, descending = terms[0]
    if len(terms) > 1 and not descending and last[0] is not None:
        # Says what the alternatives imply, so that an index on the first term is entered in the right place.
        return Condition(f"{first} >= ? AND ({joined})", (last[0], *parameters))
    return Condition(f"({joined})", tuple(parameters))


def _beyond(sql: str, value: Any, *, descending: bool) -> tuple[str, list[Any]]:
    if value is None:
        return ("0", []) if descending else (f"{sql} IS NOT NULL", [])
    if descending:
        return f"({sql} < ? OR {sql} IS NULL)", [value]
    return f"{sql} > ?", [value]
