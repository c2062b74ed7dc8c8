"""The rows: one SQLite table per Dataverse table, one version counter for the environment, tombstones.

Lives here: every SQL statement that writes, and the plain reads. A row is its version (the rowid, so a tracked read
is one range scan), its id, its modification time and the other values, each in the SQL column of its ordinal.
Never here: validation, wire shapes, or which rows a request may see.
"""

# ruff: noqa: S608 - every name that is put into SQL is a checked logical name or a column ordinal
from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from .tables import Column, Key, Schema, Table
from .text_match import folded, text_match

__all__ = ["DuplicateKeyError", "Row", "Rows", "column_sql"]

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_FIRST_VERSION = 1_000_000
_CHUNK = 500


class Row(NamedTuple):
    """One stored row. `values` is indexed by column ordinal and as long as the table is wide; booleans are 0 and 1."""

    version: int
    id: str
    modified: str
    values: list[Any]


class Tombstone(NamedTuple):
    """One deleted row: the version of the deletion, the id, and when (seconds, UTC, ISO text)."""

    version: int
    id: str
    at: str


class DuplicateKeyError(Exception):
    """A write would have given two rows the same alternate key; `key` is the key's name."""

    def __init__(self, table: str, key: str) -> None:
        super().__init__(f"{table}: {key}")
        self.table = table
        self.key = key


def _sql_name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"not a logical name: {name!r}")
    return name


def column_sql(table: Table, column: Column, *, alias: str = "") -> str:
    """The SQL expression for a column's stored value."""
    prefix = f"{alias}." if alias else ""
    if column.name == table.primary_id:
        return f"{prefix}id"
    if column.name == "modifiedon":
        return f"{prefix}modified"
    if column.name == "versionnumber":
        return f"{prefix}version"
    return f"{prefix}c{column.ordinal}"


def rows_table(table: Table) -> str:
    """The name of the SQLite table that holds a table's rows."""
    return f"rows_{_sql_name(table.name)}"


class Rows:
    """The database of one environment. Not thread-safe: the caller serialises access."""

    def __init__(self, database: str, default_schema: Callable[[], Schema]) -> None:
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False, cached_statements=512)
        # The sandbox is rebuilt, never repaired: speed is worth more here than surviving a power cut.
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA journal_mode=MEMORY")
        self._db.execute("PRAGMA cache_size=-65536")
        self._db.create_function("text_match", 2, text_match, deterministic=True)
        self._db.create_function("folded", 1, folded, deterministic=True)
        self._default_schema = default_schema
        self._depth = 0
        self.fresh = not self._exists("meta")
        if self.fresh:
            self._create_all()
        else:
            self.schema = Schema.from_plain(json.loads(self._meta("schema")))
            self.version = self._newest_version()

    def __repr__(self) -> str:
        return f"Rows({self.schema!r}, version {self.version})"

    def close(self) -> None:
        """Stores the version counter and closes the database."""
        self._set_meta("version", str(self.version))
        self._db.close()

    # -- schema ---------------------------------------------------------------------------------------------------

    def _exists(self, name: str) -> bool:
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone() is not None

    def _meta(self, name: str) -> str:
        (value,) = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(value)

    def _set_meta(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def _newest_version(self) -> int:
        """Where the counter stood; the process before may have ended without saying so."""
        versions = [int(self._meta("version"))]
        for name in ["deleted", *(rows_table(table) for table in self.schema)]:
            (newest,) = self._db.execute(f"SELECT max(version) FROM {name}").fetchone()
            versions.append(newest or 0)
        return max(versions)

    def _create_all(self) -> None:
        self._db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self._db.execute(
            "CREATE TABLE deleted (version INTEGER PRIMARY KEY, name TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL)"
        )
        self._db.execute("CREATE INDEX deleted_by_table ON deleted (name, version)")
        self._db.execute("CREATE UNIQUE INDEX deleted_once ON deleted (name, id)")
        self.version = _FIRST_VERSION
        self.schema = self._default_schema()
        for table in self.schema:
            self.create_table(table)
        self.save_schema()

    def reset(self) -> None:
        """Forgets all rows and the schema; the environment is new again. Versions start over."""
        names = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (name,) in names.fetchall():
            self._db.execute(f'DROP TABLE "{name}"')
        self._create_all()

    def save_schema(self) -> None:
        """Keeps the schema and the version counter in the database, for the next process that opens the file."""
        self._set_meta("schema", json.dumps(self.schema.to_plain()))
        self._set_meta("version", str(self.version))

    def create_table(self, table: Table) -> None:
        """Makes room for a table's rows and its keys."""
        name = rows_table(table)
        places = "".join(f", c{place}" for place in range(table.width))
        self._db.execute(
            f"CREATE TABLE {name} (version INTEGER PRIMARY KEY, id TEXT NOT NULL, modified TEXT NOT NULL{places})"
        )
        self._db.execute(f"CREATE UNIQUE INDEX {name}_id ON {name} (id)")
        self._db.execute(f"CREATE INDEX {name}_modified ON {name} (modified, id)")
        for column in table.columns.values():
            if column.indexed:
                place = column_sql(table, column)
                self._db.execute(f"CREATE INDEX {name}_by_{_sql_name(column.name)} ON {name} ({place})")
        for key in table.keys.values():
            self.create_key(table, key)

    def widen(self, table: Table) -> None:
        """Makes room for the values of columns that were added; rows that exist have none."""
        name = rows_table(table)
        (there,) = self._db.execute("SELECT count(*) FROM pragma_table_info(?)", (name,)).fetchone()
        for place in range(there - 3, table.width):
            self._db.execute(f"ALTER TABLE {name} ADD COLUMN c{place}")

    def drop_table(self, table: Table) -> None:
        """Removes a table's rows and tombstones."""
        self._db.execute(f"DROP TABLE {rows_table(table)}")
        self._db.execute("DELETE FROM deleted WHERE name = ?", (table.name,))

    def create_key(self, table: Table, key: Key) -> None:
        """Builds a unique index; the key's status becomes `Failed` when rows already share a value."""
        parts = ", ".join(f"{column_sql(table, table.columns[name])} COLLATE NOCASE" for name in key.columns)
        try:
            self._db.execute(f"CREATE UNIQUE INDEX {_key_index(table, key)} ON {rows_table(table)} ({parts})")
            key.status = "Active"
        except sqlite3.IntegrityError:
            key.status = "Failed"

    def drop_key(self, table: Table, key: Key) -> None:
        """Removes a key's index."""
        self._db.execute(f"DROP INDEX IF EXISTS {_key_index(table, key)}")

    # -- transactions ---------------------------------------------------------------------------------------------

    @contextmanager
    def together(self) -> Iterator[None]:
        """All writes inside happen, or none when an exception leaves the block. Nests."""
        name = f"level{self._depth}"
        self._db.execute(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._db.execute(f"ROLLBACK TO {name}")
            raise
        finally:
            self._depth -= 1
            self._db.execute(f"RELEASE {name}")

    def next_version(self) -> int:
        """The next row version; one counter serves all tables, as in the real database."""
        self.version += 1
        return self.version

    # -- single rows ----------------------------------------------------------------------------------------------

    def get(self, table: Table, row_id: str) -> Row | None:
        """The row of that id, or None."""
        found = self._db.execute(
            f"SELECT * FROM {rows_table(table)} WHERE id = ?",
            (row_id,),
        ).fetchone()
        return _row(found) if found else None

    def by_key(self, table: Table, key: Key, values: Sequence[Any]) -> Row | None:
        """The row that carries these alternate key values (in the key's column order), or None."""
        test = " AND ".join(f"{column_sql(table, table.columns[name])} = ? COLLATE NOCASE" for name in key.columns)
        found = self._db.execute(
            f"SELECT * FROM {rows_table(table)} WHERE {test}",
            tuple(values),
        ).fetchone()
        return _row(found) if found else None

    def insert(self, table: Table, row_id: str, values: list[Any], modified: str) -> int:
        """Adds a row and returns its version. Raises DuplicateKeyError, or sqlite3.IntegrityError if the id exists."""
        version = self.next_version()
        with self._naming_keys(table):
            self._db.execute(
                _insertion(rows_table(table), tuple(range(len(values)))), (version, row_id, modified, *values)
            )
        return version

    def replace(self, table: Table, row_id: str, values: list[Any], modified: str) -> int:
        """Gives an existing row new values and a new version, which it returns. Raises DuplicateKeyError."""
        self.put_many(table, [(row_id, modified, values)])
        return self.version

    def delete(self, table: Table, row_id: str, at: str) -> bool:
        """Removes a row and leaves a tombstone. False if there was none."""
        gone = self._db.execute(f"DELETE FROM {rows_table(table)} WHERE id = ?", (row_id,)).rowcount
        if not gone:
            return False
        self._db.execute(
            "INSERT OR REPLACE INTO deleted (version, name, id, at) VALUES (?, ?, ?, ?)",
            (self.next_version(), table.name, row_id, at),
        )
        return True

    @contextmanager
    def _naming_keys(self, table: Table) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            for key in table.keys.values():
                places = (f"{rows_table(table)}.c{table.columns[name].ordinal}" for name in key.columns)
                if str(error) == f"UNIQUE constraint failed: {', '.join(places)}":
                    raise DuplicateKeyError(table.name, key.name) from error
            raise

    # -- many rows ------------------------------------------------------------------------------------------------

    def existing(self, table: Table, ids: Sequence[str]) -> dict[str, Row]:
        """Those of the ids that exist, with their rows."""
        found: dict[str, Row] = {}
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            statement = f"SELECT * FROM {rows_table(table)} WHERE id IN ({marks})"
            for raw in self._db.execute(statement, chunk):
                found[raw[1]] = _row(raw)
        return found

    def add_many(self, table: Table, rows: Sequence[tuple[str, str, list[Any]]]) -> None:
        """Inserts many new rows of (id, modified, values); like `put_many`, and faster where values are missing."""
        width, step = table.width, self.next_version
        places = [place for place in range(width) if any(row[2][place] is not None for row in rows)]
        pick = itemgetter(*places) if len(places) > 1 else tuple
        if len(places) < 2:
            places = list(range(width))
        with self._naming_keys(table):
            self._db.executemany(
                _insertion(rows_table(table), tuple(places)),
                ((step(), row_id, modified, *pick(values)) for row_id, modified, values in rows),
            )

    def put_many(self, table: Table, rows: Iterable[tuple[str, str, list[Any]]]) -> None:
        """Inserts or replaces many rows of (id, modified, values), each with a version of its own."""
        name, step = rows_table(table), self.next_version
        with self._naming_keys(table):
            self._db.executemany(
                _insertion(name, tuple(range(table.width)), replacing=True),
                ((step(), row_id, modified, *values) for row_id, modified, values in rows),
            )

    def select(
        self, table: Table, where: str, parameters: Sequence[Any], *, order: str = "id", limit: int | None = None
    ) -> list[Row]:
        """Rows for a condition written by `filter_sql`, ordered by SQL expressions, at most `limit`."""
        statement = f"SELECT * FROM {rows_table(table)} AS r"
        statement += f" WHERE {where or '1'} ORDER BY {order}"
        if limit is not None:
            statement += f" LIMIT {int(limit)}"
        return [_row(raw) for raw in self._db.execute(statement, tuple(parameters))]

    def order_values(self, table: Table, expressions: Sequence[str], row_id: str) -> list[Any]:
        """The values a row is ordered by, as the database sees them."""
        if not expressions:
            return []
        found = self._db.execute(
            f"SELECT {', '.join(expressions)} FROM {rows_table(table)} AS r WHERE r.id = ?", (row_id,)
        ).fetchone()
        return list(found)

    def count(self, table: Table, where: str = "", parameters: Sequence[Any] = (), *, limit: int | None = None) -> int:
        """How many rows meet a condition, counting no further than `limit`."""
        inner = f"SELECT 1 FROM {rows_table(table)} AS r WHERE {where or '1'}"
        if limit is not None:
            inner += f" LIMIT {int(limit)}"
        (number,) = self._db.execute(f"SELECT count(*) FROM ({inner})", tuple(parameters)).fetchone()
        return int(number)

    def after(self, table: Table, version: int, upto: int, limit: int) -> list[Row]:
        """Rows whose version lies in (version, upto], by version."""
        found = self._db.execute(
            f"SELECT * FROM {rows_table(table)} WHERE version > ? AND version <= ? ORDER BY version LIMIT ?",
            (version, upto, limit),
        )
        return [_row(raw) for raw in found]

    def deleted_after(
        self, table: Table, version: int, upto: int, limit: int, *, recreated: bool = True
    ) -> list[Tombstone]:
        """Tombstones whose version lies in (version, upto], by version; without `recreated`, of absent rows only."""
        gone = "" if recreated else f" AND NOT EXISTS (SELECT 1 FROM {rows_table(table)} AS r WHERE r.id = deleted.id)"
        found = self._db.execute(
            f"SELECT version, id, at FROM deleted WHERE name = ? AND version > ? AND version <= ?{gone}"
            " ORDER BY version LIMIT ?",
            (table.name, version, upto, limit),
        )
        return [Tombstone(*raw) for raw in found]

    def changes_count(self, table: Table, version: int) -> int:
        """How many rows and tombstones are newer than a version."""
        (rows,) = self._db.execute(f"SELECT count(*) FROM {rows_table(table)} WHERE version > ?", (version,)).fetchone()
        (gone,) = self._db.execute(
            "SELECT count(*) FROM deleted WHERE name = ? AND version > ?", (table.name, version)
        ).fetchone()
        return int(rows) + int(gone)

    def page_by_id(self, table: Table, after: str, limit: int) -> list[Row]:
        """Rows with an id greater than `after`, by id: the walk that comparisons use."""
        return self.select(table, "r.id > ?", (after,), order="r.id", limit=limit)

    def related(self, table: Table, column: str, row_id: str) -> list[Row]:
        """Rows whose lookup points to an id."""
        return self.select(table, f"{column_sql(table, table.columns[column], alias='r')} = ?", (row_id,))

    def rewrite(self, table: Table, ordinal: int, change: Callable[[Any], Any]) -> None:
        """Changes one stored value of every row without touching versions, as a schema change does."""
        name = rows_table(table)
        for version, value in self._db.execute(f"SELECT version, c{ordinal} FROM {name}").fetchall():
            self._db.execute(f"UPDATE {name} SET c{ordinal} = ? WHERE version = ?", (change(value), version))


@lru_cache(maxsize=256)
def _insertion(name: str, ordinals: tuple[int, ...], *, replacing: bool = False) -> str:
    places = [f"c{place}" for place in ordinals]
    columns = ", ".join(["version", "id", "modified", *places])
    marks = ", ".join("?" * (len(places) + 3))
    statement = f"INSERT INTO {name} ({columns}) VALUES ({marks})"
    if not replacing:
        return statement
    changes = ", ".join(f"{column} = excluded.{column}" for column in ["version", "modified", *places])
    return f"{statement} ON CONFLICT (id) DO UPDATE SET {changes}"


def _key_index(table: Table, key: Key) -> str:
    return f"key_{_sql_name(table.name)}_{_sql_name(key.name.lower())}"


def _row(raw: tuple[Any, ...]) -> Row:
    return Row(raw[0], raw[1], raw[2], list(raw[3:]))
