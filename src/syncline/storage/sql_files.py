"""Exported files over SQL: how far each was read, and what is remembered of their rows.

What lives here: the transaction that stores rows of a file together with the mark behind them, and what takes rows
without a file. Nothing about leases.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from syncline.backlog import Entry, PutReport
from syncline.exported_files import FileMark
from syncline.storage import sql_putting, sql_reading
from syncline.storage.sql_transaction import Held, Transaction
from syncline.store import FileCommit

__all__ = ["accept", "commit_file", "file_marks", "forget_files", "forget_oldest"]


def file_marks(tx: Transaction, workflow: str) -> dict[str, FileMark]:
    """See `Storage.file_marks`."""
    rows = tx.session.rows("file_marks", (tx.workflow_id(workflow),))
    return {name: FileMark.from_json(mark) for name, mark in rows}


def commit_file(tx: Transaction, held: Held, commit: FileCommit) -> PutReport:
    """See `Storage.commit_file`."""
    report = sql_putting.put(tx, held.workflow_id, commit.entries)
    for refusal in commit.refusals:
        sql_reading.refuse(tx, held, refusal)
    if commit.skipped:
        tx.total(held.workflow_id, put=commit.skipped, skipped=commit.skipped)
    tx.expect(1, tx.session.run("mark_file", (held.workflow_id, commit.mark.name, commit.mark.to_json())))
    return report


def accept(tx: Transaction, workflow: str, entries: Sequence[Entry]) -> PutReport:
    """See `Storage.accept`."""
    workflow_id = tx.workflow_id(workflow)
    seq = tx.next_read(workflow_id)
    return sql_putting.put(tx, workflow_id, [evolve(entry, seq=seq) for entry in entries])


def forget_files(tx: Transaction, workflow: str) -> int:
    """See `Storage.forget_files`."""
    return tx.session.run("forget_files", (tx.workflow_id(workflow),))


def forget_oldest(tx: Transaction, held: Held, table: str, keep: int, limit: int) -> int:
    """See `Storage.forget_oldest`."""
    table_id = tx.find_table(held.workflow_id, table)
    if table_id is None or (many := min(tx.known(table_id) - keep, limit)) <= 0:
        return 0
    forgotten = tx.session.run("forget_oldest", (table_id, many))
    tx.count_known(table_id, -forgotten)
    return forgotten
