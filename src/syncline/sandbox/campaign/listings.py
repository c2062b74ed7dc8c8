"""Collections: filters in the path, `_lineCount`, `_order`, `next`, counts and projections.

`next` is absent for tables above the threshold unless `_forcePagination=true`; there is no snapshot, so a record
that is written while somebody pages may be missed or met again, as with the real one.
What never lives here: the rendering of a record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from .engine import Engine
from .fields import Field, Filter, Resource
from .records import Body
from .refusals import CONTACT, EngineError, unknown_property
from .views import encode

__all__ = ["Listings", "Query"]

DEFAULT_LINES = 25


@attrs.frozen(kw_only=True)
class Query:
    """A collection as asked for: its address and everything that narrows or orders it."""

    resource: Resource
    #: The address up to the query, as it was asked for, such as `https://.../profile/byEmail`.
    address: str
    #: The address of the resource's own collection, ending in `/`.
    root: str
    filters: tuple[Filter, ...] = ()
    parameters: dict[str, str] = attrs.field(factory=dict)
    query_string: str = ""
    #: Further conditions (SQL over `r`) with their values, for collections of one record.
    where: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()


class Listings:
    """Answers collection requests of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, query: Query, show: Callable[[int, Body], str]) -> str:
        """One page as JSON text: `content`, `count`, and `next` where there is more and paging is allowed."""
        limit = _lines(query.parameters)
        where, values = self._conditions(query)
        start = self._start(query)
        rows, position = self._rows(query, where, values, start, limit)
        more = len(rows) > limit
        rows = rows[:limit]
        answer: dict[str, Any] = {"count": self._count_node(query, None if more or start else len(rows))}
        if more and self._may_page(query):
            answer["next"] = {"href": self._next(query, position(rows))}
        answer["serverSidePagination"] = True
        return f'{{"content":[{",".join([show(*row) for row in rows])}],{encode(answer)[1:]}'

    def count(self, query: Query) -> int:
        """How many records the filters find."""
        where, values = self._conditions(query)
        return self._engine.tables[query.resource.name].count_where(where, values)

    def _rows(
        self, query: Query, where: str, values: tuple[Any, ...], start: int, limit: int
    ) -> tuple[list[tuple[int, Body]], Callable[[list[tuple[int, Body]]], int]]:
        table = self._engine.tables[query.resource.name]
        order = self._order(query)
        if order:
            found = list(table.select(where, values, order=order, limit=limit + 1, offset=start))
            return found, lambda shown: start + len(shown)
        if start:
            where = f"{where} AND r.number > ?" if where else "r.number > ?"
            values = (*values, start)
        return list(table.select(where, values, limit=limit + 1)), lambda shown: shown[-1][0]

    def _order(self, query: Query) -> str:
        wanted = query.parameters.get("_order", "")
        if not wanted:
            return ""
        name, _, direction = wanted.partition(" ")
        if name not in query.resource.fields or direction.lower() not in ("", "asc", "desc"):
            raise unknown_property(query.resource.name, wanted)
        column = self._engine.tables[query.resource.name].column(name)
        return f"{column} {direction}, number"

    def _conditions(self, query: Query) -> tuple[str, tuple[Any, ...]]:
        conditions = [*query.where, *self._engine.visible_where(query.resource)]
        values: list[Any] = list(query.values)
        for found in query.filters:
            self._filter(query, found, conditions, values)
        return " AND ".join(conditions), tuple(values)

    def _filter(self, query: Query, found: Filter, conditions: list[str], values: list[Any]) -> None:
        if found.any_of:
            self._by_text(query, found, conditions, values)
            return
        table = self._engine.tables[query.resource.name]
        for parameter, name in found.parameters.items():
            value = query.parameters.get(parameter, "")
            column = table.column(name)
            if found.test == "at_least":
                conditions.append(f"{column} >= ?")
                values.append(value.replace("T", " "))
            elif value:
                conditions.append(f"{column} = ?")
                values.append(_comparable(query.resource.fields[name], value))
            elif not found.built_in:
                conditions.append(f"{column} IS NULL")

    def _by_text(self, query: Query, found: Filter, conditions: list[str], values: list[Any]) -> None:
        """A case-sensitive prefix search; `filterType` picks another field. An empty text finds everything."""
        text = query.parameters.get("text", "")
        if not text:
            return
        wanted = query.parameters.get("filterType", "")
        names = (wanted,) if wanted in query.resource.fields else found.any_of
        table = self._engine.tables[query.resource.name]
        conditions.append("(" + " OR ".join(f"substr({table.column(name)}, 1, ?) = ?" for name in names) + ")")
        values.extend([len(text), text] * len(names))

    def _may_page(self, query: Query) -> bool:
        small = self._engine.tables[query.resource.name].count <= self._engine.settings.big_table_threshold
        return small or query.parameters.get("_forcePagination") == "true"

    def _scope(self, query: Query) -> str:
        names = "/".join(found.name for found in query.filters)
        told = sorted((k, v) for k, v in query.parameters.items() if k not in ("_lineStart", "_lineCount"))
        return f"{query.resource.name}|{names}|{query.where}|{told}"

    def _start(self, query: Query) -> int:
        token = query.parameters.get("_lineStart")
        if not token:
            return 0
        start = self._engine.pkeys.read_position(self._scope(query), token)
        if start is None:
            raise EngineError(500, f"RST-360011 {CONTACT}")
        return start

    def _next(self, query: Query, position: int) -> str:
        address = query.address
        if self._engine.settings.foreign_links:
            path = address.partition("://")[2].partition("/")[2]
            address = f"{self._engine.settings.foreign_links.rstrip('/')}/{path}"
        return f"{address}?{_with_start(query, self._engine.pkeys.position(self._scope(query), position))}"

    def _count_node(self, query: Query, value: int | None) -> dict[str, Any]:
        # A published answer has this double slash before the filter; a client must not mend it.
        names = "".join(f"/{found.name}" for found in query.filters)
        start = self._engine.pkeys.position("count", 0)
        node: dict[str, Any] = {"href": f"{query.root}{names}/_count?{_with_start(query, start)}"}
        if value is not None and query.filters:
            node["value"] = value
        return node


def _with_start(query: Query, start: str) -> str:
    """The query as it was asked for, with another `_lineStart`."""
    kept = "&".join(part for part in query.query_string.split("&") if part and not part.startswith("_lineStart="))
    return f"{kept}&_lineStart={start}" if kept else f"_lineStart={start}"


def _lines(parameters: dict[str, str]) -> int:
    wanted = parameters.get("_lineCount", "")
    return int(wanted) if wanted.isascii() and wanted.isdigit() and int(wanted) > 0 else DEFAULT_LINES


def _comparable(field: Field, value: str) -> Any:
    if field.kind in ("integer", "float"):
        try:
            return float(value)
        except ValueError:
            return value
    if field.kind == "boolean":
        return int(value in ("true", "1"))
    return value
