"""Other people's queues on SQLite, used as their documentation says, at the durability that ours has.

What lives here: an adapter for each. One that is not installed is left out, and the benchmark says so. Each proves that
its connection synchronises every commit with the disk: a library may change its mind, and one that does not wait for
the disk would win without having done the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.queues.contender import Contender, Record

__all__ = ["DiskCacheDeque", "Huey", "LiteQueue", "PersistQueue", "installed_peers"]

_FULL = 2


def _proved(connection: Any) -> None:
    """Raises RuntimeError unless this connection's commits are on the disk when they return."""
    (mode,), (synchronous,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous")
    )
    if (mode, synchronous) != ("wal", _FULL):
        raise RuntimeError(f"a queue in mode {mode} with synchronous={synchronous} does less than the others")


class PersistQueue:
    """persist-queue's SQLiteAckQueue: put, get, ack. One record at a time; acknowledged rows stay until cleared."""

    name: ClassVar[str] = "persist-queue"
    durability: ClassVar[str] = "WAL, SQLite's default (FULL here)"
    batches: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._queue: Any = import_module("persistqueue").SQLiteAckQueue(str(folder / "persistqueue"))
        _proved(self._queue._conn)
        self._since_cleared = 0

    def prepare(self, some: Sequence[Record]) -> Sequence[Record]:
        return some

    def put(self, prepared: Sequence[Record]) -> None:
        for record in prepared:
            self._queue.put(record)

    def take(self, count: int) -> list[Any]:
        return [self._queue.get(block=False, raw=True) for _ in range(min(count, self._queue.size))]

    def finish(self, taken: list[Any]) -> int:
        for item in taken:
            self._queue.ack(id=item["pqid"])
        self._since_cleared += len(taken)
        if self._since_cleared >= 1000:
            self._queue.clear_acked_data(max_delete=self._since_cleared, keep_latest=0)
            self._since_cleared = 0
        return len(taken)

    def size(self) -> int:
        return int(self._queue.size)

    def close(self) -> None:
        self._queue.close()


class LiteQueue:
    """litequeue: put, pop, done. Only pop cannot be one of many in a transaction. Finished rows stay until pruned.

    It asks for synchronous=NORMAL, with which the last commits are lost when the power fails: here it is given FULL.
    """

    name: ClassVar[str] = "litequeue"
    durability: ClassVar[str] = "WAL, synchronous=FULL (its own choice is NORMAL)"
    batches: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._queue: Any = import_module("litequeue").LiteQueue(folder / "litequeue.db")
        self._queue.conn.execute("PRAGMA synchronous = FULL")
        _proved(self._queue.conn)
        self._since_pruned = 0

    def prepare(self, some: Sequence[Record]) -> list[str]:
        return [payload.decode("ascii") for _, payload in some]

    def put(self, prepared: list[str]) -> None:
        with self._queue.transaction() if len(prepared) > 1 else nullcontext():
            for payload in prepared:
                self._queue.put(payload)

    def take(self, count: int) -> list[Any]:
        taken: list[Any] = []
        while len(taken) < count and (message := self._queue.pop()) is not None:
            taken.append(message)
        return taken

    def finish(self, taken: list[Any]) -> int:
        with self._queue.transaction() if len(taken) > 1 else nullcontext():
            for message in taken:
                self._queue.done(message.message_id, claim_id=message.claim_id)
        self._since_pruned += len(taken)
        if self._since_pruned >= 1000:
            self._queue.prune(include_failed=False)
            self._since_pruned = 0
        return len(taken)

    def size(self) -> int:
        return int(self._queue.qsize())

    def close(self) -> None:
        self._queue.close()


class Huey:
    """huey's SQLite storage: enqueue and dequeue. What is dequeued is gone: there is no claim to lose or to keep."""

    name: ClassVar[str] = "huey"
    durability: ClassVar[str] = "WAL, fsync=True; no acknowledgement"
    batches: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._queue: Any = import_module("huey.storage").SqliteStorage(
            filename=str(folder / "huey.db"), fsync=True, strict_fifo=True
        )
        _proved(self._queue.conn)

    def prepare(self, some: Sequence[Record]) -> list[bytes]:
        return [payload for _, payload in some]

    def put(self, prepared: list[bytes]) -> None:
        for payload in prepared:
            self._queue.enqueue(payload)

    def take(self, count: int) -> list[bytes]:
        taken: list[bytes] = []
        while len(taken) < count and (data := self._queue.dequeue()) is not None:
            taken.append(data)
        return taken

    def finish(self, taken: list[bytes]) -> int:
        return len(taken)

    def size(self) -> int:
        return int(self._queue.queue_size())

    def close(self) -> None:
        self._queue.close()


class DiskCacheDeque:
    """diskcache's Cache as a queue: push and pull, many of them in one transaction. No claim either."""

    name: ClassVar[str] = "diskcache"
    durability: ClassVar[str] = "WAL, synchronous=FULL; no acknowledgement"
    batches: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._cache: Any = import_module("diskcache").Cache(
            str(folder / "diskcache"), sqlite_synchronous=2, eviction_policy="none", size_limit=2**40
        )
        _proved(self._cache._con)

    def prepare(self, some: Sequence[Record]) -> list[bytes]:
        return [payload for _, payload in some]

    def put(self, prepared: list[bytes]) -> None:
        with self._cache.transact() if len(prepared) > 1 else nullcontext():
            for payload in prepared:
                self._cache.push(payload)

    def take(self, count: int) -> list[bytes]:
        taken: list[bytes] = []
        with self._cache.transact() if count > 1 else nullcontext():
            while len(taken) < count and (data := self._cache.pull()[1]) is not None:
                taken.append(data)
        return taken

    def finish(self, taken: list[bytes]) -> int:
        return len(taken)

    def size(self) -> int:
        return len(self._cache)

    def close(self) -> None:
        self._cache.close()


_PEERS: dict[str, type[Contender]] = {
    "persistqueue": PersistQueue,
    "litequeue": LiteQueue,
    "huey": Huey,
    "diskcache": DiskCacheDeque,
}


def installed_peers() -> tuple[list[type[Contender]], list[str]]:
    """The peers that can be compared here, and the names of those that are not installed."""
    there = [peer for module, peer in _PEERS.items() if find_spec(module) is not None]
    missing = [peer.name for module, peer in _PEERS.items() if find_spec(module) is None]
    return there, missing
