"""Throttle gates and samples of depth and rate, over SQL.

What lives here: the two small memories that all workers share. No rules about when to wait.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from syncline.storage.columns import as_datetime, as_microseconds
from syncline.storage.sql_transaction import Transaction
from syncline.store import Sample

__all__ = ["add_sample", "close_gate", "gate", "samples"]

_MICROSECOND: Final = timedelta(microseconds=1)
_DENSE: Final = timedelta(days=1) // _MICROSECOND
#: Thinned samples are dropped after this; enough to compare a day with the same day of the week before.
_KEPT: Final = timedelta(days=8) // _MICROSECOND


def gate(tx: Transaction, principal: str) -> datetime | None:
    """See `Storage.gate`."""
    row = tx.session.row("gate", (principal,))
    return as_datetime(row[0]) if row is not None and row[0] > tx.now else None


def close_gate(tx: Transaction, principal: str, until: datetime) -> None:
    """See `Storage.close_gate`."""
    tx.session.run("close_gate", (principal, as_microseconds(until)))


def add_sample(tx: Transaction, workflow: str, sample: Sample) -> None:
    """See `Storage.add_sample`."""
    workflow_id = tx.workflow_id(workflow)
    tx.session.run("add_sample", (workflow_id, as_microseconds(sample.at), sample.size, sample.written))
    tx.session.run("drop_samples", (workflow_id, tx.now - _KEPT))
    tx.session.run("thin_samples", (workflow_id, tx.now - _DENSE))


def samples(tx: Transaction, workflow: str, since: datetime) -> list[Sample]:
    """See `Storage.samples`."""
    rows = tx.session.rows("samples", (tx.workflow_id(workflow), as_microseconds(since)))
    return [Sample(at=as_datetime(at), size=size, written=written) for at, size, written in rows]
