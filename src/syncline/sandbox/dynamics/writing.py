"""Writes of single rows over HTTP: create, update, upsert, delete, links.

Lives here: preconditions (`If-Match`, `If-None-Match`), and the answers of the documented cases.
Never here: what a body may say (see `row_changes`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .answers import Answer, DataverseError
from .environment import Environment
from .reading import read_row
from .requests import Request, Segment, api_root
from .row_changes import create_row, delete_row, duplicate_row, replace_parties, set_link, update_row
from .rows import Row
from .tables import Table
from .targets import Target, target_of

__all__ = ["create", "delete", "json_object", "target_of_keys", "update", "write_link"]

target_of_keys = target_of


def json_object(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises DataverseError (400) for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataverseError(400, "0x80048d19", "Error identified in Payload provided by the user.") from error
    if not isinstance(value, dict):
        raise DataverseError(400, "0x80048d19", "Error identified in Payload provided by the user.")
    return value


def create(environment: Environment, request: Request, table: Table) -> Answer:
    """POST: 204 with the new row's address, or 201 with the row."""
    with environment.rows.together():
        row_id = create_row(environment, table, json_object(request.body))
    return _written(environment, request, table, row_id, created=True)


def update(environment: Environment, request: Request, table: Table, target: Target) -> Answer:
    """PATCH: an update, a create, or whichever fits, depending on the preconditions."""
    body = json_object(request.body)
    if _none_match(request) and target.row is not None:
        raise duplicate_row()
    if request.headers.get("if-match"):
        _check_version(request, table, target.existing())
    with environment.rows.together():
        if target.row is not None:
            keys = [table.columns[name].wire_name for name in target.key_values]
            update_row(environment, table, target.row, body, keys=keys)
            row_id = target.row.id
        else:
            row_id = create_row(environment, table, body, row_id=target.row_id, key_values=target.key_values)
    return _written(environment, request, table, row_id, created=target.row is None, key_text=target.key_text)


def delete(environment: Environment, request: Request, table: Table, target: Target) -> Answer:
    """DELETE: 204, or 412 when `If-Match` names another version."""
    row = target.existing()
    if request.headers.get("if-match"):
        _check_version(request, table, row)
    with environment.rows.together():
        delete_row(environment, table, row.id)
    return Answer(status=204)


def _none_match(request: Request) -> bool:
    """`If-None-Match: *`; the recommended default header is the literal word null, which means nothing."""
    return request.headers.get("if-none-match", "").strip() == "*"


def _check_version(request: Request, table: Table, row: Row) -> None:
    wanted = request.headers.get("if-match", "").strip()
    if wanted == "*":
        return
    if not table.optimistic_concurrency:
        raise DataverseError(400, "0x8006088d", f"Optimistic concurrency isn't enabled for entity type {table.name}.")
    if wanted != f'W/"{row.version}"':
        raise DataverseError(
            412,
            "0x80060882",
            "The version of the existing record doesn't match the RowVersion property provided.",
        )


def _written(
    environment: Environment, request: Request, table: Table, row_id: str, *, created: bool, key_text: str = ""
) -> Answer:
    if request.preferences.return_representation:
        row = environment.rows.get(table, row_id)
        if row is None:
            raise DataverseError(404, "0x80040217", f"{table.name} With Id = {row_id} Does Not Exist")
        answer = read_row(environment, request, table, row, status=201 if created else 200)
        applied = (*answer.headers, ("Preference-Applied", "return=representation"))
        return Answer(status=200 if answer.status == 304 else answer.status, headers=applied, body=answer.body)
    # An upsert by alternate key is answered with the key it was asked for, not with the id.
    entity = f"{request.origin}{api_root(request.path)}/{table.entity_set}({key_text or row_id})"
    return Answer(status=204, headers=(("Location", entity), ("OData-EntityId", entity)))


def write_link(
    environment: Environment, request: Request, table: Table, target: Target, rest: Sequence[Segment]
) -> Answer:
    """PUT and DELETE of `<navigation>/$ref`, PUT of an activity's parties, PUT and DELETE of one property."""
    row, name = target.existing(), rest[0].name
    with environment.rows.together():
        if len(rest) == 2 and rest[1].name == "$ref" and table.by_navigation(name) is not None:
            reference = json_object(request.body).get("@odata.id") if request.method == "PUT" else None
            if request.method not in {"PUT", "DELETE"}:
                raise _refused(request)
            set_link(environment, table, row, name, reference)
        elif len(rest) == 1 and name == table.party_navigation and request.method == "PUT":
            replace_parties(environment, table, row.id, json_object(request.body).get("value"))
        elif len(rest) == 1 and table.by_wire_name(name) is not None and request.method in {"PUT", "DELETE"}:
            value = json_object(request.body).get("value") if request.method == "PUT" else None
            update_row(environment, table, row, {name: value})
        else:
            raise _refused(request)
    return Answer(status=204)


def _refused(request: Request) -> DataverseError:
    return DataverseError(
        404, "", f"No HTTP resource was found that matches the request URI '{request.origin}{request.path}'."
    )
