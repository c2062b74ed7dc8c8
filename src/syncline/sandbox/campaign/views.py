"""How records look from outside: full entities with defaults, computed fields, links and addresses.

What never lives here: routing and rules; a view changes nothing.
"""

from __future__ import annotations

import base64
from datetime import date
from hashlib import blake2b
from typing import Any

from .engine import Engine
from .fields import Field, Resource
from .records import Body

__all__ = ["Views"]


class Views:
    """Renders entities for one engine. Templates are kept per definition of a resource."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._templates: dict[tuple[str, bool], tuple[Resource, _Template]] = {}

    def pkey(self, resource: Resource, number: int) -> str:
        return self._engine.pkeys.make(resource.name, number)

    def entity(self, resource: Resource, number: int, body: Body, root: str, *, extended: bool) -> dict[str, Any]:
        """The whole record: `root` is the address of its collection, ending in `/`."""
        template = self._template(resource, extended)
        pkey = self._engine.pkeys.make(resource.name, number)
        entity = {"PKey": pkey, **template.empty}
        for name, value in body.items():
            if name in template.items:
                entity[name] = {**template.items[name], **value}
            elif name in entity:
                entity[name] = value
        entity["href"] = root + pkey
        for link in template.links:
            entity[link.name] = self.link(link, body, root)
        for collection in template.collections:
            inner = self._engine.pkeys.make(resource.name, number, inside=collection.name)
            entity[collection.name] = {"href": f"{root}{inner}/{collection.name}/"}
        if resource.name == "profile":
            _compute_profile(entity, body, number, self._engine.now())
        return entity

    def link(self, field: Field, body: Body, root: str) -> dict[str, Any] | None:
        """A simple link as it is shown: null, or where the linked record is and what it is called."""
        found = self._engine.linked(field, body)
        if found is None:
            return None
        number, linked = found
        target = self._engine.resources[field.target]
        pkey = self.pkey(target, number)
        shown = {"PKey": pkey, "href": f"{home_of(target, root)}{pkey}", "title": title_of(target, linked)}
        return shown | {name: linked.get(name, "") for name in ("label", "name") if name in target.fields}

    def _template(self, resource: Resource, extended: bool) -> _Template:
        kept = self._templates.get((resource.name, extended))
        if kept is None or kept[0] is not resource:
            kept = self._templates[resource.name, extended] = (resource, _Template(resource, extended))
        return kept[1]


class _Template:
    """What every record of a resource has in common, in the order the API prints it."""

    def __init__(self, resource: Resource, extended: bool) -> None:
        fields = [field for field in resource.fields.values() if extended or not field.extended]
        names = sorted([*(field.name for field in fields), "href"])
        empty = {field.name: field.empty for field in fields}
        self.empty = {name: empty.get(name, "") for name in names}
        self.items = {field.name: field.empty for field in fields if field.kind == "item" and not field.computed}
        self.links = [field for field in fields if field.kind == "link"]
        self.collections = [field for field in fields if field.kind == "collection"]


def home_of(resource: Resource, root: str) -> str:
    """The address of a resource's collection, given the address of another one."""
    campaign = root[: root.index("/campaign/") + len("/campaign/")]
    endpoint = "customResources" if resource.exposure == "custom" else "profileAndServicesExt"
    return f"{campaign}{endpoint}/{resource.name}/"


def title_of(resource: Resource, body: Body) -> str:
    """What a record is called where it is linked from."""
    if resource.name == "profile":
        return _profile_title(body)
    return str(body.get("label") or body.get("name") or body.get(resource.key, ""))


def _profile_title(body: Body) -> str:
    name = f"{body.get('firstName', '')} {body.get('lastName', '')}".strip()
    email = body.get("email", "")
    return f"{name} ({email})".strip() if email else name


def _compute_profile(entity: dict[str, Any], body: Body, number: int, now: str) -> None:
    entity["title"] = _profile_title(body)
    entity["domain"] = body.get("email", "").rpartition("@")[2]
    entity["cryptedId"] = base64.b64encode(blake2b(number.to_bytes(8, "big"), digest_size=39).digest()).decode()
    if born := body.get("birthDate"):
        entity["age"] = _age(born, now)
    name = f"{body.get('firstName', '')} {body.get('lastName', '').upper()}".strip()
    if name:
        entity["postalAddress"] = {**entity["postalAddress"], "line1": name, "serialized": f"{name}\n\n\n\n\n\n"}


def _age(born: str, now: str) -> int:
    birth, today = date.fromisoformat(born), date.fromisoformat(now[:10])
    return max(0, today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day)))
