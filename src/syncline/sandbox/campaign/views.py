"""How records look from outside: full entities with defaults, computed fields, links and addresses.

What never lives here: routing and rules; a view changes nothing.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Any

from .engine import Engine
from .fields import Field, Resource
from .records import Body

__all__ = ["Views", "encode"]

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_POSTAL_ADDRESS = (
    '"postalAddress":{"addrDefined":false,"addrErrorCount":0,"addrLastCheck":"","addrQuality":"0","line1":%1,'
    '"line2":"","line3":"","line4":"","line5":"","line6":"","serialized":%2}'
)


class Views:
    """Renders entities for one engine. Templates are kept per definition of a resource."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._templates: dict[tuple[str, bool], tuple[Resource, _Template]] = {}

    def pkey(self, resource: Resource, number: int) -> str:
        return self._engine.pkeys.make(resource.name, number)

    def entity(self, resource: Resource, number: int, body: Body, root: str, *, extended: bool) -> str:
        """The whole record as JSON text: `root` is the address of its collection, ending in `/`.

        Only what differs from the empty record is encoded anew, which is several times faster than encoding all.
        """
        template = self._template(resource, extended)
        shown = template.parts.copy()
        pkey = self._engine.pkeys.make(resource.name, number)
        shown["PKey"] = f'"PKey":"{pkey}"'
        shown["href"] = f'"href":"{root}{pkey}"'
        for name, value in body.items():
            if name in template.parts:
                kind = type(value)
                if kind is str:
                    shown[name] = f'"{name}":{encode_basestring(value)}'
                elif kind is bool:
                    shown[name] = f'"{name}":{"true" if value else "false"}'
                elif kind is int or kind is float:
                    shown[name] = f'"{name}":{value!r}'
                else:
                    shown[name] = template.encoded(name, value)
        for link in template.links:
            if body.get(link.column or link.hidden) is not None:
                shown[link.name] = f'"{link.name}":{encode(self.link(link, body, root))}'
        for collection in template.collections:
            inner = self._engine.pkeys.make(resource.name, number, inside=collection.name)
            shown[collection.name] = f'"{collection.name}":{{"href":"{root}{inner}/{collection.name}/"}}'
        if resource.name == "profile":
            self._compute_profile(shown, body, pkey)
        return "{" + ",".join(shown.values()) + "}"

    def _compute_profile(self, shown: dict[str, str], body: Body, pkey: str) -> None:
        shown["title"] = f'"title":{encode_basestring(_profile_title(body))}'
        shown["cryptedId"] = f'"cryptedId":"{pkey[5:61]}=="'
        if email := body.get("email"):
            shown["domain"] = f'"domain":{encode_basestring(email.rpartition("@")[2])}'
        if born := body.get("birthDate"):
            shown["age"] = f'"age":{_age(born, self._engine.now())}'
        name = f"{body.get('firstName', '')} {body.get('lastName', '').upper()}".strip()
        if name:
            line1, serialized = encode_basestring(name), encode_basestring(f"{name}\n\n\n\n\n\n")
            shown["postalAddress"] = _POSTAL_ADDRESS.replace("%1", line1).replace("%2", serialized)

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
    """What every record of a resource has in common, in the order the API prints it: `"name":empty` by name."""

    def __init__(self, resource: Resource, extended: bool) -> None:
        fields = [field for field in resource.fields.values() if extended or not field.extended]
        names = sorted([*(field.name for field in fields), "href"])
        empty = {field.name: field.empty for field in fields}
        self.parts = {name: f'"{name}":{encode(empty.get(name, ""))}' for name in ("PKey", *names)}
        self.links = [field for field in fields if field.kind == "link"]
        self.collections = [field for field in fields if field.kind == "collection"]
        self._items = {field.name: field.empty for field in fields if field.kind == "item"}

    def encoded(self, name: str, value: Any) -> str:
        item = self._items.get(name)
        return f'"{name}":{encode(value if item is None else {**item, **value})}'


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


def _age(born: str, now: str) -> int:
    """Whole years between two ISO dates, by their text: this runs for every profile shown."""
    return max(0, int(now[:4]) - int(born[:4]) - (now[5:10] < born[5:10]))
