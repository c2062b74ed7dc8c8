"""The decision record over SQL: adding to its chain, reading it, and erasing from it.

What lives here: the order in which an entry's place and hash come about. How hashes are made is in
`syncline.consent.chain`; what a decision says is none of this room's business.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any, Final

from syncline.consent import Decision, RecordEntry, Seal, content_of, decision_data, erasure_text, link_of
from syncline.consent.written import decision_from_data
from syncline.scopes import scope_of
from syncline.storage.columns import as_microseconds, at_most, key_to_column, key_to_id, printable
from syncline.storage.sql_transaction import Transaction

__all__ = ["add", "decisions", "entries", "forget", "purge", "seal"]

_SALT: Final = 16
_NOTHING: Final = b""


def add(tx: Transaction, scope: str, told: Sequence[Decision]) -> None:
    """Put decisions at the end of the record."""
    rows: list[tuple[bytes | None, str, int, str]] = []
    for one in told:
        text = printable(json.dumps(decision_data(one)))
        rows.append((key_to_column(one.person), one.pair.campaign, as_microseconds(one.at), text))
    _append(tx, scope, rows)


def _append(tx: Transaction, scope: str, rows: Sequence[tuple[bytes | None, str, int, str]]) -> None:
    """Rows are person, channel, time and text. The places are taken first: that lets in one process at a time."""
    tx.session.run("take_places", (scope, len(rows), _NOTHING))
    last = seal(tx, scope)
    place, link = last.place - len(rows), last.link
    added: list[tuple[Any, ...]] = []
    for person, channel, at, text in rows:
        place, salt = place + 1, secrets.token_bytes(_SALT)
        content = content_of(salt, text)
        link = link_of(link, place, content)
        added.append((scope, place, person, channel, at, text, salt, content, link))
    tx.expect(len(rows), tx.session.run_many("add_decision", added))
    tx.expect(1, tx.session.run("set_seal", (link, scope)))


def decisions(tx: Transaction, scope: str, person: str | None, after: int, limit: int) -> list[Decision]:
    """See `Storage.decisions`."""
    most = at_most(limit)
    if person is None:
        rows = tx.session.rows("decisions", (scope, after, most))
    else:
        rows = tx.session.rows("decisions_of", (scope, key_to_column(person), after, most))
    return [decision_from_data({**json.loads(told), "id": found, "seal": link.hex()}) for found, told, link in rows]


def entries(tx: Transaction, scope: str, after: int, limit: int) -> list[RecordEntry]:
    """See `Storage.record_entries`."""
    return [
        RecordEntry(
            place=place,
            text=told,
            salt=salt,
            content=content,
            link=link,
            person=None if person is None else key_to_id(person),
        )
        for place, told, salt, content, link, person in tx.session.rows("record_entries", (scope, after, max(0, limit)))
    ]


def seal(tx: Transaction, scope: str) -> Seal:
    """See `Storage.record_seal`."""
    row = tx.session.row("seal", (scope,))
    return Seal() if row is None else Seal(place=row[0], link=row[1])


def forget(tx: Transaction, scope: str, person: bytes) -> int:
    """Erase all decisions about a person; how many there were."""
    return _erase(tx, scope, [place for (place,) in tx.session.rows("places_of", (scope, person))])


def purge(tx: Transaction, workflow_id: int, before: int, most: int) -> int:
    """Erase decisions made before a moment that later ones followed; how many."""
    name = next(name for found, name in tx.session.rows("workflows") if found == workflow_id)
    scope = scope_of(name)
    return _erase(tx, scope, [place for (place,) in tx.session.rows("places_before", (scope, before, most))])


def _erase(tx: Transaction, scope: str, places: Sequence[int]) -> int:
    if places:
        # An entry of its own says so: what is gone without one was taken out by somebody else.
        _append(tx, scope, [(None, "", tx.now, erasure_text(places))])
        tx.expect(len(places), tx.session.run_many("erase_decision", [(_NOTHING, scope, place) for place in places]))
    return len(places)
