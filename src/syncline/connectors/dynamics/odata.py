"""Making addresses of the Web API.

What lives here: literals, names and ids, each checked before it becomes part of an address (source: Microsoft's pages
on filtering rows and on alternate keys). Never a request. Links that Dataverse gave are not touched by anything here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote

from syncline.errors import DefinitionError, ProtocolError
from syncline.records import Value
from syncline.schemas import lookup_of

__all__ = [
    "expression",
    "found_in",
    "guid",
    "in_list",
    "is_name",
    "moment",
    "one_row",
    "preferring",
    "select",
    "text",
    "value_in",
]

_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# What may stand in a query as it is; everything with a meaning of its own in an address is encoded.
_SAFE = "()'$,-_.~!*"


def guid(value: object) -> str | None:
    """An id in lower case without braces, or None for what is none."""
    if not isinstance(value, str):
        return None
    if _GUID.fullmatch(value):
        return value
    bare = value.lower().removeprefix("{").removesuffix("}")
    return bare if _GUID.fullmatch(bare) else None


def is_name(value: str) -> bool:
    """Whether this can be the name of a table, a set or a column."""
    return _NAME.fullmatch(value) is not None


def name(value: str) -> str:
    """A table's or column's name; raises `DefinitionError` for what cannot be one."""
    if not is_name(value):
        raise DefinitionError("A name in Dynamics is made of letters, digits and _.")
    return value


def text(value: str) -> str:
    """A string literal: in single quotes, with quotes doubled."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def moment(value: datetime) -> str:
    """A literal for a moment, cut to the second, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def expression(value: str) -> str:
    """A filter expression, percent-encoded."""
    return quote(value, safe=_SAFE)


def select(columns: Iterable[str]) -> str:
    """The `$select` part of a query; Dataverse adds the primary key by itself. Annotations cannot be selected."""
    return f"$select={','.join(name(column) for column in columns if lookup_of(column) is None)}"


def preferring(columns: Iterable[str]) -> str:
    """What has to be preferred, behind other preferences, for the tables that lookups point to; empty for none."""
    return f',odata.include-annotations="{_TABLE}"' if any(map(lookup_of, columns)) else ""


def found_in(row: Mapping[str, Any], column: str) -> bool:
    """Whether the row was read with this column."""
    return (lookup_of(column) or column) in row


def value_in(row: Mapping[str, Any], column: str) -> Value:
    """What the row has in a column. Raises ProtocolError for an id that does not say whose it is."""
    lookup = lookup_of(column)
    if lookup is None:
        return cast(Value, row[column])
    told = row.get(f"{lookup}@{_TABLE}")
    if row.get(lookup) is None or isinstance(told, str):
        return None if row.get(lookup) is None else cast(str, told)
    raise ProtocolError(
        f"Dynamics 365 did not say to which table {lookup} points.", remedy="Nothing was lost: the position stays."
    )


def in_list(column: str, ids: Sequence[str]) -> str:
    """A filter for the rows whose `column` is one of these ids."""
    values = json.dumps(list(ids), separators=(",", ":"))
    return expression(f"Microsoft.Dynamics.CRM.In(PropertyName={text(name(column))},PropertyValues={values})")


def one_row(entity_set: str, record: str) -> str:
    """The address of a row by its id; raises `DefinitionError` for what is no id."""
    found = guid(record)
    if found is None:
        raise DefinitionError("The primary key of a row in Dynamics is a GUID.")
    return f"{name(entity_set)}({found})"
