"""The Campaign engine: create, find, change and delete records under the rules of keys, links and data policies.

What never lives here: HTTP, addresses, and how a record is shown (see `views`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .fields import Field, Resource
from .keys import PKeys
from .records import Body, Database, Table
from .refusals import (
    EngineError,
    duplicate_key,
    invalid_pkey,
    invalid_value,
    key_change,
    unknown_document,
    unknown_property,
)
from .settings import Settings
from .values import accept, now_text

__all__ = ["Engine", "Found"]

Found = tuple[int, Body]
#: What a client may echo back without harm: it is neither stored nor compared.
_ECHOED = frozenset({"PKey", "href", "title"})


class Engine:
    """All resources and their records. Every method that refuses raises EngineError and changes nothing."""

    def __init__(self, database: Database, pkeys: PKeys, clock: Callable[[], datetime], settings: Settings) -> None:
        self._database = database
        self.pkeys = pkeys
        self._clock = clock
        self.settings = settings
        self.resources: dict[str, Resource] = {}
        self.tables: dict[str, Table] = {}
        #: resource -> key value -> the text it is refused with
        self.refused: dict[str, dict[str, str]] = {}

    def define(self, resource: Resource) -> None:
        """Add a resource, or replace its definition and keep its records."""
        self.tables[resource.name] = self._database.table(resource.name, resource.indexed())
        self.resources[resource.name] = resource

    def forget(self, name: str) -> None:
        """Remove a resource with its records."""
        del self.resources[name], self.tables[name]
        self._database.drop(name)

    def now(self) -> str:
        return now_text(self._clock())

    # -- reading ------------------------------------------------------------------------------------------------

    def identify(self, resource: Resource, segment: str) -> Found:
        """The visible record an address names, by PKey or, with an identification key, by its raw value."""
        by_pkey = segment.startswith("@")
        found = self._by_pkey(resource, segment) if by_pkey else self._by_key(resource, segment)
        if found is None or not self.visible(resource, found[1]):
            raise unknown_document(resource.display, segment)
        return found

    def _by_pkey(self, resource: Resource, pkey: str) -> Found | None:
        number = self.pkeys.read(resource.name, pkey, collections=self.inside(resource))
        if number is None:
            raise invalid_pkey(resource.label, resource.schema, pkey)
        body = self.tables[resource.name].get(number)
        return None if body is None else (number, body)

    def _by_key(self, resource: Resource, value: str) -> Found | None:
        if not resource.key:
            raise invalid_pkey(resource.label, resource.schema, value)
        return self.tables[resource.name].find(resource.key, value)

    def inside(self, resource: Resource) -> tuple[str, ...]:
        """The collections whose addresses carry another PKey of this resource's records."""
        own = tuple(field.name for field in resource.fields.values() if field.kind == "collection")
        foreign = tuple(
            field.name
            for other in self.resources.values()
            for field in other.fields.values()
            if field.kind == "collection" and field.target == resource.name
        )
        return own + foreign

    def linked(self, field: Field, body: Body) -> Found | None:
        """The record a link points at, or None."""
        table = self.tables[field.target]
        if field.column:
            value = body.get(field.column)
            return table.find(self.resources[field.target].key, value) if value else None
        number: int | None = body.get(field.hidden)
        target = None if number is None else table.get(number)
        return None if number is None or target is None else (number, target)

    def visible(self, resource: Resource, body: Body) -> bool:
        """Whether API and user interface show the record: see mandatory links and `org_unit_required`."""
        if self.settings.org_unit_required and resource.name == "profile" and body.get("@orgUnit") is None:
            return False
        return all(self.linked(link, body) is not None for link in resource.demanding)

    def visible_where(self, resource: Resource) -> list[str]:
        """The same as SQL conditions over the alias `r`."""
        found = []
        if self.settings.org_unit_required and resource.name == "profile":
            found.append('r."@orgUnit" IS NOT NULL')
        for link in resource.demanding:
            target = self.resources[link.target]
            there, here = (target.key, link.column) if link.column else ("number", link.hidden)
            found.append(f'EXISTS (SELECT 1 FROM "{target.name}" AS p WHERE p."{there}" = r."{here}")')  # noqa: S608 - names of resources
        return found

    # -- writing ------------------------------------------------------------------------------------------------

    def create(self, resource: Resource, payload: dict[str, Any], *, extended: bool = True) -> Found:
        """A new record. With an identification key a second one with the same value is refused."""
        self._heed_refusals(resource, payload.get(resource.key))
        body = self.applied(resource, {}, payload, extended=extended)
        self._keep_unique(resource, body.get(resource.key))
        now = self.now()
        if "created" in resource.fields:
            body["created"] = body["lastModified"] = now
        self._stamp(resource, {}, body, now)
        return self.tables[resource.name].insert(body), body

    def change(
        self, resource: Resource, found: Found, payload: dict[str, Any], *, extended: bool = True, trusted: bool = False
    ) -> bool:
        """Apply a PATCH. Returns whether anything differs now; only then `lastModified` moves."""
        number, before = found
        if not trusted:
            self._heed_refusals(resource, before.get(resource.key))
            self._keep_key(resource, before, payload)
        after = self.applied(resource, before, payload, extended=extended, trusted=trusted)
        if after == before:
            return False
        if after.get(resource.key) != before.get(resource.key):
            self._keep_unique(resource, after.get(resource.key))
        now = self.now()
        self._stamp(resource, before, after, now, spare=payload)
        if "lastModified" in resource.fields and "lastModified" not in payload:
            after["lastModified"] = now
        self.tables[resource.name].update(number, after)
        return True

    def delete(self, resource: Resource, found: Found, *, trusted: bool = False) -> None:
        """Delete a record; links by id to it become null, joined links simply find nothing any more."""
        number, body = found
        if not trusted:
            self._heed_refusals(resource, body.get(resource.key))
        for other in self.resources.values():
            for link in other.links:
                if link.target == resource.name and not link.column:
                    self._unlink(other, link, number)
        self.tables[resource.name].delete(number)

    def _unlink(self, resource: Resource, link: Field, number: int) -> None:
        table, column = self.tables[resource.name], link.hidden
        for child, body in list(table.select(f'r."{column}" = ?', (number,))):
            del body[column]
            table.update(child, body)

    def applied(
        self, resource: Resource, before: Body, payload: dict[str, Any], *, extended: bool = True, trusted: bool = False
    ) -> Body:
        """A copy of `before` with the payload's values accepted into it."""
        body = dict(before)
        fields = resource.fields
        for name, value in payload.items():
            field = fields.get(name)
            if field is None or (field.extended and not extended):
                if name in _ECHOED:
                    continue
                raise unknown_property(resource.name, name)
            if field.kind == "link":
                self._set_link(field, body, value)
                continue
            if name in _ECHOED:
                continue
            kept = accept(field, value, self.settings, schema=resource.schema, resource=resource.name, trusted=trusted)
            if field.kind == "item" and kept:
                kept = _merged(field, before.get(name), kept)
            if kept == field.empty or kept == {}:
                body.pop(name, None)
            else:
                body[name] = kept
        return body

    def _set_link(self, field: Field, body: Body, value: Any) -> None:
        if value is None:
            body.pop(field.column or field.hidden, None)
            return
        if not isinstance(value, dict):
            raise invalid_value(field.name, "a link is an object with a PKey")
        if "PKey" not in value:
            self._ignore_link(field, value)
            return
        target = self.resources[field.target]
        number, linked = self.identify(target, str(value["PKey"]))
        if field.column:
            body[field.column] = linked[target.key]
        else:
            body[field.hidden] = number

    def _ignore_link(self, field: Field, value: dict[str, Any]) -> None:
        """Campaign Standard drops a link without a PKey silently; version 8 refuses the first property in it."""
        if self.settings.v8 and value:
            raise unknown_property(field.target, next(iter(value)))

    def _heed_refusals(self, resource: Resource, key: Any) -> None:
        refused = self.refused.get(resource.name)
        if refused and key in refused:
            raise EngineError(500, refused[key], v8=refused[key])

    def _keep_unique(self, resource: Resource, key: Any) -> None:
        if resource.key and key and self.tables[resource.name].find(resource.key, key) is not None:
            table = resource.schema.replace(":", "")
            raise duplicate_key(resource.display, table, resource.key.lower(), key)

    def _keep_key(self, resource: Resource, before: Body, payload: dict[str, Any]) -> None:
        old = before.get(resource.key)
        if old and resource.key in payload and payload[resource.key] != old:
            raise key_change(resource.name, old, str(payload[resource.key]))

    def _stamp(
        self, resource: Resource, before: Body, after: Body, now: str, spare: dict[str, Any] | None = None
    ) -> None:
        for name in resource.stamped:
            if before.get(name, False) != after.get(name, False):
                for stamp in resource.fields[name].stamps:
                    if spare is None or stamp not in spare:
                        after[stamp] = now


def _merged(field: Field, before: Body | None, kept: Body) -> Body:
    """An item keeps the parts a PATCH does not mention, and no empty ones."""
    merged = {**(before or {}), **kept}
    empty = field.empty
    return {name: value for name, value in merged.items() if value != empty[name]}
