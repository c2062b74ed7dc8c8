"""Tables, columns, options, keys and relationships: the schema as values, and the registry that holds them.

Lives here: what a table is and the names that follow from it (wire names, navigation properties, metadata ids).
Never here: rows, requests, or the list of tables a new environment has (see `default_tables`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

__all__ = ["Column", "Key", "Option", "Relationship", "Schema", "Table"]

LOOKUP_TYPES = frozenset({"Lookup", "Customer", "Owner"})
OPTION_TYPES = frozenset({"Picklist", "MultiSelectPicklist", "State", "Status", "Boolean"})
_NAMESPACE = uuid.UUID("3f1d6a0e-5c3a-4e0b-9b55-5a6f1c0f7e10")


def metadata_id(*names: str) -> str:
    """A stable id for a piece of schema, so that two environments of one seed agree."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))


@attrs.frozen(kw_only=True)
class Option:
    """One choice: its number, its label (LCID 1033) and, for a status, the state it belongs to.

    `translations` are labels in further languages, by LCID as text.
    """

    value: int
    label: str
    state: int | None = None
    translations: dict[str, str] = attrs.field(factory=dict, hash=False)


@attrs.define(kw_only=True)
class Column:
    """One column. `type` is the attribute type name without `Type` (String, Picklist, MultiSelectPicklist ...)."""

    name: str
    type: str
    schema_name: str = ""
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    precision: int | None = None
    options: list[Option] = attrs.field(factory=list)
    option_set: str | None = None
    global_option_set: bool = False
    targets: tuple[str, ...] = ()
    navigation: dict[str, str] = attrs.field(factory=dict)
    date_only: bool = False
    behavior: str = "UserLocal"
    required: str = "None"
    default: Any = None
    creatable: bool = True
    updatable: bool = True
    readable: bool = True
    custom: bool = False
    indexed: bool = False
    primary_id: bool = False
    primary_name: bool = False
    ordinal: int = -1

    def __attrs_post_init__(self) -> None:
        self.schema_name = self.schema_name or self.name
        if self.is_lookup and not self.navigation:
            self.navigation = self._default_navigation()

    def __repr__(self) -> str:
        return f"Column({self.name}: {self.type})"

    def _default_navigation(self) -> dict[str, str]:
        """A single target keeps the column's name (its schema name if custom); several add the target's name."""
        if self.type == "Owner" or len(self.targets) == 1:
            name = self.schema_name if self.custom else self.name
            return dict.fromkeys(self.targets, name)
        return {target: f"{self.schema_name if self.custom else self.name}_{target}" for target in self.targets}

    @property
    def is_lookup(self) -> bool:
        """Whether the column points to a row of another table."""
        return self.type in LOOKUP_TYPES

    @property
    def is_polymorphic(self) -> bool:
        """Whether the column can point to rows of more than one table."""
        return self.is_lookup and len(self.targets) > 1

    @property
    def wire_name(self) -> str:
        """The property name in a row on the wire: `_name_value` for lookups, else the logical name."""
        return f"_{self.name}_value" if self.is_lookup else self.name

    @property
    def on_wire(self) -> bool:
        """Whether rows show the column at all; party lists and virtual columns are not properties."""
        return self.readable and self.type not in {"PartyList", "Virtual"}

    def label_of(self, value: int) -> str | None:
        """The label of an option's number, or None when there is no such option."""
        return next((option.label for option in self.options if option.value == value), None)


@attrs.define(kw_only=True)
class Key:
    """An alternate key. Only an `Active` one can be used in a URL."""

    name: str
    columns: tuple[str, ...]
    status: str = "Active"


@attrs.frozen(kw_only=True)
class Relationship:
    """One many-to-one relationship: which column of which table points to which table, and the name to bind with."""

    schema_name: str
    referencing: str
    column: str
    referenced: str
    referenced_key: str
    navigation: str


@attrs.define(kw_only=True)
class Table:
    """One table. `columns` is keyed by logical name and keeps its order; ordinals are never reused."""

    name: str
    entity_set: str
    primary_id: str
    primary_name: str
    schema_name: str = ""
    display_name: str = ""
    object_type_code: int = 10000
    change_tracking: bool = True
    can_track: bool = True
    optimistic_concurrency: bool = True
    activity: bool = False
    custom: bool = False
    bulk: bool = True
    party_navigation: str | None = None
    columns: dict[str, Column] = attrs.field(factory=dict)
    keys: dict[str, Key] = attrs.field(factory=dict)
    width: int = 0
    revision: int = 0
    #: What other modules compiled for this revision; never stored.
    plan: Any = attrs.field(default=None, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.schema_name = self.schema_name or self.name
        self.display_name = self.display_name or self.schema_name

    def __repr__(self) -> str:
        return f"Table({self.name}: {len(self.columns)} columns, revision {self.revision})"

    def add(self, *columns: Column) -> None:
        """Appends columns and gives them ordinals. Raises ValueError for a name that is taken."""
        for column in columns:
            if column.name in self.columns:
                raise ValueError(f"table {self.name} already has a column {column.name}")
            column.ordinal = self.width
            # A polymorphic lookup takes two places: the id, and behind it the table it points to.
            self.width += 2 if column.is_polymorphic else 1
            self.columns[column.name] = column
        self.revision += 1

    def drop(self, name: str) -> Column:
        """Removes a column; its ordinal stays unused, so that stored rows keep their places."""
        column = self.columns.pop(name)
        self.revision += 1
        return column

    def by_wire_name(self, wire: str) -> Column | None:
        """The column a property name stands for, or None. Names are case-sensitive, as on the wire."""
        column = self.columns.get(wire)
        if column is not None:
            return column if column.wire_name == wire else None
        if wire.startswith("_") and wire.endswith("_value"):
            column = self.columns.get(wire[1:-6])
            return column if column is not None and column.is_lookup else None
        return None

    def by_navigation(self, navigation: str) -> tuple[Column, str] | None:
        """The lookup column and target table a navigation property stands for, or None."""
        for column in self.columns.values():
            for target, name in column.navigation.items():
                if name == navigation:
                    return column, target
        return None

    def key_of(self, names: Iterable[str]) -> Key | None:
        """The alternate key made of exactly these columns, or None."""
        wanted = frozenset(names)
        return next((key for key in self.keys.values() if frozenset(key.columns) == wanted), None)


class Schema:
    """All tables of the environment, found by logical name or by entity set name."""

    def __init__(self, tables: Iterable[Table] = ()) -> None:
        self._by_name: dict[str, Table] = {}
        self._by_set: dict[str, Table] = {}
        self.version = 1
        for table in tables:
            self.add(table)

    def __repr__(self) -> str:
        return f"Schema({len(self._by_name)} tables, version {self.version})"

    def __iter__(self) -> Iterator[Table]:
        return iter(self._by_name.values())

    def add(self, table: Table) -> None:
        """Adds a table. Raises ValueError for a name or set name that is taken."""
        if table.name in self._by_name or table.entity_set in self._by_set:
            raise ValueError(f"table {table.name} already exists")
        self._by_name[table.name] = table
        self._by_set[table.entity_set] = table
        self.version += 1

    def remove(self, name: str) -> Table:
        """Removes a table. Raises KeyError for an unknown one."""
        table = self._by_name.pop(name)
        del self._by_set[table.entity_set]
        self.version += 1
        return table

    def find(self, name: str) -> Table | None:
        """The table of that logical name, or None."""
        return self._by_name.get(name)

    def table(self, name: str) -> Table:
        """The table of that logical name. Raises KeyError, naming it, for an unknown one."""
        return self._by_name[name]

    def by_set(self, entity_set: str) -> Table | None:
        """The table of that entity set name, case-sensitive, or None."""
        return self._by_set.get(entity_set)

    def relationships(self, *, referencing: str | None = None, referenced: str | None = None) -> list[Relationship]:
        """Many-to-one relationships from one table, or to one table, or all of them."""
        found = []
        for table in self._by_name.values():
            if referencing is not None and table.name != referencing:
                continue
            for column in table.columns.values():
                for target, navigation in column.navigation.items():
                    other = self._by_name.get(target)
                    if other is None or (referenced is not None and target != referenced):
                        continue
                    found.append(
                        Relationship(
                            schema_name=_relationship_name(table, column, target),
                            referencing=table.name,
                            column=column.name,
                            referenced=target,
                            referenced_key=other.primary_id,
                            navigation=navigation,
                        )
                    )
        return found

    def to_plain(self) -> list[dict[str, Any]]:
        """The tables as plain data, for a database file."""
        return [attrs.asdict(table, filter=lambda field, _value: field.name != "plan") for table in self]

    @classmethod
    def from_plain(cls, plain: list[dict[str, Any]]) -> Schema:
        """The reverse of `to_plain`."""
        return cls(_table_from_plain(dict(entry)) for entry in plain)


def _relationship_name(table: Table, column: Column, target: str) -> str:
    if column.name == "regardingobjectid":
        return f"{target}_{table.schema_name}s"
    return f"{target}_{table.name}_{column.schema_name}"


def _table_from_plain(entry: dict[str, Any]) -> Table:
    columns = {}
    for name, plain in entry.pop("columns").items():
        options = [Option(**option) for option in plain.pop("options")]
        targets = tuple(plain.pop("targets"))
        columns[name] = Column(**plain, options=options, targets=targets)
    keys = {
        name: Key(name=plain["name"], columns=tuple(plain["columns"]), status=plain["status"])
        for name, plain in entry.pop("keys").items()
    }
    return Table(**entry, columns=columns, keys=keys)
