"""The queue in numbers, over SQL.

What lives here: reading the counters, and the audit that recomputes them. Nothing here changes anything.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final, TypeAlias

from syncline.backlog import BacklogCounts, Group, Lane, Totals
from syncline.storage.columns import as_datetime
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELAYED, GROUPS, HELD, OPERATIONS, READY, STATES, WAITING, Transaction

__all__ = ["audit", "counts", "next_due"]

_ENDED: Final = ("written", "superseded", "skipped", "dead", "discarded")
_TOTALS: Final = ("put", *_ENDED, "refused")
#: Table, operation, lane and state.
_Line: TypeAlias = tuple[int, int, int, int]


def counts(tx: Transaction, workflow: str) -> BacklogCounts:
    """See `Storage.counts`."""
    workflow_id = tx.workflow_id(workflow)
    queued = tx.session.rows("queued", (workflow_id,))
    totals = tx.totals(workflow_id)
    groups = {}
    for _, table, name, number in queued:
        op, lane, state = GROUPS[name]
        groups[Group(table=table, operation=OPERATIONS[op], lane=Lane(lane), state=STATES[state])] = number
    return BacklogCounts(
        groups=groups,
        totals=Totals(**{name: totals.get(name, 0) for name in _TOTALS}),
        oldest=_oldest(tx, workflow_id, queued),
        dead_letters=totals.get("open", 0),
        set_aside=totals.get("set_aside", 0),
    )


def _oldest(tx: Transaction, workflow_id: int, queued: list[Row]) -> datetime | None:
    """When the row that has waited longest was queued: a glance at the front of each line."""
    row, lines = tx.session.row, {(table_id, *GROUPS[name][1:]) for table_id, _, name, _ in queued}
    fronts = [row("oldest_leased", (workflow_id,))]
    fronts += [row("oldest_ready", (table, lane)) for table, lane, state in lines if state == READY]
    fronts += [row("oldest_suspect", (table, lane)) for table, lane, state in lines if state == READY]
    fronts += [row("oldest_delayed", (table,)) for table in {table for table, _, state in lines if state == DELAYED}]
    fronts += [row("oldest_held", (table,)) for table in {table for table, _, state in lines if state == HELD}]
    fronts += [row("oldest_child", (table,)) for table in {table for table, _, state in lines if state == WAITING}]
    return min((as_datetime(front[0]) for front in fronts if front is not None), default=None)


def next_due(tx: Transaction, workflow: str) -> datetime | None:
    """See `Storage.next_due`."""
    queued = tx.session.rows("queued", (tx.workflow_id(workflow),))
    tables = {(table_id, GROUPS[name][2]) for table_id, _, name, _ in queued}
    due = [tx.session.row("next_due", (table_id,)) for table_id, state in tables if state == DELAYED]
    due += [tx.session.row("next_child_due", (table_id,)) for table_id, state in tables if state == WAITING]
    return min((as_datetime(row[0]) for row in due if row is not None and row[0] is not None), default=None)


def audit(tx: Transaction, workflow: str) -> list[str]:
    """See `Storage.audit`."""
    workflow_id = tx.workflow_id(workflow)
    kept = {
        (table_id, *GROUPS[name]): number for table_id, _, name, number in tx.session.rows("queued", (workflow_id,))
    }
    return [
        *_audit_groups(tx, workflow_id, kept),
        *_audit_totals(tx, workflow_id, sum(kept.values())),
        *_audit_ledger(tx, workflow_id),
    ]


def _audit_groups(tx: Transaction, workflow_id: int, kept: dict[_Line, int]) -> list[str]:
    found: Counter[_Line] = Counter()
    standing = 0
    for query in ("audit_ready", "audit_delayed", "audit_leased", "audit_held", "audit_children", "audit_waiting"):
        for table_id, op, lane, state, number in tx.session.rows(query, (workflow_id,)):
            found[table_id, op, lane, state] += number
            standing += number if query != "audit_waiting" else 0
    names = tx.table_names(workflow_id)
    differences = [
        f"{names[table_id]}, {OPERATIONS[op]}, {Lane(lane).name.lower()}, {STATES[state]}: the counter says "
        f"{kept.get((table_id, op, lane, state), 0)} and {found[table_id, op, lane, state]} rows are there."
        for table_id, op, lane, state in sorted(found.keys() | kept.keys())
        if found[table_id, op, lane, state] != kept.get((table_id, op, lane, state), 0)
    ]
    rows = _number(tx, "audit_items", workflow_id)
    if rows != standing:
        differences.append(f"{rows} rows are queued, but {standing} are ready, delayed, leased, held or wait.")
    strays = _number(tx, "audit_records")
    if strays:
        differences.append(f"{strays} records name a row of the queue that is not theirs.")
    lost = _number(tx, "audit_lost_waiting")
    if lost:
        differences.append(f"{lost} changes wait behind a row that is not leased.")
    return differences


def _audit_totals(tx: Transaction, workflow_id: int, queued: int) -> list[str]:
    totals = tx.totals(workflow_id)
    put, open_letters, aside = (totals.get(name, 0) for name in ("put", "open", "set_aside"))
    ended = sum(totals.get(name, 0) for name in _ENDED)
    differences = []
    if put != ended + queued + aside:
        differences.append(f"{put} changes were put, but {ended} ended, {queued} are queued and {aside} set aside.")
    standing = _number(tx, "audit_set_aside", workflow_id)
    if standing != aside:
        differences.append(f"the counter says {aside} changes are set aside and {standing} are there.")
    letters = _number(tx, "audit_letters", workflow_id)
    if letters != open_letters:
        differences.append(f"the counter says {open_letters} open dead letters and {letters} are there.")
    return differences


def _audit_ledger(tx: Transaction, workflow_id: int) -> list[str]:
    known: dict[int, int] = dict(tx.session.rows("audit_known"))
    return [
        f"{name}: the counter says {tx.known(table_id)} known records and {known.get(table_id, 0)} are there."
        for table_id, name in sorted(tx.table_names(workflow_id).items())
        if tx.known(table_id) != known.get(table_id, 0)
    ]


def _number(tx: Transaction, query: str, *parameters: int) -> int:
    row = tx.session.row(query, parameters)
    return 0 if row is None else int(row[0])
