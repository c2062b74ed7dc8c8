"""What a Campaign resource is made of: fields, links, filters, and the resource that holds them.

What never lives here: records, or any rule about values (see `values`).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs

__all__ = ["SCALARS", "Field", "Filter", "Resource"]

#: Kinds of field whose value is one JSON scalar.
SCALARS = frozenset({"string", "integer", "float", "boolean", "date", "datetime", "enumeration"})

_EMPTY: dict[str, Any] = {"integer": 0, "float": 0, "boolean": False}


@attrs.frozen(kw_only=True)
class Field:
    """One field of a resource.

    `kind` is one of SCALARS, `item` (a nested object of scalars), `link` or `collection`.
    A link with a `column` is joined: it points at the record of `target` whose identification key equals the value
    of that plain field. Without one it is kept by id. `mandatory` makes it a "1 cardinality simple link": the
    record stays hidden until the target exists. A collection lists the records of `target` whose `link` points here.
    """

    name: str
    kind: str
    label: str = ""
    length: int = 255
    category: str = "99_none"
    policy: str = ""
    values: tuple[tuple[str, str, str], ...] = ()
    read_only: bool = False
    computed: bool = False
    extended: bool = False
    blank: Any = attrs.field(default=None)
    stamps: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    target: str = ""
    column: str = ""
    link: str = ""
    mandatory: bool = False

    @cached_property
    def hidden(self) -> str:
        """The key under which a link without a column keeps the linked record's number."""
        return "@" + self.name

    @cached_property
    def empty(self) -> Any:
        """What the API shows while nothing was ever written: `""`, 0, false, or an enumeration's default name."""
        if self.blank is not None:
            return self.blank
        if self.kind == "item":
            return {inner.name: inner.empty for inner in self.fields}
        if self.kind in ("link", "collection"):
            return None
        return _EMPTY.get(self.kind, "")


@attrs.frozen(kw_only=True)
class Filter:
    """A named search: each parameter compares one field. `test` is `equals`, `prefix` or `at_least`.

    A `prefix` filter tries every field in `any_of` with its only parameter, as byText does.
    """

    name: str
    parameters: dict[str, str] = attrs.field(factory=dict)
    test: str = "equals"
    any_of: tuple[str, ...] = ()
    label: str = ""
    built_in: bool = False


@attrs.frozen(kw_only=True)
class Resource:
    """A resource and where it is exposed.

    `exposure` is `profile` (on profileAndServices and profileAndServicesExt), `ext` (linked to profile) or
    `custom` (customResources). `key` names the identification key's field; empty means there is none.
    """

    name: str
    schema: str
    label: str
    exposure: str
    fields: dict[str, Field]
    filters: dict[str, Filter] = attrs.field(factory=dict)
    key: str = ""
    title: tuple[str, ...] = ()
    read_only: bool = False

    def with_field(self, field: Field) -> Resource:
        return attrs.evolve(self, fields={**self.fields, field.name: field})

    def without_field(self, name: str) -> Resource:
        filters = {n: f for n, f in self.filters.items() if name not in f.parameters.values()}
        fields = {n: f for n, f in self.fields.items() if n != name}
        return attrs.evolve(self, fields=fields, filters=filters, key="" if self.key == name else self.key)

    @cached_property
    def links(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields.values() if field.kind == "link")

    @cached_property
    def stamped(self) -> tuple[str, ...]:
        """Fields whose changes are dated by the server."""
        return tuple(field.name for field in self.fields.values() if field.stamps)

    @cached_property
    def demanding(self) -> tuple[Field, ...]:
        """Links that must find their target before the record can be seen."""
        return tuple(link for link in self.links if link.mandatory)

    def indexed(self) -> tuple[str, ...]:
        """Names that deserve an index: the key, what exact filters compare, and what links are joined on."""
        names = {self.key} if self.key else set()
        for found in self.filters.values():
            names.update(found.parameters.values() if found.test != "prefix" else ())
        for field in self.links:
            names.add(field.column or field.hidden)
        return tuple(sorted(names))

    @property
    def display(self) -> str:
        """The name that error texts use, such as `Profile`."""
        return self.name[:1].upper() + self.name[1:]
