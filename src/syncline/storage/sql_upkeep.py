"""Forgetting what is old, and starting over, over SQL.

What lives here: `Storage.purge` and `Storage.start_over`. Forgetting a person is in `sql_erasure`.

Another room that keeps what grows old adds a function to `DECISIONS`; it runs in the transaction of `purge`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final, TypeAlias

from syncline.state_machine import WorkflowState
from syncline.storage import sql_decisions, sql_reading
from syncline.storage.sql_transaction import Transaction
from syncline.upkeep import Purged, Retention

__all__ = ["DECISIONS", "PurgeDecisions", "purge", "start_over"]

#: Removes decisions made before a moment that later ones followed: the transaction, the workflow's id, the moment in
#: microseconds, and how many at most. Returns how many went.
PurgeDecisions: TypeAlias = Callable[[Transaction, int, int, int], int]

#: Every room that keeps decisions about people.
DECISIONS: Final[tuple[PurgeDecisions, ...]] = (sql_decisions.purge,)

_MICROSECOND: Final = timedelta(microseconds=1)
_CONTENT_UNKNOWN: Final = b""


def purge(tx: Transaction, workflow: str, retention: Retention, limit: int) -> Purged:
    """See `Storage.purge`."""
    workflow_id, most = tx.workflow_id(workflow), max(0, limit)

    def old(query: str, age: timedelta | None) -> list[int]:
        if age is None:
            return []
        return [row[0] for row in tx.session.rows(query, (workflow_id, tx.now - age // _MICROSECOND, most))]

    closed, expired = (
        old("closed_letters_before", retention.closed_letters),
        old("open_letters_before", retention.open_letters),
    )
    _remove(tx, "remove_letter", [*closed, *expired])
    tx.total(workflow_id, open=-len(expired), dead=-len(expired), discarded=len(expired))
    lines = old("history_before", retention.history)
    _remove(tx, "remove_history", lines)
    samples = old("samples_before", retention.samples)
    for at in samples:
        tx.session.run("remove_sample", (workflow_id, at))
    before = None if retention.decisions is None else tx.now - retention.decisions // _MICROSECOND
    decisions = 0 if before is None else sum(room(tx, workflow_id, before, most) for room in DECISIONS)
    return Purged(
        closed_letters=len(closed),
        open_letters=len(expired),
        history=len(lines),
        samples=len(samples),
        decisions=decisions,
    )


def _remove(tx: Transaction, query: str, ids: list[int]) -> None:
    if ids:
        tx.expect(len(ids), tx.session.run_many(query, [(row_id,) for row_id in ids]))


def start_over(tx: Transaction, workflow: str, tables: Collection[str], *, doubt: bool, snapshot: str | None) -> bool:
    """See `Storage.start_over`."""
    workflow_id = tx.workflow_id(workflow)
    row = tx.session.row("workflow_state", (workflow_id,))
    if row is None or WorkflowState(row[0]).started:
        return False
    for table in tables:
        table_id = tx.find_table(workflow_id, table)
        if table_id is None:
            continue
        sql_reading.drop_position(tx, workflow, table)
        if doubt:
            tx.session.run("doubt_table", (_CONTENT_UNKNOWN, table_id))
    if snapshot is not None:
        tx.expect(1, tx.session.run("replace_snapshot", (snapshot, workflow_id)))
    return True
