"""Bulk messages: CreateMultiple, UpdateMultiple, UpsertMultiple, and the BulkDelete job.

Lives here: all rows of one call in one transaction. Never here: the rules for one row (see `row_changes`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .answers import Answer, DataverseError, json_answer
from .environment import Environment
from .requests import Request, api_root, parse_path
from .row_changes import create_row, delete_row, update_row
from .tables import Table
from .targets import Target, missing_row, target_of
from .values import guid_or_none
from .writing import json_object

__all__ = ["MESSAGES", "bulk_delete"]

_NAMESPACE = "Microsoft.Dynamics.CRM."
Body = dict[str, Any]


def create_multiple(environment: Environment, request: Request, table: Table) -> Answer:
    """200 with the ids in the order of the targets; any refusal undoes all."""
    targets = _targets(request, table)
    with environment.rows.together():
        ids = [create_row(environment, table, target) for target in targets]
    context = f"{request.origin}{api_root(request.path)}/$metadata#{_NAMESPACE}CreateMultipleResponse"
    return json_answer({"@odata.context": context, "Ids": ids})


def update_multiple(environment: Environment, request: Request, table: Table) -> Answer:
    """204; rows are named by their primary key property or an alternate key; any refusal undoes all."""
    targets = _targets(request, table)
    with environment.rows.together():
        for body in targets:
            target = _named(environment, table, body)
            if target is None:
                raise DataverseError(400, "0x80040203", f"Entity Id must be specified for {table.name}.")
            update_row(environment, table, target.existing(), body, keys=tuple(target.key_values))
    return Answer(status=204)


def upsert_multiple(environment: Environment, request: Request, table: Table) -> Answer:
    """204 without a body, so what was created and what updated stays unknown; any refusal undoes all."""
    targets = _targets(request, table)
    with environment.rows.together():
        for body in targets:
            target = _named(environment, table, body)
            if target is None:
                create_row(environment, table, body)
            elif target.row is not None:
                update_row(environment, table, target.row, body, keys=tuple(target.key_values))
            else:
                create_row(environment, table, body, row_id=target.row_id, key_values=target.key_values)
    return Answer(status=204)


MESSAGES: dict[str, Callable[[Environment, Request, Table], Answer]] = {
    "CreateMultiple": create_multiple,
    "UpdateMultiple": update_multiple,
    "UpsertMultiple": upsert_multiple,
}


def _targets(request: Request, table: Table) -> list[Body]:
    if not table.bulk:
        raise DataverseError(400, "0x80060888", f"The message is not supported for entity {table.name}.")
    targets = json_object(request.body).get("Targets")
    if not isinstance(targets, list) or not targets or not all(isinstance(target, dict) for target in targets):
        raise DataverseError(400, "0x80048d19", "The parameter 'Targets' must be a collection of entities.")
    for target in targets:
        given = target.get("@odata.type")
        if given is None:
            raise DataverseError(
                400, "0x80048d19", "Each entity in 'Targets' must have an '@odata.type' annotation with its type."
            )
        if str(given).removeprefix("#") != f"{_NAMESPACE}{table.name}":
            raise DataverseError(400, "0x80048d19", f"The entities in 'Targets' must all be of type '{table.name}'.")
    return targets


def _named(environment: Environment, table: Table, body: Body) -> Target | None:
    """The row a target means: `@odata.id`, the primary key property, or the columns of an alternate key."""
    reference = body.get("@odata.id")
    if isinstance(reference, str):
        segments = parse_path(
            f"{api_root('')}/{reference.rpartition('/')[2] if '(' not in reference else reference.lstrip('/')}"
        )
        if not segments or segments[-1].name != table.entity_set or segments[-1].arguments is None:
            raise DataverseError(400, "0x80048d19", f"Invalid '@odata.id': '{reference}'.")
        return target_of(environment, table, segments[-1])
    given = body.get(table.primary_id)
    if given is not None:
        row_id = guid_or_none(given)
        if row_id is None:
            raise DataverseError(
                400, "0x80048d19", f"Cannot convert the literal '{given}' to the expected type 'Edm.Guid'."
            )
        return Target(table=table, row_id=row_id, row=environment.rows.get(table, row_id))
    for key in table.keys.values():
        if key.status == "Active" and all(body.get(name) is not None for name in key.columns):
            values = {name: body[name] for name in key.columns}
            row = environment.rows.by_key(table, key, [values[name] for name in key.columns])
            return Target(table=table, row_id=row.id if row else None, key=key, key_values=values, row=row)
    return None


def bulk_delete(environment: Environment, request: Request) -> Answer:
    """Takes a bulk-delete job and does it at once. Its queries may name rows by id (`Equal` or `In`)."""
    with environment.rows.together():
        for query in json_object(request.body).get("QuerySet") or ():
            table = environment.schema.find(str(query.get("EntityName")))
            if table is None:
                raise DataverseError(400, "0x80041102", f"The entity '{query.get('EntityName')}' was not found.")
            for row_id in _ids(table, query):
                if environment.rows.get(table, row_id) is not None:
                    delete_row(environment, table, row_id)
    context = f"{request.origin}{api_root(request.path)}/$metadata#{_NAMESPACE}BulkDeleteResponse"
    return json_answer({"@odata.context": context, "JobId": environment.new_id()})


def _ids(table: Table, query: Body) -> list[str]:
    conditions = (query.get("Criteria") or {}).get("Conditions") or []
    if len(conditions) != 1 or conditions[0].get("Operator") not in {"In", "Equal"}:
        raise DataverseError(501, "0x80060888", "This sandbox deletes in bulk by id only.")
    if conditions[0].get("AttributeName") != table.primary_id:
        raise DataverseError(501, "0x80060888", "This sandbox deletes in bulk by id only.")
    found = []
    for value in conditions[0].get("Values") or ():
        row_id = guid_or_none(value.get("Value") if isinstance(value, dict) else value)
        if row_id is None:
            raise missing_row(table, str(value))
        found.append(row_id)
    return found
