"""What SQLite's errors mean to the caller.

What lives here: the one translation table from SQLite's result codes. No sqlite3 exception gets past it.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from syncline.errors import (
    StorageBusyError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnusableError,
    SynclineError,
)

__all__ = ["SQLITE_EXCEPTIONS", "translate"]

#: Everything the driver raises by itself. `Warning` stands apart from `Error` there.
SQLITE_EXCEPTIONS: Final = (sqlite3.Error, sqlite3.Warning)

#: The low byte of a result code says what kind it is (https://www.sqlite.org/rescode.html).
_KIND: Final = 0xFF
#: PROTOCOL is a race for the write-ahead log that went on for too long.
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_FORMAT}
_UNUSABLE: Final = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOLFS,
}


def translate(error: BaseException, place: str, *, waited: float = 0.0) -> SynclineError:
    """What to raise instead of an exception of the driver. `waited` is in seconds."""
    code = getattr(error, "sqlite_errorcode", None)
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    kind = None if code is None else code & _KIND
    found = f"{place}: {error} ({name})."
    if kind in _BUSY:
        return StorageBusyError(f"{place} was held by another process for {waited:.1f} s.")
    if kind == sqlite3.SQLITE_FULL:
        return StorageFullError(
            f"{place}: no space is left, or the database reached its limit ({name}).",
            remedy="Free some space; the work goes on by itself.",
        )
    if kind in _DAMAGED:
        return StorageCorruptError(
            found, remedy=f"Keep a copy, then restore a backup or try: sqlite3 {place} .recover. Nothing was changed."
        )
    if kind in _UNUSABLE:
        return StorageUnusableError(found, remedy="Check the disk, the permissions and the mount options.")
    return StorageError(found)
