"""Metadata queries: EntityDefinitions and what hangs below them, global choices, RetrieveMetadataChanges.

Lives here: navigation, `$select`, `$filter` and `$expand` over definitions. Never here: rows, or schema changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from . import definitions
from .answers import Answer, DataverseError, json_answer
from .environment import Environment
from .expand_syntax import parse_expand
from .filter_data import matches
from .odata_filter import parse_filter
from .requests import Request, Segment, api_root
from .tables import OPTION_TYPES, Column, Table, metadata_id

__all__ = [
    "entity_definitions",
    "function_arguments",
    "global_option_sets",
    "relationship_definitions",
    "retrieve_metadata_changes",
]

_NAMESPACE = "Microsoft.Dynamics.CRM."
_ENTITY_COLLECTIONS = frozenset(
    {"Attributes", "Keys", "ManyToOneRelationships", "OneToManyRelationships", "ManyToManyRelationships"}
)
_OPTION_SETS = frozenset({"OptionSet", "GlobalOptionSet"})
Entry = dict[str, Any]


def entity_definitions(environment: Environment, request: Request, path: Sequence[Segment]) -> Answer:
    """GET EntityDefinitions and everything below it."""
    _only_get(request)
    if path[0].arguments is None:
        entries = [_Definition(environment, table) for table in environment.schema]
        return _collection(request, "EntityDefinitions", entries, "EntityMetadata")
    table = _table(environment, path[0])
    if len(path) == 1:
        shown = _shape(_Definition(environment, table), request.query, "EntityMetadata")
        return _single(request, "EntityDefinitions", shown)
    return _below(environment, request, table, path[1:])


def _below(environment: Environment, request: Request, table: Table, path: Sequence[Segment]) -> Answer:
    step = path[0]
    context = f"EntityDefinitions('{table.name}')/{step.name}"
    if step.name == "Attributes":
        return _attributes(request, table, path, context)
    if step.name not in _ENTITY_COLLECTIONS or len(path) > 1:
        raise _no_segment(path[-1].name)
    entries = _Definition(environment, table).collection(step.name)
    if step.arguments is None:
        return _collection(request, context, entries, _type_of(step.name))
    wanted = _key_value(step, "LogicalName")
    found = next((entry for entry in entries if wanted in {entry["MetadataId"], entry.get("LogicalName")}), None)
    if found is None:
        raise _not_found(wanted)
    return _single(request, context, _shape(found, request.query, _type_of(step.name)))


def _attributes(request: Request, table: Table, path: Sequence[Segment], context: str) -> Answer:
    cast = path[-1].name if path[-1].name.startswith(_NAMESPACE) else None
    if cast == f"{_NAMESPACE}EnumAttributeMetadata":
        raise DataverseError(400, "0x80060888", f"The type cast to '{cast}' is not supported.")
    type_name = cast.removeprefix(_NAMESPACE) if cast else "AttributeMetadata"
    if path[0].arguments is None:
        columns = [column for column in table.columns.values() if cast is None or definitions.cast_name(column) == cast]
        entries = [_Attribute(table, column) for column in columns]
        return _collection(request, f"{context}{'/' + cast if cast else ''}", entries, type_name)
    wanted = _key_value(path[0], "LogicalName")
    column = next((c for c in table.columns.values() if wanted in {c.name, metadata_id(table.name, c.name)}), None)
    if column is None or (cast is not None and definitions.cast_name(column) != cast):
        raise _not_found(wanted)
    rest = [step for step in path[1:] if not step.name.startswith(_NAMESPACE)]
    if rest and rest[0].name in _OPTION_SETS:
        return _single(request, f"{context}/{rest[0].name}", _Attribute(table, column).expansion(rest[0].name))
    return _single(request, context, _shape(_Attribute(table, column), request.query, type_name))


def relationship_definitions(environment: Environment, request: Request, path: Sequence[Segment]) -> Answer:
    """GET RelationshipDefinitions."""
    _only_get(request)
    entries = [definitions.relationship(value) for value in environment.schema.relationships()]
    if path[0].arguments is None:
        return _collection(request, "RelationshipDefinitions", entries, "RelationshipMetadataBase")
    wanted = _key_value(path[0], "SchemaName")
    found = next((entry for entry in entries if wanted in {entry["MetadataId"], entry["SchemaName"]}), None)
    if found is None:
        raise _not_found(wanted)
    return _single(request, "RelationshipDefinitions", _shape(found, request.query, "RelationshipMetadataBase"))


def global_option_sets(environment: Environment, request: Request, path: Sequence[Segment]) -> Answer:
    """GET GlobalOptionSetDefinitions, which takes no `$filter`."""
    _only_get(request)
    entries = {}
    for table in environment.schema:
        for column in table.columns.values():
            if column.global_option_set and column.options:
                shape = definitions.option_set(None, column)
                entries[shape["Name"]] = {"@odata.type": "#Microsoft.Dynamics.CRM.OptionSetMetadata", **shape}
    if path[0].arguments is None:
        if "$filter" in request.query:
            raise DataverseError(400, "0x80060888", "The query parameter $filter is not supported")
        return _collection(request, "GlobalOptionSetDefinitions", list(entries.values()), "OptionSetMetadataBase")
    wanted = _key_value(path[0], "Name")
    found = next((entry for entry in entries.values() if wanted in {entry["MetadataId"], entry["Name"]}), None)
    if found is None:
        raise _not_found(wanted)
    return _single(request, "GlobalOptionSetDefinitions", _shape(found, request.query, "OptionSetMetadataBase"))


# -- definitions that can be expanded ---------------------------------------------------------------------------------


class _Definition(Entry):
    """A table's properties, with its collections on demand."""

    def __init__(self, environment: Environment, table: Table) -> None:
        super().__init__(definitions.entity(table))
        self._environment = environment
        self._table = table

    def collection(self, name: str) -> list[Entry]:
        table, schema = self._table, self._environment.schema
        if name == "Attributes":
            return [_Attribute(table, column) for column in table.columns.values()]
        if name == "Keys":
            return [definitions.key(table, value) for value in table.keys.values()]
        if name == "ManyToOneRelationships":
            return [definitions.relationship(value) for value in schema.relationships(referencing=table.name)]
        if name == "OneToManyRelationships":
            return [definitions.relationship(value) for value in schema.relationships(referenced=table.name)]
        return []

    def expansion(self, name: str, options: dict[str, str]) -> list[Entry]:
        if name not in _ENTITY_COLLECTIONS:
            raise _no_property(name, "EntityMetadata")
        return _query(self.collection(name), options, _type_of(name))


class _Attribute(Entry):
    """A column's properties, with its option sets on demand."""

    def __init__(self, table: Table, column: Column) -> None:
        super().__init__(definitions.attribute(table, column))
        self._table = table
        self._column = column

    def expansion(self, name: str, options: dict[str, str] | None = None) -> Entry | None:
        if name not in _OPTION_SETS or self._column.type not in OPTION_TYPES:
            raise _no_property(name, "AttributeMetadata")
        is_global = self._column.global_option_set
        if name == "GlobalOptionSet" and not is_global:
            return None
        shape = definitions.option_set(self._table, self._column)
        return _shape(shape, options or {}, "OptionSetMetadata")


# -- query options ----------------------------------------------------------------------------------------------------


def _query(entries: Sequence[Entry], options: dict[str, str], type_name: str) -> list[Entry]:
    text = options.get("$filter")
    if text:
        node = parse_filter(text, options)
        entries = [entry for entry in entries if matches(node, entry, type_name)]
    return [_shape(entry, options, type_name) for entry in entries]


def _shape(entry: Entry, options: dict[str, str], type_name: str) -> Entry:
    shown = dict(entry)
    if options.get("$select"):
        shown = _selected(entry, [name.strip() for name in options["$select"].split(",")], type_name)
    for name, inner in parse_expand(options.get("$expand", "")):
        if type_name == "AttributeMetadata" or not isinstance(entry, _Definition | _Attribute):
            raise _no_property(name, type_name)
        shown[name] = entry.expansion(name, inner)
    return shown


def _selected(entry: Entry, names: Sequence[str], type_name: str) -> Entry:
    """The named properties; `MetadataId` always comes, and the type of an attribute."""
    shown: Entry = {}
    if "@odata.type" in entry:
        shown["@odata.type"] = entry["@odata.type"]
    for name in names:
        if name not in entry or (type_name == "AttributeMetadata" and name not in definitions.ATTRIBUTE_BASE):
            raise _no_property(name, type_name)
        shown[name] = entry[name]
    if "MetadataId" in entry:
        shown.setdefault("MetadataId", entry["MetadataId"])
    return shown


def _collection(request: Request, context: str, entries: Sequence[Entry], type_name: str) -> Answer:
    root = f"{request.origin}{api_root(request.path)}/$metadata#"
    return json_answer({"@odata.context": f"{root}{context}", "value": _query(entries, request.query, type_name)})


def _single(request: Request, context: str, entry: Entry | None) -> Answer:
    root = f"{request.origin}{api_root(request.path)}/$metadata#"
    return json_answer({"@odata.context": f"{root}{context}/$entity", **(entry or {})})


def _only_get(request: Request) -> None:
    if request.method != "GET":
        raise DataverseError(501, "0x80060888", "This sandbox changes its schema through its control interface only.")


def _type_of(collection: str) -> str:
    names = {"Attributes": "AttributeMetadata", "Keys": "EntityKeyMetadata"}
    return names.get(collection, "RelationshipMetadataBase")


def _key_value(segment: Segment, name: str) -> str:
    keys = segment.keys()
    if isinstance(keys, str):
        return keys.strip("'{}").lower()
    literal = (keys or {}).get(name)
    if literal is None or len(keys or {}) != 1:
        raise DataverseError(
            400, "0x80060888", f"The key in the request URI is not valid for resource '{segment.name}'."
        )
    return str(literal.value)


def _table(environment: Environment, segment: Segment) -> Table:
    wanted = _key_value(segment, "LogicalName")
    for table in environment.schema:
        if wanted in {table.name, metadata_id(table.name)}:
            return table
    raise DataverseError(
        404,
        "0x80041102",
        f"The entity with a name = '{wanted}' with namemapping = 'Logical' was not found in the MetadataCache.",
    )


def _no_segment(name: str) -> DataverseError:
    return DataverseError(404, "0x8006088a", f"Resource not found for the segment '{name}'.")


def _not_found(name: str) -> DataverseError:
    return DataverseError(404, "0x80040217", f"Could not find metadata for '{name}'.")


def _no_property(name: str, type_name: str) -> DataverseError:
    return DataverseError(
        400, "0x0", f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{type_name}'."
    )


# -- RetrieveMetadataChanges ------------------------------------------------------------------------------------------


def retrieve_metadata_changes(environment: Environment, request: Request, segment: Segment) -> Answer:
    """Tables and typed columns in one answer, with a version stamp; an up-to-date stamp brings no tables."""
    arguments = function_arguments(request, segment)
    query = arguments.get("Query") or {}
    stamp = f"{environment.schema.version}!{environment.now().strftime('%m/%d/%Y %H:%M:%S')}"
    given = arguments.get("ClientVersionStamp")
    fresh = given is not None and str(given).split("!")[0] == str(environment.schema.version)
    tables = [] if fresh else [_changed(environment, table, query) for table in environment.schema]
    context = f"{request.origin}{api_root(request.path)}/$metadata#{_NAMESPACE}RetrieveMetadataChangesResponse"
    body = {
        "@odata.context": context,
        "ServerVersionStamp": stamp,
        "EntityMetadata": [entry for entry in tables if entry is not None],
        "DeletedMetadata": None,
    }
    return json_answer(body)


def function_arguments(request: Request, segment: Segment) -> dict[str, Any]:
    """A function's parameters, in the path or behind aliases; objects and arrays are JSON, arrays also `['a','b']`."""
    found: dict[str, Any] = {}
    for part in re.findall(r"[^,\[]+(?:\[[^\]]*\])?", segment.arguments or ""):
        name, equals, value = part.partition("=")
        if equals:
            text = request.aliases.get(value.strip(), value.strip())
            if text.startswith("['"):
                text = text.replace("'", '"')
            try:
                found[name.strip()] = json.loads(text) if text[:1] in '{["' else text.strip("'")
            except ValueError as error:
                raise DataverseError(400, "0x80060888", f"The parameter {name.strip()} is not valid JSON.") from error
    return found


def _changed(environment: Environment, table: Table, query: Entry) -> Entry | None:
    definition = _Definition(environment, table)
    if not _meets(definition, query.get("Criteria")):
        return None
    names = _property_names(query)
    shown = {name: value for name, value in definition.items() if names is None or name in names}
    shown["MetadataId"] = definition["MetadataId"]
    shown["LogicalName"] = definition["LogicalName"]
    if names is None or "Attributes" in names:
        wanted = query.get("AttributeQuery") or {}
        entries = (_Attribute(table, column) for column in table.columns.values())
        shown["Attributes"] = [_typed(entry, wanted) for entry in entries if _meets(entry, wanted.get("Criteria"))]
    for collection, part in (("Keys", "KeyQuery"), ("ManyToOneRelationships", "RelationshipQuery")):
        if names is None or collection in names:
            inner = query.get(part) or {}
            shown[collection] = [
                entry for entry in definition.collection(collection) if _meets(entry, inner.get("Criteria"))
            ]
    return shown


def _typed(entry: _Attribute, query: Entry) -> Entry:
    names = _property_names(query)
    shown = {name: value for name, value in entry.items() if names is None or name in names or name == "@odata.type"}
    shown["MetadataId"] = entry["MetadataId"]
    for name in _OPTION_SETS if names is None else _OPTION_SETS & names:
        if entry["@odata.type"].removeprefix(f"#{_NAMESPACE}").removesuffix("AttributeMetadata") in OPTION_TYPES:
            shown[name] = entry.expansion(name)
    return shown


def _property_names(query: Entry) -> frozenset[str] | None:
    properties = query.get("Properties") or {}
    if properties.get("AllProperties"):
        return None
    return frozenset(properties.get("PropertyNames") or ())


def _meets(entry: Entry, criteria: Entry | None) -> bool:
    if not criteria:
        return True
    results = [_condition(entry, condition) for condition in criteria.get("Conditions") or ()]
    results += [_meets(entry, inner) for inner in criteria.get("Filters") or ()]
    return any(results) if criteria.get("FilterOperator") == "Or" and results else all(results)


def _condition(entry: Entry, condition: Entry) -> bool:
    value: Any = entry.get(condition.get("PropertyName", ""))
    if isinstance(value, dict) and "Value" in value:
        value = value["Value"]
    wanted = (condition.get("Value") or {}).get("Value")
    test = _CONDITIONS.get(condition.get("ConditionOperator", ""))
    if test is None:
        raise DataverseError(400, "0x80040203", f"Unknown ConditionOperator {condition.get('ConditionOperator')}.")
    return test(value, wanted)


def _listed(wanted: Any) -> list[str]:
    return [str(item).lower() for item in wanted] if isinstance(wanted, list) else [str(wanted).lower()]


_CONDITIONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda value, wanted: str(value).lower() == str(wanted).lower(),
    "NotEquals": lambda value, wanted: str(value).lower() != str(wanted).lower(),
    "In": lambda value, wanted: str(value).lower() in _listed(wanted),
    "NotIn": lambda value, wanted: str(value).lower() not in _listed(wanted),
}
