"""Claiming queued changes: `Backlog.lease` and `mark_sending` over SQL.

What lives here: which rows are next, and whose turn it is. Nothing about how rows end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Final

from syncline.backlog import Item, Lane, suspects_together, suspicion
from syncline.records import RecordKey
from syncline.storage import sql_children
from syncline.storage.columns import as_datetime, checksum, key_to_id
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELAYED, GROUPS, LEASED, READY, WAITING, Held, Transaction

__all__ = ["lease", "mark_sending"]

#: Delays ended in one transaction at most for each table, so that a whole queue that comes due does not block others.
_DUE_AT_ONCE: Final = 10_000


def lease(tx: Transaction, held: Held, limit: int, before: Mapping[str, Collection[str]]) -> list[Item] | None:
    """Claim up to `limit` rows under the conditions of `Backlog.lease`.

    In a transaction that is not alone None says that it takes one that is: a suspect is leased while nobody else
    leases, and that there is nothing is said only when nobody else has a row in hand that it may put back.
    """
    if limit < 1:
        return []
    lanes = _ready_lanes(tx, held.workflow_id)
    leased, *suspect = tx.session.row("suspects", {"workflow": held.workflow_id}) or (None, None)
    if leased:
        return []
    items: list[Item] = []
    for lane, tables in lanes:
        if lane == suspect[0]:
            if leased is not None or items:  # they are next: what anybody has in hand ends first
                return items
            return _lease_suspects(tx, held, limit, *suspect) if tx.session.is_alone else None
        for turn in _turns(tx, held, tables, before):
            items += _lease_in_turn(tx, held, lane, turn, limit - len(items))
            if len(items) >= limit:
                return items
    if not (items or tx.session.is_alone) and _anything_is_ready(tx, held.workflow_id):
        return None
    return items


def _anything_is_ready(tx: Transaction, workflow_id: int) -> bool:
    return tx.session.row("anything_is_ready", {"workflow": workflow_id, "now": tx.now}) is not None


def _turns(tx: Transaction, held: Held, tables: list[int], before: Mapping[str, Collection[str]]) -> list[list[int]]:
    """The tables of a lane in groups: each goes behind all of those that are to go before it."""
    if not before or len(tables) == 1:
        return [tables]
    names = {table_id: tx.table_name(held.workflow_id, table_id) for table_id in tables}
    turns, left = [], tables
    while left:
        waiting = {names[table_id] for table_id in left}
        turn = [table_id for table_id in left if waiting.isdisjoint(before.get(names[table_id], ()))]
        turns.append(turn or left)  # a circle is no reason to lease nothing
        left = [table_id for table_id in left if table_id not in turns[-1]]
    return turns


def mark_sending(tx: Transaction, held: Held, items: Sequence[Item]) -> list[Item]:
    """Note that these rows are about to be sent; those that are still this grant's."""
    ids = list({item.id for item in items})
    if tx.session.run_among("mark_sending", (held.epoch,), ids) == len(ids):
        return list(items)
    mine = {row[0] for row in tx.session.rows_among("still_leased", (held.epoch,), ids)}
    return [item for item in items if item.id in mine]


def _ready_lanes(tx: Transaction, workflow_id: int) -> list[tuple[int, list[int]]]:
    """The lanes in which something may be ready, the most urgent first, with their tables. Ends delays on the way."""
    queued = tx.session.rows("queued", (workflow_id,))
    lanes: dict[int, set[int]] = {}
    for table_id, _, name, _ in queued:
        _, lane, state = GROUPS[name]
        if state == READY:
            lanes.setdefault(lane, set()).add(table_id)
    for state, end in ((DELAYED, _end_delays), (WAITING, sql_children.end_waits)):
        for table_id in {table_id for table_id, _, name, _ in queued if GROUPS[name][2] == state}:
            for lane in end(tx, table_id):
                lanes.setdefault(lane, set()).add(table_id)
    return [(lane, sorted(lanes[lane])) for lane in sorted(lanes)]


def _end_delays(tx: Transaction, table_id: int) -> set[int]:
    """Make ready what has come due; the lanes of that."""
    due = tx.session.rows("due", (table_id, tx.now, _DUE_AT_ONCE))
    if not due:
        return set()
    tx.expect(len(due), tx.session.run_many("remove_delayed", [(table_id, row[0]) for row in due]))
    ready = [(table_id, lane, suspicion(crashes), item_id) for item_id, _, lane, crashes in due]
    tx.expect(len(due), tx.session.run_many("add_ready", ready))
    groups = [(table_id, op, lane) for _, op, lane, _ in due]
    tx.count_all(groups, DELAYED, -1)
    tx.count_all(groups, READY)
    return {lane for _, lane in (row[1:3] for row in due)}


def _lease_suspects(
    tx: Transaction, held: Held, limit: int, lane: int, crashes: int, table_id: int, first: int
) -> list[Item]:
    """The first of them, with those of its table that were in as many crashes."""
    most = min(limit, suspects_together(crashes))
    rows = tx.session.claim(held.epoch, (table_id, lane, crashes), first - 1, most)
    return _count(tx, held, table_id, lane, rows)


def _lease_in_turn(tx: Transaction, held: Held, lane: int, tables: Sequence[int], limit: int) -> list[Item]:
    """The oldest rows of the tables of a lane, one table after the other, beginning behind the one served last."""
    if len(tables) == 1:
        rows = tx.session.claim(held.epoch, (tables[0], lane, 0), 0, limit)
        return _count(tx, held, tables[0], lane, rows)
    last = tx.turn(held.workflow_id)
    in_turn = [table for table in tables if table > last] + [table for table in tables if table <= last]
    taken = _share(tx, held, lane, in_turn, limit)
    served = [table_id for table_id, rows in taken.items() if rows]
    if served:
        # Of those with the longest share the last one had the last turn.
        latest = max(served, key=lambda table_id: (len(taken[table_id]), served.index(table_id)))
        tx.set_turn(held.workflow_id, latest)
    claimed = (_count(tx, held, table_id, lane, rows) for table_id, rows in taken.items())
    return [item for item in chain.from_iterable(zip_longest(*claimed)) if item is not None]


def _share(tx: Transaction, held: Held, lane: int, in_turn: list[int], limit: int) -> dict[int, list[Row]]:
    """Lease as equal a number of rows of each table as there are."""
    taken: dict[int, list[Row]] = {table_id: [] for table_id in in_turn}
    left = limit
    while in_turn and left:
        share, more = divmod(left, len(in_turn))
        again = []
        for turn, table_id in enumerate(in_turn):
            quota = share + (turn < more)
            behind = taken[table_id][-1][0] if taken[table_id] else 0
            rows = tx.session.claim(held.epoch, (table_id, lane, 0), behind, quota) if quota else []
            taken[table_id] += rows
            left -= len(rows)
            if len(rows) == quota:
                again.append(table_id)
        in_turn = again
    return taken


def _count(tx: Transaction, held: Held, table_id: int, lane: int, rows: Sequence[Row]) -> list[Item]:
    """What was leased of a table and lane, counted."""
    for op, number in Counter(row[3] for row in rows).items():
        tx.count(table_id, op, lane, READY, -number)
        tx.count(table_id, op, lane, LEASED, number)
    return _as_items(tx.table_name(held.workflow_id, table_id), Lane(lane), rows)


def _as_items(table: str, lane: Lane, rows: Sequence[Row]) -> list[Item]:
    moments = {queued_at: as_datetime(queued_at) for queued_at in {row[9] for row in rows}}
    return [
        Item(
            id=item_id,
            key=RecordKey(table=table, id=key_to_id(key)),
            seq=seq,
            payload=payload if (sound := checksum(payload) == expected) else None,
            lane=lane,
            first=first == 1,
            # What was damaged on the disk must be read again from the source.
            refresh=refresh == 1 or not sound,
            ambiguous=ambiguous == 1,
            attempts=attempts + 1,
            crashes=crashes,
            queued_at=moments[queued_at],
            confirmed=confirmed == 1,
            waits_from=None if waits_from is None else as_datetime(waits_from),
        )
        for (
            item_id, key, seq, _, first, refresh, ambiguous, attempts, crashes, queued_at, expected, payload, confirmed,
            waits_from
        ) in rows
    ]  # fmt: skip
