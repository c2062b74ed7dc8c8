"""Syncline's backlog on PostgreSQL against bare psycopg and the queues people use there, on one server in one run.

    python benchmarks/postgres.py --records 20000 --batch 1000 --singles 500

Each contender queues records, takes them and finishes them, in batches and one by one. They take turns, and ratios are
taken within each turn, so that a machine that is busy with something else is busy for all of them. Every call is
durable when it returns (`fsync` and `synchronous_commit` are on).

What they do differs. Bare psycopg has one table, no order per record and no ledger: it is the floor. pgqueuer and
procrastinate are queues of jobs. Syncline coalesces by record, keeps one write in flight for each, exact counters and a
ledger of what was written, and fences each call.

At last several workers, each a process of its own, lease what is queued of one workflow: side by side, as they do, and
taking turns, as all else does that writes to a workflow.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Sequence
from contextlib import closing
from datetime import timedelta
from importlib import import_module
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import uuid4

import psycopg
from attrs import define, field
from psycopg import sql

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.queues.contender import Record, records
from benchmarks.queues.postgres_server import server

from syncline.backlog import Entry, Grant, Settlement, Settling
from syncline.records import RecordKey
from syncline.storage import sql_leasing
from syncline.storage.postgres import PostgresStorage
from syncline.store import Owner

_T = TypeVar("_T")
_AN_HOUR = timedelta(hours=1)
_CREW = "bench/crew"
_KIB = 1_024
#: Who takes jobs one by one gets no more of them than this in a turn.
_PATIENCE = 200


class Contender(Protocol):
    """A queue on one PostgreSQL."""

    name: ClassVar[str]
    #: Whether many records are taken and finished in one call.
    batches: ClassVar[bool]

    def cycle(self, some: Sequence[Record]) -> None:
        """Queue these, take as many, finish them."""

    def close(self) -> None: ...


class Bare:
    """One table and the three statements a queue cannot do without; in batches through arrays."""

    name: ClassVar[str] = "bare psycopg"
    batches: ClassVar[bool] = True

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute("DROP TABLE IF EXISTS bare")
        self._connection.execute(
            "CREATE TABLE bare"
            " (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key UUID, payload BYTEA, taken BOOLEAN)"
        )

    def cycle(self, some: Sequence[Record]) -> None:
        say = self._connection.execute
        keys, payloads = [key for key, _ in some], [payload for _, payload in some]
        say("INSERT INTO bare (key, payload) SELECT * FROM unnest(%s::uuid[], %b::bytea[])", (keys, payloads))
        taken = say(
            "UPDATE bare SET taken = true WHERE id IN (SELECT id FROM bare WHERE taken IS NULL"
            " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id, key, payload",
            (len(some),),
        ).fetchall()
        assert len(taken) == len(some)
        say("DELETE FROM bare WHERE id = ANY(%s)", ([row[0] for row in taken],))

    def close(self) -> None:
        self._connection.execute("DROP TABLE bare")
        self._connection.close()


class Ours:
    """`PostgresStorage`, through the calls the engine makes."""

    name: ClassVar[str] = "syncline"
    batches: ClassVar[bool] = True

    def __init__(self, url: str) -> None:
        self._url, self._schema = url, f"bench_{uuid4().hex[:8]}"
        self._storage = PostgresStorage(url, schema=self._schema)
        self._storage.register("bench/ingress", "{}")
        owner = Owner(id=str(uuid4()), host="", boot_id="", pid=0)
        grant = self._storage.acquire("bench/ingress", owner, _AN_HOUR)
        assert grant is not None
        self._grant = grant
        self._seq = 0

    def cycle(self, some: Sequence[Record]) -> None:
        self._seq += 1
        entries = [
            Entry(key=RecordKey(table="contact", id=key), seq=self._seq, payload=payload) for key, payload in some
        ]
        self._storage.put(self._grant, entries)
        items = self._storage.lease(self._grant, len(some))
        assert len(items) == len(some)
        print_of = b"0123456789abcdef"
        done = [Settlement(item=item, settling=Settling.WRITTEN, fingerprint=print_of) for item in items]
        assert self._storage.settle(self._grant, done).settled == len(some)

    def close(self) -> None:
        assert self._storage.audit("bench/ingress") == []
        self._storage.close()
        with psycopg.connect(self._url) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(self._schema)))


class _Async:
    """Lets a queue that speaks asyncio be used like the others."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def _run(self, work: Awaitable[_T]) -> _T:
        return self._loop.run_until_complete(work)


class PgQueuer(_Async):
    """pgqueuer on psycopg."""

    name: ClassVar[str] = "pgqueuer"
    batches: ClassVar[bool] = True

    def __init__(self, url: str) -> None:
        super().__init__()
        driver, queries = import_module("pgqueuer.db"), import_module("pgqueuer.queries")
        self._parameter = import_module("pgqueuer.adapters.persistence.queries").EntrypointExecutionParameter
        self._connection = self._run(psycopg.AsyncConnection.connect(url, autocommit=True))
        self._queries = queries.Queries(driver.PsycopgDriver(self._connection))
        self._run(self._queries.install())
        self._id = uuid4()

    def cycle(self, some: Sequence[Record]) -> None:
        self._run(self._cycle(some))

    async def _cycle(self, some: Sequence[Record]) -> None:
        many = len(some)
        await self._queries.enqueue(["bench"] * many, [payload for _, payload in some], [0] * many)
        jobs = await self._queries.dequeue(many, {"bench": self._parameter(0)}, self._id, None, _AN_HOUR)
        assert len(jobs) == many
        await self._queries.log_jobs([(job, "successful", None) for job in jobs])

    def close(self) -> None:
        self._run(self._connection.close())
        self._loop.close()


class Procrastinate(_Async):
    """procrastinate: jobs are queued together, taken and finished one by one."""

    name: ClassVar[str] = "procrastinate"
    batches: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        super().__init__()
        queue = import_module("procrastinate")
        self._done = import_module("procrastinate.jobs").Status.SUCCEEDED
        self._app = queue.App(connector=queue.PsycopgConnector(conninfo=url, min_size=1, max_size=1))
        self._run(self._app.open_async())
        self._run(self._app.schema_manager.apply_schema_async())
        self._task = self._app.task(name="bench")(lambda **_: None)
        self._worker = self._run(self._app.job_manager.register_worker())

    def cycle(self, some: Sequence[Record]) -> None:
        self._run(self._cycle(some))

    async def _cycle(self, some: Sequence[Record]) -> None:
        await self._task.batch_defer_async(*({"payload": payload.decode()} for _, payload in some))
        for _ in some:
            job = await self._app.job_manager.fetch_job(queues=None, worker_id=self._worker)
            assert job is not None
            await self._app.job_manager.finish_job(job, self._done, delete_job=True)

    def close(self) -> None:
        self._run(self._app.close_async())
        self._loop.close()


CONTENDERS: tuple[type[Any], ...] = (Bare, Ours, PgQueuer, Procrastinate)


@define
class _Lap:
    """How long each contender took for a record, turn by turn."""

    title: str
    took: dict[str, list[float]] = field(factory=dict)

    def show(self) -> None:
        print(f"\n{self.title}")
        base = self.took[Ours.name] if Ours.name in self.took else next(iter(self.took.values()))
        for name, turns in self.took.items():
            ratio = median(other / ours for ours, other in zip(base, turns, strict=True))
            print(f"  {name:<14} {1 / median(turns):>10,.0f} records/s   takes {ratio:>6.2f} x as long as syncline")


def _compare(title: str, contenders: Sequence[Contender], count: int, batch: int, turns: int) -> None:
    lap = _Lap(title)
    source = records(7)
    for _ in range(turns):
        for contender in contenders:
            share = count // turns if contender.batches or batch == 1 else min(count // turns, _PATIENCE)
            batches = [list(islice(source, min(batch, share))) for _ in range(max(1, share // batch))]
            began = time.perf_counter()
            for some in batches:
                contender.cycle(some)
            took = (time.perf_counter() - began) / sum(map(len, batches))
            lap.took.setdefault(contender.name, []).append(took)
    lap.show()


def _lease_all(url: str, schema: str, workers: int, batch: int, sides: bool, line: Connection) -> None:
    """A worker in a process of its own: leases until nothing is left, and tells how many there were."""
    with closing(PostgresStorage(url, schema=schema)) as storage:
        grant = storage.acquire(_CREW, Owner(id=str(uuid4()), host="", boot_id="", pid=0), _AN_HOUR, workers=workers)
        assert grant is not None
        line.send(0)
        line.recv()
        leased = 0
        while items := storage.lease(grant, batch) if sides else _in_turn(storage, grant, batch):
            leased += len(items)
        line.send(leased)


def _in_turn(storage: PostgresStorage, grant: Grant, batch: int) -> Sequence[object]:
    return (
        storage._write(grant.workflow, lambda tx: sql_leasing.lease(tx, tx.hold(grant), batch, {}), durable=False) or ()
    )


def _crew(url: str, count: int, batch: int, workers: int, *, sides: bool) -> float:
    """Seconds for all of them together."""
    schema = f"bench_{uuid4().hex[:8]}"
    spawn = multiprocessing.get_context("spawn")
    with closing(PostgresStorage(url, schema=schema)) as storage:
        storage.register(_CREW, "{}")
        filler = storage.acquire(_CREW, Owner(id=str(uuid4()), host="", boot_id="", pid=0), _AN_HOUR)
        assert filler is not None
        for start in range(0, count, 1_000):
            keys = (f"{number:032x}" for number in range(start, min(start + 1_000, count)))
            storage.put(filler, [Entry(key=RecordKey(table="contact", id=k), seq=1, payload=b"x" * _KIB) for k in keys])
        storage.release(filler)
        lines, others = zip(*(spawn.Pipe() for _ in range(workers)), strict=True)
        crew = [spawn.Process(target=_lease_all, args=(url, schema, workers, batch, sides, line)) for line in others]
        for one in crew:
            one.start()
        for line in lines:
            line.recv()
        began = time.perf_counter()
        for line in lines:
            line.send(0)
        leased = sum(line.recv() for line in lines)
        took = time.perf_counter() - began
        for one in crew:
            one.join()
        assert leased == count
        assert storage.audit(_CREW) == []
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    return took


def _compare_crews(url: str, count: int, batch: int, workers: int, turns: int) -> None:
    print(f"\n{workers} workers lease batches of {batch:,}, with 1 KiB each")
    took = [[_crew(url, count, batch, workers, sides=sides) for sides in (True, False)] for _ in range(turns)]
    sides, one = (median(turn[way] for turn in took) for way in (0, 1))
    ratio = median(one / sides for sides, one in took)
    print(f"  side by side   {count / sides:>10,.0f} records/s   {ratio:>6.2f} x as many as")
    print(f"  in turn        {count / one:>10,.0f} records/s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000, help="in batches, for each contender")
    parser.add_argument("--batch", type=int, default=1_000, help="records in one call")
    parser.add_argument("--singles", type=int, default=500, help="records one by one")
    parser.add_argument("--turns", type=int, default=5, help="how often the contenders take turns")
    parser.add_argument("--leased", type=int, default=40_000, help="records that the workers lease")
    parser.add_argument("--workers", type=int, default=4, help="how many lease at once; 0 leaves that out")
    parser.add_argument("--rounds", type=int, default=3, help="how often they do, either way")
    parser.add_argument("--only", nargs="*", default=[], help="words of the names to compare")
    parser.add_argument("--url", default="", help="a PostgreSQL; without it one is started")
    options = parser.parse_args(arguments)
    kinds = [kind for kind in CONTENDERS if not options.only or any(word in kind.name for word in options.only)]
    with server(options.url) as url:
        contenders: list[Contender] = []
        for kind in kinds:
            try:
                contenders.append(kind(url))
            except ModuleNotFoundError as missing:
                print(f"not installed: {missing.name}")
        with psycopg.connect(url) as connection:
            print(f"PostgreSQL {connection.info.server_version // 10000}, {', '.join(one.name for one in contenders)}")
        for contender in contenders:
            contender.cycle(list(islice(records(1), 50)))  # whatever is made when it is first needed
        _compare(f"Batches of {options.batch:,}", contenders, options.records, options.batch, options.turns)
        _compare("One by one", contenders, options.singles, 1, options.turns)
        if options.workers:
            _compare_crews(url, options.leased, options.batch, options.workers, options.rounds)
        for contender in contenders:
            with closing(contender):
                pass


if __name__ == "__main__":
    main()
