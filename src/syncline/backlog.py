"""The backlog's contract: what a queue of changes must promise, and the values it deals in.

What lives here: the `Backlog` protocol, written as conditions, so that a stranger can write one; and its frozen
values. No SQL, no rules about records.

The queue in five sentences. One row per key: a newer change takes the place of an older one that waits. One write in
flight per key: a change that arrives while its key is leased waits behind it in the same row. A lease is a grant with
an epoch that only grows, and whoever settles must still hold it. Lanes go before each other, tables of a lane take
turns, and within a table the oldest row leaves first. Every number shown is kept in the transaction that changes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Protocol

from attrs import field, frozen

from syncline.records import RecordKey

__all__ = [
    "ALONE_AFTER",
    "SUSPECT_AFTER",
    "Backlog",
    "BacklogCounts",
    "DeadReason",
    "Entry",
    "Grant",
    "Group",
    "Item",
    "ItemState",
    "Lane",
    "Operation",
    "PutReport",
    "Role",
    "SettleReport",
    "Settlement",
    "Settling",
    "Totals",
    "suspects_together",
    "suspicion",
]

#: A row that was marked as being sent in this many crashes may be their cause: it is a suspect. One crash accuses every
#: row in flight, most of them innocent; a second one with the same row is rarely chance.
SUSPECT_AFTER = 2
#: In so many crashes a suspect was one of ever fewer; from then on it is leased alone.
ALONE_AFTER = 5


def suspicion(crashes: int) -> int:
    """The number of crashes where it makes a row a suspect, else 0. Suspects with the same one are leased together."""
    return crashes if crashes >= SUSPECT_AFTER else 0


def suspects_together(crashes: int) -> int:
    """How many suspects with so many crashes are leased together at most: an eighth after each further crash.

    So one poisonous record among hundreds is found in few crashes, and whoever was only beside it, or was killed in the
    middle of its work again and again, holds nobody up for long.
    """
    return 1 << 3 * max(0, ALONE_AFTER - crashes)


class Lane(IntEnum):
    """Which rows leave first. Smaller goes before larger."""

    CONSENT = 0
    LIVE = 1
    #: First loads, replays and resyncs.
    BULK = 2


class Operation(StrEnum):
    """What a queued row says about its record."""

    UPSERT = "upsert"
    DELETE = "delete"


class ItemState(StrEnum):
    """Where a queued row stands."""

    READY = "ready"
    #: Waits until a time, after a failure that may pass.
    DELAYED = "delayed"
    LEASED = "leased"
    #: A deletion that waits until it is let go or confirmed; see `syncline.holds`.
    HELD = "held"
    #: Waits until another record, its parent, is at the target; see `syncline.parents`.
    WAITING = "waiting"


@frozen(kw_only=True)
class Entry:
    """One change to queue."""

    key: RecordKey
    #: The read sequence of the page it came with. Only grows.
    seq: int
    #: `records.encode_values` of the source's words; None when the record was deleted, or when `refresh` is set.
    payload: bytes | None = field(repr=lambda payload: "None" if payload is None else f"<{len(payload)} bytes>")
    lane: Lane = Lane.LIVE
    #: First load or replay: fields with `apply_updates` off are written too. Or-ed when rows coalesce.
    first: bool = False
    #: What was read is not reliable, or the record must be seen anew: read it by key before writing.
    refresh: bool = False
    #: The target has it like this already: matters only if an older change for the key is queued, else it is skipped.
    only_if_queued: bool = False
    #: With `only_if_queued`: the fingerprint that the ledger had of the record when that was decided, None for none.
    #: Where it has another one by now, somebody wrote the record meanwhile, and the change is queued after all.
    decided_on: bytes | None = field(default=None, repr=False)


@frozen(kw_only=True)
class PutReport:
    """What became of the entries of one put; the three numbers add up to the entries given."""

    #: Rows that are new, or wait behind a leased one.
    queued: int
    #: Changes that a newer one replaced, the given ones included when they were the older.
    superseded: int
    #: Entries with `only_if_queued` that found nothing queued and the ledger as it was.
    skipped: int


class Role(StrEnum):
    """What a worker of a workflow does. One reads at a time; all of them write."""

    #: Reads pages, sweeps, tidies up and takes the workflow from state to state; and writes.
    READER = "reader"
    #: Leases, writes and settles, and reads by key what it has leased.
    WRITER = "writer"


@frozen(kw_only=True)
class Grant:
    """The right of one process to work on one workflow until it is released, lost or runs out.

    Every write a worker makes names its grant; a grant that another one followed can change nothing.
    """

    workflow: str
    #: A fresh UUID per process start.
    owner: str
    #: Grows with every grant of this store, over restarts too.
    epoch: int
    generation: int
    expires_at: datetime
    role: Role = Role.READER
    #: Workers died or vanished without releasing, and what they had leased went back with this grant.
    taken_over: bool = False


@frozen(kw_only=True)
class Item:
    """One leased row: what to write now, and what earlier attempts left behind."""

    id: int
    key: RecordKey
    seq: int
    payload: bytes | None = field(repr=lambda payload: "None" if payload is None else f"<{len(payload)} bytes>")
    lane: Lane
    first: bool
    refresh: bool
    #: An earlier attempt may have been applied at the target.
    ambiguous: bool
    #: Claims so far, this one included.
    attempts: int
    #: How often a process died while this row was marked as being sent.
    crashes: int
    queued_at: datetime
    #: It was held as a deletion and may go now.
    confirmed: bool = False
    #: Since when this change has waited for its parent; None when it never did.
    waits_from: datetime | None = None

    @property
    def crashes_alone(self) -> int:
        """How often a process died while this row was leased alone."""
        return max(0, self.crashes - ALONE_AFTER)


class Settling(StrEnum):
    """How a leased row ends."""

    #: At the target as wanted, whatever it took.
    WRITTEN = "written"
    #: The rules say nothing has to be written.
    SKIPPED = "skipped"
    #: Set aside as a dead letter.
    DEAD = "dead"
    #: Back into the queue, not before `retry_at`.
    RETRY = "retry"
    #: Out of the queue until the target knows the person it belongs to; see `Storage.looked_up`.
    SET_ASIDE = "set aside"
    #: Back into the queue at once, as if it had not been claimed; nothing was sent.
    RELEASED = "released"
    #: Back into the queue as a deletion that nobody leases until it is let go or confirmed; nothing was sent.
    HELD = "held"
    #: Back into the queue until `parent` is at the target, or not before `retry_at`; nothing was sent.
    WAITING = "waiting"


class DeadReason(StrEnum):
    """Why a record was set aside."""

    #: A value does not convert, is too long, or is not text that can be sent.
    CONVERSION = "conversion"
    #: The target refused it for good.
    REFUSED = "refused"
    #: It kept failing while others succeeded.
    EXHAUSTED = "exhausted"
    #: The process died several times while this record was being sent alone.
    CRASHED = "crashed"
    #: The record that it points to is not at the target and is not coming.
    PARENT = "parent"


@frozen(kw_only=True)
class Settlement:
    """The end of one leased row."""

    item: Item
    settling: Settling
    #: WRITTEN or SKIPPED: what the ledger shall remember from now on; None leaves the ledger as it is.
    fingerprint: bytes | None = field(default=None, repr=False)
    #: WRITTEN as a delete: the ledger forgets the key.
    forget: bool = False
    #: SKIPPED: by the rules the target is as it should be, so that letters are resolved as by WRITTEN.
    in_step: bool = False
    #: RETRY: the earliest time of the next attempt. WAITING: when to look again although nothing happened.
    retry_at: datetime | None = None
    #: WAITING and DEAD: the record that must be at the target first.
    parent: RecordKey | None = None
    #: WAITING: the parent was queued when that was decided.
    parent_queued: bool = False
    #: RETRY and DEAD: the attempt may have been applied.
    ambiguous: bool = False
    #: RETRY: false gives the attempt back, because the service failed and not the record.
    counts: bool = True
    #: RETRY: must be read again by key first.
    refresh: bool = False
    #: SET_ASIDE: the id of the person whom the target does not know.
    person: str = field(default="", repr=False)
    #: DEAD: why.
    reason: DeadReason | None = None
    #: DEAD: the field it is about, where known.
    field: str = ""
    #: DEAD: a message for people; names fields and codes, never values.
    message: str = ""


@frozen(kw_only=True)
class SettleReport:
    """What a settle did. `refused` counts settlements whose lease had been lost: they changed nothing."""

    settled: int
    refused: int


@frozen(kw_only=True, order=True)
class Group:
    """Rows that are counted together."""

    table: str
    operation: Operation
    lane: Lane
    state: ItemState


@frozen(kw_only=True)
class Totals:
    """Since the workflow was created.

    `put` equals the sum of the others, of what is queued and of what is set aside, exactly, always.
    """

    put: int = 0
    written: int = 0
    superseded: int = 0
    skipped: int = 0
    dead: int = 0
    discarded: int = 0
    #: Settlements refused because the lease had been lost. Not part of the sum.
    refused: int = 0


@frozen(kw_only=True)
class BacklogCounts:
    """The backlog in numbers, as of one transaction."""

    groups: Mapping[Group, int]
    totals: Totals
    #: When the row that has waited longest was queued; None when nothing is queued.
    oldest: datetime | None
    #: Dead letters that are still open.
    dead_letters: int
    #: Changes that left the queue until the target knows the person they belong to.
    set_aside: int = 0

    @property
    def size(self) -> int:
        """Changes that were read and queued and wait to be written, leased and held ones included."""
        return sum(self.groups.values())

    @property
    def held(self) -> Counter[str]:
        """Deletions that are held, by table; tables without any are missing."""
        found: Counter[str] = Counter()
        for group, number in self.groups.items():
            if group.state is ItemState.HELD and number:
                found[group.table] += number
        return found

    @property
    def waiting(self) -> int:
        """Changes that wait for their parents."""
        return sum(number for group, number in self.groups.items() if group.state is ItemState.WAITING)

    @property
    def on_the_way(self) -> int:
        """What keeps the writers busy: all but what is held or waits, whose parents are still to be read perhaps."""
        return self.moving - self.waiting

    @property
    def moving(self) -> int:
        """What will be written without anybody's word: all that is queued but what is held."""
        return self.size - self.held.total()


class Backlog(Protocol):
    """A durable queue of changes. Every method is one transaction: all of it happens or nothing of it.

    All methods may raise StorageBusyError or StorageFullError (nothing happened, the cursor stands), LeaseLostError
    where a grant is named that no longer holds, and the other StorageErrors.
    """

    def put(self, grant: Grant, entries: Sequence[Entry]) -> PutReport:
        """Queue changes.

        - A key that is not queued gets a row, unless `only_if_queued` is set and the ledger still has `decided_on`.
        - A key that waits keeps its place; the change with the larger `seq` stays (the given one when equal), the
          other counts as superseded. `first` is or-ed, the more urgent lane wins, an earlier delay ends, and
          `ambiguous` stays.
        - A key that is leased: the change waits behind it under the same conditions and is never merged into what is
          being sent.
        - A key that waits for its parent is ready with the newer change, and with an older one.
        - A key that is held leaves the hold with the newer change, ready; an older one leaves it held.
        """

    def lease(self, grant: Grant, limit: int, before: Mapping[str, Collection[str]] | None = None) -> Sequence[Item]:
        """Claim up to `limit` rows, and count the attempt, in one transaction.

        - Eligible: ready rows, and delayed and waiting rows whose time has come. Never a key that is leased.
        - Order: lane, then turns between tables, then the row that has been queued longest. `before` names for a
          table those that go before it: while one of them has ready rows in a lane, the table has no turn there.
        - Suspects, on which processes died `SUSPECT_AFTER` times or more while they were marked as being sent, are
          leased apart: only when no grant of the workflow holds a leased row, and before others of their lane. Those of
          one table with the most crashes, all with the same number, are returned together, the oldest first, up to
          `suspects_together(crashes)`; from `ALONE_AFTER` crashes on that is one. So whatever is poisonous is found one
          after the other, each in few crashes in a row. While suspects are ready and something else is leased, only
          rows of more urgent lanes are leased, and none at all while a suspect is: their turn comes.
        - Several workers may lease at the same moment, and need not wait for each other. Then each takes what comes
          next of the rows that no other one has in hand, so that the order holds between their leases only roughly;
          nothing is returned only when nothing was eligible.
        """

    def mark_sending(self, grant: Grant, items: Sequence[Item]) -> Sequence[Item]:
        """Note that these leased rows are about to be sent; returns those that are still this grant's to send.

        A process that dies afterwards leaves them ambiguous and one crash richer.
        """

    def settle(self, grant: Grant, settlements: Sequence[Settlement]) -> SettleReport:
        """End leased rows.

        - Only rows that are still leased under this grant's epoch change; others are counted as refused.
        - A row with a newer change behind it stays, ready, with that change; what was settled is counted all the
          same (RETRY, RELEASED and HELD then count as superseded). `ambiguous` and `first` are kept where the attempt
          was not WRITTEN.
        - The ledger and the dead letters change in the same transaction. WRITTEN, and SKIPPED that is
          `in_step`, resolve the key's dead letters that are not newer.
        - WAITING: the row is ready again as soon as its parent ends in any way but RELEASED and, where the ledger does
          not know it, RETRY; in that very transaction, and at the latest at `retry_at`. `waits_from` tells since when
          the same change has waited.
        - WAITING makes the row ready at once, to be decided on again, where other workers were faster: when the ledger
          knows the parent by now and it is not queued, when it was queued (`parent_queued`) and is not any more, and
          when it waits itself, directly or through others, for this record. So does DEAD that names a parent which the
          ledger knows.
        - A parent that is WRITTEN or SKIPPED and that the ledger knows then queues the records of all open letters that
          name it, to be read anew by key.
        - DEAD after an attempt that may have been applied leaves an empty fingerprint in the ledger: the target may
          have the record, and nobody knows with which values.
        """

    def counts(self, workflow: str) -> BacklogCounts:
        """The numbers, in milliseconds however long the queue is."""

    def extend(self, grant: Grant, ttl: timedelta) -> Grant:
        """Heartbeat: the grant runs until now + ttl. Raises LeaseLostError when another one followed."""
