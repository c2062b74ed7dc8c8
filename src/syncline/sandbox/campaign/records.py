"""Where the records are: one SQLite table per resource, the sparse record as JSON beside the columns worth an index.

A record's body holds only what differs from the field's empty value; keys that start with `@` are ids of linked
records. What never lives here: what a value means, or who may see it.
"""

# ruff: noqa: S608 - what is put into SQL are checked names and clauses of our own; every value is bound

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["Database", "Table"]

Body = dict[str, Any]
_NAME = re.compile(r"@?[A-Za-z][A-Za-z0-9_]*")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Database:
    """The SQLite database, in memory or in a file. Not durable against power loss on purpose: it is a sandbox."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        self._connection.execute("PRAGMA synchronous=OFF")
        # In memory nothing survives anyway; in a file the write-ahead log survives the death of the process.
        self._connection.execute(f"PRAGMA journal_mode={'OFF' if path == ':memory:' else 'WAL'}")
        self._connection.execute("PRAGMA cache_size=-65536")
        self._connection.execute("PRAGMA temp_store=MEMORY")
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany

    def table(self, name: str, indexed: tuple[str, ...]) -> Table:
        """Open or make the table of a resource with these indexed names."""
        return Table(self, name, indexed)

    def drop(self, name: str) -> None:
        self.execute(f'DROP TABLE IF EXISTS "{_checked(name)}"')

    def close(self) -> None:
        self._connection.close()


class Table:
    """The records of one resource. Numbers are given in order of insertion, and not again while it is open."""

    def __init__(self, database: Database, name: str, indexed: tuple[str, ...]) -> None:
        self._database = database
        self._name = _checked(name)
        self.indexed = tuple(_checked(column) for column in indexed)
        self._make()
        columns = "".join(f', "{column}"' for column in self.indexed)
        marks = ", ?" * len(self.indexed)
        self._insert = f'INSERT INTO "{name}" (number, body{columns}) VALUES (?, ?{marks})'
        sets = "".join(f', "{column}" = ?' for column in self.indexed)
        self._update = f'UPDATE "{name}" SET body = ?{sets} WHERE number = ?'
        self._get = f'SELECT body FROM "{name}" WHERE number = ?'
        self._delete = f'DELETE FROM "{name}" WHERE number = ?'
        self._find = {c: f'SELECT number, body FROM "{name}" WHERE "{c}" = ? LIMIT 1' for c in self.indexed}
        self._execute = database.execute
        self._next: int = self._execute(f'SELECT coalesce(max(number), 0) + 1 FROM "{name}"').fetchone()[0]
        self.count: int = self._execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]

    def __repr__(self) -> str:
        return f"<Table {self._name} with {self.count} records>"

    @property
    def name(self) -> str:
        return self._name

    def insert(self, body: Body) -> int:
        number = self._next
        self._execute(self._insert, (number, _encode(body), *self._columns(body)))
        self._next += 1
        self.count += 1
        return number

    def insert_many(self, bodies: Sequence[Body]) -> int:
        """Insert all in one transaction. Returns how many."""
        rows = ((number, _encode(body), *self._columns(body)) for number, body in enumerate(bodies, self._next))
        self._execute("BEGIN")
        self._database.executemany(self._insert, rows)
        self._execute("COMMIT")
        self.count += len(bodies)
        self._next += len(bodies)
        return len(bodies)

    def get(self, number: int) -> Body | None:
        row = self._execute(self._get, (number,)).fetchone()
        return None if row is None else json.loads(row[0])

    def find(self, column: str, value: Any) -> tuple[int, Body] | None:
        """The first record whose indexed `column` equals `value`."""
        row = self._execute(self._find[column], (value,)).fetchone()
        return None if row is None else (row[0], json.loads(row[1]))

    def update(self, number: int, body: Body) -> None:
        self._execute(self._update, (_encode(body), *self._columns(body), number))

    def delete(self, number: int) -> None:
        self.count -= self._execute(self._delete, (number,)).rowcount

    def select(
        self, where: str = "", values: tuple[Any, ...] = (), *, order: str = "number", limit: int = -1, offset: int = 0
    ) -> Iterator[tuple[int, Body]]:
        """Records that match the condition; `where` and `order` name columns of the alias `r` only through `column`."""
        clause = f" WHERE {where}" if where else ""
        sql = f'SELECT number, body FROM "{self._name}" AS r{clause} ORDER BY {order} LIMIT ? OFFSET ?'
        for number, body in self._execute(sql, (*values, limit, offset)):
            yield number, json.loads(body)

    def count_where(self, where: str = "", values: tuple[Any, ...] = ()) -> int:
        if not where:
            return self.count
        sql = f'SELECT count(*) FROM "{self._name}" AS r WHERE {where}'
        return int(self._execute(sql, values).fetchone()[0])

    def repeated(self, field: str) -> list[tuple[Any, int]]:
        """Values of `field` that more than one record has, with how many have it; empty values do not count."""
        expression = self.column(field)
        sql = (
            f'SELECT {expression} AS value, count(*) FROM "{self._name}" AS r '
            "WHERE value IS NOT NULL AND value <> '' GROUP BY value HAVING count(*) > 1 ORDER BY value"
        )
        return list(self._execute(sql))

    def column(self, field: str) -> str:
        """The SQL expression for a field: its own column, or out of the body."""
        if field in self.indexed:
            return f'r."{field}"'
        return f"json_extract(r.body, '$.\"{_checked(field)}\"')"

    def rewrite(self, drop: str) -> None:
        """Forget a field in every record."""
        self._execute(f"UPDATE \"{self._name}\" SET body = json_remove(body, '$.{_checked(drop)}')")

    def clear(self) -> None:
        self._execute(f'DELETE FROM "{self._name}"')
        self.count = 0

    def _columns(self, body: Body) -> list[Any]:
        return [body.get(column) for column in self.indexed]

    def _make(self) -> None:
        run = self._database.execute
        run(f'CREATE TABLE IF NOT EXISTS "{self._name}" (number INTEGER PRIMARY KEY, body TEXT NOT NULL)')
        present = {row[1] for row in run(f'PRAGMA table_info("{self._name}")')}
        for column in self.indexed:
            if column not in present:
                run(f'ALTER TABLE "{self._name}" ADD COLUMN "{column}"')
                path = f'$."{column}"'
                run(f'UPDATE "{self._name}" SET "{column}" = json_extract(body, ?)', (path,))
            run(f'CREATE INDEX IF NOT EXISTS "{self._name}/{column}" ON "{self._name}" ("{column}")')


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a resource or a field: letters, digits and _ only")
    return name
