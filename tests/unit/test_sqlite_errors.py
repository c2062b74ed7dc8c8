"""What SQLite's errors become."""

from __future__ import annotations

import sqlite3

import pytest

from syncline.errors import (
    StorageBusyError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnusableError,
    SynclineError,
)
from syncline.storage.sqlite_errors import SQLITE_EXCEPTIONS, translate

#: Every result code the driver knows, extended ones included; flags and limits share the prefix and are harmless here.
CODES = sorted(
    {value for name, value in vars(sqlite3).items() if name.startswith("SQLITE_") and isinstance(value, int)}
)
CLASSES = [value for value in vars(sqlite3).values() if isinstance(value, type) and issubclass(value, Exception)]


def raised(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    error.sqlite_errorname = f"CODE_{code}"
    return error


@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_of_the_driver_is_caught_and_translated(kind: type[Exception]) -> None:
    """No class of the sqlite3 module gets past the translation."""
    assert issubclass(kind, SQLITE_EXCEPTIONS)
    assert isinstance(translate(kind("no"), "x.db"), StorageError)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_meaning_and_names_the_file(code: int) -> None:
    """Whatever SQLite answers, the caller learns the place and what to do next."""
    error = translate(raised(code), "/data/x.db", waited=1.5)

    assert isinstance(error, SynclineError)
    assert "/data/x.db" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, StorageBusyError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageBusyError),
        (sqlite3.SQLITE_BUSY_RECOVERY, StorageBusyError),
        (sqlite3.SQLITE_LOCKED, StorageBusyError),
        (sqlite3.SQLITE_FULL, StorageFullError),
        (sqlite3.SQLITE_CORRUPT, StorageCorruptError),
        (sqlite3.SQLITE_CORRUPT_INDEX, StorageCorruptError),
        (sqlite3.SQLITE_NOTADB, StorageCorruptError),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, StorageCorruptError),
        (sqlite3.SQLITE_READONLY_DBMOVED, StorageUnusableError),
        (sqlite3.SQLITE_CANTOPEN, StorageUnusableError),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageUnusableError),
        (sqlite3.SQLITE_IOERR_WRITE, StorageUnusableError),
    ],
)
def test_codes_mean_what_the_caller_does_next(code: int, kind: type[SynclineError]) -> None:
    """Extended codes mean what their kind means."""
    assert type(translate(raised(code), "x.db")) is kind


def test_busy_tells_how_long_it_waited() -> None:
    """F-24: the elapsed time is in the message."""
    assert "2.5 s" in str(translate(raised(sqlite3.SQLITE_BUSY), "x.db", waited=2.46))
