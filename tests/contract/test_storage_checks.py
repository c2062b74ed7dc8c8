"""Every check of the conformance kit, against SQLite in memory and in a file, and against PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres_room import Server

from syncline.storage.sql_storage import SQLStorage
from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
from syncline.testing.storage_checks import STORAGE_CHECKS, Check, Subject


def make(kind: str, request: pytest.FixtureRequest, folder: Path) -> SQLStorage:
    if kind == "postgres":
        server: Server = request.getfixturevalue("postgres")
        return server.storage()
    return MemoryStorage() if kind == "memory" else SQLiteStorage(folder / "syncline.db")


@pytest.fixture(params=["memory", "file", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLStorage]:
    """An empty storage of each kind."""
    made = make(request.param, request, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_storage(check: Check, storage: SQLStorage) -> None:
    """What the check's docstring promises."""
    check(Subject(storage=storage, advance=storage.set_time_offset))


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_each_check_says_what_it_promises(check: Check) -> None:
    """A check without a sentence is no promise."""
    assert (check.__doc__ or "").strip().endswith(".")
