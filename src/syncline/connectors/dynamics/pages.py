"""From an answer to a page of changes.

What lives here: reading one page of rows and deletions, and noticing reads that go in circles. Values stay the source's
own words. Never a request.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from attrs import Factory, define

from syncline.connectors.dynamics.odata import found_in, guid, value_in
from syncline.connectors.http import TrustedOrigins, trusted_url
from syncline.errors import ProtocolError
from syncline.records import Change, Page, ReadRequest, ReadStage, RecordKey

__all__ = ["Progress", "read_page", "row_of"]

_DELETED = "$deletedEntity"
# Pages in a row that bring nothing new. Dataverse sends an empty page now and then, never this many.
_STALE_PAGES = 20
_UNTRACKED = (ReadStage.KEYS, ReadStage.OVERLAP)


def read_page(content: object, request: ReadRequest, primary_id: str, origins: TrustedOrigins) -> Page:
    """The page in a decoded answer to `request`.

    Raises `ProtocolError` for rows without an id, for an end of a tracked read without a delta link, and for anything
    else Dataverse does not send; `UntrustedUrlError` for a link that leads elsewhere, before anybody stores it.
    """
    if not isinstance(content, dict):
        raise _not_a_page(request.table)
    rows = content.get("value", ())
    next_link, delta_link = _link(content, "@odata.nextLink", origins), _link(content, "@odata.deltaLink", origins)
    if not isinstance(rows, list | tuple):
        raise _not_a_page(request.table)
    changes = tuple(_change(row, request, primary_id) for row in rows)
    if request.stage in _UNTRACKED:
        if "value" not in content:
            raise _not_a_page(request.table)
        return Page(changes=changes, next_link=next_link)
    if next_link is not None:
        return Page(changes=changes, next_link=next_link)
    if delta_link is not None:
        return Page(changes=changes, delta_link=delta_link)
    if not changes and _asks_for_changes(request):
        # "An empty JSON response is returned" when nothing changed: the same link asks again.
        return Page(changes=(), delta_link=request.link)
    raise ProtocolError(
        f"Dynamics 365 ended a tracked read of {request.table} without a delta link.",
        remedy="Nothing was lost: the position stays where it was.",
    )


def row_of(row: object, table: str, columns: tuple[str, ...], primary_id: str) -> Change:
    """One row: the columns asked for as far as it has them, and its etag. Keys nobody asked for are left out."""
    record = guid(row.get(primary_id)) if isinstance(row, dict) else None
    if not isinstance(row, dict) or record is None:
        raise ProtocolError(f"Dynamics 365 sent a row of {table} without its primary key {primary_id}.")
    etag = row.get("@odata.etag")
    return Change(
        key=RecordKey(table=table, id=record),
        values={column: value_in(row, column) for column in columns if found_in(row, column)},
        etag=etag if isinstance(etag, str) else None,
    )


def _change(row: object, request: ReadRequest, primary_id: str) -> Change:
    # A deletion is told by its context: rows may have a column called id as well.
    context = row.get("@odata.context") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(context, str) or not context.endswith(_DELETED):
        return row_of(row, request.table, request.columns, primary_id)
    record = guid(row.get("id"))
    if record is None or row.get("reason", "deleted") != "deleted" or request.stage in _UNTRACKED:
        raise ProtocolError(f"Dynamics 365 sent a deletion in {request.table} that is none.")
    return Change(key=RecordKey(table=request.table, id=record), values=None)


def _link(content: Mapping[str, Any], name: str, origins: TrustedOrigins) -> str | None:
    link = content.get(name)
    return None if link is None else trusted_url(link, origins)


def _asks_for_changes(request: ReadRequest) -> bool:
    """Whether the link is a delta link itself, and not a further page of what it led to."""
    link = (request.link or "").lower()
    return request.stage is ReadStage.DELTA and "deltatoken" in link and "skiptoken" not in link


def _not_a_page(table: str) -> ProtocolError:
    return ProtocolError(f"Dynamics 365 sent something that is not a page of {table}.")


@define
class _Walk:
    """One read from page to page."""

    requested: set[bytes] = Factory(set)
    offered: set[bytes] = Factory(set)
    pages: set[bytes] = Factory(set)
    stale: int = 0


class Progress:
    """Remembers the links and pages of each read under way. Thread-safe, in memory: a new process begins anew.

    A link that was followed already, or many pages in a row with nothing new, is an error and never taken for the end:
    a read that ended quietly would lose what it had not reached.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._walks: dict[tuple[str, ReadStage], _Walk] = {}

    def note(self, request: ReadRequest, page: Page) -> None:
        """Take a page in; raises `ProtocolError` when the read does not get on."""
        key = request.table, request.stage
        here = _digest(request.link or "")
        with self._lock:
            walk = self._walks.get(key)
            if walk is None or request.link is None or here not in walk.offered:
                walk = self._walks[key] = _Walk()
            walk.requested.add(here)
            if page.next_link is None:
                del self._walks[key]
                return
            walk.stale = 0 if _is_new(page, walk) else walk.stale + 1
            following = _digest(page.next_link)
            circle = following in walk.requested
            walk.offered |= {here, following}
        if circle or walk.stale >= _STALE_PAGES:
            what = "a link that was followed already" if circle else "page after page with nothing new"
            raise ProtocolError(f"Dynamics 365 answers a read of {request.table} with {what}.")


def _is_new(page: Page, walk: _Walk) -> bool:
    if not page.changes:
        return False
    content = _digest("\n".join(f"{change.key.id} {change.etag}" for change in page.changes))
    if content in walk.pages:
        return False
    walk.pages.add(content)
    return True


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
