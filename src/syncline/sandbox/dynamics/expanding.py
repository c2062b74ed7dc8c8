"""`$expand`: related rows inside the rows of an answer.

Lives here: single-valued lookups, and the collections that point back, one level deep, with `$select`, `$filter`,
`$orderby` and `$top` inside the parentheses. Never here: the page of parent rows.
"""

from __future__ import annotations

from typing import Any

from .environment import Environment
from .expand_syntax import parse_expand
from .filter_sql import filter_sql, order_by
from .projection import Annotations, Projection, project, target_of, unknown_property
from .rows import Row, column_sql
from .tables import Column, Table

__all__ = ["expand_rows"]

_MAX_RELATED = 5000


def expand_rows(
    environment: Environment,
    table: Table,
    rows: list[Row],
    shown: list[dict[str, Any]],
    expand: str,
    annotations: Annotations,
    context: str,
) -> str:
    """Adds the related rows to `shown` and returns the context text with the navigation properties named."""
    names = []
    for name, options in parse_expand(expand):
        if table.by_navigation(name) is not None:
            names.append(_single(environment, table, rows, shown, name, options, annotations))
        else:
            names.append(_collection(environment, table, rows, shown, name, options, annotations))
    inside = [context[1:-1]] if context else ["*"]
    return f"({','.join([*inside, *names])})"


def _projection(
    environment: Environment, table: Table, options: dict[str, str], annotations: Annotations
) -> Projection:
    select = [name.strip() for name in options["$select"].split(",")] if options.get("$select") else None
    return project(table, select, annotations, environment.rows)


def _single(
    environment: Environment,
    table: Table,
    rows: list[Row],
    shown: list[dict[str, Any]],
    name: str,
    options: dict[str, str],
    annotations: Annotations,
) -> str:
    found = table.by_navigation(name)
    if found is None:
        raise unknown_property(table, name)
    column, _target = found
    # An owner's one navigation property serves both of its tables: each row decides.
    targets = [target for target, navigation in column.navigation.items() if navigation == name]
    related = {target: _related(environment, column, rows, target) for target in targets}
    projections = {
        target: _projection(environment, environment.schema.table(target), options, annotations)
        for target in targets
        if environment.schema.find(target) is not None
    }
    for row, out in zip(rows, shown, strict=True):
        target = target_of(column, row.values)
        other = related[target].get(row.values[column.ordinal]) if target in related else None
        out[name] = projections[target](other) if other is not None and target is not None else None
    return f"{name}{next(iter(projections.values())).context or '()'}"


def _related(environment: Environment, column: Column, rows: list[Row], target: str) -> dict[str, Row]:
    other = environment.schema.find(target)
    ids = {row.values[column.ordinal] for row in rows if target_of(column, row.values) == target}
    return environment.rows.existing(other, sorted(ids)) if other is not None else {}


def _collection(
    environment: Environment,
    table: Table,
    rows: list[Row],
    shown: list[dict[str, Any]],
    name: str,
    options: dict[str, str],
    annotations: Annotations,
) -> str:
    """Rows of another table whose lookup points here; the collection has the relationship's name."""
    relation = next((r for r in environment.schema.relationships(referenced=table.name) if r.schema_name == name), None)
    if relation is None:
        raise unknown_property(table, name)
    other = environment.schema.table(relation.referencing)
    projection = _projection(environment, other, options, annotations)
    column = other.columns[relation.column]
    test, parameters = f"{column_sql(other, column, alias='r')} = ?", ()
    if options.get("$filter"):
        condition = filter_sql(environment.schema, other, options["$filter"], {})
        test, parameters = f"{test} AND {condition.sql}", condition.parameters
    terms = order_by(other, options["$orderby"]) if options.get("$orderby") else []
    order = ", ".join([*(f"{term.sql} {'DESC' if term.descending else 'ASC'}" for term in terms), "r.id"])
    limit = int(options["$top"]) if options.get("$top", "").isdecimal() else _MAX_RELATED
    for row, out in zip(rows, shown, strict=True):
        found = environment.rows.select(other, test, (row.id, *parameters), order=order, limit=limit)
        out[name] = [projection(child) for child in found]
    return f"{name}{projection.context or '()'}"
