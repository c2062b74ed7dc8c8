"""Queueing changes: the conditions of `Backlog.put` over SQL.

What lives here: how a change finds its row, and what becomes of two changes of one record. Nothing about leases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from syncline.backlog import Entry, PutReport
from syncline.storage.columns import checksum, key_to_column
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELETE, LEASED, READY, UPSERT, Transaction

__all__ = ["cancel_queued", "put", "put_again"]


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

    def as_item(self, now: int) -> tuple[object, ...]:
        """The parameters of `add_item`."""
        entry, payload = self.entry, self.entry.payload
        return (
            self.id, self.table_id, self.key, entry.seq, self.op, int(entry.lane), entry.first, entry.refresh,
            self.ambiguous, now, checksum(payload), payload,
        )  # fmt: skip


def put(tx: Transaction, workflow_id: int, entries: Sequence[Entry]) -> PutReport:
    """Queue changes under the conditions of `Backlog.put`."""
    if not entries:
        return PutReport(queued=0, superseded=0, skipped=0)
    first_id = tx.take_numbers("item", len(entries))
    tables = {table: tx.table_id(workflow_id, table) for table in {entry.key.table for entry in entries}}
    placed = [
        _Placed(place, tables[entry.key.table], key_to_column(entry.key.id), entry)
        for place, entry in enumerate(entries, first_id)
    ]
    plain, others = _split(placed)
    others += _add(tx, plain)
    others.sort(key=lambda one: one.id)
    queued, superseded, skipped = len(placed) - len(others), 0, 0
    for one in others:
        match _place(tx, one):
            case "queued":
                queued += 1
            case "superseded":
                superseded += 1
            case _:
                skipped += 1
    tx.total(workflow_id, put=len(entries), superseded=superseded, skipped=skipped)
    return PutReport(queued=queued, superseded=superseded, skipped=skipped)


def put_again(tx: Transaction, workflow_id: int, entry: Entry, *, ambiguous: bool) -> None:
    """Queue one change whose earlier attempt may have been applied."""
    place = tx.take_numbers("item")
    table_id = tx.table_id(workflow_id, entry.key.table)
    outcome = _place(tx, _Placed(place, table_id, key_to_column(entry.key.id), entry, ambiguous))
    tx.total(workflow_id, put=1, superseded=int(outcome == "superseded"))


def _split(placed: Iterable[_Placed]) -> tuple[list[_Placed], list[_Placed]]:
    """Those that can be inserted first, and those whose fate depends on what is queued when their turn comes."""
    plain: list[_Placed] = []
    others: list[_Placed] = []
    later: set[tuple[int, bytes]] = set()
    for one in placed:
        if one.entry.only_if_queued or (later and (one.table_id, one.key) in later):
            later.add((one.table_id, one.key))
            others.append(one)
        else:
            plain.append(one)
    return plain, others


def _add(tx: Transaction, plain: Sequence[_Placed]) -> list[_Placed]:
    """Insert what is new, all in one statement; returns those whose key is queued already."""
    if not plain:
        return []
    now = tx.now
    added = tx.session.run_many("add_item", [one.as_item(now) for one in plain])
    known: list[_Placed] = []
    if added < len(plain):
        there = {row[0] for row in tx.session.rows("added_items", (plain[0].id, plain[-1].id))}
        known = [one for one in plain if one.id not in there]
        plain = [one for one in plain if one.id in there]
    tx.expect(len(plain), added)
    for one in plain:
        tx.count(one.table_id, one.op, int(one.entry.lane), READY)
    return known


def _place(tx: Transaction, one: _Placed) -> str:
    """Queue one change beside what is queued for its key: `queued`, `superseded` or `skipped`."""
    found = tx.session.row("find_item", (one.table_id, one.key))
    if found is None:
        if one.entry.only_if_queued:
            return "skipped"
        tx.expect(1, tx.session.run("add_item", one.as_item(tx.now)))
        tx.count(one.table_id, one.op, int(one.entry.lane), READY)
        return "queued"
    item_id, seq, op, lane, state, first, ambiguous = found
    if state == LEASED:
        return _place_behind(tx, one, item_id, seq, first)
    entry = one.entry
    flags = (min(lane, int(entry.lane)), first or entry.first)
    ambiguous = ambiguous or one.ambiguous
    tx.count(one.table_id, op, lane, state, -1)
    if entry.seq >= seq:
        op = one.op
        values = (entry.seq, op, *flags, entry.refresh, ambiguous, checksum(entry.payload), entry.payload, item_id)
        tx.expect(1, tx.session.run("replace_item", values))
    else:
        tx.expect(1, tx.session.run("urge_item", (*flags, ambiguous, item_id)))
    tx.count(one.table_id, op, flags[0], READY)
    return "superseded"


def _place_behind(tx: Transaction, one: _Placed, item_id: int, leased_seq: int, leased_first: int) -> str:
    """Queue one change behind a leased row of its key."""
    entry, session = one.entry, tx.session
    found = session.row("find_waiting", (item_id,))
    if found is not None:
        return _merge_waiting(tx, one, item_id, found)
    refresh, payload = entry.refresh, entry.payload
    if entry.seq < leased_seq:
        if not entry.first or leased_first or one.op == DELETE:
            return "superseded"
        # What is being sent lacks the fields of a first load and cannot change any more: have it read and written anew.
        refresh, payload = True, None
    session.run(
        "add_waiting",
        (item_id, one.id, max(entry.seq, leased_seq), one.op, int(entry.lane), entry.first, refresh, one.ambiguous,
         tx.now, checksum(payload), payload),
    )  # fmt: skip
    tx.count(one.table_id, one.op, int(entry.lane), READY)
    return "queued"


def _merge_waiting(tx: Transaction, one: _Placed, item_id: int, found: Row) -> str:
    """Two changes wait behind the same leased row: only one of them can stay."""
    _, seq, op, lane, first, _, ambiguous, *_ = found
    entry = one.entry
    flags = (min(lane, int(entry.lane)), bool(first) or entry.first)
    tx.count(one.table_id, op, lane, READY, -1)
    if entry.seq >= seq:
        op = one.op
        values = (
            entry.seq, op, *flags, entry.refresh, bool(ambiguous) or one.ambiguous,
            checksum(entry.payload), entry.payload, item_id,
        )  # fmt: skip
        tx.expect(1, tx.session.run("replace_waiting", values))
    else:
        tx.expect(1, tx.session.run("urge_waiting", (*flags, bool(ambiguous) or one.ambiguous, item_id)))
    tx.count(one.table_id, op, flags[0], READY)
    return "superseded"


def cancel_queued(tx: Transaction, workflow_id: int, entry: Entry) -> tuple[bool, bool]:
    """Take out what is queued for the key and is not newer; a leased row stays.

    Returns whether any of it was a first load, and whether it may have been applied.
    """
    table_id = tx.table_id(workflow_id, entry.key.table)
    found = tx.session.row("find_item", (table_id, key_to_column(entry.key.id)))
    if found is None:
        return False, False
    item_id, seq, op, lane, state, first, ambiguous = found
    remove = "remove_item"
    if state == LEASED:
        waiting = tx.session.row("find_waiting", (item_id,))
        if waiting is None:
            return False, False
        _, seq, op, lane, first, _, ambiguous, *_ = waiting
        remove, state = "remove_waiting", READY
    if seq > entry.seq:
        return False, False
    tx.expect(1, tx.session.run(remove, (item_id,)))
    tx.count(table_id, op, lane, state, -1)
    tx.total(workflow_id, superseded=1)
    return bool(first), bool(ambiguous)
