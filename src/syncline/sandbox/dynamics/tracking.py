"""Change tracking: the tracked first load, delta links, deleted entries, token expiry.

Lives here: everything a `Prefer: odata.track-changes` or a `$deltatoken` changes about a read.
Never here: plain reads (see `reading`).

A first load walks the versions up to the one that was newest when it began. Where its delta token points, and
whether rows touched meanwhile appear again, is not documented; both are settings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import attrs

from .answers import Answer, DataverseError, json_answer, text_answer
from .environment import Environment
from .projection import project
from .reading import check_read, link, page_size, paging_cookie, read_cookie
from .requests import Request, api_root
from .rows import Row, Tombstone
from .tables import Table

__all__ = ["count_changes", "is_tracked", "read_changes"]

_TOKEN = re.compile(r"(\d{1,19})!(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)\Z")
_STAMP = "%m/%d/%Y %H:%M:%S"
_REFUSED = ("$filter", "$orderby", "$expand", "$top")


@attrs.frozen(kw_only=True)
class Position:
    """Where a tracked read stands. `since` is 0 in a first load; both cursors are versions already delivered."""

    since: int
    upto: int
    rows_at: int
    deleted_at: int

    def plain(self) -> list[int]:
        """For the paging cookie."""
        return [self.since, self.upto, self.rows_at, self.deleted_at]


def is_tracked(request: Request) -> bool:
    """Whether a read of a collection is a tracked one."""
    if "$deltatoken" in request.query or request.preferences.track_changes:
        return True
    token = request.query.get("$skiptoken")
    return token is not None and 'istracking="True"' in token


def read_changes(environment: Environment, request: Request, table: Table) -> Answer:
    """One page of a first load or of a delta; the delta link comes on the last page only."""
    _check(environment, request, table)
    number, position = _position(environment, request, table)
    size = page_size(environment, request)
    # Rows that may reappear are found by walking on to the newest version instead of stopping where the read began.
    upto = environment.rows.version if environment.settings.duplicates else position.upto
    rows = environment.rows.after(table, position.rows_at, upto, size + 1)
    more = len(rows) > size
    rows = rows[:size]
    gone: list[Tombstone] = []
    if position.since and not more:
        recreated = environment.settings.recreated_shows_delete
        room = size - len(rows) + 1
        gone = environment.rows.deleted_after(table, position.deleted_at, position.upto, room, recreated=recreated)
        more = len(rows) + len(gone) > size
        gone = gone[: size - len(rows)]
    after = attrs.evolve(
        position,
        rows_at=rows[-1].version if rows else position.rows_at,
        deleted_at=gone[-1].version if gone else position.deleted_at,
    )
    body = _body(environment, request, table, position, rows, gone)
    if more:
        body["@odata.nextLink"] = _next_link(environment, request, table, number + 1, after, rows, gone)
    else:
        _add_delta_link(environment, request, table, position, body)
    applied = (("Preference-Applied", "odata.track-changes"),) if request.preferences.track_changes else ()
    return json_answer(_shape(environment, body), headers=applied)


def count_changes(environment: Environment, request: Request, table: Table) -> Answer:
    """`/$count?$deltatoken=...`: the number of changes since the token."""
    _check(environment, request, table)
    since = _token_version(environment, table, request.query["$deltatoken"])
    return text_answer(str(environment.rows.changes_count(table, since)))


def _check(environment: Environment, request: Request, table: Table) -> None:
    if not table.can_track:
        raise DataverseError(400, "0x80072491", f"Entity {table.name} isn't enabled for change tracking.")
    if not table.change_tracking:
        raise DataverseError(400, "0x80072491", f"Entity {table.name} isn't enabled for change tracking.")
    check_read(environment, table, organization_wide=True)
    for option in _REFUSED:
        if option in request.query:
            raise DataverseError(
                400,
                "0x80060888",
                f'The "{option}" query parameter isn\'t supported when Change Tracking is enabled.',
            )


def _position(environment: Environment, request: Request, table: Table) -> tuple[int, Position]:
    cookie = request.query.get("$skiptoken")
    if cookie is not None:
        number, plain, tracking = read_cookie(cookie)
        if not tracking:
            raise DataverseError(400, "0x80040203", "Malformed XML in the Paging Cookie")
        since, upto, rows_at, deleted_at = plain
        return number, Position(since=since, upto=upto, rows_at=rows_at, deleted_at=deleted_at)
    since = 0
    if "$deltatoken" in request.query:
        since = _token_version(environment, table, request.query["$deltatoken"])
    return 1, Position(since=since, upto=environment.rows.version, rows_at=since, deleted_at=since)


def _token_version(environment: Environment, table: Table, token: str) -> int:
    match = _TOKEN.match(token)
    try:
        given = datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC) if match else None
    except ValueError:
        given = None
    if match is None or given is None:
        raise DataverseError(400, "0x80040203", f"Invalid delta token '{token}'.")
    version = int(match[1])
    oldest = environment.now() - timedelta(days=environment.settings.expire_change_tracking_days)
    foreign = version > environment.rows.version
    if foreign or given < oldest or version < environment.tokens_expired_below(table):
        raise DataverseError(
            environment.settings.expired_token_status,
            "0x80044352",
            "Version stamp associated with the client has expired. Please perform a full sync.",
        )
    return version


def _body(
    environment: Environment,
    request: Request,
    table: Table,
    position: Position,
    rows: list[Row],
    gone: list[Tombstone],
) -> dict[str, Any]:
    annotations = request.preferences.annotations
    projection = project(table, request.select, annotations, environment.rows)
    metadata = f"{request.origin}{api_root(request.path)}/$metadata#{table.entity_set}"
    body: dict[str, Any] = {"@odata.context": f"{metadata}{projection.context}{'/$delta' if position.since else ''}"}
    if annotations.everything:
        body["@Microsoft.Dynamics.CRM.globalmetadataversion"] = str(environment.schema.version)
    deleted = f"{metadata}/$deletedEntity"
    body["value"] = [projection(row) for row in rows]
    body["value"].extend({"@odata.context": deleted, "id": entry.id, "reason": "deleted"} for entry in gone)
    return body


def _next_link(
    environment: Environment,
    request: Request,
    table: Table,
    number: int,
    after: Position,
    rows: list[Row],
    gone: list[Tombstone],
) -> str:
    ids = [row.id for row in rows] + [entry.id for entry in gone]
    cookie = paging_cookie(number, ids[0], ids[-1], table.primary_id, after.plain(), tracking=True)
    return link(environment, request, table, f"$skiptoken={cookie}")


def _add_delta_link(
    environment: Environment, request: Request, table: Table, position: Position, body: dict[str, Any]
) -> None:
    if environment.settings.delta_link_missing:
        return
    version = position.upto
    if not position.since and environment.settings.initial_token == "end":  # noqa: S105 - the name of a moment
        version = environment.rows.version
    stamp = f"{version}!{environment.now().strftime(_STAMP)}"
    encoded = re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quote(stamp, safe=""))
    body["@odata.deltaLink"] = link(environment, request, table, f"$deltatoken={encoded}")


def _shape(environment: Environment, body: dict[str, Any]) -> dict[str, Any]:
    """A delta without changes, in the form that was set; an "empty JSON response" is all that is documented."""
    if body["value"] or not body["@odata.context"].endswith("/$delta"):
        return body
    if environment.settings.empty_delta == "empty":
        return {}
    if environment.settings.empty_delta == "no_value":
        return {key: value for key, value in body.items() if key != "value"}
    return body
