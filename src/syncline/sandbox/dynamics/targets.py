"""Which row a key names: ids, alternate keys, and references in `@odata.bind`.

Lives here: from the text of a key or reference to a row. Never here: what is done with the row.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import attrs

from .answers import DataverseError
from .environment import Environment
from .odata_filter import Literal
from .requests import Segment, api_root, parse_path
from .rows import Row
from .tables import Key, Table
from .values import coercer, guid_or_none

__all__ = ["Target", "resolve_reference", "target_of"]

#: Characters in alternate key values with which GET, PATCH and upsert fail, encoded or not.
_UNUSABLE = re.compile(r"[/<>*%&:\\?+]")


@attrs.frozen(kw_only=True)
class Target:
    """The row a URL names: by id, or by an alternate key and its values (in storage form, by column)."""

    table: Table
    row_id: str | None
    key: Key | None = None
    key_values: dict[str, Any] = attrs.field(factory=dict)
    key_text: str = ""
    row: Row | None = None

    def existing(self) -> Row:
        """The row. Raises the documented 404, which differs between ids and alternate keys."""
        if self.row is not None:
            return self.row
        if self.key is None:
            raise missing_row(self.table, self.row_id or "")
        raise DataverseError(
            404, "0x80060891", f"A record with the specified key values does not exist in {self.table.name} entity"
        )


def missing_row(table: Table, row_id: str) -> DataverseError:
    """The documented refusal for an id that is not there."""
    return DataverseError(404, "0x80040217", f"{table.name} With Id = {row_id} Does Not Exist")


def target_of(environment: Environment, table: Table, segment: Segment) -> Target:
    """The row `set(...)` names; it need not exist. Raises DataverseError (400) for a key the table does not have."""
    keys = segment.keys()
    if isinstance(keys, dict) and set(keys) == {table.primary_id}:
        keys = str(keys[table.primary_id].value)
    if isinstance(keys, str):
        row_id = guid_or_none(keys.strip("'"))
        if row_id is None:
            raise DataverseError(400, "0x80060888", f"Bad Request - Error in query syntax: '{keys}' is not a key.")
        return Target(table=table, row_id=row_id, row=environment.rows.get(table, row_id))
    return _by_key(environment, table, keys or {}, segment.arguments or "")


def _by_key(environment: Environment, table: Table, keys: dict[str, Literal], text: str) -> Target:
    columns = {name: table.by_wire_name(name) for name in keys}
    key = table.key_of(column.name for column in columns.values() if column is not None)
    if key is None or None in columns.values() or key.status != "Active":
        raise DataverseError(
            400,
            "0x80060888",
            f"The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{table.name}'. Ensure that"
            " the names and number of key properties match the declared or alternate key properties for the resource"
            f" '{table.name}'.",
        )
    values = {}
    for name, literal in keys.items():
        column = columns[name]
        if isinstance(literal.value, str) and _UNUSABLE.search(literal.value):
            raise DataverseError(400, "", "A potentially dangerous Request.Path value was detected from the client.")
        if column is not None:
            values[column.name] = None if literal.value is None else coercer(table, column)(literal.value)
    row = environment.rows.by_key(table, key, [values[name] for name in key.columns])
    return Target(table=table, row_id=row.id if row else None, key=key, key_values=values, key_text=text, row=row)


def resolve_reference(environment: Environment, reference: Any) -> Target:
    """The existing row an `@odata.bind` or `@odata.id` names: `/contacts(id)`, `contacts(id)`, a key form or a URL."""
    if not isinstance(reference, str):
        raise _bad_reference(reference)
    path = unquote(reference)
    if "/api/data/" in path:
        segments = parse_path(path[path.index("/api/data/") :])
    else:
        segments = parse_path(f"{api_root('')}/{path.lstrip('/')}")
    if not segments or len(segments) != 1 or segments[0].arguments is None:
        raise _bad_reference(reference)
    table = environment.schema.by_set(segments[0].name)
    if table is None:
        raise DataverseError(400, "0x8006088a", f"Resource not found for the segment '{segments[0].name}'.")
    target = target_of(environment, table, segments[0])
    target.existing()
    return target


def _bad_reference(reference: Any) -> DataverseError:
    return DataverseError(400, "0x80048d19", f"Invalid entity reference '{reference}' in the payload.")
