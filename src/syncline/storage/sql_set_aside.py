"""What is set aside until the target knows its person, over SQL.

What lives here: how a row leaves the queue for this place and comes back. That a settled row is set aside is said in
`sql_settling`. Who is known is for the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from syncline.backlog import Entry, Lane
from syncline.records import RecordKey
from syncline.storage import sql_putting
from syncline.storage.columns import as_datetime, as_microseconds, key_to_column, key_to_id, read_payload
from syncline.storage.sql_transaction import Held, Transaction

__all__ = [
    "Aside",
    "drop",
    "forget_person",
    "looked_up",
    "next_stranger",
    "put_aside",
    "strangers",
    "strangers_known",
]

#: Strangers that a ledger is asked about at a time.
_ASKED_LAST: Final = 10_000


@frozen(kw_only=True)
class Aside:
    """A row that leaves the queue."""

    table_id: int
    key: bytes
    person: str
    seq: int
    ambiguous: bool
    checksum: int | None
    payload: object


def put_aside(tx: Transaction, held: Held, row: Aside) -> None:
    """Set a row aside. Of each record only the newest stays; the one before counts as superseded."""
    person = key_to_column(row.person)
    found = tx.session.row("find_set_aside", (row.table_id, row.key))
    if found is None:
        values = (
            tx.next_ids(1), held.workflow_id, row.table_id, row.key, person, row.seq, row.ambiguous, tx.now,
            row.checksum, row.payload,
        )  # fmt: skip
        tx.session.run("add_set_aside", values)
        tx.total(held.workflow_id, set_aside=1)
    else:
        changed = (person, row.seq, row.ambiguous, row.checksum, row.payload, found[0])
        tx.expect(1, tx.session.run("replace_set_aside", changed))
        tx.total(held.workflow_id, superseded=1)
    tx.session.run("ask_stranger", (held.workflow_id, person, tx.now))


def strangers(tx: Transaction, workflow: str, before: datetime, limit: int) -> list[str]:
    """See `Storage.strangers`."""
    asked = (tx.workflow_id(workflow), as_microseconds(before), max(0, limit))
    return [key_to_id(person) for (person,) in tx.session.rows("strangers_due", asked)]


def strangers_known(
    tx: Transaction, workflow: str, before: datetime, limit: int, *, ledger: str, table: str
) -> list[str]:
    """See `Storage.strangers_known`."""
    try:
        table_id = tx.find_table(tx.workflow_id(ledger), table)
    except KeyError:
        return []
    if table_id is None:
        return []
    asked = (tx.workflow_id(workflow), as_microseconds(before), _ASKED_LAST, table_id, max(0, limit))
    return [key_to_id(person) for (person,) in tx.session.rows("strangers_known", asked)]


def next_stranger(tx: Transaction, workflow: str) -> datetime | None:
    """See `Storage.next_stranger`."""
    row = tx.session.row("next_stranger", (tx.workflow_id(workflow),))
    return None if row is None or row[0] is None else as_datetime(row[0])


def looked_up(tx: Transaction, held: Held, people: Sequence[str], known: Collection[str]) -> int:
    """See `Storage.looked_up`."""
    still = [(held.workflow_id, key_to_column(person), tx.now) for person in people if person not in known]
    tx.session.run_many("ask_stranger", still)
    return sum(_bring_back(tx, held, key_to_column(person)) for person in people if person in known)


def _bring_back(tx: Transaction, held: Held, person: bytes) -> int:
    rows = tx.session.rows("set_aside_of", (held.workflow_id, person))
    for row_id, table, key, ambiguous, expected, stored in rows:
        payload, sound = read_payload(stored, expected)
        entry = Entry(
            key=RecordKey(table=table, id=key_to_id(key)),
            seq=tx.next_read(held.workflow_id),
            payload=payload,
            lane=Lane.LIVE,
            refresh=not sound,
        )
        tx.expect(1, tx.session.run("remove_set_aside", (row_id,)))
        sql_putting.put_again(tx, held.workflow_id, entry, ambiguous=bool(ambiguous))
    # They were put once already.
    tx.total(held.workflow_id, put=-len(rows), set_aside=-len(rows))
    tx.session.run("drop_stranger", (held.workflow_id, person))
    return len(rows)


def drop(tx: Transaction, held: Held, before: datetime, limit: int) -> int:
    """See `Storage.drop_set_aside`."""
    rows = tx.session.rows("set_aside_before", (held.workflow_id, as_microseconds(before), max(0, limit)))
    _remove(tx, held.workflow_id, [row[0] for row in rows])
    return len(rows)


def forget_person(tx: Transaction, workflow_id: int, person: bytes) -> int:
    """Discard all that is set aside of a person; how many rows that were."""
    rows = tx.session.rows("set_aside_of", (workflow_id, person))
    _remove(tx, workflow_id, [row[0] for row in rows])
    return len(rows)


def _remove(tx: Transaction, workflow_id: int, ids: Sequence[int]) -> None:
    if ids:
        tx.expect(len(ids), tx.session.run_many("remove_set_aside", [(row_id,) for row_id in ids]))
        tx.total(workflow_id, set_aside=-len(ids), discarded=len(ids))
        tx.session.run("drop_idle_strangers", (workflow_id,))
