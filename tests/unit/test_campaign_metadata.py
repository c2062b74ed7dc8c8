"""Reading a resource's metadata."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.campaign.metadata import PROFILE_LENGTHS, data_policy, filters_href, read_schema
from syncline.errors import ProtocolError
from syncline.schemas import FieldSchema, FieldType


def field(resource: str = "cusThing", **entry: Any) -> FieldSchema:
    schema = read_schema(resource, f"customResources/{resource}", {"content": {"one": entry}})
    return schema.fields["one"]


@pytest.mark.parametrize(
    ("kind", "technical", "expected"),
    [
        ("string", "string", FieldType.STRING),
        ("string", "memo", FieldType.STRING),
        ("number", "long", FieldType.INTEGER),
        ("number", "double", FieldType.DOUBLE),
        ("number", "", FieldType.DOUBLE),
        ("boolean", "boolean", FieldType.BOOLEAN),
        ("date", "date", FieldType.DATE),
        ("datetime", "datetime", FieldType.DATETIME),
        ("enumeration", "byte", FieldType.PICKLIST),
        ("link", "link", FieldType.LOOKUP),
        ("collection", "link", FieldType.OTHER),
        ("", "int64", FieldType.INTEGER),
        ("strange", "stranger", FieldType.OTHER),
    ],
)
def test_types(kind: str, technical: str, expected: FieldType) -> None:
    """The high-level type decides for links and enumerations, the technical one for the rest."""
    assert field(type=kind, resType=technical).type is expected


def test_collections_are_neither_read_nor_written() -> None:
    """The items of a collection have addresses of their own."""
    found = field(type="collection", resType="link", resTarget="cusOther")
    assert (found.readable, found.writable, found.targets) == (False, False, ("cusOther",))


def test_read_only_fields_and_resources() -> None:
    """What cannot be written says so, also when the whole resource is read-only."""
    assert not field(type="string", readOnly=True).writable
    schema = read_schema("r", "customResources/r", {"readOnly": True, "content": {"a": {"type": "string"}}})
    assert not schema.fields["a"].writable


@pytest.mark.parametrize(
    "values",
    [
        {"male": {"name": "male", "value": "1", "label": "Male"}},
        {"values": {"male": {"label": "Male"}}},
        [{"name": "male", "label": "Male"}],
        {"male": "Male"},
    ],
)
def test_enumerations_are_read_in_every_shape(values: object) -> None:
    """Options are the names a write takes, with their labels; no published answer shows the shape in full."""
    assert field(type="enumeration", values=values).options == {"male": "Male"}


def test_the_data_policy_survives_in_the_schema() -> None:
    """A schema that was stored and read again still knows the policy."""
    assert data_policy(field(type="string", dataPolicy="smartCase")) == "smartcase"
    assert data_policy(field(type="string", dataPolicy="")) == ""
    assert data_policy(field(type="string", dataPolicy="none")) == ""


def test_published_lengths_fill_in_for_the_profile() -> None:
    """Metadata that names no length gets the published one; metadata that names one wins."""
    content = {"firstName": {"type": "string"}, "lastName": {"type": "string", "length": "60"}}
    fields = read_schema("profile", "profileAndServicesExt/profile", {"content": content}).fields
    assert fields["firstName"].max_length == PROFILE_LENGTHS["firstName"] == 30
    assert fields["lastName"].max_length == 60
    assert field(type="string").max_length is None


@pytest.mark.parametrize("nested", [None, {"city": {"type": "string"}, "zipCode": {"type": "string"}}])
def test_groups_become_dotted_names(nested: object) -> None:
    """`location` is usable whether or not the metadata lists what is in it."""
    entry = {"type": "item"} if nested is None else {"type": "item", "content": nested}
    fields = read_schema("profile", "p/profile", {"content": {"location": entry}}).fields
    assert {"location.city", "location.zipCode"} <= set(fields)
    assert "location" not in fields
    assert fields["location.city"].type is FieldType.STRING


def test_what_campaign_computes_is_not_writable() -> None:
    """Age, domain and the like are read-only even where the metadata does not say so."""
    content = {"age": {"type": "number"}, "lastModified": {"type": "datetime"}, "email": {"type": "string"}}
    fields = read_schema("profile", "p/profile", {"content": content}).fields
    assert [name for name, found in fields.items() if found.writable] == ["email"]


@pytest.mark.parametrize("metadata", [{}, {"content": {}}, {"content": []}, {"content": "x"}])
def test_metadata_without_fields_is_refused(metadata: dict[str, Any]) -> None:
    """A resource without fields would make every mapping look wrong."""
    with pytest.raises(ProtocolError):
        read_schema("profile", "p/profile", metadata)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
entries = st.dictionaries(
    st.sampled_from(
        ["apiName", "type", "resType", "dataPolicy", "values", "length", "readOnly", "resTarget", "content"]
    ),
    json_values,
)


@given(st.dictionaries(st.text(max_size=6), entries, min_size=1, max_size=4), st.sampled_from(["profile", "cusThing"]))
def test_strange_metadata_never_crashes(content: dict[str, Any], resource: str) -> None:
    """Every property may be missing or of another type; the schema then says less."""
    schema = read_schema(resource, f"p/{resource}", {"content": content, "filters": content})
    assert all(isinstance(found.type, FieldType) for found in schema.fields.values())
    assert isinstance(filters_href({"filters": content}), str)
