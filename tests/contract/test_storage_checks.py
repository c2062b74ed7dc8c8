"""Every check of the conformance kit, against SQLite in memory and in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.storage.sql_storage import SQLStorage
from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
from syncline.testing.storage_checks import STORAGE_CHECKS, Check, Subject


@pytest.fixture(params=["memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLStorage]:
    """An empty storage of each kind."""
    made = MemoryStorage() if request.param == "memory" else SQLiteStorage(tmp_path / "syncline.db")
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
