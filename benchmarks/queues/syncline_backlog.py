"""Syncline's own backlog, with everything it does: claims, marks, fences, counters, and the ledger's fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from benchmarks.queues.contender import Record

from syncline.backlog import Entry, Item, Settlement, Settling
from syncline.records import RecordKey
from syncline.storage.sqlite import SQLiteStorage
from syncline.workflows.owner import this_owner

__all__ = ["SynclineBacklog", "SynclineUnmarked"]

_WORKFLOW = "benchmark/ingress"
_FINGERPRINT = bytes(range(16))


class SynclineBacklog:
    """`put`, `lease` and `mark_sending`, `settle`: four transactions, each one synchronised with the disk."""

    name: ClassVar[str] = "syncline"
    durability: ClassVar[str] = "WAL, synchronous=FULL"
    batches: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._storage = SQLiteStorage(folder / "syncline.db")
        self._storage.register(_WORKFLOW, "{}")
        grant = self._storage.acquire(_WORKFLOW, this_owner(), timedelta(days=1))
        assert grant is not None
        self._grant = grant

    def prepare(self, some: Sequence[Record]) -> list[Entry]:
        seq = self._storage.next_read(self._grant)
        return [Entry(key=RecordKey(table="contact", id=key), seq=seq, payload=payload) for key, payload in some]

    def put(self, prepared: list[Entry]) -> None:
        self._storage.put(self._grant, prepared)

    def take(self, count: int) -> Sequence[Item]:
        return self._storage.mark_sending(self._grant, self._storage.lease(self._grant, count))

    def finish(self, taken: Sequence[Item]) -> int:
        ends = [Settlement(item=item, settling=Settling.WRITTEN, fingerprint=_FINGERPRINT) for item in taken]
        return self._storage.settle(self._grant, ends).settled

    def size(self) -> int:
        return self._storage.counts(_WORKFLOW).size

    def close(self) -> None:
        assert self._storage.audit(_WORKFLOW) == []
        self._storage.close()


class SynclineUnmarked(SynclineBacklog):
    """The three transactions that the others have too, without the note of what is about to be sent."""

    name: ClassVar[str] = "without mark"

    def take(self, count: int) -> Sequence[Item]:
        return self._storage.lease(self._grant, count)
