"""What a check works on: a storage, a way to move its time, and short words for what checks say often.

What lives here: making entries, owners and settlements for checks. No check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final
from uuid import uuid4

from attrs import define, field

from syncline.backlog import Entry, Grant, Item, ItemState, Lane, Settlement, Settling
from syncline.records import ReadPosition, ReadStage, RecordKey
from syncline.store import ActionEntry, Owner, StateChange, Storage

__all__ = ["ACTION", "NOON", "WORKFLOW", "Subject", "entry", "key", "owner", "position", "settlements"]

WORKFLOW: Final = "acme/ingress"
NOON: Final = datetime(2026, 2, 1, 12, tzinfo=UTC)
ACTION: Final = ActionEntry(at=NOON, action="test", by="somebody", detail="of no weight")
_TTL: Final = timedelta(seconds=60)


def owner() -> Owner:
    """A process on another host, so that only time tells whether it lives."""
    return Owner(id=str(uuid4()), host="elsewhere.example", boot_id="another boot", pid=1)


def key(record: str, table: str = "contact") -> RecordKey:
    """The key of a record."""
    return RecordKey(table=table, id=record)


def entry(
    record: str,
    seq: int = 1,
    payload: bytes | None = b'{"name":"Ann"}',
    *,
    table: str = "contact",
    lane: Lane = Lane.LIVE,
    first: bool = False,
    refresh: bool = False,
    only_if_queued: bool = False,
    decided_on: bytes | None = None,
) -> Entry:
    """A change to queue."""
    return Entry(
        key=key(record, table),
        seq=seq,
        payload=payload,
        lane=lane,
        first=first,
        refresh=refresh,
        only_if_queued=only_if_queued,
        decided_on=decided_on,
    )


def position(stage: ReadStage = ReadStage.LOAD, *, pass_seq: int = 1, compares: bool = False) -> ReadPosition:
    """A place in a table."""
    return ReadPosition(stage=stage, link="next", started_at=NOON, pass_seq=pass_seq, compares=compares)


def settlements(
    items: Iterable[Item], settling: Settling = Settling.WRITTEN, fingerprint: bytes | None = b"f" * 16
) -> list[Settlement]:
    """Every item ends the same way."""
    return [Settlement(item=item, settling=settling, fingerprint=fingerprint) for item in items]


@define
class Subject:
    """An empty storage under test.

    `advance` sets how many seconds the storage's time runs ahead of the real time.
    """

    storage: Storage
    advance: Callable[[float], None]
    _ahead: float = field(default=0.0, init=False)
    _pages: count[int] = field(factory=lambda: count(1), init=False)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds
        self.advance(self._ahead)

    def grant(self, workflow: str = WORKFLOW) -> Grant:
        """The right to work, for a new owner. Registers the workflow when needed."""
        self.storage.register(workflow, "{}")
        grant = self.storage.acquire(workflow, owner(), _TTL)
        assert grant is not None
        return grant

    def worker(self, workflow: str = WORKFLOW, *, workers: int = 3) -> Grant:
        """A grant beside others, for a new owner: the reader's if there is none, else a writer's."""
        self.storage.register(workflow, "{}")
        grant = self.storage.acquire(workflow, owner(), _TTL, workers=workers)
        assert grant is not None
        return grant

    def restart(self, workflow: str = WORKFLOW) -> None:
        """Somebody starts the workflow anew: its generation grows."""
        row = self.storage.workflow(workflow)
        change = StateChange(
            expected_state=row.state,
            expected_generation=row.generation,
            state=row.state,
            generation=row.generation + 1,
        )
        assert self.storage.change_state(workflow, change)

    def takeover(self, workflow: str = WORKFLOW) -> Grant:
        """The owner before vanished, its time ran out and another one follows."""
        self.wait(_TTL.total_seconds() + 1)
        return self.grant(workflow)

    def lease(self, grant: Grant, limit: int = 100) -> list[Item]:
        """What is next, as a list."""
        return list(self.storage.lease(grant, limit))

    def one(self, grant: Grant) -> Item:
        """The only row there is to lease."""
        (item,) = self.lease(grant)
        return item

    def put_and_lease(self, grant: Grant, *entries: Entry) -> list[Item]:
        """Queue these and claim what is there."""
        self.storage.put(grant, entries)
        return self.lease(grant)

    def end(self, grant: Grant, item: Item, settling: Settling = Settling.WRITTEN) -> None:
        """One row ends, and that counts."""
        report = self.storage.settle(grant, settlements([item], settling, None))
        assert (report.settled, report.refused) == (1, 0)

    def size(self, workflow: str = WORKFLOW) -> int:
        """How much is queued."""
        return self.storage.counts(workflow).size

    def in_state(self, state: ItemState, workflow: str = WORKFLOW) -> int:
        """How much is queued in one state."""
        groups = self.storage.counts(workflow).groups
        return sum(number for group, number in groups.items() if group.state is state)

    def exact(self, workflow: str = WORKFLOW) -> None:
        """Every number is what the rows say, and nothing was lost: put = the sum of what became of it."""
        assert self.storage.audit(workflow) == []
        counts = self.storage.counts(workflow)
        totals = counts.totals
        ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
        assert totals.put == ended + counts.size + counts.set_aside


def ids(items: Sequence[Item]) -> list[str]:
    """The records' ids, in order."""
    return [item.key.id for item in items]
