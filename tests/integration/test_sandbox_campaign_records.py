"""Campaign records in the sandbox: what writing, reading and deleting do, and how the engine says no."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.sandbox_room import PROFILES, Stranger, fresh

from syncline.sandbox import Sandbox

VEHICLES = "profileAndServicesExt/cusVehicle"
VISITS = "customResources/cusServiceVisit"
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Campaign as on its first day; of Dynamics nothing is asked here."""
    fresh(servers.campaign)
    return servers


# -- shapes -------------------------------------------------------------------------------------------------------


def test_a_created_record_comes_back_whole(stranger: Stranger) -> None:
    """POST answers 201 with every field: defaults, empty dates as "", nested location, computed fields."""
    created = stranger.create(firstName="Zoé", lastName="Lefèvre", email="zoe@example.com", location={"city": "Paris"})
    assert created["PKey"].startswith("@")
    assert created["href"].endswith(f"/{PROFILES}/{created['PKey']}")
    assert created["title"] == "Zoé Lefèvre (zoe@example.com)"
    assert created["domain"] == "example.com"
    assert created["birthDate"] == created["blackListEmailLastModified"] == created["cusLastVisit"] == ""
    assert (created["gender"], created["preferredLanguage"], created["age"]) == ("unknown", "none", 0)
    assert created["location"] == dict.fromkeys(
        ("address1", "address2", "address3", "address4", "city", "countryCode", "stateCode", "zipCode"), ""
    ) | {"city": "Paris"}
    assert created["postalAddress"]["addrQuality"] == "0"
    assert created["orgUnit"] is None
    assert created["subscriptions"]["href"].startswith("http")
    assert MOMENT.fullmatch(created["created"])


def test_patch_answers_key_and_address_only(stranger: Stranger) -> None:
    """PATCH answers 200 with PKey and href, and changes what it names."""
    created = stranger.create(firstName="Ann", lastName="Doe", location={"city": "Bonn", "zipCode": "53111"})
    changed = stranger.change(created["href"], lastName="Roe", location={"city": "Köln"})
    assert changed == {"PKey": created["PKey"], "href": created["href"]}
    now = stranger.get(created["href"])
    assert (now["firstName"], now["lastName"]) == ("Ann", "Roe")
    assert (now["location"]["city"], now["location"]["zipCode"]) == ("Köln", "53111")
    assert now["lastModified"] >= created["lastModified"]


def test_one_record_bare_or_wrapped(sandbox: Sandbox, stranger: Stranger) -> None:
    """A GET of one record answers it bare or inside `content`, since Adobe's documentation shows both."""
    created = stranger.create(lastName="Doe")
    assert stranger.get(created["href"]) == created
    sandbox.campaign.set(single_get="wrapped")
    assert stranger.get(created["href"]) == {"content": [created]}


@pytest.mark.parametrize("status", [200, 204])
def test_delete(sandbox: Sandbox, stranger: Stranger, status: int) -> None:
    """DELETE answers 200 or 204 without a body; the record is gone then, by its key and by its PKey."""
    sandbox.campaign.set(delete_status=status)
    created = stranger.create(externalId="one")
    answer = stranger.send("DELETE", f"{PROFILES}/one")
    assert (answer.status_code, answer.content) == (status, b"")
    assert "Unable to find document with path 'Profile'" in stranger.refused("GET", f"{PROFILES}/one", 404)
    assert "RST-360011" in stranger.refused("GET", created["href"], 404)
    assert sandbox.campaign.count("profile") == 0


def test_null_and_empty_are_one(stranger: Stranger) -> None:
    """A null string is "", a null number 0, a null boolean false, a null date "", a null enumeration its default."""
    created = stranger.create(
        firstName="Ann", cusChildren=2, cusVip=True, birthDate="1980-10-24", gender="female", cusScore=1.5
    )
    empty = dict.fromkeys(("firstName", "cusChildren", "cusVip", "birthDate", "gender", "cusScore"))
    stranger.change(created["href"], **empty)
    now = stranger.get(created["href"])
    assert {name: now[name] for name in empty} == {
        "firstName": "",
        "cusChildren": 0,
        "cusVip": False,
        "birthDate": "",
        "gender": "unknown",
        "cusScore": 0,
    }


@pytest.mark.parametrize(
    ("field", "sent", "shown"),
    [
        ("cusLastVisit", "2019-09-25T23:20:35Z", "2019-09-25 23:20:35.000Z"),
        ("cusLastVisit", "2019-09-25 23:20:35", "2019-09-25 23:20:35.000Z"),
        ("cusLastVisit", "2019-09-25T23:20:35.1239+02:00", "2019-09-25 21:20:35.123Z"),
        ("birthDate", "1753-01-01", "1753-01-01"),
        ("birthDate", "1980-10-24T00:00:00Z", "1980-10-24"),
        ("cusChildren", "3", 3),
        ("cusScore", 2, 2),
        ("cusScore", 0.1, 0.1),
        ("cusVip", "true", True),
        ("cusVip", 1, True),
        ("cusLoyalty", 12, "12"),
        ("gender", "female", "female"),
        ("lastName", "O'Brien \"\\ 𠮷 é é 👩‍👩‍👧", "O'Brien \"\\ 𠮷 é é 👩‍👩‍👧"),
        ("lastName", "  spaces  ", "  spaces  "),
    ],
)
def test_values_as_they_are_shown(stranger: Stranger, field: str, sent: Any, shown: Any) -> None:
    """Dates and times are shown with a space, milliseconds and Z; text is kept to the letter."""
    created = stranger.create(**{field: sent})
    assert created[field] == shown
    assert stranger.get(created["href"])[field] == shown


@pytest.mark.parametrize(
    ("field", "sent", "text"),
    [
        ("gender", "invalid", "The value 'invalid' is not valid for the 'nms:recipient:gender' enumeration"),
        ("gender", 2, "enumeration of the '@gender' field"),
        ("age", 30, "Cannot update the 'age' property that is read-only"),
        ("nonsense", 1, "'nonsense' property is not valid for the 'profile' resource."),
        ("location", {"planet": "Mars"}, "'planet' property is not valid"),
        ("firstName", "x" * 31, "XTK-170049"),
        ("firstName", {"a": 1}, "XTK-170049"),
        ("email", "not an address", "XTK-170049"),
        ("cusChildren", 1.5, "XTK-170049"),
        ("cusChildren", 2**31, "XTK-170049"),
        ("cusChildren", "many", "XTK-170049"),
        ("cusScore", "NaN", "XTK-170049"),
        ("cusVip", "perhaps", "XTK-170049"),
        ("birthDate", "24.10.1980", "XTK-170049"),
        ("cusLastVisit", "0001-01-01T00:00:00+14:00", "XTK-170049"),
        ("lastName", "nul\0", "PGS-220000"),
        ("lastName", "\ud800", "PGS-220000"),
        ("subscriptions", [], "XTK-170049"),
    ],
)
def test_values_the_engine_refuses(sandbox: Sandbox, stranger: Stranger, field: str, sent: Any, text: str) -> None:
    """Business errors are HTTP 500 with a bare JSON string; nothing is created or changed."""
    assert text in stranger.refused("POST", PROFILES, json={field: sent})
    assert sandbox.campaign.count("profile") == 0
    created = stranger.create(lastName="Doe")
    assert text in stranger.refused("PATCH", created["href"], json={"firstName": "New", field: sent})
    assert stranger.get(created["href"]) == created


def test_a_body_that_is_no_object(stranger: Stranger) -> None:
    """A body that is not a JSON object is refused."""
    for body in (b"[1]", b"{", b'"text"', b"[" * 100_000):
        assert "JSON" in stranger.refused("POST", PROFILES, content=body)


# -- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_is_unique_where_there_is_an_identification_key(sandbox: Sandbox, stranger: Stranger) -> None:
    """A second POST of the same key is refused with PGS-220000; records without a key value do not conflict."""
    stranger.create(externalId="one")
    text = stranger.refused("POST", PROFILES, json={"externalId": "one"})
    assert "PGS-220000" in text
    assert "already exists" in text
    stranger.create(lastName="no key")
    stranger.create(lastName="no key")
    assert sandbox.campaign.duplicates("profile", "externalId") == {}


def test_without_an_identification_key_a_second_post_makes_a_second_record(
    sandbox: Sandbox, stranger: Stranger
) -> None:
    """Without a key two POSTs make two records, and a raw id in the address is an XTK-170036."""
    for resource, path in (("cusNoKey", "customResources/cusNoKey"), ("profile", PROFILES)):
        if resource == "profile":
            sandbox.campaign.drop_key("profile")
        stranger.create(path, externalId="one")
        stranger.create(path, externalId="one")
        assert sandbox.campaign.duplicates(resource, "externalId") == {"one": 2}
        assert "XTK-170036" in stranger.refused("GET", f"{path}/one")


def test_a_raw_key_in_the_address(stranger: Stranger) -> None:
    """With an identification key its value addresses the record, percent-encoded where it must be."""
    for key in ("8d2cfd61", "a b", "a/b", "ключ", "50%", "a.b"):
        stranger.create(externalId=key, lastName="Doe")
        address = f"{PROFILES}/{_quoted(key)}"
        assert stranger.get(address)["externalId"] == key
        stranger.change(address, lastName="Roe")
        assert stranger.get(address)["lastName"] == "Roe"
        assert stranger.send("DELETE", address).status_code == 200


def _quoted(key: str) -> str:
    return "".join(f"%{byte:02X}" for byte in key.encode())


def test_a_key_cannot_be_changed(sandbox: Sandbox, stranger: Stranger) -> None:
    """A PATCH that names another key is RST-360012, by raw id and by PKey; the same key again is no change."""
    created = stranger.create(externalId="one")
    for address in (f"{PROFILES}/one", created["href"]):
        text = stranger.refused("PATCH", address, json={"externalId": "two"})
        assert "RST-360012" in text
        assert "'one' to 'two'" in text
        stranger.change(address, externalId="one")
    nameless = stranger.create(lastName="nameless")
    assert "PGS-220000" in stranger.refused("PATCH", nameless["href"], json={"externalId": "one"})
    stranger.change(nameless["href"], externalId="two")
    assert sandbox.campaign.get("profile", "two") is not None


def test_pkeys_belong_to_a_deployment(stranger: Stranger) -> None:
    """A PKey nobody made here, or made for another resource or seed, is HTTP 500 with XTK-170036."""
    vehicle = stranger.create(VEHICLES, externalId="car")
    with Sandbox(seed=99) as other, Stranger(other) as client:
        foreign = client.create(lastName="Doe")["PKey"]
    for pkey in ("@gibberish", "@" + "A" * 64, vehicle["PKey"], foreign):
        text = stranger.refused("GET", f"{PROFILES}/{pkey}")
        assert f"XTK-170036 Unable to parse expression '@id = {pkey}'" in text


def test_a_pkey_inside_a_collections_address_is_another(stranger: Stranger) -> None:
    """The PKey in a record's collection addresses differs from its own, and both lead to it."""
    owner = stranger.create(externalId="owner")
    stranger.create(VEHICLES, externalId="car", ownerId="owner")
    inner = owner["cusVehicles"]["href"]
    assert owner["PKey"] not in inner
    other = inner.split("/profile/")[1].split("/")[0]
    assert stranger.get(f"{PROFILES}/{other}")["PKey"] == owner["PKey"]
    (car,) = stranger.get(inner)["content"]
    assert car["externalId"] == "car"
    assert stranger.get(car["href"])["externalId"] == "car"
    assert stranger.send("DELETE", car["href"]).status_code == 200
    assert stranger.get(inner)["content"] == []


# -- exposure -----------------------------------------------------------------------------------------------------


def test_extended_fields_are_on_the_extended_endpoint_only(stranger: Stranger) -> None:
    """`profileAndServices` neither shows nor takes extended fields, links or custom filters."""
    stranger.create(externalId="one", cusLoyalty="gold")
    plain = stranger.get("profileAndServices/profile/one")
    assert plain["externalId"] == "one"
    assert not [name for name in plain if name.startswith("cus") or name == "orgUnit"]
    text = stranger.refused("PATCH", "profileAndServices/profile/one", json={"cusLoyalty": "none"})
    assert "'cusLoyalty' property is not valid" in text
    stranger.refused("GET", "profileAndServices/profile/byExternalId?externalId_parameter=one", 404)


@pytest.mark.parametrize(
    "path",
    [
        "customResources/cusVehicle",
        "customResources/profile",
        "profileAndServicesExt/cusServiceVisit",
        "profileAndServices/cusVehicle",
        "profileAndServicesExt/cusNothing",
        "nothing/at/all",
        "workflow/execution/WKF1",
    ],
)
def test_a_resource_is_at_one_endpoint(stranger: Stranger, path: str) -> None:
    """A resource is under Ext or under customResources, never both; elsewhere there is a 404."""
    assert "RST-360011" in stranger.refused("GET", path, 404)


# -- opt-outs -----------------------------------------------------------------------------------------------------


def test_opt_outs_are_stamped_when_they_change(sandbox: Sandbox, stranger: Stranger) -> None:
    """The server dates each opt-out that changes, and only that; push notification has no date."""
    sandbox.campaign.freeze_clock()
    try:
        created = stranger.create(externalId="one", blackListEmail=True, blackListPushnotification=True)
        first = created["blackListEmailLastModified"]
        assert first == created["created"]
        assert created["blackListFaxLastModified"] == ""
        assert "blackListPushnotificationLastModified" not in created
        sandbox.campaign.shift_clock(5)
        stranger.change(created["href"], blackListEmail=True, lastName="Doe", ccpaOptOut=True)
        now = stranger.get(created["href"])
        assert now["blackListEmailLastModified"] == first
        assert now["ccpaOptOutLastModified"] == now["lastModified"] > first
        sandbox.campaign.shift_clock(5)
        sandbox.campaign.update("profile", "one", blackListEmail=False, blackList=True)
        later = stranger.get(created["href"])
        assert later["blackListEmailLastModified"] == later["blackListLastModified"] == later["lastModified"]
        sandbox.campaign.shift_clock(-10)
    finally:
        sandbox.campaign.freeze_clock(False)


def test_stamps_cannot_be_written(stranger: Stranger) -> None:
    """A client cannot date an opt-out itself."""
    text = stranger.refused("POST", PROFILES, json={"blackListEmailLastModified": "2020-01-01"})
    assert "read-only" in text


def test_a_patch_that_changes_nothing_moves_nothing(sandbox: Sandbox, stranger: Stranger) -> None:
    """A PATCH with the values that are there leaves `lastModified` alone."""
    created = stranger.create(lastName="Doe", cusScore=1.0)
    sandbox.campaign.shift_clock(100)
    stranger.change(created["href"], lastName="Doe", cusScore=1)
    assert stranger.get(created["href"])["lastModified"] == created["lastModified"]
    sandbox.campaign.shift_clock(-100)


# -- links --------------------------------------------------------------------------------------------------------


def test_a_link_is_set_by_pkey_or_key_and_cleared_by_null(stranger: Stranger) -> None:
    """A nested PKey sets a link, the business key does as well, null clears it, a wrong one is refused."""
    units = {unit["name"]: unit["PKey"] for unit in stranger.get("profileAndServicesExt/orgUnitBase")["content"]}
    created = stranger.create(externalId="one", orgUnit={"PKey": units["europe"]})
    assert (created["orgUnit"]["PKey"], created["orgUnit"]["name"]) == (units["europe"], "europe")
    assert stranger.get(created["orgUnit"]["href"])["label"] == "Europe"
    stranger.change(created["href"], orgUnit={"PKey": "all"})
    assert stranger.get(created["href"])["orgUnit"]["name"] == "all"
    stranger.change(created["href"], orgUnit=None)
    assert stranger.get(created["href"])["orgUnit"] is None
    assert "XTK-170036" in stranger.refused("PATCH", created["href"], json={"orgUnit": {"PKey": "@nonsense"}})
    stranger.refused("PATCH", created["href"], 404, json={"orgUnit": {"PKey": "nowhere"}})
    stranger.refused("PATCH", created["href"], json={"orgUnit": "all"})


def test_a_link_without_a_pkey_is_ignored(sandbox: Sandbox, stranger: Stranger) -> None:
    """Campaign Standard creates the record and leaves the link null; version 8 refuses the whole."""
    created = stranger.create(VEHICLES, externalId="car", owner={"firstName": "Ann"})
    assert created["owner"] is None
    sandbox.campaign.set(v8=True)
    text = stranger.refused("POST", VEHICLES, json={"externalId": "van", "owner": {"firstName": "Ann"}})
    assert "'firstName' property is not valid" in text
    assert sandbox.campaign.count("cusVehicle") == 1


def test_a_joined_link_follows_its_column(stranger: Stranger) -> None:
    """A link that is joined on a plain column is there when the other record is, whichever came first."""
    car = stranger.create(VEHICLES, externalId="car", ownerId="one")
    assert car["owner"] is None
    owner = stranger.create(externalId="one", firstName="Ann", lastName="Doe")
    assert stranger.get(car["href"])["owner"]["PKey"] == owner["PKey"]
    assert stranger.get(car["href"])["owner"]["title"] == "Ann Doe"
    van = stranger.create(VEHICLES, externalId="van", owner={"PKey": owner["PKey"]})
    assert van["ownerId"] == "one"
    stranger.send("DELETE", owner["href"])
    assert stranger.get(car["href"])["owner"] is None


def test_a_mandatory_link_hides_a_child_without_its_parent(sandbox: Sandbox, stranger: Stranger) -> None:
    """With "1 cardinality" a child written first is neither shown nor changed nor deleted until its parent arrives."""
    sandbox.campaign.set_link("cusServiceVisit", "vehicle", mandatory=True)
    stranger.create(VISITS, externalId="visit", vehicleId="car")
    stranger.refused("GET", f"{VISITS}/visit", 404)
    stranger.refused("PATCH", f"{VISITS}/visit", 404, json={"garage": "Main Street"})
    stranger.refused("DELETE", f"{VISITS}/visit", 404)
    assert stranger.get(f"{VISITS}/byExternalId", externalId_parameter="visit")["content"] == []
    assert sandbox.campaign.count("cusServiceVisit") == 1
    stranger.create(VEHICLES, externalId="car")
    assert stranger.get(f"{VISITS}/visit")["vehicle"]["title"] == "car"
    stranger.change(f"{VISITS}/visit", garage="Main Street")


def test_deleting_a_linked_record_clears_the_link(sandbox: Sandbox, stranger: Stranger) -> None:
    """A link kept by id becomes null when its target is deleted."""
    created = stranger.create(orgUnit={"PKey": "europe"})
    sandbox.campaign.delete("orgUnitBase", "europe")
    assert stranger.get(created["href"])["orgUnit"] is None


def test_profiles_without_a_unit_can_be_invisible(sandbox: Sandbox, stranger: Stranger) -> None:
    """Where rights apply, a profile without an organisational unit is created and then not seen."""
    sandbox.campaign.set(org_unit_required=True)
    hidden = stranger.create(externalId="hidden")
    stranger.create(externalId="shown", orgUnit={"PKey": "all"})
    stranger.refused("GET", hidden["href"], 404)
    assert [one["externalId"] for one in stranger.get(PROFILES)["content"]] == ["shown"]


# -- switches -----------------------------------------------------------------------------------------------------


def test_data_policies_that_transform(sandbox: Sandbox, stranger: Stranger) -> None:
    """Where switched on, what is stored differs from what was sent: smartCase, lower-case addresses, cut text."""
    sandbox.campaign.set(smart_case=True, lower_email=True, too_long="truncate")
    created = stranger.create(firstName="anna LENA", email="Ann@Example.COM", lastName="x" * 60)
    assert (created["firstName"], created["email"]) == ("Anna Lena", "ann@example.com")
    assert len(created["lastName"]) == 50


def test_refuse_and_accept(sandbox: Sandbox, stranger: Stranger) -> None:
    """A record can be refused with a text until it is accepted again, whatever is written to it."""
    sandbox.campaign.refuse("profile", "poison", "PGS-220000 out of luck")
    assert stranger.refused("POST", PROFILES, json={"externalId": "poison"}) == "PGS-220000 out of luck"
    stranger.create(externalId="fine")
    sandbox.campaign.accept("profile", "poison")
    stranger.create(externalId="poison")
    sandbox.campaign.refuse("profile", "poison")
    assert "XTK-170049" in stranger.refused("PATCH", f"{PROFILES}/poison", json={"lastName": "Doe"})
    assert "XTK-170049" in stranger.refused("DELETE", f"{PROFILES}/poison")


def test_version_8_hides_causes(sandbox: Sandbox, stranger: Stranger) -> None:
    """On version 8 causes are generic, unknown PKeys are 404, an empty PATCH 204, and location cannot be patched."""
    created = stranger.create(externalId="one")
    sandbox.campaign.set(v8=True)
    generic = "An error has occurred - please contact your administrator."
    assert stranger.refused("POST", PROFILES, json={"externalId": "one"}) == generic
    assert stranger.refused("POST", PROFILES, json={"gender": "invalid"}) == generic
    assert stranger.refused("GET", f"{PROFILES}/@jksad", 404) == "Unable to decrypt PKey. (PKey=@jksad)"
    assert "from key 'two' (" in stranger.refused("GET", f"{PROFILES}/two", 404)
    assert stranger.send("PATCH", created["href"], json={}).status_code == 204
    assert "'zipCode' property is not valid" in stranger.refused(
        "PATCH", created["href"], json={"location": {"zipCode": "1"}}
    )
    stranger.refused("GET", "profileAndServicesExt/orgUnitBase", 404)
