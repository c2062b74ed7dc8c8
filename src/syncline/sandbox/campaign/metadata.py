"""`resourceType`: what the API tells about resources, fields and filters.

Published samples elide the field objects; their keys follow the documentation's list (apiName, type, dataPolicy,
category, resType, resTarget, values). What never lives here: records.
"""

from __future__ import annotations

from typing import Any

from .engine import Engine
from .fields import Field, Filter, Resource

__all__ = ["Metadata"]

_TYPES = {
    "string": ("string", "string"),
    "integer": ("number", "long"),
    "float": ("number", "double"),
    "boolean": ("boolean", "boolean"),
    "date": ("date", "date"),
    "datetime": ("datetime", "datetime"),
    "enumeration": ("enumeration", "byte"),
    "item": ("item", "item"),
    "link": ("link", "link"),
    "collection": ("collection", "link"),
}


class Metadata:
    """Describes the resources of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def resource(self, resource: Resource, endpoint: str, home: str) -> dict[str, Any]:
        """The answer to `GET /<endpoint>/resourceType/<resource>`; `home` ends in `/campaign/`."""
        extended = endpoint != "profileAndServices"
        fields = [field for field in resource.fields.values() if extended or not field.extended]
        pkey = self._engine.pkeys.make("resourceType", _number(resource.name))
        return {
            "content": {field.name: _field(field) for field in sorted(fields, key=lambda one: one.name)},
            "data": f"/{endpoint}/{resource.name}/",
            "filters": {"href": f"{home}{endpoint}/resourceType/{pkey}/filters/"},
            "help": resource.label,
            "href": f"{home}{endpoint}/{resource.name}/metadata",
            "label": resource.label,
            "mandatory": False,
            "name": resource.name,
            "pkgStatus": "never",
            "readOnly": resource.read_only,
            "schema": resource.schema,
            "type": "item",
        }

    def filters(self, resource: Resource, endpoint: str, home: str) -> dict[str, Any]:
        """The filters by name, each with `data`, a template of its address with `$value` for each parameter."""
        shown = {}
        for found in resource.filters.values():
            if found.built_in or endpoint != "profileAndServices":
                name = self.filter_name(found)
                shown[name] = self._filter(resource, found, name, endpoint, home)
        return shown

    def filter_name(self, found: Filter) -> str:
        """The name in an address: version 8 drops the `by` of custom filters."""
        drops = self._engine.settings.v8 and not found.built_in
        return found.name.removeprefix("by") if drops else found.name

    def filter_named(self, resource: Resource, segment: str, *, extended: bool) -> Filter | None:
        """The filter a part of an address names, or None; custom filters are only known where extensions are."""
        found = resource.filters.get(segment)
        if self._engine.settings.v8:
            custom = resource.filters.get("by" + segment)
            found = found if found and found.built_in else custom if custom and not custom.built_in else None
        return found if found and (extended or found.built_in) else None

    def from_pkey(self, pkey: str) -> Resource | None:
        """The resource whose metadata a `resourceType/<PKEY>` address means."""
        number = self._engine.pkeys.read("resourceType", pkey)
        matching = (one for one in self._engine.resources.values() if _number(one.name) == number)
        return next(matching, None)

    def exposed(self, home: str) -> dict[str, Any]:
        """The answer to `GET /profileAndServicesExt`: the resources there, beside the string `apiName`."""
        endpoint = "profileAndServicesExt"
        shown: dict[str, Any] = {"apiName": endpoint}
        for resource in self._engine.resources.values():
            if resource.exposure != "custom":
                shown[resource.name] = {
                    "data": f"{home}{endpoint}/{resource.name}/",
                    "href": f"{home}{endpoint}/resourceType/{resource.name}",
                    "label": resource.label,
                    "name": resource.name,
                }
        return shown

    def _filter(self, resource: Resource, found: Filter, name: str, endpoint: str, home: str) -> dict[str, Any]:
        names = list(found.parameters) or ["text"]
        template = "&".join(f"{parameter}=$value" for parameter in names)
        address = f"{endpoint}/{resource.name}/{name}?{template}"
        return {
            "PKey": self._engine.pkeys.make("filter", _number(f"{resource.name}/{found.name}")),
            "category": "99_none",
            "condition": {"enabledIf": "", "expr": _expression(found)},
            # Both forms are published: relative for built-in filters, absolute for others.
            "data": f"/{address}" if found.built_in else f"{home}{address}",
            "formType": "none",
            "fragmentName": "",
            "label": found.label,
            "metadata": {parameter: {"name": parameter, "type": "string"} for parameter in names},
        }


def _field(field: Field) -> dict[str, Any]:
    kind, technical = _TYPES[field.kind]
    shown: dict[str, Any] = {
        "apiName": field.name,
        "category": field.category,
        "dataPolicy": field.policy,
        "label": field.label or field.name,
        "mandatory": field.mandatory,
        "name": field.name,
        "readOnly": field.read_only,
        "resType": technical,
        "sortable": field.kind not in ("item", "link", "collection") and not field.computed,
        "type": kind,
    }
    if field.kind in ("link", "collection"):
        shown |= {"resTarget": field.target, "unbound": field.kind == "collection"}
    if field.kind == "enumeration":
        shown["values"] = {n: {"name": n, "value": value, "label": label} for n, value, label in field.values}
    if field.kind == "item":
        shown["content"] = {inner.name: _field(inner) for inner in field.fields}
    return shown


def _expression(found: Filter) -> str:
    sign = {"equals": "=", "at_least": ">=", "prefix": "LIKE"}[found.test]
    pairs = found.parameters or dict.fromkeys(["text"], " or ".join(found.any_of))
    return " and ".join(f"@{name} {sign} $({parameter})" for parameter, name in pairs.items())


def _number(name: str) -> int:
    """A number for what has no record: the first eight bytes of its name would not do, names share beginnings."""
    value = 1469598103934665603
    for byte in name.encode():
        value = (value ^ byte) * 1099511628211 % 2**64
    return value
