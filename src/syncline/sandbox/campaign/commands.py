"""What a test may do behind the API's back: fill, look, break and mend, without engine calls.

What never lives here: anything a client of the real system could ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from .engine import Engine, Found
from .fields import SCALARS, Field, Filter, Resource
from .standard import standard_resources

if TYPE_CHECKING:
    from collections import Counter

    from .gateway import Gateway
    from .settings import Settings

__all__ = ["Commands"]


class _Server(Protocol):
    """The parts of the server that commands reach."""

    engine: Engine
    gateway: Gateway
    settings: Settings
    calls: Counter[str]


Arguments = dict[str, Any]
_ROWS = 10_000


class Commands:
    """The control commands by name. LookupError, TypeError and ValueError say what is wrong with a command."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._engine = server.engine
        self._by_name: dict[str, Callable[..., dict[str, Any]]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }
        self._fill_org_units()

    def run(self, command: str, arguments: Arguments) -> dict[str, Any]:
        found = self._by_name.get(command)
        if found is None:
            raise LookupError(f"no command is called {command!r}; there are {', '.join(sorted(self._by_name))}")
        return found(**arguments)

    # -- records ------------------------------------------------------------------------------------------------

    def do_load(self, resource: str, rows: list[Arguments]) -> dict[str, Any]:
        """Insert many records at once, read-only fields allowed, keys not checked. All or none."""
        definition = self._resource(resource)
        now = self._engine.now()
        audit = {"created": now, "lastModified": now} if "created" in definition.fields else {}
        applied = self._engine.applied
        bodies = [{**audit, **applied(definition, {}, row, trusted=True)} for row in rows]
        return {"loaded": self._engine.tables[resource].insert_many(bodies)}

    def do_rows(
        self, resource: str, fields: list[str] | None = None, after: int = 0, limit: int = _ROWS
    ) -> dict[str, Any]:
        """Records in order of creation, `limit` at a time. `after` of an answer asks for the next part; 0: no more."""
        definition = self._resource(resource)
        names = fields if fields is not None else _kept(definition)
        empty = {name: definition.fields[name].empty for name in names}
        found = list(self._engine.tables[resource].select("r.number > ?", (after,), limit=limit))
        rows = [self._row(definition, empty, body) for _, body in found]
        return {"rows": rows, "after": found[-1][0] if len(found) == limit else 0}

    def do_get(self, resource: str, key: Any) -> dict[str, Any]:
        """One record by its identification key, hidden or not; `row` is null when there is none."""
        definition = self._resource(resource)
        found = self._engine.tables[resource].find(definition.key, key) if definition.key else None
        empty = {name: definition.fields[name].empty for name in _kept(definition)}
        return {"row": None if found is None else self._row(definition, empty, found[1])}

    def do_count(self, resource: str) -> dict[str, Any]:
        self._resource(resource)
        return {"count": self._engine.tables[resource].count}

    def do_update(self, resource: str, key: Any, values: Arguments) -> dict[str, Any]:
        """Change a record as somebody in the user interface would: opt-outs and `lastModified` are stamped.

        Stamps that `values` names itself are kept as given.
        """
        definition = self._resource(resource)
        changed = self._engine.change(definition, self._found(definition, key), values, trusted=True)
        return {"changed": changed}

    def do_update_many(self, resource: str, changes: dict[str, Arguments]) -> dict[str, Any]:
        """`update` for many records: identification key to values. Keys that no record has are left out."""
        definition = self._resource(resource)
        table, change = self._engine.tables[resource], self._engine.change
        found = {key: table.find(definition.key, key) for key in changes}
        there = {key: record for key, record in found.items() if record is not None}
        return {"changed": sum(change(definition, there[key], changes[key], trusted=True) for key in there)}

    def do_delete(self, resource: str, key: Any) -> dict[str, Any]:
        definition = self._resource(resource)
        self._engine.delete(definition, self._found(definition, key), trusted=True)
        return {"deleted": True}

    def do_clear(self, resource: str) -> dict[str, Any]:
        """Delete all records of a resource."""
        self._resource(resource)
        self._engine.tables[resource].clear()
        return {"count": 0}

    def do_duplicates(self, resource: str, field: str) -> dict[str, Any]:
        """Values of a field that several records share: `[value, how many]`."""
        definition = self._resource(resource)
        if field not in definition.fields:
            raise LookupError(f"{resource} has no field {field!r}")
        return {"duplicates": [list(pair) for pair in self._engine.tables[resource].repeated(field)]}

    # -- counters, refusals, settings ---------------------------------------------------------------------------

    def do_engine_calls(self) -> dict[str, Any]:
        """Requests that reached the engine. `total` is POST, PATCH, DELETE and GET; the rest splits or adds to them."""
        calls = self._server.calls
        total = sum(calls[verb] for verb in ("POST", "PATCH", "DELETE", "GET"))
        names = ("POST", "PATCH", "DELETE", "GET", "GET record", "GET by filter", "GET list", "metadata", "token")
        return {"total": total, **{name: calls[name] for name in names}}

    def do_reset_counters(self) -> dict[str, Any]:
        self._server.calls.clear()
        return {}

    def do_refuse(self, resource: str, key: Any, text: str = "") -> dict[str, Any]:
        """Refuse every write of the record with this key, with this text, until `accept`."""
        self._resource(resource)
        text = text or "RST-360011 An error has occurred - please contact your administrator.\nXTK-170049 Refused."
        self._engine.refused.setdefault(resource, {})[key] = text
        return {"refused": len(self._engine.refused[resource])}

    def do_accept(self, resource: str, key: Any = None) -> dict[str, Any]:
        """Take a refusal back, or all of a resource."""
        refused = self._engine.refused.setdefault(resource, {})
        if key is None:
            refused.clear()
        else:
            refused.pop(key, None)
        return {"refused": len(refused)}

    def do_set(self, **settings: Any) -> dict[str, Any]:
        """Change settings; answers all of them."""
        self._server.settings.change(settings)
        return attrs.asdict(self._server.settings)

    def do_revoke_tokens(self) -> dict[str, Any]:
        return {"revoked": self._server.gateway.revoke()}

    def do_reset(self) -> dict[str, Any]:
        """As on the first day: standard resources, no records, default settings, counters at zero."""
        standard = standard_resources()
        for name in list(self._engine.resources):
            self._engine.tables[name].clear()
            if name not in standard:
                self._engine.forget(name)
        for resource in standard.values():
            self._engine.define(resource)
        self._fill_org_units()
        self._engine.refused.clear()
        fresh = type(self._server.settings)()
        self._server.settings.change(attrs.asdict(fresh))
        return self.do_reset_counters()

    # -- schema -------------------------------------------------------------------------------------------------

    def do_resources(self) -> dict[str, Any]:
        """Every resource with where it is exposed, its key, its fields with their kinds, and its filters."""
        return {
            "resources": {
                resource.name: {
                    "exposure": resource.exposure,
                    "key": resource.key,
                    "fields": {field.name: field.kind for field in resource.fields.values()},
                    "filters": list(resource.filters),
                }
                for resource in self._engine.resources.values()
            }
        }

    def do_add_resource(
        self, name: str, fields: list[Arguments], exposure: str = "custom", key: str = "", filtered: bool = True
    ) -> dict[str, Any]:
        """A custom resource; each field is `{name, kind, ...}`. With `key` and `filtered` it gets `by<Key>`."""
        if exposure not in ("ext", "custom"):
            raise ValueError("exposure is 'ext' (linked to profile) or 'custom'")
        audit = {one: Field(name=one, kind="datetime", read_only=True) for one in ("created", "lastModified")}
        made = {one["name"]: self._field(one) for one in fields} | audit
        filters = _key_filter(key) if key and filtered else {}
        resource = Resource(
            name=name, schema=f"cus:{name}", label=name, exposure=exposure, fields=made, filters=filters, key=key
        )
        self._engine.define(resource)
        return {"resource": name}

    def do_drop_resource(self, resource: str) -> dict[str, Any]:
        """Unpublish a custom resource: its records go, and the links to it."""
        definition = self._resource(resource)
        if definition.exposure not in ("ext", "custom") or resource in standard_resources():
            raise ValueError(f"{resource} is out of the box and cannot be dropped")
        for other in list(self._engine.resources.values()):
            for link in [one.name for one in other.links if one.target == resource and other.name != resource]:
                self.do_drop_field(other.name, link)
        self._engine.forget(resource)
        return {"resource": resource}

    def do_add_field(self, resource: str, **field: Any) -> dict[str, Any]:
        """Publish one more field; on profile it is an extension, seen on profileAndServicesExt only."""
        definition = self._resource(resource)
        made = self._field({"extended": definition.exposure == "profile", **field})
        self._engine.define(definition.with_field(made))
        return {"field": made.name}

    def do_drop_field(self, resource: str, field: str) -> dict[str, Any]:
        """Unpublish a field: its values go, and the filters and the key that use it."""
        definition = self._resource(resource)
        if field not in definition.fields:
            raise LookupError(f"{resource} has no field {field!r}")
        self._engine.define(definition.without_field(field))
        self._engine.tables[resource].rewrite(field)
        return {"field": field}

    def do_set_link(self, resource: str, link: str, mandatory: bool) -> dict[str, Any]:
        """Make a link "1 cardinality" (records without their target are hidden) or "0 or 1 cardinality"."""
        definition = self._resource(resource)
        field = definition.fields.get(link)
        if field is None or field.kind != "link":
            raise LookupError(f"{resource} has no link {link!r}")
        self._engine.define(definition.with_field(attrs.evolve(field, mandatory=mandatory)))
        return {"link": link, "mandatory": mandatory}

    def do_add_key(self, resource: str, field: str, filtered: bool = True) -> dict[str, Any]:
        """Declare an identification key, and its filter `by<Field>`."""
        definition = self._resource(resource)
        if self._engine.tables[resource].repeated(field):
            raise ValueError(f"{field} has values that several records share")
        filters = {**definition.filters, **(_key_filter(field) if filtered else {})}
        self._engine.define(attrs.evolve(definition, key=field, filters=filters))
        return {"key": field}

    def do_drop_key(self, resource: str, filtered: bool = False) -> dict[str, Any]:
        """Take the identification key away: a second POST makes a second record. The filter stays if `filtered`."""
        definition = self._resource(resource)
        filters = dict(definition.filters)
        if not filtered:
            filters = {n: f for n, f in filters.items() if definition.key not in f.parameters.values()}
        self._engine.define(attrs.evolve(definition, key="", filters=filters))
        return {"key": ""}

    # -- within -------------------------------------------------------------------------------------------------

    def _resource(self, name: str) -> Resource:
        try:
            return self._engine.resources[name]
        except KeyError:
            known = ", ".join(self._engine.resources)
            raise LookupError(f"no resource is called {name!r}; there are {known}") from None

    def _found(self, resource: Resource, key: Any) -> Found:
        found = self._engine.tables[resource.name].find(resource.key, key) if resource.key else None
        if found is None:
            raise LookupError(f"{resource.name} has no record with that key")
        return found

    def _field(self, described: Arguments) -> Field:
        field = Field(**{**described, "values": tuple(tuple(one) for one in described.get("values", ()))})
        if field.kind not in SCALARS and field.kind != "link":
            raise ValueError(f"no kind of field is called {field.kind!r}")
        if field.kind == "link":
            self._resource(field.target)
        return field

    def _row(self, resource: Resource, empty: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        row = {name: body.get(name, blank) for name, blank in empty.items()}
        for name in row:
            field = resource.fields[name]
            if field.kind == "link":
                linked = self._engine.linked(field, body)
                row[name] = linked[1].get(self._engine.resources[field.target].key) if linked else None
            elif field.kind == "item":
                row[name] = {**field.empty, **body.get(name, {})}
        return row

    def _fill_org_units(self) -> None:
        if self._engine.tables["orgUnitBase"].count == 0:
            units = [{"name": "all", "label": "All (all)"}, {"name": "europe", "label": "Europe"}]
            self.do_load("orgUnitBase", units)


def _kept(resource: Resource) -> list[str]:
    return [f.name for f in resource.fields.values() if f.kind != "collection" and not f.computed]


def _key_filter(key: str) -> dict[str, Filter]:
    name = f"by{key[:1].upper()}{key[1:]}"
    return {name: Filter(name=name, parameters={f"{key}_parameter": key}, label=f"By {key}")}
