"""Dead letters over SQL.

What lives here: how a letter is written, resolved, listed, retried and discarded. Nothing about why records die.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import field, frozen

from syncline.backlog import DeadReason, Entry, Lane
from syncline.records import RecordKey
from syncline.storage import sql_putting
from syncline.storage.columns import as_datetime, at_most, key_to_column, key_to_id, printable
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import Held, Transaction
from syncline.store import DeadLetter, DeadLetterStatus

__all__ = ["Letter", "discard", "letters", "resolve", "retry", "revive", "set_aside"]


@frozen(kw_only=True)
class Letter:
    """What is to be written down about a record that is set aside."""

    table_id: int
    key: bytes
    seq: int
    payload: bytes | None = field(repr=False)
    reason: DeadReason
    field: str
    message: str
    attempts: int
    first: bool
    ambiguous: bool
    #: The record that would have to be at the target first.
    parent: RecordKey | None = None


def set_aside(tx: Transaction, held: Held, letter: Letter) -> None:
    """Write a letter. Of the open ones of a record only the newest stays open."""
    status = DeadLetterStatus.OPEN
    key = (letter.table_id, letter.key, letter.seq)
    resolve(tx, held.workflow_id, [key])
    newer = tx.session.row("newer_letter", key)
    if newer is not None and newer[0]:
        status = DeadLetterStatus.RESOLVED
    parent: tuple[int | None, bytes | None] = (None, None)
    if letter.parent is not None:
        parent = tx.table_id(held.workflow_id, letter.parent.table), key_to_column(letter.parent.id)
    tx.session.run(
        "add_letter",
        (held.workflow_id, *key, letter.payload, letter.reason.value, printable(letter.field),
         printable(letter.message), tx.now, held.grant.generation, letter.attempts, letter.first, letter.ambiguous,
         status.value, *parent),
    )  # fmt: skip
    tx.total(held.workflow_id, dead=1, open=int(status is DeadLetterStatus.OPEN))


def resolve(tx: Transaction, workflow_id: int, settled: Iterable[tuple[int, bytes, int]]) -> None:
    """Close the open letters of these (table, key) that are not newer than the sequence beside them."""
    if tx.open_letters(workflow_id):
        tx.total(workflow_id, open=-tx.session.run_many("resolve_letters", settled))


def letters(
    tx: Transaction,
    workflow: str,
    *,
    status: DeadLetterStatus | None,
    table: str | None,
    record: str | None,
    after: int,
    limit: int,
) -> list[DeadLetter]:
    """See `Storage.dead_letters`."""
    wanted = {
        "workflow_id": tx.workflow_id(workflow),
        "after": after,
        "status": None if status is None else status.value,
        "table_name": table,
        "key": None if record is None else key_to_column(record),
        "most": at_most(limit),
    }
    return [
        DeadLetter(
            id=letter_id,
            workflow=workflow,
            key=RecordKey(table=name, id=key_to_id(key)),
            seq=seq,
            payload=payload,
            reason=DeadReason(reason),
            field=about,
            message=message,
            at=as_datetime(at),
            generation=generation,
            attempts=attempts,
            status=DeadLetterStatus(now_status),
            parent=None if parent is None else RecordKey(table=parent, id=key_to_id(parent_key)),
        )
        for (
            letter_id, name, key, seq, payload, reason, about, message, at, generation, attempts, now_status, parent,
            parent_key
        ) in tx.session.rows("letters", wanted)
    ]  # fmt: skip


def retry(tx: Transaction, workflow: str, ids: Sequence[int], *, as_read: bool) -> int:
    """Queue the records of open letters again, to be read anew or as they were read; how many."""
    workflow_id = tx.workflow_id(workflow)
    return _again(tx, workflow_id, tx.session.rows_among("open_letters_among", (workflow_id,), ids), as_read=as_read)


def revive(tx: Transaction, workflow_id: int, table_id: int, keys: Sequence[bytes]) -> int:
    """Queue the records of open letters again that died because these records were not at the target; how many."""
    return _again(tx, workflow_id, tx.session.rows_among("letters_of_children", (table_id,), keys), as_read=False)


def _again(tx: Transaction, workflow_id: int, found: Sequence[Row], *, as_read: bool) -> int:
    for letter_id, _, table, key, first, ambiguous, payload in sorted(found, key=lambda row: int(row[0])):
        _close(tx, workflow_id, letter_id, DeadLetterStatus.RETRIED)
        entry = Entry(
            key=RecordKey(table=table, id=key_to_id(key)),
            seq=tx.next_read(workflow_id),
            payload=payload if as_read else None,
            lane=Lane.LIVE,
            first=bool(first),
            refresh=not as_read or payload is None,
        )
        sql_putting.put_again(tx, workflow_id, entry, ambiguous=bool(ambiguous))
    return len(found)


def discard(tx: Transaction, workflow: str, ids: Sequence[int]) -> int:
    """Close open letters for good; how many."""
    workflow_id = tx.workflow_id(workflow)
    found = tx.session.rows_among("open_letters_among", (workflow_id,), ids)
    for letter_id, *_ in found:
        _close(tx, workflow_id, letter_id, DeadLetterStatus.DISCARDED)
    tx.total(workflow_id, dead=-len(found), discarded=len(found))
    return len(found)


def _close(tx: Transaction, workflow_id: int, letter_id: int, status: DeadLetterStatus) -> None:
    tx.expect(1, tx.session.run("close_letter", (status.value, letter_id)))
    tx.total(workflow_id, open=-1)
