"""Claiming queued changes: `Backlog.lease` and `mark_sending` over SQL.

What lives here: which rows are next, and whose turn it is. Nothing about how rows end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, groupby, zip_longest
from typing import Final

from syncline.backlog import Item, Lane
from syncline.records import RecordKey
from syncline.storage.columns import as_datetime, key_to_id, read_payload
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELAYED, LEASED, READY, Held, Transaction

__all__ = ["lease", "mark_sending"]

#: Delays ended in one transaction at most for each table, so that a whole queue that comes due does not block others.
_DUE_AT_ONCE: Final = 10_000


def lease(tx: Transaction, held: Held, limit: int) -> list[Item]:
    """Claim up to `limit` rows under the conditions of `Backlog.lease`."""
    if limit < 1:
        return []
    _end_delays(tx, held.workflow_id)
    lanes = [
        (lane, [table_id for _, table_id in group])
        for lane, group in groupby(tx.session.rows("ready_groups", (held.workflow_id,)), key=lambda row: row[0])
    ]
    holds_any, holds_suspect = tx.session.row("any_leased", (held.grant.epoch,)) or (False, False)
    if holds_suspect:
        return []
    claimed: list[tuple[int, int, Row]] = []
    for lane, tables in lanes:
        if not holds_any and not claimed and (suspect := _oldest_suspect(tx, lane, tables)):
            claimed = [suspect]
            break
        claimed += _take_turns(tx, held, lane, tables, limit - len(claimed))
        if len(claimed) >= limit:
            break
    return _claim(tx, held, claimed)


def mark_sending(tx: Transaction, held: Held, items: Sequence[Item]) -> list[Item]:
    """Note that these rows are about to be sent; those that are still this grant's."""
    epoch, ids = held.grant.epoch, list({item.id for item in items})
    if tx.session.run_among("mark_sending", (epoch,), ids) == len(ids):
        return list(items)
    mine = {row[0] for row in tx.session.rows_among("still_leased", (epoch,), ids)}
    return [item for item in items if item.id in mine]


def _end_delays(tx: Transaction, workflow_id: int) -> None:
    for (table_id,) in tx.session.rows("delayed_tables", (workflow_id,)):
        due = (table_id, tx.now, _DUE_AT_ONCE)
        groups = tx.session.rows("due_groups", due)
        if not groups:
            continue
        for op, lane, count in groups:
            tx.move(table_id, op, lane, DELAYED, READY, count)
        tx.expect(sum(count for _, _, count in groups), tx.session.run("end_delays", due))
        tx.flush()


def _oldest_suspect(tx: Transaction, lane: int, tables: Iterable[int]) -> tuple[int, int, Row] | None:
    found = [
        (table_id, lane, row)
        for table_id in tables
        if (row := tx.session.row("suspect_item", (table_id, lane))) is not None
    ]
    return min(found, key=lambda one: one[2][0], default=None)


def _take_turns(
    tx: Transaction, held: Held, lane: int, tables: Sequence[int], limit: int
) -> list[tuple[int, int, Row]]:
    """The oldest rows of the tables of a lane, one table after the other, beginning behind the one served last."""
    waiting = [t for t in tables if t > held.turn] + [t for t in tables if t <= held.turn]
    taken: dict[int, list[Row]] = {table_id: [] for table_id in waiting}
    left = limit
    while waiting and left:
        share, more = divmod(left, len(waiting))
        again = []
        for turn, table_id in enumerate(waiting):
            quota = share + (turn < more)
            if not quota:
                again.append(table_id)
                continue
            behind = taken[table_id][-1][0] if taken[table_id] else 0
            rows = tx.session.rows("ready_items", (table_id, lane, behind, quota))
            taken[table_id] += rows
            left -= len(rows)
            if len(rows) == quota:
                again.append(table_id)
        waiting = again
    if len(tables) > 1:
        served = [table_id for table_id, rows in taken.items() if rows]
        if served:
            last = max(served, key=lambda table_id: (len(taken[table_id]), served.index(table_id)))
            tx.session.run("set_turn", (last, held.workflow_id))
    in_turn = zip_longest(*([(table_id, lane, row) for row in rows] for table_id, rows in taken.items()))
    return [one for one in chain.from_iterable(in_turn) if one is not None]


def _claim(tx: Transaction, held: Held, claimed: Sequence[tuple[int, int, Row]]) -> list[Item]:
    ids = [row[0] for _, _, row in claimed]
    tx.expect(len(ids), tx.session.run_among("lease_items", (held.grant.epoch,), ids) if ids else 0)
    items = []
    for table_id, lane, row in claimed:
        tx.move(table_id, row[3], lane, READY, LEASED)
        items.append(_as_item(tx.table_name(held.workflow_id, table_id), lane, row))
    return items


def _as_item(table: str, lane: int, row: Row) -> Item:
    item_id, key, seq, _, first, refresh, ambiguous, attempts, crashes, queued_at, expected, stored = row
    payload, sound = read_payload(stored, expected)
    return Item(
        id=item_id,
        key=RecordKey(table=table, id=key_to_id(key)),
        seq=seq,
        payload=payload,
        lane=Lane(lane),
        first=bool(first),
        # What was damaged on the disk must be read again from the source.
        refresh=bool(refresh) or not sound,
        ambiguous=bool(ambiguous),
        attempts=attempts + 1,
        crashes=crashes,
        queued_at=as_datetime(queued_at),
    )
