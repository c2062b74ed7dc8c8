"""PostgresStorage when the server stops, sessions are ended, answers are lost and processes pause."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.postgres_proxy import Loss, Proxy
from tests.postgres_room import OwnServer, Server

from syncline.backlog import Grant
from syncline.errors import ForkedConnectionError, StorageBusyError, StorageCorruptError
from syncline.storage.postgres import PostgresStorage
from syncline.storage.postgres_database import PostgresDatabase
from syncline.storage.sql_transaction import Transaction
from syncline.testing.storage_checks.subject import WORKFLOW, entry, owner, settlements

MINUTE = timedelta(seconds=60)


def granted(storage: PostgresStorage, workflow: str = WORKFLOW) -> Grant:
    storage.register(workflow, "{}")
    grant = storage.acquire(workflow, owner(), MINUTE)
    assert grant is not None
    return grant


def exact(storage: PostgresStorage, put: int) -> None:
    """Nothing was lost or doubled."""
    assert storage.audit(WORKFLOW) == []
    assert storage.counts(WORKFLOW).totals.put == put


@pytest.fixture
def own(postgres: Server) -> OwnServer:
    """A server that may be stopped."""
    if not isinstance(postgres, OwnServer):
        pytest.skip("the server that SYNCLINE_TEST_POSTGRES names is not ours to stop")
    return postgres


@pytest.fixture
def proxy(postgres: Server) -> Iterator[Proxy]:
    """A way to the server that can lose commits. A socket's path is short, unlike pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="sl") as folder:
        made = Proxy(postgres.url, Path(folder))
        yield made
        made.close()


@pytest.mark.parametrize("at_once", [False, True], ids=["stopped", "crashed"])
def test_a_server_that_was_restarted_is_used_again(own: OwnServer, at_once: bool) -> None:
    """The connections of before are dead: the next transaction finds out and begins anew on another one."""
    with closing(own.storage()) as storage:
        grant = granted(storage)
        storage.put(grant, [entry("a")])
        own.stop(at_once=at_once)
        own.start()
        storage.put(grant, [entry("b")])
        assert [item.key.id for item in storage.lease(grant, 5)] == ["a", "b"]
        exact(storage, 2)


def test_a_server_that_is_away_is_waited_for_and_then_told(own: OwnServer) -> None:
    """StorageBusyError says that nothing happened and waiting loses nothing; the storage works when it is back."""
    with closing(own.storage(busy_timeout=0.3)) as storage:
        grant = granted(storage)
        own.stop()
        try:
            with pytest.raises(StorageBusyError, match="could not be used"):
                storage.put(grant, [entry("a")])
            with pytest.raises(StorageBusyError):
                storage.counts(WORKFLOW)
        finally:
            own.start()
        storage.put(grant, [entry("a")])
        exact(storage, 1)


@pytest.mark.parametrize("table", ["markers", "records", "items", "ready", "counters"])
def test_a_session_that_is_ended_in_a_transaction_loses_and_doubles_nothing(postgres: Server, table: str) -> None:
    """Wherever in the transaction the server ends the session: it is begun anew and happens once."""
    schema = postgres.schema()
    with closing(postgres.storage(schema)) as storage:
        grant = granted(storage)
        postgres.ask("CREATE SEQUENCE shots", schema=schema)
        postgres.ask(
            "CREATE FUNCTION shoot() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF nextval('shots') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$",
            schema=schema,
        )
        postgres.ask(
            f"CREATE TRIGGER shoot AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION shoot()",
            schema=schema,
        )
        storage.put(grant, [entry("a"), entry("b")])
        assert postgres.ask("SELECT last_value FROM shots", schema=schema)[0][0] > 1
        assert len(storage.lease(grant, 5)) == 2
        exact(storage, 2)


@pytest.mark.parametrize("loss", [Loss.COMMIT, Loss.ANSWER, Loss.LATE], ids=str)
def test_a_commit_without_an_answer_happens_once(postgres: Server, proxy: Proxy, loss: Loss) -> None:
    """Whether the server had committed, had not, or still will: the outcome is looked up, and the effect is once."""
    schema = postgres.schema()
    with closing(PostgresStorage(proxy.url, schema=schema)) as storage:
        grant = granted(storage)
        for number in range(3):
            proxy.loss = loss
            storage.put(grant, [entry(f"r{number}")])
            proxy.loss = loss
            (item,) = storage.lease(grant, 1)
            proxy.loss = loss
            assert storage.settle(grant, settlements([item])).settled == 1
        assert proxy.lost == 9
        exact(storage, 3)
        assert storage.counts(WORKFLOW).totals.written == 3
        assert storage.counts(WORKFLOW).totals.refused == 0


def test_a_read_whose_answer_is_lost_is_read_again(postgres: Server, proxy: Proxy) -> None:
    """A transaction that changed nothing needs no outcome."""
    with closing(PostgresStorage(proxy.url, schema=postgres.schema())) as storage:
        storage.register(WORKFLOW, "{}")
        proxy.loss = Loss.ANSWER
        assert storage.workflow(WORKFLOW).workflow == WORKFLOW
        assert proxy.lost == 1


def test_a_commit_whose_outcome_nobody_tells_is_told_as_such(own: OwnServer, proxy: Proxy) -> None:
    """When the server stays away after a lost commit, the error says that the outcome is open."""
    with closing(PostgresStorage(proxy.url, schema=own.schema(), busy_timeout=0.3)) as storage:
        grant = granted(storage)
        hung_up = threading.Event()

        def work(tx: Transaction) -> None:
            tx.total(tx.hold(grant).workflow_id, refused=1)
            if not hung_up.is_set():
                hung_up.set()
                proxy.loss = Loss.LATE
                proxy.deny = True

        with pytest.raises(StorageBusyError, match="lost the answer to a commit"):
            storage._write(WORKFLOW, work)
        proxy.deny = False
        assert storage.counts(WORKFLOW).totals.refused == 0


def test_a_process_that_pauses_in_a_transaction_stops_nobody_for_long(postgres: Server) -> None:
    """The server takes the transaction from it; the other one goes on, and the sleeper begins anew when it wakes."""
    schema = postgres.schema()
    with (
        closing(postgres.storage(schema, busy_timeout=2)) as sleeper,
        closing(postgres.storage(schema, busy_timeout=2)) as other,
    ):
        grant = granted(sleeper)
        asleep, wake = threading.Event(), threading.Event()
        turns: list[int] = []

        def work(tx: Transaction) -> None:
            turns.append(tx.hold(grant).workflow_id)
            asleep.set()
            wake.wait(30)
            tx.total(tx.hold(grant).workflow_id, refused=1)

        thread = threading.Thread(target=sleeper._write, args=(WORKFLOW, work))
        thread.start()
        assert asleep.wait(30)
        other.put(grant, [entry("a")])
        wake.set()
        thread.join()
        assert len(turns) == 2
        assert other.counts(WORKFLOW).totals.refused == 1
        exact(other, 1)


def test_a_session_whose_process_reads_no_more_is_ended(postgres: Server) -> None:
    """A paused process can hold a workflow while the server waits to send it something: that session is ended."""
    schema = postgres.schema()
    with closing(postgres.storage(schema, busy_timeout=1)) as storage, closing(psycopg.connect(postgres.url)) as deaf:
        grant = granted(storage)
        for setting, value in (("application_name", f"syncline {schema}"), ("search_path", f'"{schema}"')):
            deaf.execute("SELECT set_config(%s, %s, false)", [setting, value])
        deaf.pgconn.send_query(b"SELECT * FROM workflows FOR UPDATE; SELECT repeat('x', 50000000)")
        while not postgres.ask("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"):
            assert deaf.pgconn.status == psycopg.pq.ConnStatus.OK
        storage.put(grant, [entry("a")])
        exact(storage, 1)


def test_whoever_waits_too_long_is_told_so(postgres: Server) -> None:
    """Another program that locks our rows for longer than our patience is a busy database, and nothing happened."""
    schema = postgres.schema()
    with closing(postgres.storage(schema, busy_timeout=0.3)) as storage, closing(psycopg.connect(postgres.url)) as rude:
        grant = granted(storage)
        rude.execute(sql.SQL("SELECT * FROM {}.workflows FOR UPDATE").format(sql.Identifier(schema)))
        with pytest.raises(StorageBusyError, match="held by another process"):
            storage.put(grant, [entry("a")])
        rude.rollback()
        exact(storage, 0)


def test_different_workflows_do_not_wait_for_each_other(postgres: Server) -> None:
    """While a transaction of one workflow is open, others of the same storage object go on."""
    with closing(postgres.storage(connections=2, busy_timeout=2)) as storage:
        one, other = granted(storage, "acme/ingress"), granted(storage, "acme/egress")

        def work(tx: Transaction) -> None:
            tx.hold(one)
            storage.put(other, [entry("a")])

        storage._write("acme/ingress", work)
        assert storage.counts("acme/egress").size == 1


def test_all_connections_in_use_is_told(postgres: Server) -> None:
    """Who asks for one more connection than there are waits, and is told how many there are."""
    with closing(postgres.storage(connections=1, busy_timeout=0.2)) as storage:
        granted(storage)
        assert isinstance(storage._database, PostgresDatabase)
        with storage._database._borrowed(), pytest.raises(StorageBusyError, match="All 1 connections"):
            storage.counts(WORKFLOW)
        assert storage.counts(WORKFLOW).size == 0


def test_a_rule_of_the_database_is_told_without_values(postgres: Server) -> None:
    """What the server says about a row it refuses holds the row's values: the error has the rule's name alone."""
    with closing(postgres.storage()) as storage:
        grant = granted(storage)
        storage.put(grant, [entry("a")])

        def work(tx: Transaction) -> None:
            tx.session.run("add_record", (1, 1, b"secret of a customer", None))
            tx.session.enqueue([(1, 1, 1, 1, 0, 1, 0, 0, 0, None, 0, b"secret of a customer")])

        with pytest.raises(StorageCorruptError, match="SQLSTATE 23502, table items") as caught:
            storage._write(WORKFLOW, work)
        assert "secret" not in f"{caught.value} {caught.value.__cause__}"
        assert caught.value.__suppress_context__
        exact(storage, 1)


def test_a_storage_is_not_carried_into_a_child(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection belongs to one process: a child that uses the parent's is told; closing it leaves the parent's."""
    with closing(postgres.storage()) as storage:
        grant = granted(storage)
        with monkeypatch.context() as child:
            child.setattr("os.getpid", lambda: -1)
            with pytest.raises(ForkedConnectionError, match="a child of it"):
                storage.counts(WORKFLOW)
        storage.put(grant, [entry("a")])
        exact(storage, 1)
