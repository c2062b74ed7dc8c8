"""When two values say the same in Campaign's spelling, and how fields become a body and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.campaign.values import flatten, nest, same_value
from syncline.errors import RecordRefusedError
from syncline.records import Value
from syncline.schemas import FieldSchema, FieldType, TableSchema

# Hypothesis wants naive bounds for naive moments.
EARLY, LATE = datetime(1900, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001
MOMENT = "2019-09-25 23:20:35.000Z"


def of_type(kind: FieldType, name: str = "field", native_type: str = "") -> FieldSchema:
    return FieldSchema(name=name, type=kind, native_type=native_type)


PROFILE = TableSchema(
    name="profile",
    path="profileAndServicesExt/profile",
    fields={"orgUnit": of_type(FieldType.LOOKUP, "orgUnit"), "firstName": of_type(FieldType.STRING, "firstName")},
)


@pytest.mark.parametrize(
    ("kind", "stored", "wanted", "same"),
    [
        (FieldType.STRING, "", None, True),
        (FieldType.STRING, None, "", True),
        (FieldType.STRING, "a", None, False),
        (FieldType.STRING, "a", "A", False),
        (FieldType.STRING, "1", 1, True),
        (FieldType.STRING, "1.0", "1", False),
        (FieldType.INTEGER, None, 0, True),
        (FieldType.INTEGER, 0, None, True),
        (FieldType.INTEGER, "", 0, True),
        (FieldType.INTEGER, 7, "7", True),
        (FieldType.INTEGER, 7, 8, False),
        (FieldType.INTEGER, 9007199254740993, 9007199254740992, False),
        (FieldType.INTEGER, "seven", 7, False),
        (FieldType.DOUBLE, Decimal("1.50"), Decimal("1.5"), True),
        (FieldType.DOUBLE, 2, Decimal("2.000"), True),
        (FieldType.DOUBLE, Decimal("0.1"), Decimal("0.1000000000000000055511"), True),
        (FieldType.DOUBLE, Decimal("0.1"), Decimal("0.2"), False),
        (FieldType.MONEY, None, Decimal("0.00"), True),
        (FieldType.BOOLEAN, None, False, True),
        (FieldType.BOOLEAN, "", False, True),
        (FieldType.BOOLEAN, 0, False, True),
        (FieldType.BOOLEAN, "true", True, True),
        (FieldType.BOOLEAN, 1, True, True),
        (FieldType.BOOLEAN, None, True, False),
        (FieldType.BOOLEAN, True, None, False),
        (FieldType.BOOLEAN, "perhaps", True, False),
        (FieldType.DATETIME, MOMENT, "2019-09-25T23:20:35Z", True),
        (FieldType.DATETIME, MOMENT, "2019-09-26T01:20:35+02:00", True),
        (FieldType.DATETIME, MOMENT, "2019-09-25T23:20:35.0007Z", True),
        (FieldType.DATETIME, MOMENT, "2019-09-25 23:20:35", True),
        (FieldType.DATETIME, MOMENT, "2019-09-25T23:20:36Z", False),
        (FieldType.DATETIME, "", None, True),
        (FieldType.DATETIME, "", MOMENT, False),
        (FieldType.DATETIME, MOMENT, "", False),
        (FieldType.DATETIME, MOMENT, "no moment", False),
        (FieldType.DATE, "1980-10-24", "1980-10-24", True),
        (FieldType.DATE, "1980-10-24", "1980-10-24T00:00:00Z", True),
        (FieldType.DATE, "1980-10-24", "1980-10-25", False),
        (FieldType.PICKLIST, "female", "female", True),
        (FieldType.PICKLIST, "female", "Female", False),
        (FieldType.PICKLIST, "", None, True),
        (FieldType.LOOKUP, None, None, True),
        (FieldType.LOOKUP, None, "", True),
        (FieldType.LOOKUP, {"PKey": "@a", "href": "h", "title": "t"}, {"PKey": "@a"}, True),
        (FieldType.LOOKUP, {"PKey": "@a", "href": "h", "name": "europe"}, "europe", True),
        (FieldType.LOOKUP, {"PKey": "@a", "href": "h", "name": "europe"}, {"PKey": "@b"}, False),
        (FieldType.LOOKUP, {"PKey": "@a"}, None, False),
    ],
)
def test_same(kind: FieldType, stored: Value, wanted: Value, same: bool) -> None:
    """Two spellings of one value are the same; two values are not."""
    assert same_value(of_type(kind), stored, wanted) is same


@pytest.mark.parametrize("policy", ["email", "lowerCase", "smartCase"])
def test_policies_that_change_letters(policy: str) -> None:
    """What a data policy may have rewritten is compared without regard to case, and nothing more."""
    schema = of_type(FieldType.STRING, native_type=f"string ({policy})")
    assert same_value(schema, "Anna-Lena", "anna-lena")
    assert not same_value(schema, "Anna Lena", "anna-lena")


def test_other_policies_are_exact() -> None:
    """A policy that is not known to change letter case does not blur a comparison."""
    assert not same_value(of_type(FieldType.STRING, native_type="string (identifier)"), "A", "a")


@pytest.mark.parametrize(("name", "unset"), [("gender", "unknown"), ("preferredLanguage", "none")])
def test_enumerations_of_the_profile_that_were_never_set(name: str, unset: str) -> None:
    """An enumeration's default is no value, for the fields whose default is known, and for no other."""
    assert same_value(of_type(FieldType.PICKLIST, name), unset, None)
    assert not same_value(of_type(FieldType.PICKLIST, "cusChoice"), unset, None)


@given(st.datetimes(EARLY, LATE), st.integers(-840, 840))
def test_a_moment_is_the_same_in_every_zone(naive: datetime, minutes: int) -> None:
    """An instant is recognised in Campaign's spelling whatever zone it was wanted in."""
    moment = naive.replace(tzinfo=UTC)
    stored = f"{moment.isoformat(' ', 'milliseconds')[:23]}Z"
    wanted = moment.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    assert same_value(of_type(FieldType.DATETIME), stored, wanted)


scalars = st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False)
values = scalars | st.dictionaries(st.text(), scalars, max_size=3) | st.lists(scalars, max_size=3)


@given(st.sampled_from(list(FieldType)) | st.none(), values, values)
def test_comparing_never_fails(kind: FieldType | None, stored: Value, wanted: Value) -> None:
    """Any two values of any type compare to an answer, and everything is the same as itself."""
    schema = None if kind is None else of_type(kind)
    assert same_value(schema, stored, wanted) in (True, False)
    assert same_value(schema, wanted, wanted)


def test_groups_become_dotted_names_and_links_stay() -> None:
    """A record's groups are dotted; links and collections stay whole; its own address and token are left out."""
    record = {
        "PKey": "@x",
        "href": "https://mc.adobe.io/contoso/campaign/profileAndServicesExt/profile/@x",
        "firstName": "A",
        "location": {"city": "Oslo", "zipCode": ""},
        "orgUnit": {"PKey": "@o", "href": "h", "title": "All"},
        "cusVehicles": {"href": "h"},
    }
    assert flatten(record) == {
        "firstName": "A",
        "location.city": "Oslo",
        "location.zipCode": "",
        "orgUnit": {"PKey": "@o", "href": "h", "title": "All"},
        "cusVehicles": {"href": "h"},
    }


def test_bodies_nest_groups_and_links() -> None:
    """Dotted names become one nested object, a link a PKey and nothing else."""
    body = nest(PROFILE, {"location.city": "Oslo", "location.zipCode": "0150", "orgUnit": {"PKey": "@o", "title": "x"}})
    assert body == {"location": {"city": "Oslo", "zipCode": "0150"}, "orgUnit": {"PKey": "@o"}}
    assert nest(PROFILE, {"orgUnit": "europe"}) == {"orgUnit": {"PKey": "europe"}}
    assert nest(PROFILE, {"orgUnit": None, "firstName": None}) == {"orgUnit": None, "firstName": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [("orgUnit", {"title": "x"}), ("orgUnit", {}), ("orgUnit", {"PKey": ""}), ("cusOther", {"a": 1}), ("cusMany", [])],
)
def test_a_link_without_a_key_is_refused_before_sending(name: str, value: Value) -> None:
    """Campaign would drop such a link silently and create the record without it."""
    with pytest.raises(RecordRefusedError) as refused:
        nest(PROFILE, {name: value})
    assert refused.value.field == name


names = st.from_regex(r"[a-z][A-Za-z0-9]{0,8}", fullmatch=True)


@given(st.dictionaries(st.tuples(names, names) | st.tuples(names), st.text(), max_size=8))
def test_nesting_and_flattening_are_inverse(fields: dict[tuple[str, ...], str]) -> None:
    """What was written is read back under the same names."""
    groups = {parts[0] for parts in fields if len(parts) == 2}
    chosen: dict[str, Value] = {
        ".".join(parts): text
        for parts, text in fields.items()
        if (len(parts) == 2 or parts[0] not in groups) and not {"PKey", "href"} & set(parts)
    }
    assert flatten(nest(TableSchema(name="r", path="customResources/r", fields={}), chosen)) == chosen
