"""Changing rows: what a body may say, and what a create, an update or a delete does.

Lives here: the rules of the written row (names, bindings, states, required values, keys), independent of HTTP.
Never here: preconditions and answers (see `writing`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .answers import DataverseError
from .environment import Environment
from .reading import privilege_error
from .row_plan import plan_of
from .rows import DuplicateKeyError, Row
from .tables import Column, Table
from .targets import missing_row, resolve_reference
from .values import guid_or_none

__all__ = ["create_row", "delete_row", "replace_parties", "set_link", "update_row"]

_BIND = "@odata.bind"


@attrs.define(kw_only=True)
class _Draft:
    """A row on its way to the database."""

    table: Table
    values: list[Any]
    creating: bool
    changed: set[str] = attrs.field(factory=set)
    parties: list[dict[str, Any]] | None = None


def create_row(
    environment: Environment,
    table: Table,
    body: Mapping[str, Any],
    *,
    row_id: str | None = None,
    key_values: Mapping[str, Any] | None = None,
) -> str:
    """Adds a row and returns its id. `row_id` and `key_values` come from an upsert's URL; the body wins over keys."""
    if not environment.permission(table).create:
        raise privilege_error(environment, table, "Create")
    draft = _Draft(table=table, values=_newborn(environment, table), creating=True)
    for name, value in (key_values or {}).items():
        draft.values[table.columns[name].ordinal] = value
    new_id = row_id or _given_id(table, body) or environment.new_id()
    _apply(environment, draft, body)
    _check_state(draft, new_id)
    _reject(environment, new_id)
    plan_of(table).compute(draft.values)
    if environment.rows.get(table, new_id) is not None:
        raise duplicate_row()
    _store(environment, draft, new_id)
    if draft.parties is not None:
        replace_parties(environment, table, new_id, draft.parties)
    return new_id


def update_row(
    environment: Environment, table: Table, row: Row, body: Mapping[str, Any], *, keys: Sequence[str] = ()
) -> None:
    """Changes a row; columns of the key in the URL are dropped from the body."""
    if not environment.permission(table).write:
        raise privilege_error(environment, table, "Write")
    _reject(environment, row.id)
    draft = _Draft(table=table, values=row.values.copy(), creating=False)
    _apply(environment, draft, {name: value for name, value in body.items() if name not in keys})
    _check_state(draft, row.id)
    _put(draft, "modifiedby", environment.application_user_id)
    plan_of(table).compute(draft.values)
    _store(environment, draft, row.id, replacing=True)
    if draft.parties is not None:
        replace_parties(environment, table, row.id, draft.parties)


def delete_row(environment: Environment, table: Table, row_id: str) -> None:
    """Removes a row. Raises DataverseError (404) if there is none. Lookups to it are left as they are."""
    if not environment.permission(table).delete:
        raise privilege_error(environment, table, "Delete")
    _reject(environment, row_id)
    if not environment.rows.delete(table, row_id, environment.now_text()):
        raise missing_row(table, row_id)


def set_link(environment: Environment, table: Table, row: Row, navigation: str, reference: str | None) -> None:
    """Points a single-valued navigation property to another row, or clears it."""
    update_row(environment, table, row, {f"{navigation}{_BIND}": reference})


def duplicate_row() -> DataverseError:
    """The documented refusal of an id that is taken."""
    return DataverseError(412, "0x80040237", "A record with matching key values already exists.")


def _newborn(environment: Environment, table: Table) -> list[Any]:
    draft = _Draft(table=table, values=plan_of(table).template.copy(), creating=True)
    user = environment.application_user_id
    for name, value in (
        ("createdon", environment.now_text()),
        ("createdby", user),
        ("modifiedby", user),
        ("ownerid", user),
        ("owningbusinessunit", environment.business_unit_id),
        ("transactioncurrencyid", environment.currency_id),
    ):
        _put(draft, name, value)
    if "ownerid" in table.columns:
        draft.values[table.columns["ownerid"].ordinal + 1] = "systemuser"
    return draft.values


def _put(draft: _Draft, name: str, value: Any) -> None:
    column = draft.table.columns.get(name)
    if column is not None:
        draft.values[column.ordinal] = value


def _given_id(table: Table, body: Mapping[str, Any]) -> str | None:
    given = body.get(table.primary_id)
    if given is None:
        return None
    row_id = guid_or_none(given)
    if row_id is None:
        raise DataverseError(
            400, "0x80048d19", f"Cannot convert the literal '{given}' to the expected type 'Edm.Guid'."
        )
    return row_id


def _reject(environment: Environment, row_id: str) -> None:
    message = environment.rejects.get(row_id)
    if message is not None:
        raise DataverseError(400, "0x80040265", message)


def _store(environment: Environment, draft: _Draft, row_id: str, *, replacing: bool = False) -> None:
    write = environment.rows.replace if replacing else environment.rows.insert
    try:
        write(draft.table, row_id, draft.values, environment.now_text())
    except DuplicateKeyError as error:
        columns = ", ".join(draft.table.keys[error.key].columns)
        raise DataverseError(
            412,
            "0x80060892",
            f"Entity Key {error.key} violated. A record with the same value for {columns} already exists. A duplicate"
            " record cannot be created. Select one or more unique values and try again.",
        ) from error
    except sqlite3.IntegrityError as error:
        raise duplicate_row() from error
    except UnicodeEncodeError as error:
        raise DataverseError(400, "0x80048d19", "A text value holds half of a surrogate pair.") from error


# -- the body ---------------------------------------------------------------------------------------------------------


def _apply(environment: Environment, draft: _Draft, body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name.endswith(_BIND):
            _bind(environment, draft, name.removesuffix(_BIND), value)
        elif "@" in name:
            _annotation(draft.table, name)
        elif name == draft.table.party_navigation:
            draft.parties = value
        else:
            _set(environment, draft, name, value)


def _annotation(table: Table, name: str) -> None:
    """Annotations are ignored, but not on a name that is no property."""
    prop = name.partition("@")[0]
    if prop and table.by_wire_name(prop) is None and table.by_navigation(prop) is None:
        raise _undeclared(prop)


def _undeclared(name: str) -> DataverseError:
    return DataverseError(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'', For more information on this error please"
        " follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException :"
        f" Microsoft.OData.ODataException: An undeclared property '{name}' which only has property annotations in the"
        " payload but no property value was found in the payload. In OData, only declared navigation properties and"
        " declared named streams can be represented as properties without values.",
    )


def _set(environment: Environment, draft: _Draft, name: str, value: Any) -> None:
    table = draft.table
    column = table.by_wire_name(name)
    if column is None:
        _navigation(draft, name, value)
        return
    if not column.on_wire:
        raise _invalid(table, name)
    if column.is_lookup:
        raise DataverseError(
            400,
            "0x80060888",
            "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead.",
        )
    if column.primary_id or not _writable(environment, draft, column):
        return
    if value is None and column.required == "SystemRequired":
        raise DataverseError(400, "0x80040203", f"Attribute: {name} cannot be set to NULL")
    draft.values[column.ordinal] = None if value is None else plan_of(table).fields[name][1](value)
    draft.changed.add(name)
    if name == "overriddencreatedon" and value is not None:
        _put(draft, "createdon", draft.values[column.ordinal])


def _invalid(table: Table, name: str) -> DataverseError:
    return DataverseError(
        400,
        "0x0",
        "An error occurred while validating input parameters: Microsoft.OData.ODataException: Invalid property"
        f" '{name}' was found in entity 'Microsoft.Dynamics.CRM.{table.name}'.",
    )


def _navigation(draft: _Draft, name: str, value: Any) -> None:
    """A navigation property with a value: null clears it, an object would be a deep insert."""
    found = draft.table.by_navigation(name)
    if found is None:
        raise _invalid(draft.table, name)
    if value is not None:
        raise DataverseError(501, "0x80060888", f"This sandbox does not serve deep insert of '{name}'.")
    _clear(draft, found[0])


def _writable(environment: Environment, draft: _Draft, column: Column) -> bool:
    """What is not valid for the operation is silently ignored, as documented."""
    if draft.creating:
        return column.creatable or (column.type == "State" and environment.settings.state_on_create)
    return column.updatable


def _clear(draft: _Draft, column: Column) -> None:
    if column.required == "SystemRequired":
        raise DataverseError(400, "0x80040203", f"Attribute: {column.name} cannot be set to NULL")
    draft.values[column.ordinal] = None
    if column.is_polymorphic:
        draft.values[column.ordinal + 1] = None


def _bind(environment: Environment, draft: _Draft, navigation: str, reference: Any) -> None:
    found = draft.table.by_navigation(navigation)
    if found is None:
        raise _undeclared(navigation)
    column, _target = found
    if not (column.creatable if draft.creating else column.updatable):
        return
    if reference is None:
        _clear(draft, column)
        return
    allowed = [target for target, name in column.navigation.items() if name == navigation]
    row = resolve_reference(environment, reference)
    if row.table.name not in allowed:
        raise DataverseError(
            400,
            "0x80048d19",
            f"A resource of type 'Microsoft.Dynamics.CRM.{row.table.name}' cannot be bound to '{navigation}'.",
        )
    draft.values[column.ordinal] = row.existing().id
    if column.is_polymorphic:
        draft.values[column.ordinal + 1] = row.table.name


def _check_state(draft: _Draft, row_id: str) -> None:
    """A state without a status reason gets the state's first one; a reason must belong to the state."""
    state, status = draft.table.columns.get("statecode"), draft.table.columns.get("statuscode")
    if state is None or status is None:
        return
    now = draft.values[state.ordinal]
    if "statecode" in draft.changed and "statuscode" not in draft.changed:
        draft.values[status.ordinal] = next(option.value for option in status.options if option.state == now)
    reason = draft.values[status.ordinal]
    if any(option.value == reason and option.state not in {now, None} for option in status.options):
        raise DataverseError(
            400,
            "0x80048408",
            f"{reason} is not a valid status code for state code {draft.table.schema_name}State."
            f"{state.label_of(now)} on {draft.table.name} with Id {row_id}.",
        )


# -- activity parties -------------------------------------------------------------------------------------------------


def replace_parties(environment: Environment, table: Table, row_id: str, parties: Any) -> None:
    """Makes these the parties of an activity: objects with `partyid_<table>@odata.bind` and a mask."""
    party_table = environment.schema.table("activityparty")
    if not isinstance(parties, list) or not all(isinstance(party, dict) for party in parties):
        raise DataverseError(400, "0x80048d19", f"'{table.party_navigation}' must be a collection.")
    with environment.rows.together():
        for old in environment.rows.related(party_table, "activityid", row_id):
            environment.rows.delete(party_table, old.id, environment.now_text())
        for party in parties:
            draft = _Draft(table=party_table, values=_newborn(environment, party_table), creating=True)
            _apply(environment, draft, party)
            column = party_table.columns["activityid"]
            draft.values[column.ordinal : column.ordinal + 2] = [row_id, table.name]
            _store(environment, draft, environment.new_id())
