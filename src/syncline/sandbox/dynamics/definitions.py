"""Tables, columns, choices, keys and relationships as the metadata service shows them.

Lives here: one function per kind of definition, from schema values to JSON data with Dataverse's property names.
Never here: queries over them (see `metadata`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .tables import OPTION_TYPES, Column, Key, Option, Relationship, Table, metadata_id

__all__ = ["ATTRIBUTE_BASE", "attribute", "cast_name", "entity", "key", "option_set", "relationship"]

#: Properties of the base type: all that an uncast query may select.
ATTRIBUTE_BASE = frozenset(
    {
        "MetadataId", "LogicalName", "SchemaName", "EntityLogicalName", "AttributeType", "AttributeTypeName",
        "AttributeOf", "ColumnNumber", "DisplayName", "Description", "IsCustomAttribute", "IsPrimaryId",
        "IsPrimaryName", "IsLogical", "IsManaged", "IsSecured", "IsValidForCreate", "IsValidForRead",
        "IsValidForUpdate", "IsValidODataAttribute", "IsFilterable", "IsRetrievable", "RequiredLevel",
        "CanBeSecuredForRead", "HasChanged", "SourceType",
    }
)  # fmt: skip

_CAST = {"BigInt": "BigInt", "Customer": "Lookup", "Owner": "Lookup", "PartyList": "Lookup"}


def _label(text: str, translations: Mapping[str, str] | None = None) -> dict[str, Any]:
    shown = _localized(text, 1033)
    others = [_localized(other, int(language)) for language, other in (translations or {}).items()]
    return {"LocalizedLabels": [shown, *others], "UserLocalizedLabel": shown}


def _localized(text: str, language: int) -> dict[str, Any]:
    return {
        "Label": text,
        "LanguageCode": language,
        "IsManaged": True,
        "MetadataId": metadata_id("label", text),
        "HasChanged": None,
    }


def _managed(name: str, value: Any) -> dict[str, Any]:
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}


def entity(table: Table) -> dict[str, Any]:
    """The properties of EntityMetadata, without its collections."""
    return {
        "MetadataId": metadata_id(table.name),
        "LogicalName": table.name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.entity_set,
        "LogicalCollectionName": table.entity_set,
        "CollectionSchemaName": f"{table.schema_name}s",
        "PrimaryIdAttribute": table.primary_id,
        "PrimaryNameAttribute": table.primary_name,
        "ObjectTypeCode": table.object_type_code,
        "ChangeTrackingEnabled": table.change_tracking and table.can_track,
        "CanChangeTrackingBeEnabled": _managed(
            "canchangetrackingbeenabled", table.can_track and not table.change_tracking
        ),
        "IsActivity": table.activity,
        "IsCustomEntity": table.custom,
        "IsIntersect": False,
        "IsPrivate": False,
        "IsLogicalEntity": False,
        "IsManaged": not table.custom,
        "IsOptimisticConcurrencyEnabled": table.optimistic_concurrency,
        "OwnershipType": "UserOwned" if "ownerid" in table.columns else "OrganizationOwned",
        "TableType": "Standard",
        "DisplayName": _label(table.display_name),
        "DisplayCollectionName": _label(f"{table.display_name}s"),
        "Description": _label(f"{table.display_name} table"),
        "CanCreateAttributes": _managed("cancreateattributes", True),
        "HasChanged": None,
    }


def cast_name(column: Column) -> str:
    """The derived type of a column's metadata."""
    return f"Microsoft.Dynamics.CRM.{_CAST.get(column.type, column.type)}AttributeMetadata"


def attribute(table: Table, column: Column) -> dict[str, Any]:
    """The properties of a column, its derived type's included, without option sets."""
    virtual = column.type in {"MultiSelectPicklist", "Virtual"}
    number = list(table.columns).index(column.name) + 1
    return {
        "@odata.type": f"#{cast_name(column)}",
        "MetadataId": metadata_id(table.name, column.name),
        "LogicalName": column.name,
        "SchemaName": column.schema_name,
        "EntityLogicalName": table.name,
        "AttributeType": "Virtual" if virtual else column.type,
        "AttributeTypeName": {"Value": "ImageType" if column.type == "Virtual" else f"{column.type}Type"},
        "AttributeOf": None,
        "ColumnNumber": number,
        "DisplayName": _label(column.schema_name),
        "Description": _label(column.schema_name),
        "IsCustomAttribute": column.custom,
        "IsPrimaryId": column.primary_id,
        "IsPrimaryName": column.primary_name,
        "IsLogical": column.name.endswith("_composite"),
        "IsManaged": not column.custom,
        "IsSecured": False,
        "IsValidForCreate": column.creatable,
        "IsValidForRead": column.readable,
        "IsValidForUpdate": column.updatable,
        "IsValidODataAttribute": column.on_wire,
        "IsFilterable": True,
        "IsRetrievable": True,
        "CanBeSecuredForRead": False,
        "SourceType": 0,
        "RequiredLevel": {**_managed("canmodifyrequirementlevelsettings", column.required)},
        "HasChanged": None,
        **_facets(column),
    }


def _facets(column: Column) -> dict[str, Any]:
    """What the derived type adds."""
    if column.type in {"String", "Memo"}:
        return {"MaxLength": column.max_length, "Format": "Text" if column.type == "String" else "TextArea"}
    if column.type in {"Integer", "BigInt"}:
        return {"MinValue": column.minimum, "MaxValue": column.maximum, "Format": "None"}
    if column.type in {"Decimal", "Double", "Money"}:
        return {"MinValue": column.minimum, "MaxValue": column.maximum, "Precision": column.precision}
    if column.type == "DateTime":
        return {
            "Format": "DateOnly" if column.date_only else "DateAndTime",
            "DateTimeBehavior": {"Value": column.behavior},
            "CanChangeDateTimeBehavior": _managed("canchangedatetimebehavior", False),
        }
    if column.type == "Boolean":
        return {"DefaultValue": bool(column.default)}
    if column.type in OPTION_TYPES:
        return {"DefaultFormValue": -1 if column.default is None else column.default}
    if column.targets:
        return {"Targets": list(column.targets)}
    return {}


def option_set(table: Table | None, column: Column) -> dict[str, Any]:
    """A column's choices: Options for choices, states and statuses, TrueOption and FalseOption for two options."""
    name = column.option_set or column.name
    owner = "" if column.global_option_set or table is None else table.name
    shape: dict[str, Any] = {
        "MetadataId": metadata_id("options", owner, name),
        "Name": name if not owner else f"{owner}_{name}",
        "IsGlobal": not owner,
        "IsCustomOptionSet": column.custom,
        "OptionSetType": column.type if column.type in {"Boolean", "State", "Status"} else "Picklist",
        "DisplayName": _label(column.schema_name),
        "Description": _label(column.schema_name),
    }
    if column.type == "Boolean":
        shape["TrueOption"] = _option(_of_value(column.options, 1, "Yes"))
        shape["FalseOption"] = _option(_of_value(column.options, 0, "No"))
    else:
        shape["Options"] = [_option(option) for option in column.options]
    return shape


def _of_value(options: Iterable[Option], value: int, fallback: str) -> Option:
    return next((option for option in options if option.value == value), Option(value=value, label=fallback))


def _option(option: Option) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "Value": option.value,
        "Color": None,
        "IsManaged": True,
        "ExternalValue": "",
        "ParentValues": [],
        "MetadataId": None,
        "HasChanged": None,
        "Label": _label(option.label, option.translations),
        "Description": {"LocalizedLabels": [], "UserLocalizedLabel": None},
    }
    if option.state is not None:
        shape["State"] = option.state
    return shape


def key(table: Table, value: Key) -> dict[str, Any]:
    """An alternate key."""
    return {
        "MetadataId": metadata_id(table.name, "key", value.name),
        "LogicalName": value.name,
        "SchemaName": value.name,
        "EntityLogicalName": table.name,
        "KeyAttributes": list(value.columns),
        "EntityKeyIndexStatus": value.status,
        "IsManaged": False,
        "DisplayName": _label(value.name),
        "HasChanged": None,
    }


def relationship(value: Relationship) -> dict[str, Any]:
    """A one-to-many relationship, from whichever side it is looked at."""
    return {
        "@odata.type": "#Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata",
        "MetadataId": metadata_id("relationship", value.schema_name),
        "SchemaName": value.schema_name,
        "RelationshipType": "OneToManyRelationship",
        "ReferencingEntity": value.referencing,
        "ReferencingAttribute": value.column,
        "ReferencingEntityNavigationPropertyName": value.navigation,
        "ReferencedEntity": value.referenced,
        "ReferencedAttribute": value.referenced_key,
        "ReferencedEntityNavigationPropertyName": value.schema_name,
        "IsCustomRelationship": value.column.startswith("new_"),
        "IsValidForAdvancedFind": True,
        "HasChanged": None,
    }
