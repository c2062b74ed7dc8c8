"""Plain reads of the Dynamics sandbox: options, paging, types, annotations, metadata."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from tests.sandbox_dynamics_room import Wire, code, person_id

FORMATTED = "OData.Community.Display.V1.FormattedValue"


@pytest.fixture
def wire(wire: Wire) -> Wire:
    """A client of an environment with five contacts."""
    rows: list[dict[str, Any]] = [
        {"contactid": person_id(1), "lastname": "Ábel", "numberofchildren": 1, "creditlimit": 20000},
        {"contactid": person_id(2), "lastname": "O'Brien", "numberofchildren": 2, "donotemail": True},
        {"contactid": person_id(3), "lastname": "brown", "numberofchildren": None, "gendercode": 2},
        {"contactid": person_id(4), "lastname": "Brown", "birthdate": "1990-02-28", "new_interests": "8,9"},
        {
            "contactid": person_id(5),
            "lastname": None,
            "firstname": "100%_[a]",
            "modifiedon": "2020-05-01T10:00:00Z",
        },
    ]
    wire.sandbox.dynamics.load("contact", rows)
    return wire


def found(wire: Wire, condition: str, **aliases: str) -> list[int]:
    """The numbers of the contacts a `$filter` finds."""
    more = "".join(f"&@{name}={quote(value)}" for name, value in aliases.items())
    rows = wire.values(f"contacts?$select=contactid&$filter={quote(condition)}{more}")
    return [int(row["contactid"][-2:]) for row in rows]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("lastname eq 'BROWN'", [3, 4]),
        ("lastname eq 'ábel'", [1]),
        ("lastname ne 'brown'", [1, 2]),
        ("lastname eq 'O''Brien'", [2]),
        ("lastname eq null", [5]),
        ("lastname ne null and not (lastname eq 'brown')", [1, 2]),
        ("not (lastname eq 'brown')", [1, 2, 5]),
        ("numberofchildren gt 1 or gendercode eq 2", [2, 3]),
        ("1 lt numberofchildren", [2]),
        ("creditlimit ge 19999.5", [1]),
        ("donotemail eq true", [2]),
        ("donotemail", [2]),
        ("donotemail eq false and numberofchildren ge 1", [1]),
        ("birthdate eq 1990-02-28", [4]),
        ("modifiedon lt 2021-01-01T00:00:00Z", [5]),
        ("modifiedon ge 2020-05-01T12:00:00%2B02:00 and modifiedon le 2020-05-01T10:00:00.5Z", [5]),
        ("modifiedon ge 2020-05-01T10:00:00.5Z", [1, 2, 3, 4]),
        (f"contactid eq {person_id(3)}", [3]),
        (f"contactid eq '{person_id(3)}'", [3]),
        ("contains(lastname,'row')", [3, 4]),
        ("startswith(lastname,'o''')", [2]),
        ("endswith(lastname,'EL')", [1]),
        ("contains(lastname,'b_o')", [3, 4]),
        ("contains(lastname,'[xyz]bel') or contains(lastname,'[^xyz]bel')", [1]),
        ("contains(firstname,'100[%]_[[]a]')", [5]),
        ("not contains(lastname,'row')", [1, 2, 5]),
        ('Microsoft.Dynamics.CRM.In(PropertyName=\'lastname\',PropertyValues=["ábel","o\'brien"])', [1, 2]),
        ('Microsoft.Dynamics.CRM.In(PropertyName=\'numberofchildren\',PropertyValues=["2","3"])', [2]),
        ("Microsoft.Dynamics.CRM.NotIn(PropertyName='numberofchildren',PropertyValues=[\"2\"])", [1]),
        ('Microsoft.Dynamics.CRM.Between(PropertyName=\'numberofchildren\',PropertyValues=["1","2"])', [1, 2]),
        ("Microsoft.Dynamics.CRM.ContainValues(PropertyName='new_interests',PropertyValues=[\"9\"])", [4]),
        ("_ownerid_value ne null and statecode eq 0 and gendercode eq 2", [3]),
        ("_parentcustomerid_value eq null and ownerid/fullname eq 'alex example' and donotemail eq true", [2]),
    ],
)
def test_filters_mean_what_the_documentation_says(wire: Wire, condition: str, expected: list[int]) -> None:
    """Text without case, null dropped by comparisons, wildcards in text functions, moments in any offset."""
    assert found(wire, condition.replace("%2B", "+")) == expected


def test_parameter_aliases_stand_for_values(wire: Wire) -> None:
    """`@p` is replaced by the query option of that name."""
    assert found(wire, "lastname eq @p1 or numberofchildren eq @p2", p1="'brown'", p2="1") == [1, 3, 4]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("$select=Name", "0x0"),
        ("$select=parentcustomerid", "0x0"),
        ("$filter=nosuch eq 1", "0x0"),
        ("$orderby=nosuch", "0x0"),
        ("$filter=numberofchildren eq 'two'", "0x80060888"),
        ("$filter=lastname eq 'open", "0x80060888"),
        ("$filter=(lastname eq 'a'", "0x80060888"),
        ("$filter=lastname eq @missing", "0x80060888"),
        ("$filter=tolower(lastname) eq 'a'", "0x80060888"),
        ("$orderby=lastname sideways", "0x80060888"),
        ("$skip=10", "0x80060888"),
        ("$nonsense=1", "0x80060888"),
        ("$top=none", "0x80060888"),
        ("$skiptoken=%3Ccookie%20pagenumber=%222%22%20/%3E", "0x80040203"),
        ("$expand=nosuch", "0x0"),
    ],
)
def test_options_that_cannot_be_are_refused(wire: Wire, option: str, expected: str) -> None:
    """Unknown properties, bad syntax, types that do not compare, options that do not exist."""
    assert code(wire.get(f"contacts?{option}")) == (400, expected)


def test_without_a_selection_all_columns_come_and_null_is_shown(wire: Wire) -> None:
    """An empty column is null, not absent; decimals and money have their trailing zeros."""
    text = wire.get(f"contacts({person_id(1)})").text
    row = json.loads(text)
    assert row["firstname"] is None
    assert '"creditlimit":20000.0000' in text
    assert row["merged"] is False
    assert row["versionnumber"] > 0


def test_a_selection_brings_what_belongs_to_it(wire: Wire) -> None:
    """The key always comes, money brings its currency, part of an address the whole."""
    row = wire.json(f"contacts({person_id(1)})?$select=creditlimit,address1_city")
    expected = {"contactid", "creditlimit", "_transactioncurrencyid_value", "address1_city", "address1_composite"}
    assert {name for name in row if "@" not in name} == expected


def test_pages_follow_order_and_links_must_not_be_touched(wire: Wire) -> None:
    """Nulls sort first, equal values by key; a link that was decoded and encoded again is refused."""
    path = "contacts?$select=lastname&$orderby=lastname,createdon desc"
    pages = list(wire.pages(path, "odata.maxpagesize=2"))
    assert [len(page["value"]) for page in pages] == [2, 2, 1]
    order = [row["lastname"] for page in pages for row in page["value"]]
    assert order[0] is None
    assert [name.lower() for name in order[1:3]] == ["brown", "brown"]
    link = pages[0]["@odata.nextLink"]
    assert "%253c" in link
    assert code(wire.get(link.replace("%25", "%"))) == (400, "0x80040203")


def test_descending_pages_show_each_row_once(wire: Wire) -> None:
    """The position of a page survives descending order and nulls in it."""
    pages = wire.pages("contacts?$select=numberofchildren&$orderby=numberofchildren desc", "odata.maxpagesize=1")
    assert [page["value"][0]["numberofchildren"] for page in pages] == [2, 1, None, None, None]


def test_a_page_has_at_most_5000_rows_and_top_ignores_page_sizes(wire: Wire) -> None:
    """A larger page size is cut; `$top` next to a page size is ignored; the environment's cap is a setting."""
    wire.sandbox.dynamics.load("contact", ({"lastname": f"N{number}"} for number in range(5001)))
    page = wire.json("contacts?$select=lastname", "odata.maxpagesize=100000")
    assert len(page["value"]) == 5000
    assert len(wire.values("contacts?$select=lastname&$top=3")) == 3
    assert len(wire.values("contacts?$select=lastname&$top=3", "odata.maxpagesize=4")) == 4
    assert wire.get("contacts/$count").content == b"\xef\xbb\xbf5000"
    page = wire.json("contacts?$select=lastname&$count=true&$top=1", 'odata.include-annotations="*"')
    assert page["@odata.count"] == 5000
    assert page["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] is True
    counts = wire.json("RetrieveTotalRecordCount(EntityNames=['contact'])")["EntityRecordCountCollection"]
    assert counts["Values"] == [5006]
    wire.sandbox.dynamics.set(page_size=7)
    assert len(wire.values("contacts?$select=lastname")) == 7


def test_annotations_describe_values(wire: Wire) -> None:
    """Labels, names, dates and the table behind a lookup, each right before its property."""
    wire.sandbox.dynamics.update("contact", person_id(4), gendercode=1, creditlimit=1234.5)
    select = "gendercode,new_interests,birthdate,creditlimit,_ownerid_value,donotemail"
    text = wire.get(f"contacts({person_id(4)})?$select={select}", 'odata.include-annotations="*"').text
    row = json.loads(text)
    assert row[f"gendercode@{FORMATTED}"] == "Male"
    assert row[f"new_interests@{FORMATTED}"] == "Food; Technology"
    assert row[f"birthdate@{FORMATTED}"] == "2/28/1990"
    assert row[f"creditlimit@{FORMATTED}"] == "$1,234.50"
    assert row[f"donotemail@{FORMATTED}"] == "Allow"
    assert row[f"_ownerid_value@{FORMATTED}"] == "Alex Example"
    assert row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "systemuser"
    assert text.index(f'"gendercode@{FORMATTED}"') < text.index('"gendercode":')
    plain = wire.json(f"contacts({person_id(4)})?$select=gendercode", f'odata.include-annotations="{FORMATTED}"')
    assert not [name for name in plain if "lookuplogicalname" in name]


def test_related_rows_are_expanded(wire: Wire) -> None:
    """A lookup brings one row, the relationship's name the collection that points back."""
    path = f"/contacts({person_id(2)})"
    wire.create("new_vehicles", {"new_name": "Red", "new_vin": "R", "new_ContactId@odata.bind": path})
    (vehicle,) = wire.values("new_vehicles?$select=new_name&$expand=new_ContactId($select=lastname)")
    assert vehicle["new_ContactId"]["lastname"] == "O'Brien"
    row = wire.json(
        f"contacts({person_id(2)})?$select=lastname"
        "&$expand=contact_new_vehicle_new_ContactId($select=new_vin;$filter=new_name eq 'Red')"
    )
    assert [entry["new_vin"] for entry in row["contact_new_vehicle_new_ContactId"]] == ["R"]
    assert code(wire.get(f"new_vehicles({vehicle['new_vehicleid']})/nosuch")) == (400, "0x0")


def test_a_row_is_read_conditionally(wire: Wire) -> None:
    """With its etag the answer is 304 and empty, unless annotations were asked for."""
    path = f"contacts({person_id(1)})?$select=lastname"
    etag = wire.json(path)["@odata.etag"]
    assert etag.startswith('W/"')
    assert wire.send("GET", path, headers={"If-None-Match": etag}).status_code == 304
    annotated = {"If-None-Match": etag, "Prefer": 'odata.include-annotations="*"'}
    assert wire.send("GET", path, headers=annotated).status_code == 200


def test_what_does_not_exist_has_its_own_codes(wire: Wire) -> None:
    """A row, a set in the wrong case, an alternate key's value, a key the table does not have, a method."""
    wire.create("accounts", {"name": "A", "accountnumber": "A1"})
    assert wire.json("accounts(accountnumber='a1')?$select=name")["name"] == "A"
    assert code(wire.get(f"contacts({person_id(99)})")) == (404, "0x80040217")
    assert code(wire.get("Contacts")) == (404, "0x8006088a")
    assert code(wire.get("accounts(accountnumber='none')")) == (404, "0x80060891")
    wrong_key = wire.get("accounts(name='A')")
    assert wrong_key.status_code == 400
    assert wrong_key.json()["error"]["message"].startswith("The key in the request URI is not valid for resource")
    assert wire.send("POST", "WhoAmI", {}).status_code == 404


@pytest.mark.parametrize("value", ["a<b", "a*b", "a%25b", "a&b", "a:b", "a+b", "a?b", "a\\b", "a/b"])
def test_some_characters_never_work_in_alternate_keys(wire: Wire, value: str) -> None:
    """Encoding them does not help."""
    answer = wire.get(f"accounts(accountnumber='{quote(value, safe='')}')")
    assert answer.status_code == 400


@pytest.mark.parametrize("version", ["v9.0", "v9.1", "v9.2"])
def test_three_versions_of_the_api_answer(wire: Wire, version: str) -> None:
    """Each names itself in contexts and links."""
    root = wire.root.replace("v9.2", version)
    page = wire.json(f"{root}contacts?$select=lastname", "odata.maxpagesize=1")
    assert page["@odata.context"].startswith(f"{root}$metadata#contacts")
    assert page["@odata.nextLink"].startswith(root)
    assert wire.get(wire.root.replace("v9.2", "v8.2") + "contacts").status_code == 404


def test_query_languages_that_are_not_served_are_not_ignored(wire: Wire) -> None:
    """FetchXML and SQL would otherwise look like a query for everything."""
    for option in ("fetchXml=x", "sql=SELECT 1", "$apply=aggregate(x)"):
        assert wire.get(f"contacts?{option}").status_code == 501


def test_who_am_i_recommends_a_parallelism(wire: Wire) -> None:
    """The header is a number; every answer names itself for support."""
    answer = wire.get("WhoAmI")
    assert answer.headers["x-ms-dop-hint"].isdecimal()
    assert answer.headers["x-ms-service-request-id"]
    assert answer.json()["UserId"] == wire.sandbox.dynamics.credentials()["application_user_id"]


# -- metadata ----------------------------------------------------------------


def test_tables_are_found_by_their_properties(wire: Wire) -> None:
    """Filters on documented properties; functions are not for metadata; the id of a definition always comes."""
    tracked = wire.values("EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true")
    assert {"contact", "account", "new_vehicle", "task"} <= {entry["LogicalName"] for entry in tracked}
    assert all(entry["MetadataId"] for entry in tracked)
    activities = wire.values("EntityDefinitions?$select=LogicalName,EntitySetName&$filter=IsActivity eq true")
    assert {entry["LogicalName"] for entry in activities} == {
        "task",
        *(f"adobe_email{kind}" for kind in ("send", "open", "click", "bounce")),
    }
    never = wire.values(
        "EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq false"
        " and CanChangeTrackingBeEnabled/Value eq false"
    )
    assert "organization" in {entry["LogicalName"] for entry in never}
    refused = wire.get("EntityDefinitions?$filter=startswith(LogicalName,'adobe_')")
    assert code(refused) == (400, "0x80060888")


def test_a_table_is_described_with_its_columns_keys_and_relationships(wire: Wire) -> None:
    """One query for all; an activity's key is `activityid`; names to bind with come from the relationships."""
    entry = wire.json(
        "EntityDefinitions(LogicalName='adobe_emailsend')?$select=EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute"
        "&$expand=Attributes($select=LogicalName,AttributeType,AttributeTypeName,IsValidForCreate,RequiredLevel),"
        "Keys($select=KeyAttributes,EntityKeyIndexStatus),"
        "ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName)"
    )
    assert (entry["PrimaryIdAttribute"], entry["PrimaryNameAttribute"]) == ("activityid", "subject")
    names = {column["LogicalName"] for column in entry["Attributes"]}
    assert {"adobe_campaignname", "adobe_deliveryname", "adobe_mirrorpageurl", "adobe_senton"} <= names
    regarding = {
        relation["ReferencedEntity"]: relation["ReferencingEntityNavigationPropertyName"]
        for relation in entry["ManyToOneRelationships"]
        if relation["ReferencingAttribute"] == "regardingobjectid"
    }
    assert regarding["contact"] == "regardingobjectid_contact_adobe_emailsend"


def test_multiselects_look_virtual_and_booleans_are_filtered_by_an_enumeration(wire: Wire) -> None:
    """`AttributeType` hides multi-selects; the documented enumeration literal lists the booleans."""
    columns = wire.values(
        "EntityDefinitions(LogicalName='contact')/Attributes?$select=LogicalName,AttributeType,AttributeTypeName"
        "&$filter=LogicalName eq 'new_interests'"
    )
    assert columns[0]["AttributeType"] == "Virtual"
    assert columns[0]["AttributeTypeName"] == {"Value": "MultiSelectPicklistType"}
    booleans = wire.values(
        "EntityDefinitions(LogicalName='contact')/Attributes?$select=LogicalName"
        "&$filter=AttributeType eq Microsoft.Dynamics.CRM.AttributeTypeCode'Boolean'"
    )
    assert "donotemail" in {column["LogicalName"] for column in booleans}


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("Picklist", "gendercode"),
        ("MultiSelectPicklist", "new_interests"),
        ("State", "statecode"),
        ("Status", "statuscode"),
    ],
)
def test_choices_come_through_a_cast(wire: Wire, kind: str, column: str) -> None:
    """One call per type; without the cast there are no options, and derived properties cannot be selected."""
    base = "EntityDefinitions(LogicalName='contact')/Attributes"
    entries = wire.values(
        f"{base}/Microsoft.Dynamics.CRM.{kind}AttributeMetadata?$select=LogicalName"
        "&$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)"
    )
    options = next(entry for entry in entries if entry["LogicalName"] == column)["OptionSet"]["Options"]
    assert options[0]["Label"]["UserLocalizedLabel"]["Label"]
    assert code(wire.get(f"{base}?$select=LogicalName&$expand=OptionSet")) == (400, "0x0")
    assert code(wire.get(f"{base}?$select=MaxLength")) == (400, "0x0")
    assert wire.get(f"{base}/Microsoft.Dynamics.CRM.EnumAttributeMetadata").status_code == 400


def test_booleans_have_two_options_and_global_choices_a_definition(wire: Wire) -> None:
    """The labels of a two-options column, and a choice that several columns can share."""
    entries = wire.values(
        "EntityDefinitions(LogicalName='contact')/Attributes/Microsoft.Dynamics.CRM.BooleanAttributeMetadata"
        "?$select=LogicalName&$expand=OptionSet"
    )
    shape = next(entry for entry in entries if entry["LogicalName"] == "donotemail")["OptionSet"]
    assert shape["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"] == "Do Not Allow"
    shared = wire.json("GlobalOptionSetDefinitions(Name='new_loyaltytier')")
    assert [option["Value"] for option in shared["Options"]] == [100000000, 100000001, 100000002]
    assert wire.get("GlobalOptionSetDefinitions?$filter=Name eq 'a'").status_code == 400


def test_schema_changes_are_seen_cheaply(wire: Wire) -> None:
    """The metadata version in annotations moves, and an up-to-date stamp brings no tables."""
    query = {
        "Properties": {"PropertyNames": ["LogicalName", "Attributes"]},
        "Criteria": {
            "Conditions": [
                {"PropertyName": "LogicalName", "ConditionOperator": "Equals", "Value": {"Value": "contact"}}
            ]
        },
        "AttributeQuery": {"Properties": {"PropertyNames": ["LogicalName", "MaxLength", "OptionSet"]}},
    }
    path = f"RetrieveMetadataChanges(Query=@p1,ClientVersionStamp=@p2)?@p1={quote(json.dumps(query))}"
    first = wire.json(path)
    assert [entry["LogicalName"] for entry in first["EntityMetadata"]] == ["contact"]
    assert wire.json(f"{path}&@p2='{quote(first['ServerVersionStamp'])}'")["EntityMetadata"] == []
    name = "@Microsoft.Dynamics.CRM.globalmetadataversion"
    annotated = 'odata.include-annotations="*"'
    before = wire.json("contacts?$select=lastname&$top=1", annotated)[name]
    wire.sandbox.dynamics.add_column("contact", "new_extra", "String", max_length=10)
    assert wire.json("contacts?$select=new_extra&$top=1", annotated)[name] != before
    assert wire.json(f"{path}&@p2='{quote(first['ServerVersionStamp'])}'")["EntityMetadata"]


def test_support_for_bulk_messages_can_be_tested(wire: Wire) -> None:
    """The documented query on message filters finds contact and not organization."""
    query = (
        "sdkmessagefilters?$select=sdkmessagefilterid&$filter=sdkmessageid/name eq @m and primaryobjecttypecode eq @t"
        "&@m='CreateMultiple'&@t='{}'"
    )
    assert len(wire.values(query.format("contact"))) == 1
    assert wire.values(query.format("organization")) == []
