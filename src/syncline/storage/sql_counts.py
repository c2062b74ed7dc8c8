"""The queue in numbers, over SQL.

What lives here: reading the counters, and the audit that recomputes them. Nothing here changes anything.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from syncline.backlog import BacklogCounts, Group, Lane, Totals
from syncline.storage.columns import as_datetime
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELAYED, OPERATIONS, READY, STATES, Transaction

__all__ = ["audit", "counts", "next_due"]


def _totals(tx: Transaction, workflow_id: int) -> tuple[Totals, int]:
    row = tx.session.row("totals", (workflow_id,))
    tx.expect(1, int(row is not None))
    put, written, superseded, skipped, dead, discarded, refused, open_letters = row or (0,) * 8
    totals = Totals(
        put=put,
        written=written,
        superseded=superseded,
        skipped=skipped,
        dead=dead,
        discarded=discarded,
        refused=refused,
    )
    return totals, open_letters


def counts(tx: Transaction, workflow: str) -> BacklogCounts:
    """See `Storage.counts`."""
    workflow_id = tx.workflow_id(workflow)
    rows = tx.session.rows("groups", (workflow_id,))
    totals, open_letters = _totals(tx, workflow_id)
    return BacklogCounts(
        groups={
            Group(table=table, operation=OPERATIONS[op], lane=Lane(lane), state=STATES[state]): count
            for table, op, lane, state, count, _ in rows
        },
        totals=totals,
        oldest=_oldest(tx, workflow_id, rows),
        dead_letters=open_letters,
    )


def _oldest(tx: Transaction, workflow_id: int, groups: list[Row]) -> datetime | None:
    """When the row that has waited longest was queued: a glance at the front of each index."""
    fronts = [tx.session.row("oldest_leased", (workflow_id,))]
    for table_id, lane in {(group[5], group[2]) for group in groups if group[3] == READY}:
        fronts.append(tx.session.row("oldest_ready", (table_id, lane)))
        fronts.append(tx.session.row("oldest_suspect", (table_id, lane)))
    for table_id in {group[5] for group in groups if group[3] == DELAYED}:
        fronts.append(tx.session.row("oldest_delayed", (table_id,)))
    return min((as_datetime(front[0]) for front in fronts if front is not None), default=None)


def next_due(tx: Transaction, workflow: str) -> datetime | None:
    """See `Storage.next_due`."""
    tables = tx.session.rows("delayed_tables", (tx.workflow_id(workflow),))
    due = [tx.session.row("next_due", (table_id,)) for (table_id,) in tables]
    return min((as_datetime(row[0]) for row in due if row is not None and row[0] is not None), default=None)


def audit(tx: Transaction, workflow: str) -> list[str]:
    """See `Storage.audit`."""
    workflow_id = tx.workflow_id(workflow)
    return [
        *_audit_groups(tx, workflow_id),
        *_audit_totals(tx, workflow_id),
        *_audit_links(tx, workflow_id),
    ]


def _audit_groups(tx: Transaction, workflow_id: int) -> list[str]:
    found: Counter[tuple[int, int, int, int]] = Counter()
    for query in ("audit_groups", "audit_waiting"):
        for *group, count in tx.session.rows(query, (workflow_id,)):
            found[tuple(group)] += count
    kept = {tuple(group): count for *group, count in tx.session.rows("counters", (workflow_id,))}
    names = tx.table_names(workflow_id)
    return [
        f"{names[group[0]]}, {OPERATIONS[group[1]]}, {Lane(group[2]).name.lower()}, {STATES[group[3]]}: "
        f"the counter says {kept.get(group, 0)} and {found.get(group, 0)} rows are there."
        for group in sorted(found.keys() | kept.keys())
        if found.get(group, 0) != kept.get(group, 0)
    ]


def _audit_totals(tx: Transaction, workflow_id: int) -> list[str]:
    totals, open_letters = _totals(tx, workflow_id)
    queued = sum(count for *_, count in tx.session.rows("counters", (workflow_id,)))
    ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
    differences = []
    if totals.put != ended + queued:
        differences.append(f"{totals.put} changes were put, but {ended} ended and {queued} are queued.")
    row = tx.session.row("audit_letters", (workflow_id,))
    if row is not None and row[0] != open_letters:
        differences.append(f"the counter says {open_letters} open dead letters and {row[0]} are there.")
    return differences


def _audit_links(tx: Transaction, workflow_id: int) -> list[str]:
    differences = []
    lost = tx.session.row("audit_lost_waiting")
    if lost is not None and lost[0]:
        differences.append(f"{lost[0]} changes wait behind a row that is not leased.")
    strays = tx.session.row("audit_strays", (workflow_id,))
    if strays is not None and strays[0]:
        differences.append(f"{strays[0]} rows are leased and no grant can settle them.")
    return differences
