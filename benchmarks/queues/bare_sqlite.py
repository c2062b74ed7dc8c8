"""The least that is correct on sqlite3: durable, atomic, one row per key, claims that can be told from older ones.

No lanes, no turns, no delays, no counters, no dead letters, no ledger, no mark before sending, no checks of the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.queues.contender import Record

__all__ = ["BareSQLite"]

_EPOCH = 1


class BareSQLite:
    """What one would write in an afternoon, and would be right."""

    name: ClassVar[str] = "bare sqlite3"
    durability: ClassVar[str] = "WAL, synchronous=FULL"
    batches: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, payload BLOB NOT NULL,"
            " epoch INTEGER, attempts INTEGER NOT NULL DEFAULT 0)"
        )
        self._connection.execute("CREATE INDEX items_ready ON items (id) WHERE epoch IS NULL")

    def prepare(self, some: Sequence[Record]) -> Sequence[Record]:
        return some

    def put(self, prepared: Sequence[Record]) -> None:
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        run.executemany(
            "INSERT INTO items (key, payload) VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET payload = excluded.payload WHERE epoch IS NULL",
            prepared,
        )
        run.execute("COMMIT")

    def take(self, count: int) -> list[tuple[int, str, bytes]]:
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        taken: list[tuple[int, str, bytes]] = run.execute(
            "SELECT id, key, payload FROM items WHERE epoch IS NULL ORDER BY id LIMIT ?", (count,)
        ).fetchall()
        run.executemany(
            "UPDATE items SET epoch = ?, attempts = attempts + 1 WHERE id = ? AND epoch IS NULL",
            [(_EPOCH, row[0]) for row in taken],
        )
        run.execute("COMMIT")
        return taken

    def finish(self, taken: list[tuple[int, str, bytes]]) -> int:
        run = self._connection
        run.execute("BEGIN IMMEDIATE")
        done = run.executemany("DELETE FROM items WHERE id = ? AND epoch = ?", [(row[0], _EPOCH) for row in taken])
        run.execute("COMMIT")
        return done.rowcount

    def size(self) -> int:
        row: tuple[int] = self._connection.execute("SELECT COUNT(*) FROM items").fetchone()
        return row[0]

    def close(self) -> None:
        self._connection.close()
