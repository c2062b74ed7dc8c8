"""Opt-outs over SQL: standings and troubles, and what is stored together with them.

What lives here: how they are stored and found, and how they are forgotten. The decision record is in
`sql_decisions`. Nothing about who wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from syncline.backlog import Entry, Grant, Lane
from syncline.consent import ConsentNote, ConsentTrouble, Standing
from syncline.consent.written import standing_from_json, standing_to_json
from syncline.erasure import Trail
from syncline.records import RecordKey
from syncline.scopes import scope_of
from syncline.storage import sql_decisions, sql_putting
from syncline.storage.columns import as_datetime, as_microseconds, at_most, key_to_column, key_to_id, printable
from syncline.storage.sql_transaction import Transaction

__all__ = [
    "arrived",
    "forget",
    "note",
    "numbers",
    "pull_forward",
    "standings",
    "troubles",
]

_MICROSECOND: Final = timedelta(microseconds=1)
#: A profile that the ledger has and that is not there is looked for this often.
_AGAIN: Final = timedelta(minutes=15) // _MICROSECOND


def note(tx: Transaction, grant: Grant, told: ConsentNote) -> None:
    """See `Storage.note_consent`."""
    tx.hold_reader(grant)
    scope = scope_of(grant.workflow)
    if told.decisions:
        sql_decisions.add(tx, scope, told.decisions)
    for (person, channel), standing in told.standings.items():
        looked = tx.now if standing.waiting else None
        row = (scope, key_to_column(person), channel, standing_to_json(standing), looked, int(standing.missed))
        tx.session.run("put_standing", row)
    for trouble in told.troubles:
        tx.session.run(
            "put_trouble",
            (scope, key_to_column(trouble.person), as_microseconds(trouble.since), trouble.attempts,
             int(trouble.held), printable(trouble.message)),
        )  # fmt: skip
    for person in told.done:
        tx.session.run("end_trouble", (scope, key_to_column(person)))


def standings(tx: Transaction, scope: str, people: Sequence[str]) -> dict[tuple[str, str], Standing]:
    """See `Storage.standings`."""
    rows = tx.session.rows_among("standings_among", (scope,), [key_to_column(person) for person in set(people)])
    return {(key_to_id(person), channel): standing_from_json(told) for person, channel, told in rows}


def troubles(tx: Transaction, scope: str, limit: int) -> list[ConsentTrouble]:
    """See `Storage.consent_troubles`."""
    return [
        ConsentTrouble(
            person=key_to_id(person), since=as_datetime(since), attempts=attempts, held=held == 1, message=message
        )
        for person, since, attempts, held, message in tx.session.rows("troubles", (scope, at_most(limit)))
    ]


def numbers(tx: Transaction, scope: str) -> tuple[int, int, int]:
    """See `Storage.consent_numbers`."""
    found: dict[int, int] = dict(tx.session.rows("count_troubles", (scope,)))
    waiting = tx.session.row("count_waiting", (scope,))
    return found.get(0, 0), found.get(1, 0), 0 if waiting is None else waiting[0]


def arrived(tx: Transaction, scope: str, workflow: str, table: str, *, patience: timedelta, limit: int) -> list[str]:
    """See `Storage.arrived`."""
    try:
        table_id = tx.find_table(tx.workflow_id(workflow), table)
    except KeyError:
        table_id = None
    long_ago = tx.now - patience // _MICROSECOND
    again = tx.now - min(_AGAIN, patience // _MICROSECOND)
    parameters = (scope, long_ago, again, table_id or 0, max(0, limit))
    return [key_to_id(person) for (person,) in tx.session.rows("arrived", parameters)]


def pull_forward(tx: Transaction, workflow: str, keys: Sequence[RecordKey]) -> int:
    """See `Storage.pull_forward`."""
    try:
        workflow_id = tx.workflow_id(workflow)
    except KeyError:
        return 0
    for key in keys:
        entry = Entry(key=key, seq=tx.next_read(workflow_id), payload=None, lane=Lane.CONSENT, refresh=True)
        sql_putting.put_again(tx, workflow_id, entry, ambiguous=False)
    return len(keys)


def forget(tx: Transaction, workflows: Sequence[int], person: bytes) -> Trail:
    """Remove all about a person in the scopes of these workflows."""
    scopes = {scope_of(name) for workflow_id, name in tx.session.rows("workflows") if workflow_id in workflows}
    removed, out = 0, set[str]()
    for scope in scopes:
        rows = tx.session.rows_among("standings_among", (scope,), [person])
        out |= {channel for _, channel, told in rows if standing_from_json(told).opted_out}
        removed += sql_decisions.forget(tx, scope, person)
        tx.session.run("remove_standings", (scope, person))
        tx.session.run("end_trouble", (scope, person))
    return Trail(removed=removed, opted_out=frozenset(out))
