"""Transactions on SQLite: how a connection is opened, checked, used and closed.

What lives here: everything that is said to the sqlite3 module. No rules of the queue.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from threading import Lock
from typing import Final, TypeVar
from uuid import uuid4

from syncline.clock import SystemClock
from syncline.errors import ForkedConnectionError, StorageCorruptError, StorageError, StorageMismatchError
from syncline.storage.dialect import Parameters, Row
from syncline.storage.queries import SCHEMA_VERSION, load_queries, load_schema
from syncline.storage.sqlite_errors import SQLITE_EXCEPTIONS, translate
from syncline.storage.sqlite_file import DatabaseFile, private

__all__ = ["APPLICATION_ID", "SQLiteDatabase"]

_Result = TypeVar("_Result")

_DIALECT: Final = "sqlite"

#: The mark in the file's header that says it is ours: "SynL".
APPLICATION_ID: Final = int.from_bytes(b"SynL", "big")
_OLDEST_SQLITE: Final = (3, 31, 0)
#: Fewer and larger pages are faster here up to this size; beyond, each small change costs too much.
_PAGE_SIZE: Final = 8192
_CACHE_KIB: Final = 65536
#: How many rows may change, or transactions may write, before the write-ahead log is moved into the database. It bounds
#: the log; and a log that begins anew is written over what it was, which costs the disk half of what growing costs.
_CHECKPOINT_AFTER: Final = 20_000
_CHECKPOINT_AFTER_COMMITS: Final = 500
#: Overwrites what is deleted where that costs nothing: on pages that stay in use.
_SECURE_DELETE: Final = "PRAGMA secure_delete = FAST"
#: Lists of values are cut into these sizes, so that few statements are prepared and all of them stay prepared.
_LIST_SIZES: Final = (512, 64, 8, 1)
#: Connections that belong to a parent process: closing them here could remove what the parent still uses.
_ABANDONED: Final[list[sqlite3.Connection]] = []


@cache
def _for_list(query: str, size: int) -> str:
    return load_queries(_DIALECT)[query].replace("?*", ",".join("?" * size))


def _cut(values: Sequence[object]) -> Iterator[Sequence[object]]:
    """The values in lists of few different sizes."""
    at = 0
    for size in _LIST_SIZES:
        while len(values) - at >= size:
            yield values[at : at + size]
            at += size


class _Session:
    """A transaction under way on one connection."""

    #: Nobody writes beside it.
    is_alone: Final = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queries = load_queries(_DIALECT)

    def now(self) -> int:
        return int(self._connection.execute(self._queries["now"]).fetchone()[0])

    def take(self, numbers: str, count: int) -> int:
        first: int = self._connection.execute(self._queries["last_number"], (numbers,)).fetchone()[0] + 1
        self._connection.execute(self._queries["take_numbers"], (count, numbers))
        return first

    def claim(self, epoch: int, place: tuple[int, int, int], behind: int, most: int) -> list[Row]:
        rows = self.rows("ready_items", (*place, behind, most))
        if rows:
            ends = (rows[0][0], rows[-1][0])
            leased = self.run("lease_range", (epoch, *place, *ends))
            if not leased == self.run("leave_range", (*place, *ends)) == len(rows):
                raise StorageCorruptError(f"{leased} rows were leased instead of {len(rows)}: nothing was kept.")
        return rows

    def enqueue(self, items: Sequence[Row]) -> int:
        if not items:
            return 0
        added = self.run_many("add_item", items)
        return min(added, self.run("ready_added", (items[0][0], items[-1][0])))

    def finish(self, epoch: int, ids: Sequence[int]) -> int:
        ended = self.run_among("end_leases_among", (epoch,), ids)
        if ids[-1] - ids[0] + 1 == len(ids):
            return min(ended, self.run("finish_items_between", (ids[0], ids[-1])))
        return min(ended, self.run_among("finish_items_among", (), ids))

    def run(self, query: str, parameters: Parameters = ()) -> int:
        return self._connection.execute(self._queries[query], parameters).rowcount

    def run_many(self, query: str, parameters: Iterable[Parameters]) -> int:
        return max(0, self._connection.executemany(self._queries[query], parameters).rowcount)

    def run_among(self, query: str, parameters: Sequence[object], values: Sequence[object]) -> int:
        execute = self._connection.execute
        return sum(execute(_for_list(query, len(some)), (*parameters, *some)).rowcount for some in _cut(values))

    def row(self, query: str, parameters: Parameters = ()) -> Row | None:
        found: Row | None = self._connection.execute(self._queries[query], parameters).fetchone()
        return found

    def rows(self, query: str, parameters: Parameters = ()) -> list[Row]:
        return self._connection.execute(self._queries[query], parameters).fetchall()

    def rows_among(self, query: str, parameters: Sequence[object], values: Sequence[object]) -> list[Row]:
        execute = self._connection.execute
        return list(
            chain.from_iterable(execute(_for_list(query, len(some)), (*parameters, *some)) for some in _cut(values))
        )


def _close_forgotten(connection: sqlite3.Connection, pid: int) -> None:
    """A storage that nobody closed goes quietly with the object; in a child the connection is the parent's."""
    if os.getpid() == pid:
        connection.close()


class SQLiteDatabase:
    """One SQLite database, in a file or in memory. One connection, used by one thread at a time, opened when needed."""

    def __init__(self, file: DatabaseFile | None, *, busy_timeout: float, max_pages: int | None = None) -> None:
        """`file` None keeps everything in memory. `busy_timeout` is in seconds; `max_pages` limits the file's size."""
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            needed = ".".join(map(str, _OLDEST_SQLITE))
            raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old.", remedy=f"At least {needed} is needed.")
        self._file = file
        self._place = str(file) if file is not None else "the memory storage"
        self._busy_timeout = busy_timeout
        self._max_pages = max_pages
        self._clock = SystemClock()
        self._mutex = Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._store: str | None = None
        self._checkpoint_at = 0
        self._commits = 0
        #: Whether a commit of the connection waits for the disk.
        self._durable = True

    def __str__(self) -> str:
        return self._place

    # -- transactions -------------------------------------------------------------------------------------------

    def write(
        self,
        workflow: str | None,
        work: Callable[[_Session], _Result],
        *,
        durable: bool = True,
        erase: bool = False,
        shared: bool = False,
    ) -> _Result:
        """See `Database.write`. Here nobody writes beside it at all, whatever the workflow, also if it is shared."""
        self._check_process()
        with self._mutex:
            self._lock()
            try:
                connection = self._ready(durable=durable)
                result = self._erase(connection, work) if erase else self._transact(connection, "begin_writing", work)
                self._checkpoint_when_due(connection)
            finally:
                self._unlock()
        return result

    def read(self, work: Callable[[_Session], _Result]) -> _Result:
        """See `Database.read`."""
        self._check_process()
        with self._mutex:
            if self._connection is None:
                self._open()
            return self._transact(self._ready(), "begin_reading", work)

    def _check_process(self) -> None:
        # Before the mutex: in a child it may be held by a thread that does not exist there.
        if self._pid != os.getpid() and (self._connection is not None or self._file is None):
            raise ForkedConnectionError(
                f"{self} was opened in process {self._pid} and used in process {os.getpid()}, a child of it.",
                remedy="Make a new storage in each process, after the fork.",
            )

    def _lock(self) -> None:
        """Only one process writes at a time."""
        if self._file is not None:
            self._file.lock(self._busy_timeout)

    def _unlock(self) -> None:
        if self._file is not None:
            self._file.unlock()

    def _ready(self, *, durable: bool = True) -> sqlite3.Connection:
        """The connection to the file that still has its name, opened where that is needed."""
        if self._connection is None:
            self._connection = self._connected()
        if self._file is not None:
            self._file.check_same()
            if durable is not self._durable:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
        return self._connection

    def _transact(self, connection: sqlite3.Connection, begin: str, work: Callable[[_Session], _Result]) -> _Result:
        queries = load_queries(_DIALECT)
        began = self._clock.monotonic()
        try:
            connection.execute(queries[begin])
            result = work(_Session(connection))
            connection.execute(queries["commit"])
        except BaseException as error:
            self._roll_back(connection)
            if not isinstance(error, SQLITE_EXCEPTIONS):
                raise
            translated = translate(error, self._place, waited=self._clock.monotonic() - began)
            if isinstance(translated, StorageError):
                # What failed here may fail again in worse ways; a new connection looks at the file anew.
                self._drop(connection)
            raise translated from error
        return result

    def _erase(self, connection: sqlite3.Connection, work: Callable[[_Session], _Result]) -> _Result:
        """A transaction whose deletions leave nothing on the pages they free, nor in the write-ahead log."""
        connection.execute("PRAGMA secure_delete = ON")
        try:
            result = self._transact(connection, "begin_writing", work)
        finally:
            if self._file is None or self._connection is connection:
                connection.execute(_SECURE_DELETE)
        if self._file is not None:
            self._checkpoint(connection, "TRUNCATE")
        return result

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Nothing of the transaction may stay."""
        try:
            # After some errors SQLite has rolled back by itself.
            if connection.in_transaction:
                connection.execute(load_queries(_DIALECT)["rollback"])
        except SQLITE_EXCEPTIONS:
            self._drop(connection)

    def _drop(self, connection: sqlite3.Connection) -> None:
        """Never use this connection again; the next transaction opens another one, unless all was in memory."""
        if self._file is None:
            return
        self._connection = None
        with suppress(*SQLITE_EXCEPTIONS):
            connection.close()

    # -- the write-ahead log ------------------------------------------------------------------------------------

    def _checkpoint_when_due(self, connection: sqlite3.Connection) -> None:
        """Move the log into the database now and then, still behind the lock, so that it stays small."""
        self._commits += 1
        due = connection.total_changes >= self._checkpoint_at or self._commits >= _CHECKPOINT_AFTER_COMMITS
        if self._file is not None and due:
            self._checkpoint(connection, "PASSIVE")
            self._checkpoint_at = connection.total_changes + _CHECKPOINT_AFTER
            self._commits = 0

    def _checkpoint(self, connection: sqlite3.Connection, mode: str) -> None:
        try:
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except SQLITE_EXCEPTIONS as error:
            # What was committed stays committed; the log just stays longer. A reader in the way is no error either.
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_LOCKED:
                raise translate(error, self._place) from error

    # -- opening and closing ------------------------------------------------------------------------------------

    def close(self) -> None:
        """See `Database.close`. What is in memory stays for as long as the object."""
        if self._file is None:
            return
        if self._pid != os.getpid():
            self._abandon()
            return
        with self._mutex:
            connection, self._connection = self._connection, None
            try:
                if connection is not None:
                    self._close(connection)
            finally:
                self._file.close()

    def _abandon(self) -> None:
        """In a child of the process that opened it: leave the parent's connection alone, and start afresh."""
        if self._connection is not None:
            _ABANDONED.append(self._connection)
        self._connection, self._mutex, self._pid = None, Lock(), os.getpid()
        if self._file is not None:
            self._file.close()

    def _close(self, connection: sqlite3.Connection) -> None:
        self._lock()
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            self._checkpoint(connection, "TRUNCATE")
        finally:
            connection.close()
            self._unlock()

    def _open(self) -> None:
        self._lock()
        try:
            self._connection = self._connected()
        finally:
            self._unlock()

    def _connected(self) -> sqlite3.Connection:
        """A new connection. Only with the lock of the writers held."""
        self._pid = os.getpid()
        began = self._clock.monotonic()
        try:
            connection = self._create(":memory:") if self._file is None else self._open_file(self._file)
            weakref.finalize(self, _close_forgotten, connection, os.getpid()).atexit = False
            return connection
        except SQLITE_EXCEPTIONS as error:
            raise translate(error, self._place, waited=self._clock.monotonic() - began) from error

    def _open_file(self, file: DatabaseFile) -> sqlite3.Connection:
        if not file.exists():
            new = file.start_new()
            self._create(str(new)).close()
            file.put_in_place(new)
        connection = self._connect(f"{file.path.as_uri()}?mode=rw", uri=True)
        try:
            self._check(connection, file)
            self._configure(connection)
            private(file.path)
            file.remember()
        except BaseException:
            connection.close()
            raise
        self._checkpoint_at = connection.total_changes + _CHECKPOINT_AFTER
        return connection

    def _connect(self, database: str, *, uri: bool = False) -> sqlite3.Connection:
        return sqlite3.connect(
            database,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            uri=uri,
        )

    def _create(self, database: str) -> sqlite3.Connection:
        """A new database with the whole schema in it."""
        connection = self._connect(database)
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("PRAGMA journal_mode = WAL")
        self._configure(connection)
        connection.execute(load_queries(_DIALECT)["begin_writing"])
        for query in load_schema(_DIALECT).values():
            connection.execute(query)
        connection.execute(load_queries(_DIALECT)["start_numbers"])
        connection.execute(load_queries(_DIALECT)["add_store"], (str(uuid4()),))
        connection.execute(load_queries(_DIALECT)["commit"])
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        self._durable = True
        for pragma in (
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            f"cache_size = -{_CACHE_KIB}",
            "mmap_size = 0",
            "temp_store = MEMORY",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_SECURE_DELETE)
        if self._max_pages is not None:
            connection.execute(f"PRAGMA max_page_count = {self._max_pages}")

    def _check(self, connection: sqlite3.Connection, file: DatabaseFile) -> None:
        """Raises unless this is our database, of our version, and the one we know."""
        application_id, version = (
            connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("application_id", "user_version")
        )
        if application_id != APPLICATION_ID:
            raise StorageMismatchError(
                f"{file} is a SQLite database, but not one of Syncline (application_id {application_id:#x}).",
                remedy="Give another path. The file was left as it is.",
            )
        if version != SCHEMA_VERSION:
            raise StorageMismatchError(
                f"{file} has schema version {version}; this release knows version {SCHEMA_VERSION}.",
                remedy="Use the release that wrote it, or a newer one.",
            )
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StorageError(f"{file} cannot be used with a write-ahead log (journal_mode {mode}).")
        row = connection.execute(load_queries(_DIALECT)["store"]).fetchone()
        if row is None:
            raise StorageCorruptError(f"{file} has lost the row that says which store it is.")
        if self._store not in (None, row[0]):
            raise StorageMismatchError(
                f"{file} is another store than the one that was open before.",
                remedy="Start anew with a new storage if that is meant.",
            )
        self._store = row[0]
