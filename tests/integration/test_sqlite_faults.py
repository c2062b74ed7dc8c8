"""A SQLite storage in bad company: full disks, busy neighbours, damaged pages. Nothing half done, nothing lost."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from syncline.backlog import DeadReason, Entry, Grant, Settlement, Settling
from syncline.consent import ConsentNote, Standing
from syncline.errors import StorageBusyError, StorageCorruptError, StorageError, StorageFullError
from syncline.exported_files import FileMark
from syncline.storage.sql_storage import SQLStorage
from syncline.storage.sql_transaction import Transaction
from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
from syncline.store import FileCommit, PageCommit, Sample, StateChange, Storage
from syncline.sweeps import Sweep
from syncline.testing.storage_checks.subject import ACTION, NOON, WORKFLOW, entry, key, owner, position, settlements
from syncline.upkeep import Retention

MINUTE = timedelta(seconds=60)


def take(storage: Storage) -> Grant:
    storage.register(WORKFLOW, "{}")
    grant = storage.acquire(WORKFLOW, owner(), MINUTE)
    assert grant is not None
    return grant


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "syncline.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    """A storage that gives up soon when somebody else is in the way."""
    made = SQLiteStorage(path, busy_timeout=0.05)
    yield made
    made.close()


@pytest.fixture
def grant(storage: SQLiteStorage) -> Grant:
    """The right to work."""
    return take(storage)


def entries(numbers: range, size: int = 400) -> list[Entry]:
    return [entry(f"{number:08x}-0000-4000-8000-000000000000", 1, os.urandom(size)) for number in numbers]


# -- somebody else holds the database ---------------------------------------------------------------------------------


@contextmanager
def held_by_a_transaction(path: Path) -> Iterator[None]:
    """Somebody has a transaction open and does not come to an end: a person with a database tool."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def held_by_a_writer(path: Path) -> Iterator[None]:
    """Another of our processes is paused inside its write."""
    with path.with_name(path.name + "-lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def writes(storage: SQLStorage, grant: Grant) -> dict[str, Callable[[], object]]:
    """Every method that may write."""
    (item,) = storage.lease(grant, 1)
    step = StateChange(
        expected_state=storage.workflow(WORKFLOW).state, expected_generation=0, state=storage.workflow(WORKFLOW).state,
        generation=0,
    )  # fmt: skip
    page = PageCommit(table="contact", position=position(), entries=[])
    mark = FileMark(name="a.csv", size=1, modified=1)
    return {
        "register": lambda: storage.register(WORKFLOW, "{}"),
        "change_state": lambda: storage.change_state(WORKFLOW, step),
        "save_definition": lambda: storage.save_definition(WORKFLOW, "{}", ACTION),
        "want_stop": lambda: storage.want_stop(WORKFLOW, ACTION),
        "record": lambda: storage.record(WORKFLOW, ACTION),
        "acquire": lambda: storage.acquire(WORKFLOW, owner(), MINUTE),
        "reap": lambda: storage.reap(grant),
        "release": lambda: storage.release(grant),
        "extend": lambda: storage.extend(grant, MINUTE),
        "progress": lambda: storage.progress(grant),
        "next_read": lambda: storage.next_read(grant),
        "commit_page": lambda: storage.commit_page(grant, page),
        "read_by_key": lambda: storage.read_by_key(grant, [item]),
        "forget_seen": lambda: storage.forget_seen(grant, "contact", position()),
        "drop_position": lambda: storage.drop_position(WORKFLOW, "contact"),
        "want_replay": lambda: storage.want_replay(WORKFLOW, "contact", ACTION),
        "begin_replay": lambda: storage.begin_replay(grant, "contact", position()),
        "put": lambda: storage.put(grant, [entry("b")]),
        "lease": lambda: storage.lease(grant, 1),
        "mark_sending": lambda: storage.mark_sending(grant, [item]),
        "settle": lambda: storage.settle(grant, settlements([item])),
        "retry_dead_letters": lambda: storage.retry_dead_letters(WORKFLOW, [1], ACTION),
        "discard_dead_letters": lambda: storage.discard_dead_letters(WORKFLOW, [1], ACTION),
        "judge_held": lambda: storage.judge_held(grant, "contact", most=1, window=MINUTE),
        "unhold": lambda: storage.unhold(grant),
        "confirm_held": lambda: storage.confirm_held(WORKFLOW, "contact", ACTION),
        "discard_held": lambda: storage.discard_held(WORKFLOW, "contact", ACTION),
        "forget": lambda: storage.forget("acme", "a", ACTION),
        "commit_file": lambda: storage.commit_file(grant, FileCommit(mark=mark, entries=[])),
        "forget_files": lambda: storage.forget_files(WORKFLOW, ACTION),
        "note_consent": lambda: storage.note_consent(grant, ConsentNote(standings={("p", "blackList"): Standing()})),
        "pull_forward": lambda: storage.pull_forward(WORKFLOW, [key("c")]),
        "accept": lambda: storage.accept(WORKFLOW, [entry("b")]),
        "forget_oldest": lambda: storage.forget_oldest(grant, "contact", 1, 1),
        "looked_up": lambda: storage.looked_up(grant, ["p"], []),
        "drop_set_aside": lambda: storage.drop_set_aside(grant, NOON, 1),
        "adopt": lambda: storage.adopt(WORKFLOW, "contact", {"a": b"f"}),
        "queue_anew": lambda: storage.queue_anew(WORKFLOW, "contact", ["a"], there=True),
        "commit_sweep": lambda: storage.commit_sweep(grant, "contact", Sweep(since=NOON, began_at=NOON), ["a"]),
        "purge": lambda: storage.purge(WORKFLOW, Retention(), 1),
        "start_over": lambda: storage.start_over(WORKFLOW, ["contact"], ACTION, doubt=False),
        "close_gate": lambda: storage.close_gate("p", NOON),
        "add_sample": lambda: storage.add_sample(WORKFLOW, Sample(at=NOON, size=1, written=1)),
    }


def reads(storage: SQLStorage) -> dict[str, Callable[[], object]]:
    """Every method that only looks."""
    return {
        "now": storage.now,
        "workflow": lambda: storage.workflow(WORKFLOW),
        "history": lambda: storage.history(WORKFLOW),
        "positions": lambda: storage.positions(WORKFLOW),
        "unseen": lambda: storage.unseen(WORKFLOW, "contact", 1),
        "wanted_replays": lambda: storage.wanted_replays(WORKFLOW),
        "counts": lambda: storage.counts(WORKFLOW),
        "next_due": lambda: storage.next_due(WORKFLOW),
        "audit": lambda: storage.audit(WORKFLOW),
        "ledger": lambda: storage.ledger(WORKFLOW, "contact", ["a"]),
        "ledger_size": lambda: storage.ledger_size(WORKFLOW, "contact"),
        "dead_letters": lambda: storage.dead_letters(WORKFLOW),
        "known_records": lambda: storage.known_records(WORKFLOW, "contact"),
        "sweeps": lambda: storage.sweeps(WORKFLOW),
        "holds": lambda: storage.holds(WORKFLOW),
        "held_records": lambda: storage.held_records(WORKFLOW, "contact", 1),
        "suppressed": lambda: storage.suppressed("acme", ["a"]),
        "parents": lambda: storage.parents(WORKFLOW, [key("a")]),
        "waits_for": lambda: storage.waits_for(WORKFLOW, key("a")),
        "gate": lambda: storage.gate("p"),
        "file_marks": lambda: storage.file_marks(WORKFLOW),
        "standings": lambda: storage.standings("acme", ["p"]),
        "decisions": lambda: storage.decisions("acme"),
        "record_entries": lambda: storage.record_entries("acme"),
        "record_seal": lambda: storage.record_seal("acme"),
        "consent_troubles": lambda: storage.consent_troubles("acme"),
        "consent_numbers": lambda: storage.consent_numbers("acme"),
        "arrived": lambda: storage.arrived("acme", WORKFLOW, "contact", patience=timedelta(hours=1), limit=1),
        "strangers": lambda: storage.strangers(WORKFLOW, NOON, 1),
        "strangers_known": lambda: storage.strangers_known(
            "acme/ingress", storage.now(), 9, ledger="acme/ingress", table="contact"
        ),
        "next_stranger": lambda: storage.next_stranger(WORKFLOW),
        "samples": lambda: storage.samples(WORKFLOW, NOON),
    }


def test_every_method_is_one_or_the_other(storage: SQLiteStorage, grant: Grant) -> None:
    """The two lists above are the whole storage, so that the tests with them leave nothing out."""
    storage.put(grant, [entry("a")])

    assert writes(storage, grant).keys() | reads(storage).keys() | {"close"} == Storage.__abstractmethods__


@pytest.mark.parametrize("holder", [held_by_a_transaction, held_by_a_writer])
def test_writes_wait_and_then_say_busy(
    storage: SQLiteStorage, grant: Grant, path: Path, holder: Callable[[Path], object]
) -> None:
    """F-24: nothing happened, the elapsed time is told, and it works as soon as the way is free."""
    storage.put(grant, [entry("a")])
    acts = writes(storage, grant)
    before = storage.counts(WORKFLOW)

    with holder(path):  # type: ignore[attr-defined]
        for name, act in acts.items():
            with pytest.raises(StorageBusyError, match=r"held by another process for 0\.\d s"):
                pytest.fail(f"{name} wrote: {act()}")
        assert storage.counts(WORKFLOW) == before

    storage.put(grant, [entry("b")])
    assert storage.counts(WORKFLOW).size == 2


@pytest.mark.parametrize("holder", [held_by_a_transaction, held_by_a_writer])
def test_reads_never_wait(storage: SQLiteStorage, grant: Grant, path: Path, holder: Callable[[Path], object]) -> None:
    """A page that shows the backlog is not held up by whoever writes."""
    storage.put(grant, [entry("a")])

    with holder(path):  # type: ignore[attr-defined]
        for act in reads(storage).values():
            act()


def test_a_reader_elsewhere_does_not_stop_writers(storage: SQLiteStorage, grant: Grant, path: Path) -> None:
    """Somebody who looks at the file for a long time delays only the moving of the log."""
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM items").fetchone()
        for start in range(0, 3000, 1000):
            storage.put(grant, entries(range(start, start + 1000)))
        storage.settle(grant, settlements(storage.lease(grant, 3000)))
        storage.close()
        reader.execute("COMMIT")

    assert storage.counts(WORKFLOW).totals.written == 3000
    assert storage.audit(WORKFLOW) == []


# -- no space left ----------------------------------------------------------------------------------------------------


def fill(storage: SQLiteStorage, grant: Grant) -> int:
    """Put until it is full; how much went in."""
    for start in range(0, 100_000, 100):
        try:
            storage.put(grant, entries(range(start, start + 100)))
        except StorageFullError as error:
            assert "no space is left" in str(error)  # noqa: PT017 - what follows needs the number
            return start
    pytest.fail("it was never full")


def test_a_full_database_says_so_and_keeps_everything(path: Path) -> None:
    """F-21: the put that does not fit is gone as a whole; the queue can still be worked off, and then there is room."""
    storage = SQLiteStorage(path, max_pages=200)
    grant = take(storage)
    put = fill(storage, grant)
    assert storage.counts(WORKFLOW).size == put > 0
    assert storage.audit(WORKFLOW) == []
    page = PageCommit(table="contact", position=position(), entries=entries(range(put, put + 100)))
    with pytest.raises(StorageFullError):
        storage.commit_page(grant, page)
    assert storage.positions(WORKFLOW) == {}

    while items := storage.lease(grant, 50):
        storage.mark_sending(grant, items)
        storage.settle(grant, settlements(items, fingerprint=None))

    assert storage.counts(WORKFLOW).totals.written == put
    storage.commit_page(grant, page)
    assert storage.audit(WORKFLOW) == []
    storage.close()


def test_a_disk_that_refuses_to_grow_loses_nothing(path: Path) -> None:
    """F-21, F-22: the operating system stops the file in the middle of a write; what was acknowledged is there."""
    script = """
        import os, resource, signal, sys
        sys.path.insert(0, os.getcwd())
        from syncline.errors import SynclineError
        from syncline.storage.sqlite import SQLiteStorage
        from tests.integration.test_sqlite_faults import entries, take
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        storage = SQLiteStorage(sys.argv[1])
        grant = take(storage)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
        put = 0
        try:
            for start in range(0, 100_000, 100):
                storage.put(grant, entries(range(start, start + 100)))
                put += 100
        except SynclineError as error:
            print(put, type(error).__name__)
        os._exit(0)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], capture_output=True, text=True, check=True
    )

    put, error = done.stdout.split()
    assert error in ("StorageFullError", "StorageUnusableError")
    assert int(put) > 0
    storage = SQLiteStorage(path)
    assert storage.counts(WORKFLOW).size in (int(put), int(put) + 100)
    assert storage.audit(WORKFLOW) == []
    storage.close()


def test_memory_stays_small_with_a_large_queue(path: Path) -> None:
    """F-10: a queue of any length fits a process that may not grow."""
    script = """
        import os, pathlib, sys
        sys.path.insert(0, os.getcwd())
        from syncline.storage.sqlite import SQLiteStorage
        from syncline.testing.storage_checks.subject import settlements
        from tests.integration.test_sqlite_faults import entries, take
        storage = SQLiteStorage(sys.argv[1])
        grant = take(storage)
        for start in range(0, 100_000, 2_000):
            storage.put(grant, entries(range(start, start + 2_000)))
        while items := storage.lease(grant, 2_000):
            storage.settle(grant, settlements(items))
        storage.close()
        # Not ru_maxrss: the kernel counts what the parent had in memory when it forked.
        status = pathlib.Path("/proc/self/status").read_text()
        print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], capture_output=True, text=True, check=True
    )

    assert 0 < int(done.stdout) < 300


# -- damage -----------------------------------------------------------------------------------------------------------


def damage(path: Path, statement: str, *parameters: object) -> None:
    """Change a closed database behind the storage's back."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement, parameters).rowcount > 0
        connection.commit()


@pytest.mark.parametrize("rotten", [b"{}", b"", None, "text", 7])
def test_a_damaged_payload_is_read_again(
    storage: SQLiteStorage, grant: Grant, path: Path, rotten: bytes | str | int | None
) -> None:
    """F-27: what the disk changed is never sent; the record is to be read again by its key."""
    storage.put(grant, [entry("a", 1, b'{"name": "Ann"}'), entry("b", 1, b'{"name": "Bob"}')])
    storage.close()
    damage(path, "UPDATE items SET payload = ? WHERE id = 1", rotten)

    damaged, sound = storage.lease(grant, 2)

    assert (damaged.payload, damaged.refresh) == (None, True)
    assert (sound.payload, sound.refresh) == (b'{"name": "Bob"}', False)
    storage.settle(grant, [Settlement(item=damaged, settling=Settling.DEAD, reason=DeadReason.REFUSED)])
    assert storage.dead_letters(WORKFLOW)[0].payload is None


def test_the_audit_finds_what_does_not_add_up(storage: SQLiteStorage, grant: Grant, path: Path) -> None:
    """Every counter is compared with the rows, and each difference is a sentence."""
    storage.put(grant, [entry("a"), entry("b"), entry("c")])
    storage.lease(grant, 1)
    storage.put(grant, [entry("a", 2)])
    storage.close()
    damage(path, "DELETE FROM items WHERE id = 3")
    damage(path, "DELETE FROM ready WHERE id = 2")
    damage(path, "UPDATE leases SET epoch = 99")
    damage(path, "UPDATE counters SET n = n + 1 WHERE name = 'put'")
    damage(path, "UPDATE counters SET n = 4 WHERE name = 'open'")
    damage(path, "UPDATE counters SET n = 7 WHERE name = 'known'")
    damage(path, "INSERT INTO waiting SELECT 77, 88, seq, op, lane, 0, 0, 0, 0, NULL, NULL FROM waiting")

    found = storage.audit(WORKFLOW)

    assert found == [
        "contact, upsert, live, ready: the counter says 3 and 0 rows are there.",
        "contact, upsert, live, leased: the counter says 1 and 0 rows are there.",
        "2 rows are queued, but 0 are ready, delayed, leased, held or wait.",
        "1 records name a row of the queue that is not theirs.",
        "1 changes wait behind a row that is not leased.",
        "5 changes were put, but 0 ended, 4 are queued and 0 set aside.",
        "the counter says 4 open dead letters and 0 are there.",
        "contact: the counter says 7 known records and 0 are there.",
    ]


def test_a_counter_below_zero_is_refused(storage: SQLiteStorage, grant: Grant, path: Path) -> None:
    """Rather no write than one that makes the numbers wrong for ever: the transaction is gone as a whole."""
    storage.put(grant, [entry("a"), entry("b")])
    storage.close()
    damage(path, "UPDATE counters SET n = 1 WHERE name = 'upsert.live.ready'")

    with pytest.raises(StorageCorruptError, match="CONSTRAINT"):
        storage.lease(grant, 2)

    (item,) = storage.lease(grant, 1)
    assert (item.key.id, item.attempts) == ("a", 1)


def test_damaged_pages_are_errors_and_never_answers(tmp_path: Path) -> None:
    """F-25: wherever a page is overwritten, every method answers rightly or raises one of our errors."""
    path = tmp_path / "whole.db"
    whole = SQLiteStorage(path)
    grant = take(whole)
    whole.put(grant, entries(range(200)))
    whole.settle(grant, settlements(whole.lease(grant, 20)))
    whole.close()
    pristine = path.read_bytes()
    refused = 0
    for page in range(len(pristine) // 8192):
        broken = tmp_path / f"broken{page}.db"
        broken.write_bytes(pristine[: page * 8192] + b"\xff" * 8192 + pristine[(page + 1) * 8192 :])
        storage = SQLiteStorage(broken)
        try:
            for item in storage.lease(grant, 500):
                assert item.payload is None or len(item.payload) == 400
            storage.put(grant, entries(range(300, 310)))
            storage.audit(WORKFLOW)
        except StorageError:
            refused += 1
        finally:
            storage.close()

    assert refused > 10


# -- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_any_thread_may_use_a_storage(kind: str, path: Path) -> None:
    """Eight threads put, lease and settle at once; every change is written once and the numbers are exact."""
    storage = MemoryStorage() if kind == "memory" else SQLiteStorage(path)
    grant = take(storage)
    written: list[str] = []
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for turn in range(25):
                storage.put(grant, [entry(f"{worker}-{turn}-{number}") for number in range(4)])
                items = storage.lease(grant, 4)
                written.extend(item.key.id for item in items)
                report = storage.settle(grant, settlements(items))
                assert report.refused == 0
                assert storage.counts(WORKFLOW).totals.put >= len(items)
        except BaseException as error:  # noqa: BLE001 - shown by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(written) == len(set(written)) == 800
    assert storage.counts(WORKFLOW).size == 0
    assert storage.audit(WORKFLOW) == []
    storage.close()


def test_an_exception_inside_a_transaction_ends_all_of_it(storage: SQLiteStorage, grant: Grant) -> None:
    """R12: whatever goes wrong in the middle, also Ctrl-C, nothing of the transaction stays, names included."""

    def interrupted(tx: Transaction) -> None:
        tx.table_id(tx.workflow_id(WORKFLOW), "never")
        tx.next_ids(1000)
        tx.flush()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage._write(None, interrupted)

    storage.put(grant, [entry("a", table="never")])
    (item,) = storage.lease(grant, 1)
    assert (item.id, item.key.table) == (1, "never")
