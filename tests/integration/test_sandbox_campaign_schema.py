"""Campaign metadata in the sandbox, and what the control commands change behind the API's back."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sandbox_room import PROFILES, Stranger, fresh

from syncline.sandbox import Sandbox
from syncline.sandbox.remote import SandboxCommandError

OPT_OUTS = (
    "blackList",
    "blackListEmail",
    "blackListFax",
    "blackListMobile",
    "blackListPhone",
    "blackListPostalMail",
    "blackListPushnotification",
    "ccpaOptOut",
)


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Campaign as on its first day; of Dynamics nothing is asked here."""
    fresh(servers.campaign)
    return servers


def test_resource_type(stranger: Stranger) -> None:
    """The metadata of a resource has the documented parts, and each field its types and policy."""
    told = stranger.get("profileAndServicesExt/resourceType/profile")
    assert (told["name"], told["schema"], told["type"]) == ("profile", "nms:recipient", "item")
    assert told["data"] == "/profileAndServicesExt/profile/"
    fields = told["content"]
    assert all(fields[name]["type"] == "boolean" for name in OPT_OUTS)
    assert (fields["email"]["type"], fields["email"]["dataPolicy"]) == ("string", "email")
    assert (fields["cusChildren"]["type"], fields["cusChildren"]["resType"]) == ("number", "long")
    assert (fields["cusScore"]["resType"], fields["birthDate"]["resType"]) == ("double", "date")
    assert fields["orgUnit"]["resTarget"] == "orgUnitBase"
    assert fields["age"]["readOnly"] is True
    assert set(fields["gender"]["values"]) == {"unknown", "male", "female"}
    assert stranger.get(told["href"]) == told


def test_plain_metadata_has_no_extension(stranger: Stranger) -> None:
    """profileAndServices describes built-in fields and filters only."""
    told = stranger.get("profileAndServices/resourceType/profile")
    assert "externalId" in told["content"]
    assert "cusLoyalty" not in told["content"]
    assert set(stranger.get(told["filters"]["href"])) == {"byText", "byEmail", "byKeysProfile"}


def test_filters_show_how_they_are_called(stranger: Stranger) -> None:
    """`filters.href` lists each filter with a template of its address, by which it can be called."""
    told = stranger.get("profileAndServicesExt/resourceType/profile")
    filters = stranger.get(told["filters"]["href"])
    template = filters["byExternalId"]["data"]
    assert template.endswith(f"{PROFILES}/byExternalId?externalId_parameter=$value")
    stranger.create(externalId="one")
    (found,) = stranger.get(template.replace("$value", "one"))["content"]
    assert found["externalId"] == "one"
    assert filters["byText"]["data"] == f"/{PROFILES}/byText?text=$value"


def test_the_map_of_extended_resources(stranger: Stranger) -> None:
    """`GET /profileAndServicesExt` maps what is exposed there, beside the string `apiName`."""
    told = stranger.get("profileAndServicesExt")
    assert told.pop("apiName") == "profileAndServicesExt"
    assert set(told) == {"profile", "cusVehicle", "orgUnitBase"}
    assert stranger.get(told["cusVehicle"]["href"])["name"] == "cusVehicle"


def test_custom_resources_have_metadata(stranger: Stranger) -> None:
    """A custom resource is described under customResources, its link with its target."""
    told = stranger.get("customResources/resourceType/cusServiceVisit")
    assert told["content"]["vehicle"]["resTarget"] == "cusVehicle"
    stranger.refused("GET", "customResources/resourceType/cusVehicle", 404)


def test_add_resource(sandbox: Sandbox, stranger: Stranger) -> None:
    """A resource that is added has its fields, its key and its filter at once."""
    fields: list[dict[str, Any]] = [
        {"name": "code", "kind": "string", "length": 5},
        {"name": "colour", "kind": "enumeration", "values": [["red", "1", "Red"]], "blank": "red"},
        {"name": "person", "kind": "link", "target": "profile"},
    ]
    sandbox.campaign.add_resource("cusPart", fields, key="code")
    person = stranger.create(externalId="one")
    created = stranger.create("customResources/cusPart", code="A1", person={"PKey": person["PKey"]})
    assert (created["colour"], created["person"]["PKey"]) == ("red", person["PKey"])
    found = stranger.get("customResources/cusPart/byCode", code_parameter="A1")
    assert len(found["content"]) == 1
    stranger.refused("POST", "customResources/cusPart", json={"code": "too long"})
    assert list(sandbox.campaign.rows("cusPart", ["code", "person"])) == [{"code": "A1", "person": "one"}]
    sandbox.campaign.reset()
    stranger.refused("GET", "customResources/cusPart", 404)


def test_publish_and_unpublish_a_field(sandbox: Sandbox, stranger: Stranger) -> None:
    """A field that is added can be written at once; one that is dropped is unknown, and its values are gone."""
    stranger.create(externalId="one", cusLoyalty="gold")
    sandbox.campaign.add_field("profile", "cusShoe", "float")
    stranger.change(f"{PROFILES}/one", cusShoe=42.5)
    sandbox.campaign.drop_field("profile", "cusLoyalty")
    now = stranger.get(f"{PROFILES}/one")
    assert now["cusShoe"] == 42.5
    assert "cusLoyalty" not in now
    assert "not valid" in stranger.refused("PATCH", f"{PROFILES}/one", json={"cusLoyalty": "silver"})
    sandbox.campaign.add_field("profile", "cusLoyalty", "string")
    assert stranger.get(f"{PROFILES}/one")["cusLoyalty"] == ""


def test_drop_the_key_field(sandbox: Sandbox, stranger: Stranger) -> None:
    """Without its field the identification key and its filter are gone as well."""
    created = stranger.create(externalId="one")
    sandbox.campaign.drop_field("profile", "externalId")
    assert "byExternalId" not in sandbox.campaign.resources()["profile"]["filters"]
    assert sandbox.campaign.resources()["profile"]["key"] == ""
    stranger.refused("GET", f"{PROFILES}/one")
    stranger.get(created["href"])


def test_a_key_cannot_be_declared_over_duplicates(sandbox: Sandbox, stranger: Stranger) -> None:
    """An identification key can be taken away and declared again, but not while values repeat."""
    sandbox.campaign.drop_key("profile", filtered=True)
    stranger.create(externalId="one")
    twin = stranger.create(externalId="one")
    with pytest.raises(SandboxCommandError, match="several records"):
        sandbox.campaign.add_key("profile", "externalId")
    stranger.send("DELETE", twin["href"])
    sandbox.campaign.add_key("profile", "externalId")
    assert "PGS-220000" in stranger.refused("POST", PROFILES, json={"externalId": "one"})
    assert stranger.get(f"{PROFILES}/one")["externalId"] == "one"


def test_load_and_rows(sandbox: Sandbox) -> None:
    """Many records go in and come out in order, in parts, without an engine call."""
    people = [{"externalId": f"p-{number}", "cusChildren": number} for number in range(12_345)]
    assert sandbox.campaign.load("profile", people) == 12_345
    assert list(sandbox.campaign.rows("profile", ["externalId", "cusChildren"], page=1000)) == people
    whole = next(iter(sandbox.campaign.rows("profile")))
    assert (whole["externalId"], whole["gender"], whole["location"]["city"]) == ("p-0", "unknown", "")
    assert sandbox.campaign.engine_calls()["total"] == 0


def test_a_load_is_all_or_none(sandbox: Sandbox) -> None:
    """A load with one row that cannot be leaves nothing behind."""
    with pytest.raises(SandboxCommandError, match="nonsense"):
        sandbox.campaign.load("profile", [{"externalId": "one"}, {"nonsense": 1}])
    assert sandbox.campaign.count("profile") == 0


def test_update_and_delete_behind_the_api(sandbox: Sandbox, stranger: Stranger) -> None:
    """A change in the user interface is dated, keeps dates it was given, and costs no engine call."""
    created = stranger.create(externalId="one")
    sandbox.campaign.reset_counters()
    moment = "2020-02-02 02:02:02.000Z"
    assert sandbox.campaign.update("profile", "one", blackListEmail=True, blackListEmailLastModified=moment)
    assert not sandbox.campaign.update("profile", "one", blackListEmail=True)
    assert sandbox.campaign.engine_calls()["total"] == 0
    assert stranger.get(created["href"])["blackListEmailLastModified"] == moment
    sandbox.campaign.delete("profile", "one")
    with pytest.raises(SandboxCommandError, match="no record"):
        sandbox.campaign.delete("profile", "one")


def test_drop_a_resource(sandbox: Sandbox, stranger: Stranger) -> None:
    """A custom resource goes with its records; what is out of the box stays."""
    sandbox.campaign.add_resource("cusPart", [{"name": "code", "kind": "string"}], key="code")
    stranger.create("customResources/cusPart", code="A1")
    sandbox.campaign.add_field("profile", "cusBestPart", "link", target="cusPart")
    sandbox.campaign.drop_resource("cusPart")
    stranger.refused("GET", "customResources/cusPart", 404)
    assert "cusBestPart" not in sandbox.campaign.resources()["profile"]["fields"]
    with pytest.raises(SandboxCommandError, match="out of the box"):
        sandbox.campaign.drop_resource("profile")
