"""Queueing changes: the conditions of `Backlog.put` over SQL.

What lives here: how a change finds its row, and what becomes of two changes of one record. Nothing about leases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import frozen

from syncline.backlog import Entry, PutReport, suspicion
from syncline.errors import StorageCorruptError
from syncline.storage.columns import checksum, key_to_column
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELAYED, DELETE, HELD, READY, UPSERT, WAITING, Transaction

__all__ = ["Queued", "cancel_queued", "find_queued", "find_records", "leave", "put", "put_again"]

#: By key: the record's id, its place in the queue or None, and what the ledger has of it.
_Found: TypeAlias = dict[bytes, tuple[int, int | None, bytes | None]]


@frozen
class _Placed:
    """An entry with the place it gets if it becomes a row."""

    id: int
    table_id: int
    key: bytes
    entry: Entry
    ambiguous: bool = False

    @property
    def op(self) -> int:
        return DELETE if self.entry.payload is None and not self.entry.refresh else UPSERT

    @property
    def lane(self) -> int:
        return int(self.entry.lane)


@frozen
class Queued:
    """What is queued for a record already."""

    id: int
    seq: int
    op: int
    lane: int
    first: int
    ambiguous: int
    crashes: int
    leased: int
    delayed: int
    held: int
    waits: int

    @property
    def state(self) -> int:
        if self.waits:
            return WAITING
        if self.held:
            return HELD
        return DELAYED if self.delayed else READY

    @property
    def suspect(self) -> int:
        return suspicion(self.crashes)


def put(tx: Transaction, workflow_id: int, entries: Sequence[Entry]) -> PutReport:
    """Queue changes under the conditions of `Backlog.put`."""
    if not entries:
        return PutReport(queued=0, superseded=0, skipped=0)
    tables = {table: tx.table_id(workflow_id, table) for table in {entry.key.table for entry in entries}}
    places = [(tables[entry.key.table], key_to_column(entry.key.id)) for entry in entries]
    placed = list(zip(range(first := tx.next_ids(len(entries)), first + len(entries)), places, entries, strict=True))
    plain, others = _split(placed)
    others += _add(tx, plain)
    others.sort(key=lambda one: one.id)
    outcomes = _place_all(tx, others)
    report = PutReport(
        queued=len(placed) - len(others) + outcomes.count("queued"),
        superseded=outcomes.count("superseded"),
        skipped=outcomes.count("skipped"),
    )
    tx.total(workflow_id, put=len(entries), superseded=report.superseded, skipped=report.skipped)
    return report


def put_again(tx: Transaction, workflow_id: int, entry: Entry, *, ambiguous: bool) -> None:
    """Queue one change whose earlier attempt may have been applied."""
    place, table_id = tx.next_ids(1), tx.table_id(workflow_id, entry.key.table)
    outcomes = _place_all(tx, [_Placed(place, table_id, key_to_column(entry.key.id), entry, ambiguous)])
    tx.total(workflow_id, put=1, superseded=outcomes.count("superseded"))


def find_records(tx: Transaction, table_id: int, keys: Iterable[bytes]) -> _Found:
    """The records that are stored, by key."""
    rows = tx.session.rows_among("records_among", (table_id,), list(set(keys)))
    return {key: (record_id, item_id, fingerprint) for key, record_id, item_id, fingerprint in rows}


#: The place a change gets if it becomes a row, its record as table and key, and the change.
_Loose: TypeAlias = tuple[int, tuple[int, bytes], Entry]


def _split(placed: list[_Loose]) -> tuple[list[_Loose], list[_Placed]]:
    """Those that can be inserted first, and those whose fate depends on what is queued when their turn comes."""
    if not any(entry.only_if_queued for _, _, entry in placed):
        return placed, []
    plain: list[_Loose] = []
    others: list[_Placed] = []
    later: set[tuple[int, bytes]] = set()
    for one in placed:
        place, record, entry = one
        if entry.only_if_queued or record in later:
            later.add(record)
            others.append(_Placed(place, *record, entry))
        else:
            plain.append(one)
    return plain, others


def _add(tx: Transaction, plain: list[_Loose]) -> list[_Placed]:
    """Insert what is new, each kind of row in one statement; returns those whose record is queued already."""
    if not plain:
        return []
    records = _queue_records(tx, plain)
    now = tx.now
    rows = []
    others = []
    for (place, (table_id, key), entry), record_id in zip(plain, records, strict=True):
        if record_id is None:
            others.append(_Placed(place, table_id, key, entry))
            continue
        payload, refresh = entry.payload, entry.refresh
        op = DELETE if payload is None and not refresh else UPSERT
        # Plain ints: the driver is slow to bind anything else, also a bool.
        lane, flags = int(entry.lane), (1 if entry.first else 0, 1 if refresh else 0, 0)
        rows.append((place, record_id, table_id, entry.seq, op, lane, *flags, now, checksum(payload), payload))
    tx.expect(len(rows), tx.session.enqueue(rows))
    tx.count_all(((row[2], row[4], row[5]) for row in rows), READY)
    return others


def _queue_records(tx: Transaction, plain: list[_Loose]) -> list[int | None]:
    """Give each record its place in the queue; returns their ids in the same order, None for one that has a place.

    A new record gets the place of its first change as its id.
    """
    added = tx.session.run_many("add_record", [(place, *record, place) for place, record, _ in plain])
    if added == len(plain):
        return [place for place, _, _ in plain]
    there = {row[0] for row in tx.session.rows("added_records", (plain[0][0], plain[-1][0]))} if added else set()
    known = _find_all(tx, (record for place, record, _ in plain if place not in there))
    records: list[int | None] = []
    queued = []
    for place, (table_id, key), _ in plain:
        if place in there:
            records.append(place)
            continue
        record_id, item_id, fingerprint = known[table_id][key]
        records.append(record_id if item_id is None else None)
        if item_id is None:
            known[table_id][key] = (record_id, place, fingerprint)
            queued.append((place, record_id))
    tx.expect(len(queued), tx.session.run_many("queue_record", queued) if queued else 0)
    return records


def _find_all(tx: Transaction, records: Iterable[tuple[int, bytes]]) -> dict[int, _Found]:
    """The records of any tables that are stored, by table and key."""
    wanted: dict[int, list[bytes]] = {}
    for table_id, key in records:
        wanted.setdefault(table_id, []).append(key)
    return {table_id: find_records(tx, table_id, keys) for table_id, keys in wanted.items()}


def _place_all(tx: Transaction, others: Sequence[_Placed]) -> list[str]:
    """Queue changes one after the other beside what is queued for their records."""
    found = _find_all(tx, ((one.table_id, one.key) for one in others))
    return [_place(tx, one, found[one.table_id]) for one in others]


def _place(tx: Transaction, one: _Placed, found: _Found) -> str:
    """Queue one change: `queued`, `superseded` or `skipped`."""
    record_id, item_id, fingerprint = found.get(one.key, (None, None, None))
    if item_id is not None:
        queued = find_queued(tx, item_id)
        return _place_behind(tx, one, queued) if queued.leased else _merge(tx, one, queued)
    if one.entry.only_if_queued and one.entry.decided_on == fingerprint:
        return "skipped"
    if record_id is None:
        record_id = one.id
        added = tx.session.run("add_record", (record_id, one.table_id, one.key, one.id))
    else:
        added = tx.session.run("queue_record", (one.id, record_id))
    tx.expect(1, added)
    found[one.key] = (record_id, one.id, fingerprint)
    entry = one.entry
    row = (
        one.id, record_id, one.table_id, entry.seq, one.op, one.lane, entry.first, entry.refresh, one.ambiguous, tx.now,
        checksum(entry.payload), entry.payload,
    )  # fmt: skip
    tx.expect(1, tx.session.enqueue([row]))
    tx.count(one.table_id, one.op, one.lane, READY)
    return "queued"


def find_queued(tx: Transaction, item_id: int) -> Queued:
    """A row of the queue, wherever it stands."""
    row = tx.session.row("find_item", (item_id,))
    if row is None:
        raise StorageCorruptError(f"row {item_id} of the queue is missing.")
    return Queued(*row)


def _merge(tx: Transaction, one: _Placed, queued: Queued) -> str:
    """Two changes of a record that waits: it keeps its place, and only one of them stays."""
    entry, session, op = one.entry, tx.session, queued.op
    flags = (min(queued.lane, one.lane), bool(queued.first) or entry.first)
    ambiguous = bool(queued.ambiguous) or one.ambiguous
    if entry.seq >= queued.seq:
        op = one.op
        values = (entry.seq, op, *flags, entry.refresh, ambiguous, checksum(entry.payload), entry.payload, queued.id)
        tx.expect(1, session.run("replace_item", values))
    else:
        tx.expect(1, session.run("urge_item", (*flags, ambiguous, queued.id)))
        if queued.held:
            tx.count(one.table_id, queued.op, queued.lane, HELD, -1)
            tx.count(one.table_id, queued.op, flags[0], HELD)
            return "superseded"
    if queued.delayed or queued.held or queued.waits or flags[0] != queued.lane:
        leave(tx, one.table_id, queued)
        tx.expect(1, session.run("add_ready", (one.table_id, flags[0], queued.suspect, queued.id)))
    tx.count(one.table_id, queued.op, queued.lane, queued.state, -1)
    tx.count(one.table_id, op, flags[0], READY)
    return "superseded"


def leave(tx: Transaction, table_id: int, queued: Queued) -> None:
    """Take a row that waits out of where it waits."""
    if queued.held:
        tx.expect(1, tx.session.run("remove_held", (table_id, queued.id)))
    elif queued.waits:
        tx.expect(1, tx.session.run("remove_child", (table_id, queued.id)))
    elif queued.delayed:
        tx.expect(1, tx.session.run("remove_delayed", (table_id, queued.id)))
    else:
        tx.expect(1, tx.session.run("remove_ready", (table_id, queued.lane, queued.suspect, queued.id)))


def _place_behind(tx: Transaction, one: _Placed, leased: Queued) -> str:
    """Queue one change behind a leased row of its record."""
    entry, session = one.entry, tx.session
    found = session.row("find_waiting", (leased.id,))
    if found is not None:
        return _merge_waiting(tx, one, leased.id, found)
    refresh, payload = entry.refresh, entry.payload
    if entry.seq < leased.seq:
        if not entry.first or leased.first or one.op == DELETE:
            return "superseded"
        # What is being sent lacks the fields of a first load and cannot change any more: have it read and written anew.
        refresh, payload = True, None
    session.run(
        "add_waiting",
        (leased.id, one.id, max(entry.seq, leased.seq), one.op, one.lane, entry.first, refresh, one.ambiguous, tx.now,
         checksum(payload), payload),
    )  # fmt: skip
    tx.count(one.table_id, one.op, one.lane, READY)
    return "queued"


def _merge_waiting(tx: Transaction, one: _Placed, item_id: int, found: Row) -> str:
    """Two changes wait behind the same leased row: only one of them can stay."""
    _, seq, op, lane, first, _, ambiguous, *_ = found
    entry = one.entry
    flags = (min(lane, one.lane), bool(first) or entry.first)
    ambiguous = bool(ambiguous) or one.ambiguous
    tx.count(one.table_id, op, lane, READY, -1)
    if entry.seq >= seq:
        op = one.op
        values = (entry.seq, op, *flags, entry.refresh, ambiguous, checksum(entry.payload), entry.payload, item_id)
        tx.expect(1, tx.session.run("replace_waiting", values))
    else:
        tx.expect(1, tx.session.run("urge_waiting", (*flags, ambiguous, item_id)))
    tx.count(one.table_id, op, flags[0], READY)
    return "superseded"


def cancel_queued(tx: Transaction, workflow_id: int, entry: Entry) -> tuple[bool, bool]:
    """Take out what is queued for the record and is not newer; a leased row stays.

    Returns whether any of it was a first load, and whether it may have been applied.
    """
    table_id, key = tx.table_id(workflow_id, entry.key.table), key_to_column(entry.key.id)
    record_id, item_id, fingerprint = find_records(tx, table_id, [key]).get(key, (None, None, None))
    if record_id is None or item_id is None:
        return False, False
    queued = find_queued(tx, item_id)
    if queued.leased:
        return _cancel_waiting(tx, workflow_id, table_id, queued.id, entry.seq)
    if queued.seq > entry.seq:
        return False, False
    leave(tx, table_id, queued)
    tx.expect(1, tx.session.run("remove_item", (queued.id,)))
    if queued.ambiguous:
        # Nobody knows what the target has of this record: an empty fingerprint says that it may be there.
        tx.expect(1, tx.session.run("remember", (b"", None, record_id)))
        tx.count_known(table_id, int(fingerprint is None))
    else:
        tx.expect(1, tx.session.run("leave_queue", (None, record_id)))
        tx.session.run("drop_record", (record_id,))
    tx.count(table_id, queued.op, queued.lane, queued.state, -1)
    tx.total(workflow_id, superseded=1)
    return bool(queued.first), bool(queued.ambiguous)


def _cancel_waiting(tx: Transaction, workflow_id: int, table_id: int, item_id: int, seq: int) -> tuple[bool, bool]:
    waiting = tx.session.row("find_waiting", (item_id,))
    if waiting is None or waiting[1] > seq:
        return False, False
    _, _, op, lane, first, _, ambiguous, *_ = waiting
    tx.expect(1, tx.session.run("remove_waiting", (item_id,)))
    tx.count(table_id, op, lane, READY, -1)
    tx.total(workflow_id, superseded=1)
    return bool(first), bool(ambiguous)
