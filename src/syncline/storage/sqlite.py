"""The storages that work out of the box: SQLite in a file, and SQLite in memory.

What lives here: the two public classes. How SQLite is talked to lives in `sqlite_database`.
"""

from __future__ import annotations

import os
from typing import Final

from syncline.clock import SystemClock
from syncline.storage.sql_storage import SQLStorage
from syncline.storage.sqlite_database import SQLiteDatabase
from syncline.storage.sqlite_file import DatabaseFile

__all__ = ["MemoryStorage", "SQLiteStorage"]

_BUSY_TIMEOUT: Final = 10.0


class SQLiteStorage(SQLStorage):
    """A storage in one file on a local disk, for one host: any number of threads and processes may use it at once.

    The file is created when the storage is first used, for this user alone, with three neighbours: `-wal` and `-shm`
    belong to SQLite and `-lock` to the writers. Move or copy them together, and only while nothing runs.

    An existing file is only ever opened if it carries Syncline's mark: an empty or a foreign file is refused and left
    as it is. Raises StorageUnusableError, StorageCorruptError or StorageMismatchError when it is first used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = _BUSY_TIMEOUT,
        max_pages: int | None = None,
    ) -> None:
        """Nothing is opened yet.

        `busy_timeout`: seconds to wait for another process before StorageBusyError.
        `max_pages`: pages of 8192 bytes the file may have before StorageFullError; None leaves it to the disk.
        """
        file = DatabaseFile(path, SystemClock())
        super().__init__(SQLiteDatabase(file, busy_timeout=busy_timeout, max_pages=max_pages))
        self.path: Final = file.path

    def __repr__(self) -> str:
        return f"SQLiteStorage({str(self.path)!r})"


class MemoryStorage(SQLStorage):
    """A storage in memory, for tests and notebooks: the same SQL, nothing on the disk.

    It belongs to one process and lives as long as the object; closing it loses nothing.
    """

    def __init__(self) -> None:
        super().__init__(SQLiteDatabase(None, busy_timeout=_BUSY_TIMEOUT))

    def __repr__(self) -> str:
        return f"MemoryStorage() at {id(self):#x}"
