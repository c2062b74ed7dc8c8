"""Changes that wait for their parents, over SQL.

What lives here: how a leased row comes to wait, what ends its wait, and what is known of parents. A row leaves its wait
for a newer change in `sql_putting`. Whether a record has to wait is for the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from syncline.backlog import SUSPECT_AFTER, Settlement, suspicion
from syncline.parents import Parent
from syncline.records import RecordKey
from syncline.storage import sql_letters, sql_putting
from syncline.storage.columns import as_microseconds, key_to_column, key_to_id
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELETE, READY, STATES, WAITING, Transaction

__all__ = ["Ended", "end_waits", "ended", "is_there", "parents", "wait", "waits_for", "waits_in_vain"]

#: Waits ended in one transaction at most for each table because their time came.
_DUE_AT_ONCE: Final = 10_000

#: Table, key, and whether the target has the record now.
Ended: TypeAlias = tuple[int, bytes, bool]


def wait(tx: Transaction, workflow_id: int, item_id: int, table_id: int, parent: RecordKey, due: datetime) -> None:
    """Let a row that is leased no more wait. The caller counts it."""
    place = (table_id, item_id, tx.table_id(workflow_id, parent.table), key_to_column(parent.id))
    tx.expect(1, tx.session.run("add_child", (*place, as_microseconds(due))))
    tx.expect(1, tx.session.run("begin_wait", (tx.now, item_id)))


def is_there(tx: Transaction, workflow_id: int, key: RecordKey) -> bool:
    """Whether the ledger knows the record, and with which values."""
    table_id = tx.find_table(workflow_id, key.table)
    if table_id is None:
        return False
    found = tx.session.rows_among("ledger_among", (table_id,), [key_to_column(key.id)])
    return bool(found and found[0][1])


def waits_in_vain(tx: Transaction, workflow: str, workflow_id: int, settlement: Settlement) -> bool:
    """Whether what a record is to wait for has come by now, or changed so that nobody would wake it."""
    parent = settlement.parent
    if parent is None:
        return False
    if not _is_queued(tx, workflow_id, parent):
        return settlement.parent_queued or is_there(tx, workflow_id, parent)
    return settlement.item.key in waits_for(tx, workflow, parent)


def _is_queued(tx: Transaction, workflow_id: int, key: RecordKey) -> bool:
    table_id = tx.find_table(workflow_id, key.table)
    if table_id is None:
        return False
    column = key_to_column(key.id)
    found = sql_putting.find_records(tx, table_id, [column]).get(column)
    return found is not None and found[1] is not None


def ended(tx: Transaction, workflow_id: int, ends: Iterable[Ended]) -> None:
    """End the waits for these records; where the target has them, queue again the children that died of it."""
    waits = tx.session.row("anything_waits") is not None
    letters = tx.open_letters(workflow_id) > 0
    if not (waits or letters):
        return
    all_of: dict[int, list[bytes]] = {}
    there: dict[int, list[bytes]] = {}
    for table_id, key, is_there_now in ends:
        all_of.setdefault(table_id, []).append(key)
        if is_there_now:
            there.setdefault(table_id, []).append(key)
    if waits:
        for table_id, keys in all_of.items():
            _ready(tx, tx.session.rows_among("children_of", (table_id,), keys))
    if letters:
        for table_id, keys in there.items():
            sql_letters.revive(tx, workflow_id, table_id, keys)


def end_waits(tx: Transaction, table_id: int) -> set[int]:
    """Make ready what is to be looked at again; the lanes of that."""
    found = tx.session.rows("children_due", (table_id, tx.now, _DUE_AT_ONCE))
    _ready(tx, found)
    return {lane for _, _, _, lane, _ in found}


def _ready(tx: Transaction, rows: Sequence[Row]) -> None:
    if not rows:
        return
    places = [(table_id, item_id) for table_id, item_id, *_ in rows]
    tx.expect(len(rows), tx.session.run_many("remove_child", places))
    ready = [(table_id, lane, suspicion(crashes), item_id) for table_id, item_id, _, lane, crashes in rows]
    tx.expect(len(rows), tx.session.run_many("add_ready", ready))
    groups = [(table_id, op, lane) for table_id, _, op, lane, _ in rows]
    tx.count_all(groups, WAITING, -1)
    tx.count_all(groups, READY)


def parents(tx: Transaction, workflow: str, keys: Iterable[RecordKey]) -> dict[RecordKey, Parent]:
    """See `Storage.parents`."""
    workflow_id = tx.workflow_id(workflow)
    by_table: dict[str, list[str]] = {}
    for key in keys:
        by_table.setdefault(key.table, []).append(key.id)
    found = {
        RecordKey(table=table, id=record): Parent(key=RecordKey(table=table, id=record))
        for table, records in by_table.items()
        for record in records
    }
    letters = tx.open_letters(workflow_id) > 0
    for table, records in by_table.items():
        table_id = tx.find_table(workflow_id, table)
        if table_id is None:
            continue
        columns = list({key_to_column(record) for record in records})
        dead = {key for (key,) in tx.session.rows_among("dead_among", (table_id,), columns)} if letters else set()
        rows = {row[0]: row[1:] for row in tx.session.rows_among("parents_among", (SUSPECT_AFTER, table_id), columns)}
        for column in dead | rows.keys():
            key = RecordKey(table=table, id=key_to_id(column))
            found[key] = _as_parent(key, rows.get(column), dead=column in dead)
    return found


def _as_parent(key: RecordKey, row: Row | None, *, dead: bool) -> Parent:
    if row is None:
        return Parent(key=key, dead=dead)
    fingerprint, op, state = row
    return Parent(
        key=key,
        known=bool(fingerprint),
        doubted=fingerprint is not None and not fingerprint,
        state=None if state is None else STATES[state],
        deleting=op == DELETE,
        dead=dead,
    )


def _key(tx: Transaction, workflow_id: int, table_id: int, key: bytes) -> RecordKey:
    return RecordKey(table=tx.table_name(workflow_id, table_id), id=key_to_id(key))


def waits_for(tx: Transaction, workflow: str, record: RecordKey) -> list[RecordKey]:
    """See `Storage.waits_for`."""
    workflow_id = tx.workflow_id(workflow)
    way, here = [record], record
    while True:
        table_id = tx.find_table(workflow_id, here.table)
        row = None if table_id is None else tx.session.row("waits_for", (table_id, key_to_column(here.id)))
        here = here if row is None else _key(tx, workflow_id, *row)
        if here in way:
            return way[1:]
        way.append(here)
