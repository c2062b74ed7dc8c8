"""Forgetting a person over SQL: `Storage.forget` and `Storage.suppressed`.

What lives here: the walk over every place where a person may stand, and the keyed hash that stays. Each place keeps its
counters exact: what was queued or dead counts as discarded.

Another room that keeps something about people is asked through `TRACES`, in the transaction of `forget`: import it here
and list its function. It says what went, and in which channels the person was opted out, with a `Trail`.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

from attrs import frozen

from syncline.erasure import Erased, Trail
from syncline.storage import sql_children, sql_consent, sql_putting, sql_set_aside
from syncline.storage.columns import key_to_column
from syncline.storage.sql_transaction import LEASED, READY, Transaction
from syncline.store import DeadLetterStatus

__all__ = ["TRACES", "Trace", "forget", "suppressed"]

_KEY: Final = "suppressions"
#: Stands for the id where something was said about the person.
_NOBODY: Final = "forgotten"
_PARENT_FORGOTTEN: Final = "The record that this one points to was forgotten. Correct it in Dynamics, then retry."
_is_guid: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


#: Removes what a room keeps about a person: the transaction, the ids of the workflows, the person's id as a column.
Trace: TypeAlias = Callable[[Transaction, Sequence[int], bytes], Trail]

#: Every room that keeps decisions about people.
TRACES: Final[tuple[Trace, ...]] = (sql_consent.forget,)


@frozen(kw_only=True)
class _Place:
    """One table of one workflow."""

    workflow_id: int
    table_id: int
    #: Whether its records can be read again from their source.
    readable: bool


def forget(
    tx: Transaction,
    scope: str,
    person: str,
    *,
    opted_out: Collection[str],
    cannot_read_again: Collection[str],
) -> tuple[Erased, list[int]]:
    """See `Storage.forget`; what was removed, and the ids of the workflows it was removed from."""
    workflows = _workflows(tx, scope)
    places = [
        _Place(workflow_id=workflow_id, table_id=table_id, readable=name not in cannot_read_again)
        for workflow_id, name in workflows.items()
        for table_id in tx.table_names(workflow_id)
    ]
    found: Counter[str] = Counter()
    for place in places:
        _forget_record(tx, place, key_to_column(person), found)
        _forget_letters(tx, place, tx.session.rows("letters_of", (place.table_id, key_to_column(person))), found)
    for place in places:
        _forget_mentions(tx, place, _as_written(person), found)
    found["queued"] += sum(sql_set_aside.forget_person(tx, one, key_to_column(person)) for one in workflows)
    for workflow_id in workflows if _is_guid(person) else ():  # a shorter id could be part of any word
        said = {"workflow_id": workflow_id, "person": person, "nobody": _NOBODY}
        tx.session.run("blank_history", said)
        tx.session.run("blank_error", said)
    trails = [trace(tx, list(workflows), key_to_column(person)) for trace in TRACES]
    channels = frozenset(opted_out).union(*(trail.opted_out for trail in trails))
    erased = Erased(
        queued=found["queued"],
        in_flight=found["in flight"],
        dead_letters=found["letters"],
        known=found["known"],
        decisions=sum(trail.removed for trail in trails),
        mentions=found["mentions"],
        opted_out=_suppress(tx, scope, person, channels),
    )
    return erased, list(workflows)


def _workflows(tx: Transaction, scope: str) -> dict[int, str]:
    return {workflow_id: name for workflow_id, name in tx.session.rows("workflows") if name.startswith(f"{scope}/")}


# -- the person's own records -------------------------------------------------------------------------------------


def _forget_record(tx: Transaction, place: _Place, key: bytes, found: Counter[str]) -> None:
    row = tx.session.row("record_of", (place.table_id, key))
    sql_children.ended(tx, place.workflow_id, [(place.table_id, key, False)])
    tx.session.run("remove_read_by_key", (place.table_id, key))
    tx.session.run("blank_parent", (_PARENT_FORGOTTEN, place.table_id, key))
    if row is None:
        return
    record_id, item_id, known = row
    if item_id is not None:
        _forget_item(tx, place, item_id, found)
    if known:
        tx.count_known(place.table_id, -1)
        found["known"] += 1
    tx.session.run("remove_seen", {"table_id": place.table_id, "record_id": record_id})
    tx.expect(1, tx.session.run("remove_record", (record_id,)))


def _forget_item(tx: Transaction, place: _Place, item_id: int, found: Counter[str]) -> None:
    """Take a row out of the queue, wherever it stands, with what waits behind it."""
    queued, discarded = sql_putting.find_queued(tx, item_id), 1
    if queued.leased:
        discarded += _end_lease(tx, place, item_id, found)
        tx.count(place.table_id, queued.op, queued.lane, LEASED, -1)
    else:
        sql_putting.leave(tx, place.table_id, queued)
        tx.count(place.table_id, queued.op, queued.lane, queued.state, -1)
    tx.expect(1, tx.session.run("remove_item", (item_id,)))
    tx.total(place.workflow_id, discarded=discarded)
    found["queued"] += discarded


def _end_lease(tx: Transaction, place: _Place, item_id: int, found: Counter[str]) -> int:
    """End the lease of a row; how many changes waited behind it."""
    lease = tx.session.row("lease_of", (place.workflow_id, item_id))
    if lease is not None:
        tx.expect(1, tx.session.run("end_lease", (lease[0], item_id)))
        found["in flight"] += lease[1]
    waiting = tx.session.row("find_waiting", (item_id,))
    if waiting is None:
        return 0
    tx.expect(1, tx.session.run("remove_waiting", (item_id,)))
    tx.count(place.table_id, waiting[2], waiting[3], READY, -1)
    return 1


def _forget_letters(tx: Transaction, place: _Place, letters: Iterable[tuple[int, str]], found: Counter[str]) -> None:
    for letter_id, status in letters:
        tx.expect(1, tx.session.run("remove_letter", (letter_id,)))
        if status == DeadLetterStatus.OPEN:
            tx.total(place.workflow_id, open=-1, dead=-1, discarded=1)
        found["letters"] += 1


# -- where other records name the person --------------------------------------------------------------------------


def _as_written(person: str) -> str:
    """The id as a payload has it, in small letters; an id that is no GUID only as a whole value."""
    written = json.dumps(person).lower()
    return written.strip('"') if _is_guid(person.lower()) else written


def _forget_mentions(tx: Transaction, place: _Place, written: str, found: Counter[str]) -> None:
    mention = (place.table_id, written)
    waiting, items = tx.session.rows("waiting_that_mention", mention), tx.session.rows("items_that_mention", mention)
    letters = tx.session.rows("letters_that_mention", mention)
    if place.readable:
        for query, rows in (("blank_waiting", waiting), ("blank_item", items), ("blank_letter", letters)):
            tx.expect(len(rows), tx.session.run_many(query, [(row[0],) for row in rows]) if rows else 0)
            found["mentions"] += len(rows)
        return
    for item_id, record_id in dict([*waiting, *items]).items():
        _forget_item(tx, place, item_id, found)
        tx.expect(1, tx.session.run("leave_queue", (None, record_id)))
        tx.session.run("drop_record", (record_id,))
    _forget_letters(tx, place, letters, found)


# -- what stays ---------------------------------------------------------------------------------------------------


def suppressed(tx: Transaction, scope: str, people: Collection[str]) -> dict[str, frozenset[str]]:
    """See `Storage.suppressed`."""
    key = _key(tx)
    if key is None or not people:
        return {}
    hashes = {_hash(key, scope, person): person for person in people}
    rows = tx.session.rows_among("suppressions_among", (), list(hashes))
    return {hashes[found]: _channels(channels) for found, channels in rows}


def _suppress(tx: Transaction, scope: str, person: str, channels: frozenset[str]) -> frozenset[str]:
    if _key(tx) is None:
        tx.session.run("add_secret", (_KEY, secrets.token_hex(32)))
    key = _key(tx) or b""
    kept = channels.union(*suppressed(tx, scope, [person]).values())
    tx.session.run("suppress", (_hash(key, scope, person), scope, ",".join(sorted(kept)), tx.now))
    return kept


def _key(tx: Transaction) -> bytes | None:
    row = tx.session.row("secret", (_KEY,))
    return None if row is None else bytes.fromhex(row[0])


def _hash(key: bytes, scope: str, person: str) -> bytes:
    return hmac.new(key, f"{scope}\0{person}".encode("utf-8", "surrogatepass"), sha256).digest()


def _channels(text: str) -> frozenset[str]:
    return frozenset(text.split(",")) - {""}
