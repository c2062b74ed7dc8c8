"""Comparing the target with the source, over SQL: the walk through the ledger, adoption, and queueing what differs.

What lives here: how the ledger learns what a comparison found. What is compared is for the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncline.backlog import Entry, Lane, PutReport
from syncline.records import RecordKey
from syncline.storage import sql_putting
from syncline.storage.columns import as_datetime, as_microseconds, key_to_column, key_to_id
from syncline.storage.sql_transaction import Held, Transaction
from syncline.sweeps import KnownRecord, Sweep

__all__ = ["adopt", "commit_sweep", "known_records", "queue_anew", "sweeps"]

#: In the ledger: the target has the record, and nobody knows with which values.
_CONTENT_UNKNOWN = b""


def known_records(tx: Transaction, workflow: str, table: str, after: int, limit: int) -> list[KnownRecord]:
    """See `Storage.known_records`."""
    table_id = tx.find_table(tx.workflow_id(workflow), table)
    if table_id is None or limit < 1:
        return []
    rows = tx.session.rows("known_after", (table_id, after, limit))
    return [KnownRecord(place=place, id=key_to_id(key), queued=bool(queued)) for place, key, queued in rows]


def adopt(tx: Transaction, workflow: str, table: str, fingerprints: Mapping[str, bytes]) -> int:
    """See `Storage.adopt`."""
    table_id = tx.table_id(tx.workflow_id(workflow), table)
    keys = {key_to_column(record): fingerprint for record, fingerprint in fingerprints.items()}
    new = _add_missing(tx, table_id, keys)
    rows = tx.session.rows_among("unmatched_among", (table_id,), [key for key in keys if key not in new])
    matched = [(keys[key], record_id) for key, record_id, queued, _ in rows if not queued]
    tx.expect(len(matched), tx.session.run_many("match_record", matched) if matched else 0)
    met = sum(1 for *_, queued, known in rows if not (queued or known))
    tx.count_known(table_id, len(new) + met)
    return len(new) + len(matched)


def _add_missing(tx: Transaction, table_id: int, keys: Mapping[bytes, bytes]) -> set[bytes]:
    """Those of the records that were never met, known from now on with these fingerprints."""
    met = sql_putting.find_records(tx, table_id, keys)
    new = [key for key in keys if key not in met]
    if new:
        places = range(first := tx.next_ids(len(new)), first + len(new))
        rows = [(place, table_id, key, keys[key]) for place, key in zip(places, new, strict=True)]
        tx.expect(len(new), tx.session.run_many("add_known", rows))
    return set(new)


def queue_anew(tx: Transaction, workflow: str, table: str, records: Sequence[str], *, there: bool) -> PutReport:
    """See `Storage.queue_anew`."""
    workflow_id = tx.workflow_id(workflow)
    table_id = tx.table_id(workflow_id, table)
    keys = [key_to_column(record) for record in dict.fromkeys(records)]
    if there:
        new = _add_missing(tx, table_id, dict.fromkeys(keys, _CONTENT_UNKNOWN))
        tx.count_known(table_id, len(new))
    found = sql_putting.find_records(tx, table_id, keys)
    doubted = [(_CONTENT_UNKNOWN, one) for one, _, known in found.values() if known is not None or there]
    tx.expect(len(doubted), tx.session.run_many("match_record", doubted) if doubted else 0)
    tx.count_known(table_id, sum(1 for _, _, known in found.values() if there and known is None))
    seq = tx.next_read(workflow_id)
    entries = [
        Entry(key=RecordKey(table=table, id=record), seq=seq, payload=None, lane=Lane.BULK, refresh=True)
        for record in dict.fromkeys(records)
    ]
    return sql_putting.put(tx, workflow_id, entries)


def sweeps(tx: Transaction, workflow: str) -> dict[str, Sweep]:
    """See `Storage.sweeps`."""
    rows = tx.session.rows("sweeps", (tx.workflow_id(workflow),))
    return {
        table: Sweep(
            since=as_datetime(since),
            began_at=as_datetime(began_at),
            after=after,
            done=bool(done),
            rounds=rounds,
            checked=checked,
            mended=mended,
            checked_ever=checked_ever,
            mended_ever=mended_ever,
            calls=calls,
        )
        for table, since, began_at, after, done, rounds, checked, mended, checked_ever, mended_ever, calls in rows
    }


def commit_sweep(tx: Transaction, held: Held, table: str, sweep: Sweep, records: Sequence[str]) -> PutReport:
    """See `Storage.commit_sweep`."""
    table_id = tx.table_id(held.workflow_id, table)
    row = (
        table_id, as_microseconds(sweep.since), as_microseconds(sweep.began_at), sweep.after, int(sweep.done),
        sweep.rounds, sweep.checked, sweep.mended, sweep.checked_ever, sweep.mended_ever, sweep.calls,
    )  # fmt: skip
    tx.expect(1, tx.session.run("set_sweep", row))
    if not records:
        return PutReport(queued=0, superseded=0, skipped=0)
    return queue_anew(tx, held.grant.workflow, table, records, there=False)
