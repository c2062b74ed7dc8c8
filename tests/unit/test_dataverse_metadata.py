"""Schemas from Dataverse's metadata, also where it is sparse or odd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncline.connectors.dynamics.metadata import alternate_keys, lookups, read_head, read_schema, read_tables
from syncline.errors import ProtocolError
from syncline.schemas import FieldType


def label(**languages: str) -> dict[str, Any]:
    labels = [{"Label": text, "LanguageCode": int(code[1:])} for code, text in languages.items()]
    return {"LocalizedLabels": labels, "UserLocalizedLabel": labels[0] if labels else None}


def attribute(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "LogicalName": name,
        "AttributeType": kind,
        "AttributeTypeName": {"Value": f"{kind}Type"},
        "IsValidForRead": True,
        "IsValidForCreate": True,
        "IsValidForUpdate": True,
        "IsValidODataAttribute": True,
        "RequiredLevel": {"Value": "None"},
        **more,
    }


def answers(attributes: list[dict[str, Any]], casts: dict[str, list[dict[str, Any]]]) -> Callable[[str], Any]:
    entity = {
        "LogicalName": "new_thing",
        "EntitySetName": "new_thingset",
        "PrimaryIdAttribute": "activityid",
        "ChangeTrackingEnabled": True,
        "DisplayName": label(l1033="Thing", l1031="Ding"),
        "Attributes": attributes,
    }

    def fetch(address: str) -> Any:
        if "/Attributes/" not in address:
            return entity
        kind = address.partition("CRM.")[2].partition("AttributeMetadata")[0]
        return {"value": casts.get(kind, [])}

    return fetch


def option(value: int, text: dict[str, Any] | None) -> dict[str, Any]:
    return {"Value": value, "Label": text}


def test_names_come_from_metadata_and_are_never_guessed() -> None:
    """Set and key are what Dataverse calls them, which is not the table's name with an ending."""
    schema = read_schema(answers([attribute("subject", "String")], {}), "new_thing", 1031)
    assert schema is not None
    assert (schema.path, schema.primary_key, schema.label) == ("new_thingset", "activityid", "Ding")
    assert schema.change_tracking is True


def test_types_lengths_and_readability() -> None:
    """Each kind of column becomes the type its values have on the wire."""
    kinds = {
        "String": FieldType.STRING, "Memo": FieldType.STRING, "Boolean": FieldType.BOOLEAN,
        "Integer": FieldType.INTEGER, "BigInt": FieldType.INTEGER, "Decimal": FieldType.DECIMAL,
        "Double": FieldType.DOUBLE, "Money": FieldType.MONEY,
        "DateTime": FieldType.DATETIME, "Picklist": FieldType.PICKLIST, "State": FieldType.PICKLIST,
        "Status": FieldType.PICKLIST, "MultiSelectPicklist": FieldType.MULTI_PICKLIST, "Lookup": FieldType.LOOKUP,
        "Customer": FieldType.LOOKUP, "Owner": FieldType.LOOKUP, "Uniqueidentifier": FieldType.GUID,
        "Image": FieldType.OTHER, "SomethingNew": FieldType.OTHER,
    }  # fmt: skip
    columns = [attribute(f"c_{kind.lower()}", kind) for kind in kinds]
    columns += [attribute("c_virtual", "Virtual"), attribute("c_parties", "PartyList")]
    columns += [attribute("c_hidden", "String", IsValidODataAttribute=False)]
    columns += [attribute("c_fixed", "String", IsValidForCreate=False, IsValidForUpdate=False, IsValidForRead=False)]
    columns += [attribute("c_must", "String", RequiredLevel={"Value": "SystemRequired"})]
    lengths = {
        "String": [{"LogicalName": "c_string", "MaxLength": 50}],
        "Memo": [{"LogicalName": "c_memo", "MaxLength": 2000}],
    }
    schema = read_schema(answers(columns, lengths), "new_thing", 1033)
    assert schema is not None
    assert {f"c_{kind.lower()}": type_ for kind, type_ in kinds.items()}.items() <= {
        name: found.type for name, found in schema.fields.items()
    }.items()
    assert not {"c_virtual", "c_parties", "c_hidden"} & schema.fields.keys()
    assert schema.fields["c_string"].max_length == 50
    assert schema.fields["c_memo"].max_length == 2000
    assert schema.fields["c_lookup"].name == "_c_lookup_value"
    assert not schema.fields["c_fixed"].readable
    assert not schema.fields["c_fixed"].writable
    assert schema.fields["c_must"].required
    assert schema.fields["c_owner"].native_type == "OwnerType"


def test_labels_in_the_language_asked_for() -> None:
    """Options are labelled in the language of the setting, else in the user's, else in any, else not at all."""
    german, only_english = label(l1033="Green", l1031="Gruen"), label(l1033="Blue")
    foreign = {"LocalizedLabels": [{"Label": "Rouge", "LanguageCode": 1036}], "UserLocalizedLabel": None}
    options = [option(1, german), option(2, only_english), option(3, foreign), option(4, None), option(-1, label())]
    casts: dict[str, list[dict[str, Any]]] = {
        "Picklist": [
            {"LogicalName": "c", "OptionSet": None, "GlobalOptionSet": {"Options": options}},
            {"LogicalName": "unknown", "OptionSet": {"Options": options}},
        ],
        "MultiSelectPicklist": [{"LogicalName": "m", "OptionSet": {"Options": options[:1]}, "GlobalOptionSet": None}],
        "Boolean": [
            {"LogicalName": "b", "OptionSet": {"TrueOption": option(1, german), "FalseOption": option(0, only_english)}}
        ],
    }
    columns = [attribute("c", "Picklist"), attribute("b", "Boolean")]
    columns += [attribute("m", "Virtual", AttributeTypeName={"Value": "MultiSelectPicklistType"})]
    schema = read_schema(answers(columns, casts), "new_thing", 1031)
    assert schema is not None
    assert schema.fields["c"].options == {"1": "Gruen", "2": "Blue", "3": "Rouge", "4": "", "-1": ""}
    assert schema.fields["m"].options == {"1": "Gruen"}
    assert schema.fields["b"].options == {"false": "Blue", "true": "Gruen"}


def test_the_behaviour_of_a_date_tells_what_goes_over_the_wire() -> None:
    """A column shown without a time may still carry one; only DateOnly behaviour is a date."""
    behaviours = {"a": "UserLocal", "b": "DateOnly", "c": "TimeZoneIndependent"}
    casts = {
        "DateTime": [
            {"LogicalName": name, "Format": "DateOnly", "DateTimeBehavior": {"Value": value}}
            for name, value in behaviours.items()
        ]
    }
    schema = read_schema(answers([attribute(name, "DateTime") for name in behaviours], casts), "new_thing", 1033)
    assert schema is not None
    assert [schema.fields[name].type for name in "abc"] == [FieldType.DATETIME, FieldType.DATE, FieldType.DATETIME]
    assert [schema.fields[name].time_zone_independent for name in "abc"] == [False, False, True]


def test_only_the_kinds_a_table_has_are_asked_for() -> None:
    """A table of texts costs two requests, not ten."""
    asked: list[str] = []
    fetch = answers([attribute("subject", "String")], {})

    def counting(address: str) -> Any:
        asked.append(address)
        return fetch(address)

    read_schema(counting, "new_thing", 1033)
    assert len(asked) == 2


def test_a_table_that_is_not_there() -> None:
    """No answer is no table, and no error."""
    assert read_schema(lambda _: None, "nothing", 1033) is None
    assert alternate_keys(lambda _: None, "nothing") == {}
    assert lookups(lambda _: None, "nothing") == ()


@pytest.mark.parametrize(
    "content", [[], "x", 7, {"EntitySetName": 7}, {"LogicalName": "a", "EntitySetName": "", "Attributes": []}]
)
def test_metadata_that_is_none_is_refused(content: object) -> None:
    """Half an answer must not become a schema that everything else trusts."""
    with pytest.raises(ProtocolError):
        read_schema(lambda _: content, "contact", 1033)
    with pytest.raises(ProtocolError):
        read_head(content, "contact")


@pytest.mark.parametrize(
    "bad", ["contacts?x=1", "../contacts", "con tacts", "contacts\r\nX: y", "\x1b[31mcontacts", "côntacts"]
)
def test_a_name_that_would_change_an_address_is_refused(bad: str) -> None:
    """S-11: names out of an answer stand in addresses and messages; what is none is no answer of Dataverse."""
    good = {"EntitySetName": "contacts", "PrimaryIdAttribute": "contactid"}
    for name in good:
        with pytest.raises(ProtocolError, match=f"a {name} that is no name") as caught:
            read_head({**good, name: bad}, "contact")
        assert str(caught.value).isprintable()


def test_tables_that_can_be_tracked_are_offered() -> None:
    """Listed are tables whose changes are or could be tracked, with a label; many-to-many tables are not."""
    entities = [
        {"LogicalName": "b", "ChangeTrackingEnabled": False, "CanChangeTrackingBeEnabled": {"Value": True}},
        {"LogicalName": "a", "ChangeTrackingEnabled": True, "DisplayName": label(l1033="A table")},
        {"LogicalName": "c", "ChangeTrackingEnabled": False, "CanChangeTrackingBeEnabled": {"Value": False}},
        {"LogicalName": "d", "ChangeTrackingEnabled": True, "IsIntersect": True},
    ]
    assert read_tables(lambda _: {"value": entities}) == {"a": "A table", "b": "b"}


def test_keys_in_use_and_lookups() -> None:
    """A key whose index is still being built cannot be used; a lookup is written by another name per target."""
    keys = [
        {"SchemaName": "good", "KeyAttributes": ["x", "y"], "EntityKeyIndexStatus": "Active"},
        {"SchemaName": "bad", "KeyAttributes": ["z"], "EntityKeyIndexStatus": "Failed"},
    ]
    assert alternate_keys(lambda _: {"value": keys}, "t") == {"good": ("x", "y")}
    relations = [
        {
            "ReferencingAttribute": "regardingobjectid",
            "ReferencedEntity": target,
            "ReferencingEntityNavigationPropertyName": f"regardingobjectid_{target}_t",
        }
        for target in ("account", "contact")
    ]
    found = lookups(lambda _: {"value": relations}, "t")
    assert [(one.target, one.navigation) for one in found] == [
        ("account", "regardingobjectid_account_t"),
        ("contact", "regardingobjectid_contact_t"),
    ]
