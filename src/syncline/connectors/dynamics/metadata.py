"""What Dataverse tells about its tables.

What lives here: the metadata queries and the schemas made of their answers (source: Microsoft's page on querying
metadata). Names of sets and keys are read, never guessed: the key of an activity is not called after its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from syncline.connectors.dynamics.odata import expression, is_name, text
from syncline.errors import ProtocolError
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = [
    "Lookup",
    "TableHead",
    "alternate_keys",
    "head_address",
    "lookups",
    "read_activities",
    "read_head",
    "read_schema",
    "read_tables",
]

#: Fetches metadata: the decoded answer to a GET below the API's root, or None where there is no such thing.
Fetch = Callable[[str], Any]

_CRM = "Microsoft.Dynamics.CRM."
_TYPES = {
    "BooleanType": FieldType.BOOLEAN,
    "IntegerType": FieldType.INTEGER,
    "BigIntType": FieldType.INTEGER,
    "DecimalType": FieldType.DECIMAL,
    "DoubleType": FieldType.DOUBLE,
    "MoneyType": FieldType.MONEY,
    "StringType": FieldType.STRING,
    "MemoType": FieldType.STRING,
    "EntityNameType": FieldType.STRING,
    "DateTimeType": FieldType.DATETIME,
    "PicklistType": FieldType.PICKLIST,
    "StateType": FieldType.PICKLIST,
    "StatusType": FieldType.PICKLIST,
    "MultiSelectPicklistType": FieldType.MULTI_PICKLIST,
    "LookupType": FieldType.LOOKUP,
    "CustomerType": FieldType.LOOKUP,
    "OwnerType": FieldType.LOOKUP,
    "UniqueidentifierType": FieldType.GUID,
}
# Labels of other columns, and parts of a party list: not values of the row.
_NOT_VALUES = frozenset({"VirtualType", "PartyListType", "CalendarRulesType", "ManagedPropertyType"})
_ENTITY = "LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled,DisplayName"
_ATTRIBUTE = (
    "LogicalName,AttributeType,AttributeTypeName,IsValidForRead,IsValidForCreate,IsValidForUpdate,"
    "IsValidODataAttribute,RequiredLevel"
)
_CHOICES = "$select=LogicalName&$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)"


@frozen(kw_only=True)
class TableHead:
    """What every read of a table needs."""

    table: str
    entity_set: str
    primary_id: str
    #: Without `modifiedon` a table cannot be read by time.
    has_modified_on: bool


@frozen(kw_only=True)
class Lookup:
    """How a lookup is written: `{"<navigation>@odata.bind": "/<set>(<id>)"}`. The name differs per target."""

    column: str
    target: str
    navigation: str


@frozen(kw_only=True)
class _Cast:
    """A query that only one derived type answers, and what it adds to the fields it tells of."""

    types: frozenset[str]
    address: str
    add: Callable[[FieldSchema, Mapping[str, Any], int], FieldSchema]


def head_address(table: str) -> str:
    """Where a table's head is."""
    only = expression("LogicalName eq 'modifiedon'")
    return (
        f"EntityDefinitions(LogicalName={text(table)})?$select=LogicalName,EntitySetName,PrimaryIdAttribute"
        f"&$expand=Attributes($select=LogicalName;$filter={only})"
    )


def read_head(content: object, table: str) -> TableHead:
    """The head in the answer; raises `ProtocolError` where names are missing."""
    entity = _object(content)
    return TableHead(
        table=table,
        entity_set=_name(entity, "EntitySetName"),
        primary_id=_name(entity, "PrimaryIdAttribute"),
        has_modified_on=any(True for _ in _objects(entity.get("Attributes"))),
    )


def read_tables(fetch: Fetch) -> dict[str, str]:
    """Logical name to label of every table whose changes are tracked or could be."""
    columns = "LogicalName,DisplayName,ChangeTrackingEnabled,CanChangeTrackingBeEnabled,IsIntersect"
    tables = {}
    for entity in _objects(_object(fetch(f"EntityDefinitions?$select={columns}")).get("value")):
        could = entity.get("CanChangeTrackingBeEnabled")
        tracked = entity.get("ChangeTrackingEnabled") is True or (
            isinstance(could, dict) and could.get("Value") is True
        )
        if tracked and entity.get("IsIntersect") is not True:
            name = _text(entity, "LogicalName")
            tables[name] = _label(entity.get("DisplayName"), 0) or name
    return dict(sorted(tables.items()))


def read_activities(fetch: Fetch) -> dict[str, str]:
    """Logical name to label of every table of activities."""
    columns = "LogicalName,DisplayName,IsActivity,IsIntersect"
    return {
        _text(entity, "LogicalName"): _label(entity.get("DisplayName"), 0) or _text(entity, "LogicalName")
        for entity in _objects(_object(fetch(f"EntityDefinitions?$select={columns}")).get("value"))
        if entity.get("IsActivity") is True
    }


def read_schema(fetch: Fetch, table: str, language: int) -> TableSchema | None:
    """The table as it is now, or None. One request, and one more for each kind of column that has more to tell.

    Fields are listed under their logical names; a lookup `x` is read as `_x_value`, which is its `name`. `language` is
    the LCID of the labels; where an option has none in it, the user's own language is taken.
    """
    root = f"EntityDefinitions(LogicalName={text(table)})"
    content = fetch(f"{root}?$select={_ENTITY}&$expand=Attributes($select={_ATTRIBUTE})")
    if content is None:
        return None
    entity = _object(content)
    fields = {name: schema for name, schema in map(_field, _objects(entity.get("Attributes"))) if schema is not None}
    native = {schema.native_type for schema in fields.values()}
    for cast in _CASTS:
        if not native & cast.types:
            continue
        answer = fetch(f"{root}/Attributes/{_CRM}{cast.address}")
        for attribute in _objects(_object(answer).get("value")):
            name = attribute.get("LogicalName")
            if isinstance(name, str) and name in fields:
                fields[name] = cast.add(fields[name], attribute, language)
    return TableSchema(
        name=table,
        path=_name(entity, "EntitySetName"),
        primary_key=_name(entity, "PrimaryIdAttribute"),
        fields=dict(sorted(fields.items())),
        change_tracking=entity.get("ChangeTrackingEnabled") is True,
        label=_label(entity.get("DisplayName"), language) or table,
    )


def alternate_keys(fetch: Fetch, table: str) -> dict[str, tuple[str, ...]]:
    """The table's alternate keys whose index is in use: name to columns."""
    content = fetch(f"EntityDefinitions(LogicalName={text(table)})/Keys")
    return {
        _text(key, "SchemaName"): tuple(column for column in key.get("KeyAttributes", ()) if isinstance(column, str))
        for key in _objects(_object(content or {}).get("value"))
        if key.get("EntityKeyIndexStatus") == "Active"
    }


def lookups(fetch: Fetch, table: str) -> tuple[Lookup, ...]:
    """Every lookup of the table with each table it may point to."""
    columns = "ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"
    content = fetch(f"EntityDefinitions(LogicalName={text(table)})/ManyToOneRelationships?$select={columns}")
    return tuple(
        Lookup(
            column=_text(relation, "ReferencingAttribute"),
            target=_text(relation, "ReferencedEntity"),
            navigation=_text(relation, "ReferencingEntityNavigationPropertyName"),
        )
        for relation in _objects(_object(content or {}).get("value"))
    )


def _field(attribute: Mapping[str, Any]) -> tuple[str, FieldSchema | None]:
    name, native = _name(attribute, "LogicalName"), _native_type(attribute)
    if native in _NOT_VALUES or attribute.get("IsValidODataAttribute") is False:
        return name, None
    type_ = _TYPES.get(native, FieldType.OTHER)
    level = attribute.get("RequiredLevel")
    return name, FieldSchema(
        name=f"_{name}_value" if type_ is FieldType.LOOKUP else name,
        type=type_,
        readable=attribute.get("IsValidForRead") is not False,
        writable=attribute.get("IsValidForCreate") is not False or attribute.get("IsValidForUpdate") is not False,
        required=isinstance(level, dict) and level.get("Value") == "SystemRequired",
        native_type=native,
    )


def _native_type(attribute: Mapping[str, Any]) -> str:
    """`AttributeTypeName` where it is told; `AttributeType` calls several kinds Virtual."""
    named = attribute.get("AttributeTypeName")
    value = named.get("Value") if isinstance(named, dict) else None
    if isinstance(value, str):
        return value
    plain = attribute.get("AttributeType")
    return f"{plain}Type" if isinstance(plain, str) else ""


def _add_length(schema: FieldSchema, attribute: Mapping[str, Any], _language: int) -> FieldSchema:
    length = attribute.get("MaxLength")
    return evolve(schema, max_length=length) if isinstance(length, int) and length > 0 else schema


def _add_options(schema: FieldSchema, attribute: Mapping[str, Any], language: int) -> FieldSchema:
    options = {
        str(option["Value"]): _label(option.get("Label"), language)
        for option in _options(attribute)
        if isinstance(option.get("Value"), int)
    }
    return evolve(schema, options=options)


def _add_truths(schema: FieldSchema, attribute: Mapping[str, Any], language: int) -> FieldSchema:
    options: dict[str, str] = {}
    for sets in _option_sets(attribute):
        for value, name in (("false", "FalseOption"), ("true", "TrueOption")):
            option = sets.get(name)
            if isinstance(option, dict):
                options.setdefault(value, _label(option.get("Label"), language))
    return evolve(schema, options=options)


def _add_behavior(schema: FieldSchema, attribute: Mapping[str, Any], _language: int) -> FieldSchema:
    """The behaviour tells what goes over the wire; the format only how a form shows it."""
    behavior = attribute.get("DateTimeBehavior")
    value = behavior.get("Value") if isinstance(behavior, dict) else behavior
    return evolve(
        schema,
        type=FieldType.DATE if value == "DateOnly" else FieldType.DATETIME,
        time_zone_independent=value == "TimeZoneIndependent",
    )


def _add_targets(schema: FieldSchema, attribute: Mapping[str, Any], _language: int) -> FieldSchema:
    targets = attribute.get("Targets")
    named = targets if isinstance(targets, list) else []
    return evolve(schema, targets=tuple(target for target in named if isinstance(target, str)))


def _cast(types: Sequence[str], address: str, add: Callable[..., FieldSchema]) -> _Cast:
    return _Cast(types=frozenset(types), address=address, add=add)


_CASTS = (
    _cast(["StringType"], "StringAttributeMetadata?$select=LogicalName,MaxLength", _add_length),
    _cast(["MemoType"], "MemoAttributeMetadata?$select=LogicalName,MaxLength", _add_length),
    _cast(["PicklistType"], f"PicklistAttributeMetadata?{_CHOICES}", _add_options),
    _cast(["MultiSelectPicklistType"], f"MultiSelectPicklistAttributeMetadata?{_CHOICES}", _add_options),
    _cast(["StateType"], f"StateAttributeMetadata?{_CHOICES}", _add_options),
    _cast(["StatusType"], f"StatusAttributeMetadata?{_CHOICES}", _add_options),
    _cast(
        ["BooleanType"],
        "BooleanAttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet",
        _add_truths,
    ),
    _cast(["DateTimeType"], "DateTimeAttributeMetadata?$select=LogicalName,DateTimeBehavior", _add_behavior),
    _cast(
        ["LookupType", "CustomerType", "OwnerType"],
        "LookupAttributeMetadata?$select=LogicalName,Targets",
        _add_targets,
    ),
)


def _option_sets(attribute: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A column has choices of its own or shares those of the environment; the other is null."""
    for name in ("OptionSet", "GlobalOptionSet"):
        found = attribute.get(name)
        if isinstance(found, dict):
            yield found


def _options(attribute: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for sets in _option_sets(attribute):
        yield from _objects(sets.get("Options"))


def _label(label: object, language: int) -> str:
    if not isinstance(label, dict):
        return ""
    localized = label.get("LocalizedLabels")
    labels = [entry for entry in localized if isinstance(entry, dict)] if isinstance(localized, list) else []
    user = label.get("UserLocalizedLabel")
    wanted = [entry for entry in labels if entry.get("LanguageCode") == language]
    for entry in (*wanted, *([user] if isinstance(user, dict) else []), *labels):
        if isinstance(entry.get("Label"), str):
            return str(entry["Label"])
    return ""


def _object(content: object) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise ProtocolError("Dynamics 365 sent metadata that is none.")
    return content


def _objects(content: object) -> Iterable[Mapping[str, Any]]:
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def _name(entry: Mapping[str, Any], name: str) -> str:
    """A name that will stand in an address and in messages."""
    value = _text(entry, name)
    if not is_name(value):
        raise ProtocolError(f"Dynamics 365 sent metadata with a {name} that is no name.")
    return value


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"Dynamics 365 sent metadata without {name}.")
    return value
