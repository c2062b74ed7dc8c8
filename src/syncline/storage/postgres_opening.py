"""Opening a schema on PostgreSQL: it is created when it is missing, and refused when it is not ours.

What lives here: what has to be true before the first transaction. No driver.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from syncline.errors import StorageCorruptError, StorageMismatchError
from syncline.storage.postgres_connection import PostgresConnection
from syncline.storage.queries import SCHEMA_VERSION

__all__ = ["check"]

_DAY: Final = 86_400_000_000


def check(link: PostgresConnection, place: str, schema: str, known: str | None) -> str:
    """The id of the store behind a new connection; `known` is what it was before, or None.

    Raises StorageMismatchError unless it is ours, of our version, and the one we know.
    """
    link.begin_reading()
    there = _is_true(link, "is_there", schema)
    if there:
        version, store = _number(link, "version"), link.session.row("store")
    link.commit()
    if not there:
        return _create(link, place, schema)
    if version != SCHEMA_VERSION:
        raise StorageMismatchError(
            f"{place} has schema version {version}; this release knows version {SCHEMA_VERSION}.",
            remedy="Use the release that wrote it, or a newer one.",
        )
    if store is None:
        raise StorageCorruptError(f"{place} has lost the row that says which store it is.")
    if known not in (None, store[0]):
        raise StorageMismatchError(
            f"{place} is another store than the one that was open before.",
            remedy="Start anew with a new storage if that is meant.",
        )
    if known is None:
        _tidy(link)
    return str(store[0])


def _create(link: PostgresConnection, place: str, schema: str) -> str:
    """All of it or nothing; of several that come at once, one creates it and the others find it."""
    link.begin_creating()
    session = link.session
    session.row("wait_for_creation", (schema,))
    if not _is_true(link, "is_there", schema):
        if not _is_true(link, "schema_is_there", schema):
            link.create_schema()
        elif _number(link, "strangers", schema):
            raise StorageMismatchError(
                f"{place} exists and has tables that are not Syncline's.",
                remedy="Give the name of a schema of its own. This one was left as it is.",
            )
        link.create_tables()
        session.run("add_version", (SCHEMA_VERSION, session.now()))
        session.run("add_store", (str(uuid4()),))
    store = session.row("store")
    link.commit()
    return str(store[0]) if store is not None else ""


def _tidy(link: PostgresConnection) -> None:
    link.begin_creating()
    link.session.run("drop_markers", (link.session.now() - _DAY,))
    link.commit()


def _is_true(link: PostgresConnection, query: str, *parameters: object) -> bool:
    row = link.session.row(query, parameters)
    return row is not None and bool(row[0])


def _number(link: PostgresConnection, query: str, *parameters: object) -> int:
    row = link.session.row(query, parameters)
    return 0 if row is None or row[0] is None else int(row[0])
