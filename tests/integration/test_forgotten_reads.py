"""What a full read saw is forgotten at once, and its rows go a little at a time, so that nobody waits for millions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.postgres_room import Server

from syncline.storage import sql_reading
from syncline.storage.postgres import PostgresStorage
from syncline.store import PageCommit
from syncline.testing.storage_checks.subject import WORKFLOW, Subject, entry, position
from syncline.upkeep import Retention

#: More than goes in two transactions.
SEEN = 20_001


@pytest.fixture
def schema(postgres: Server) -> str:
    return postgres.schema()


@pytest.fixture
def subject(postgres: Server, schema: str) -> Iterator[Subject]:
    """A storage whose tables can be looked at past Syncline."""
    with closing(postgres.storage(schema)) as storage:
        yield Subject(storage=storage, advance=storage.set_time_offset)


def number(postgres: Server, schema: str, query: str) -> int:
    return int(postgres.ask(query, schema=schema)[0][0])


def test_the_rows_go_in_several_transactions(postgres: Server, schema: str, subject: Subject) -> None:
    """After some of them others have their turn; in the end nothing is left but what is queued or known."""
    storage, grant = subject.storage, subject.grant()
    storage.put(grant, [entry("queued")])
    seen = ["queued", *(f"r{one}" for one in range(SEEN - 1))]
    storage.commit_page(grant, PageCommit(table="contact", position=position(compares=True), entries=[], seen=seen))
    assert number(postgres, schema, "SELECT COUNT(*) FROM seen") == SEEN
    before = number(postgres, schema, "SELECT SUM(number) FROM markers")
    storage.forget_seen(grant, "contact", position())
    assert number(postgres, schema, "SELECT SUM(number) FROM markers") - before == 1 + 3
    assert number(postgres, schema, "SELECT COUNT(*) FROM seen") == 0
    assert number(postgres, schema, "SELECT COUNT(*) FROM records") == 1
    assert list(storage.unseen(WORKFLOW, "contact", 2)) == ["queued"]
    subject.exact()


def test_what_a_process_left_behind_counts_for_nobody(postgres: Server, schema: str, subject: Subject) -> None:
    """It died right after it had forgotten: the next full read has seen nothing yet, and the rows go with its own."""
    storage, grant = subject.storage, subject.grant()
    storage.put(grant, [entry("a")])
    page = PageCommit(table="contact", position=position(compares=True), entries=[], seen=["a", "gone"])
    storage.commit_page(grant, page)
    assert isinstance(storage, PostgresStorage)
    storage._write(WORKFLOW, lambda tx: sql_reading.forget_seen(tx, tx.hold_reader(grant), "contact", position()))
    assert number(postgres, schema, "SELECT COUNT(*) FROM seen") == 2
    assert list(storage.unseen(WORKFLOW, "contact", 2)) == ["a"]
    storage.commit_page(grant, page)
    assert list(storage.unseen(WORKFLOW, "contact", 2)) == []
    storage.forget_seen(grant, "contact", position())
    assert number(postgres, schema, "SELECT COUNT(*) FROM seen") == 0
    assert number(postgres, schema, "SELECT COUNT(*) FROM records") == 1
    subject.exact()


def test_what_a_process_left_behind_goes_with_what_is_old(postgres: Server, schema: str, subject: Subject) -> None:
    """Where no full read follows, tidying up removes it: keys of people of whom nothing else is known."""
    storage, grant = subject.storage, subject.grant()
    page = PageCommit(table="contact", position=position(compares=True), entries=[], seen=["a", "gone"])
    storage.commit_page(grant, page)
    assert isinstance(storage, PostgresStorage)
    storage._write(WORKFLOW, lambda tx: sql_reading.forget_seen(tx, tx.hold_reader(grant), "contact", position()))
    assert storage.purge(WORKFLOW, Retention(), 10).total == 0
    assert number(postgres, schema, "SELECT COUNT(*) FROM seen") == 0
    assert number(postgres, schema, "SELECT COUNT(*) FROM records") == 0
    subject.exact()
