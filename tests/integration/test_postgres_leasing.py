"""Workers that lease side by side on PostgreSQL: while one is in the middle of it the others go on.

A lease is held open where it has done all but count and commit. Were another one to wait for it, it would wait until
the server ends the first, which is then begun anew and finds other rows: both are made by one thread.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql
from tests.postgres_room import Server

from syncline.backlog import SUSPECT_AFTER, Grant, Item, ItemState, Lane, Settlement, Settling
from syncline.storage import sql_leasing
from syncline.storage.postgres import PostgresStorage
from syncline.storage.sql_transaction import Transaction
from syncline.testing.storage_checks.subject import WORKFLOW, Subject, entry, ids, settlements

_Result = TypeVar("_Result")
#: In seconds: what is held open is not taken from a busy machine.
PATIENCE = 60


def in_the_middle(
    storage: PostgresStorage, grant: Grant, limit: int, act: Callable[[], _Result]
) -> tuple[Sequence[Item] | None, _Result]:
    """What a lease takes, and what somebody does while it is under way."""

    def work(tx: Transaction) -> tuple[Sequence[Item] | None, _Result]:
        return sql_leasing.lease(tx, tx.hold(grant), limit, {}), act()

    return storage._write(grant.workflow, work, durable=False, shared=True)


def wait_for_it(
    postgres: Server, schema: str, pool: ThreadPoolExecutor, work: Callable[[], _Result]
) -> Future[_Result]:
    """Somebody who is seen to wait for what is under way; the result comes when that has ended."""
    done = pool.submit(work)
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = %s"
    while not postgres.ask(waits, f"syncline {schema}"):
        assert not done.done()
    return done


def suspected(subject: Subject, record: str) -> None:
    """Processes died of it until it is a suspect."""
    grant = subject.grant()
    subject.storage.put(grant, [entry(record)])
    for _ in range(SUSPECT_AFTER):
        subject.storage.mark_sending(grant, subject.lease(grant))
        grant = subject.takeover()
    subject.storage.release(grant)


def test_a_lease_does_not_wait_for_another_one(postgres: Server) -> None:
    """It passes over what the other one has taken, and takes what comes next, at once and in order."""
    with closing(postgres.storage(busy_timeout=PATIENCE)) as storage:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        first, second = subject.worker(), subject.worker()
        storage.put(first, [entry(record) for record in "abcdef"])
        one, other = in_the_middle(storage, first, 2, lambda: storage.lease(second, 3))
        assert (ids(one or []), ids(other)) == (["a", "b"], ["c", "d", "e"])
        subject.exact()
        assert ids(storage.lease(second, 9)) == ["f"]
        for grant, items in ((first, one or []), (second, other)):
            assert storage.settle(grant, settlements(items)).settled == len(items)
        subject.exact()


def test_tables_that_take_turns_do_not_make_leases_wait(postgres: Server) -> None:
    """Whose turn it was is noted at the end: two leases of several tables go side by side as well."""
    with closing(postgres.storage(busy_timeout=PATIENCE)) as storage:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        first, second = subject.worker(), subject.worker()
        storage.put(first, [entry(f"{table}{n}", table=table) for table in ("contact", "account") for n in range(4)])
        one, other = in_the_middle(storage, first, 2, lambda: storage.lease(second, 4))
        assert sorted(ids(one or [])) == ["account0", "contact0"]
        assert sorted(ids(other)) == ["account1", "account2", "contact1", "contact2"]
        subject.exact()


def test_what_has_come_due_is_not_waited_for_either(postgres: Server) -> None:
    """While one lease has ended delays another one takes what is ready; what the first left over comes next."""
    with closing(postgres.storage(busy_timeout=PATIENCE)) as storage:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        first, second = subject.worker(), subject.worker()
        due = storage.now() + timedelta(seconds=20)
        items = subject.put_and_lease(first, *(entry(record) for record in "abc"))
        retries = [Settlement(item=item, settling=Settling.RETRY, retry_at=due) for item in items]
        storage.settle(first, retries)
        storage.put(first, [entry(record) for record in "de"])
        subject.wait(21)
        one, other = in_the_middle(storage, first, 2, lambda: storage.lease(second, 9))
        assert (ids(one or []), ids(other)) == (["a", "b"], ["d", "e"])
        subject.exact()
        assert ids(storage.lease(second, 9)) == ["c"]
        subject.exact()


def test_nothing_is_said_only_when_nothing_is_left(postgres: Server) -> None:
    """Where all that is ready is in another one's hand a lease waits for that one: it may put some of it back."""
    schema = postgres.schema()
    with closing(postgres.storage(schema, busy_timeout=PATIENCE)) as storage, ThreadPoolExecutor(1) as pool:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        first, second = subject.worker(), subject.worker()
        storage.put(first, [entry("a")])

        def ask() -> Future[Sequence[Item]]:
            return wait_for_it(postgres, schema, pool, lambda: storage.lease(second, 1))

        one, other = in_the_middle(storage, first, 5, ask)
        assert (ids(one or []), other.result()) == (["a"], [])
        assert in_the_middle(storage, first, 5, lambda: storage.lease(second, 1)) == ([], [])
        subject.exact()


def test_a_suspect_is_leased_by_whoever_is_alone(postgres: Server) -> None:
    """A lease that would take a suspect waits for those under way, and meanwhile takes none; then it is alone."""
    schema = postgres.schema()
    with closing(postgres.storage(schema, busy_timeout=PATIENCE)) as storage, ThreadPoolExecutor(1) as pool:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        suspected(subject, "s")
        first, second = subject.worker(), subject.worker()
        storage.put(first, [entry("a", lane=Lane.CONSENT), entry("b", lane=Lane.CONSENT)])

        def alone() -> Sequence[Item] | None:
            return storage._write(WORKFLOW, lambda tx: sql_leasing.lease(tx, tx.hold(second), 1, {}), durable=False)

        def ask() -> tuple[Sequence[Item], Future[Sequence[Item] | None]]:
            return storage.lease(second, 1), wait_for_it(postgres, schema, pool, alone)

        one, (other, nothing) = in_the_middle(storage, first, 1, ask)
        assert (ids(one or []), ids(other), nothing.result()) == (["a"], ["b"], [])
        assert storage.lease(second, 5) == []
        for grant, items in ((first, one or []), (second, other)):
            storage.settle(grant, settlements(items))
        # Beside others nobody takes it, whatever it finds.
        assert in_the_middle(storage, first, 5, lambda: subject.in_state(ItemState.READY)) == (None, 1)
        (suspect,) = storage.lease(first, 5)
        assert suspect.crashes == SUSPECT_AFTER
        assert in_the_middle(storage, second, 5, lambda: None) == ([], None)
        subject.exact()


@pytest.mark.parametrize("name", ["put", "settle", "start"])
def test_whatever_else_writes_waits_for_a_lease(postgres: Server, name: str) -> None:
    """What a lease has read does not change under its hands: nobody puts, settles or administers meanwhile."""
    schema = postgres.schema()
    with closing(postgres.storage(schema, busy_timeout=PATIENCE)) as storage, ThreadPoolExecutor(1) as pool:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        first, second = subject.worker(), subject.worker()
        storage.put(first, [entry(record) for record in "abc"])
        theirs = storage.lease(second, 1)
        acts: dict[str, Callable[[], object]] = {
            "put": lambda: storage.put(second, [entry("d")]),
            "settle": lambda: storage.settle(second, settlements(theirs)),
            "start": subject.restart,
        }
        one, other = in_the_middle(storage, first, 1, lambda: wait_for_it(postgres, schema, pool, acts[name]))
        other.result()
        assert ids(one or []) == ["b"]
        subject.exact()


def test_counters_are_locked_in_one_order(postgres: Server) -> None:
    """A lease that waits for a counter has locked none that comes behind it, so that no two wait for each other."""
    schema = postgres.schema()
    with (
        closing(postgres.storage(schema, busy_timeout=PATIENCE)) as storage,
        closing(psycopg.connect(postgres.url)) as other,
    ):
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        grant = subject.worker()
        storage.put(grant, [entry(table, table=table) for table in ("contact", "account", "lead", "list")])
        counters = sql.SQL("SELECT scope, name FROM {}.counters").format(sql.Identifier(schema))
        first = other.execute(counters + sql.SQL(" WHERE scope > 0 AND n > 0 ORDER BY scope, name")).fetchall()[0]
        other.execute(counters + sql.SQL(" WHERE scope = %s AND name = 'upsert.live.leased' FOR UPDATE"), first[:1])
        with ThreadPoolExecutor(1) as pool:
            leased = wait_for_it(postgres, schema, pool, lambda: storage.lease(grant, 4))
            free = other.execute(counters + sql.SQL(" WHERE scope > 0 FOR UPDATE SKIP LOCKED")).fetchall()
            every = other.execute(counters + sql.SQL(" WHERE scope > 0")).fetchall()
            assert set(every) == set(free)
            other.rollback()
            assert len(leased.result()) == 4
        subject.exact()


def test_many_leases_at_once_never_wait_for_each_other_in_a_circle(postgres: Server) -> None:
    """Many threads, many tables, lanes and delays: every row is leased once, exactly, and no deadlock was broken."""
    schema = postgres.schema()
    tables = [f"t{number}" for number in range(6)]
    crew, dice = 6, random.Random(4)  # noqa: S311 - no secrets
    before = postgres.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    with closing(postgres.storage(schema, connections=crew)) as storage:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        grants = [subject.worker(workers=crew) for _ in range(crew)]
        for lane in Lane:
            changes = [entry(f"{lane}{n}", table=table, lane=lane) for n in range(20) for table in tables]
            storage.put(grants[0], dice.sample(changes, len(changes)))
        now = storage.now()
        delays = [
            Settlement(item=item, settling=Settling.RETRY, retry_at=now + timedelta(seconds=dice.choice([5, 30])))
            for item in storage.lease(grants[0], 100)
        ]
        storage.settle(grants[0], delays)
        subject.wait(10)

        def lease_all(grant: Grant) -> list[Item]:
            mine: list[Item] = []
            while items := storage.lease(grant, len(mine) % 9 + 5):
                mine += items
            return mine

        with ThreadPoolExecutor(crew) as pool:
            taken = list(pool.map(lease_all, grants))
        subject.exact()
        left = subject.in_state(ItemState.DELAYED)
        keys = [item.key for items in taken for item in items]
        assert len(set(keys)) == len(keys) == 360 - left
        assert subject.in_state(ItemState.LEASED) == len(keys)
        for grant, items in zip(grants, taken, strict=True):
            assert storage.settle(grant, settlements(items)).settled == len(items)
        subject.exact()
    # Every session tells what it counted when it ends.
    assert postgres.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == before
