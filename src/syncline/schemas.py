"""What a table looks like on either side: its fields, their types, lengths and options.

What lives here: frozen values that the connectors fill in from metadata, that the mapping reads, and that a
generation keeps a copy of. No I/O, no rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

__all__ = ["FieldSchema", "FieldType", "TableSchema", "lookup_of", "table_column"]

_TABLE_OF = "@table"


def table_column(lookup: str) -> str:
    """The column to read for the logical name of the table that this lookup points to; None while it is empty.

    A lookup to several tables holds an id and does not say whose.
    """
    return f"{lookup}{_TABLE_OF}"


def lookup_of(column: str) -> str | None:
    """The lookup that `table_column` made this column of, or None for any other column."""
    return column.removesuffix(_TABLE_OF) if column.endswith(_TABLE_OF) else None


class FieldType(StrEnum):
    """The types both sides are translated to."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    STRING = "string"
    DATE = "date"
    DATETIME = "datetime"
    #: One option of a fixed set: an integer in Dynamics, a name in Campaign.
    PICKLIST = "picklist"
    #: Several options of a fixed set.
    MULTI_PICKLIST = "multi_picklist"
    #: A reference to a record of another table.
    LOOKUP = "lookup"
    GUID = "guid"
    MONEY = "money"
    #: Anything else: carried as a string.
    OTHER = "other"


@frozen(kw_only=True)
class FieldSchema:
    """One field."""

    #: The name to read the field by and to write it by.
    name: str
    type: FieldType
    #: Longest string in characters, where one is known.
    max_length: int | None = None
    #: Technical value to label, for picklists and booleans. Keys are the values as text.
    options: Mapping[str, str] = field(factory=dict)
    readable: bool = True
    writable: bool = True
    required: bool = False
    #: What the service itself calls the type, for people.
    native_type: str = ""
    #: Dynamics dates: the value carries no time zone although it is written with a Z.
    time_zone_independent: bool = False
    #: Tables a lookup or link may point to.
    targets: tuple[str, ...] = ()


@frozen(kw_only=True)
class TableSchema:
    """One table, or Campaign resource."""

    name: str
    #: The name used in addresses: the entity set in Dynamics, endpoint and resource in Campaign.
    path: str
    #: The primary key in Dynamics; empty in Campaign.
    primary_key: str = ""
    fields: Mapping[str, FieldSchema]
    change_tracking: bool | None = None
    label: str = ""

    def __repr__(self) -> str:
        return f"<TableSchema {self.name} with {len(self.fields)} fields>"
