"""The verbs against a Campaign server: find, create, update, delete, and the write made of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from tests.campaign_room import ID, connect, described, person, wanted
from tests.sandbox_room import fresh

from syncline.connectors.campaign import CampaignKey, CampaignStandard
from syncline.errors import (
    ConflictError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    UnavailableError,
    UntrustedUrlError,
)
from syncline.records import Outcome, OutcomeKind, Value, Write
from syncline.sandbox import Sandbox

#: The only filter out of the box that finds more than its value: a prefix search.
BY_LAST_NAME = CampaignKey(field="lastName", filter="byText", parameter="text")


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Campaign as on its first day; of Dynamics nothing is asked here."""
    fresh(servers.campaign)
    return servers


def apply(campaign: CampaignStandard, write: Write) -> Outcome:
    return campaign.apply(write, described(campaign, write.resource), still_ours=lambda: None)


def kept(sandbox: Sandbox, key: str = ID, resource: str = "profile") -> dict[str, Any]:
    row = sandbox.campaign.get(resource, key)
    assert row is not None
    return row


def test_a_new_record_costs_one_call(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """An unknown key is created with a single engine call, and everything given is stored."""
    values = person(cusScore=Decimal("1.25"), cusVip=True, gender="female", **{"location.city": "Oslo"})
    described(campaign)
    sandbox.campaign.reset_counters()
    assert apply(campaign, wanted(values)).kind is OutcomeKind.CREATED
    assert sandbox.campaign.engine_calls()["total"] == 1
    row = kept(sandbox)
    assert (row["cusScore"], row["cusVip"], row["gender"], row["location"]["city"]) == (1.25, True, "female", "Oslo")


def test_the_second_write_of_the_same_is_no_write(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A record that says already what is wanted is only looked at."""
    values = person(
        cusLastVisit="2019-09-25T23:20:35Z",
        cusJoined="1980-10-24",
        cusChildren=0,
        cusVip=None,
        gender=None,
        fax=None,
        cusScore=Decimal("2.50"),
        **{"location.zipCode": "0150"},
    )
    assert apply(campaign, wanted(values)).kind is OutcomeKind.CREATED
    again = apply(campaign, wanted(values, known=True))
    assert (again.kind, again.calls) == (OutcomeKind.IDENTICAL, 1)
    assert sandbox.campaign.engine_calls()["PATCH"] == 0


def test_an_update_sends_the_difference_only(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """What somebody changed in Campaign beside our fields stays, and only what differs is sent."""
    apply(campaign, wanted(person(**{"location.city": "Oslo", "location.zipCode": "0150"})))
    sandbox.campaign.update("profile", ID, phone="123", email="other@example.org")
    sandbox.campaign.keep_requests(10)
    changed = person(**{"location.city": "Bergen", "location.zipCode": "0150"})
    assert apply(campaign, wanted(changed, known=True)).kind is OutcomeKind.UPDATED
    bodies = [request["body"] for request in sandbox.campaign.requests()["kept"] if request["method"] == "PATCH"]
    assert len(bodies) == 1
    assert "Bergen" in str(bodies[0])
    assert "0150" not in str(bodies[0])
    row = kept(sandbox)
    assert (row["phone"], row["email"], row["location"]) == (
        "123",
        "ada@example.org",
        row["location"] | {"city": "Bergen", "zipCode": "0150"},
    )


def test_a_record_of_others_with_our_key_is_adopted(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A create that meets its key becomes a compare; nobody else's record is touched."""
    sandbox.campaign.load("profile", [{"externalId": ID, "firstName": "Ada"}, {"externalId": "x", "firstName": "Ada"}])
    outcome = apply(campaign, wanted(person()))
    assert (outcome.kind, outcome.calls) == (OutcomeKind.UPDATED, 3)
    assert sandbox.campaign.count("profile") == 2
    assert kept(sandbox, "x")["lastName"] == ""


@pytest.mark.parametrize("status", [200, 202, 204])
def test_deletes(campaign: CampaignStandard, sandbox: Sandbox, status: int) -> None:
    """Every documented success of a delete is one, with an empty body too; a second delete finds nothing."""
    sandbox.campaign.set(delete_status=status)
    apply(campaign, wanted(person()))
    write = wanted(person(), delete=True)
    assert apply(campaign, write).kind is OutcomeKind.DELETED
    assert sandbox.campaign.count("profile") == 0
    assert apply(campaign, write).kind is OutcomeKind.MISSING


def test_a_record_deleted_in_between(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A record that goes between the look and the write is no error for a delete and a conflict for an update."""
    schema = described(campaign)
    campaign.create(schema, person())
    found = campaign.find(schema, "externalId", ID)
    assert found is not None
    sandbox.campaign.delete("profile", ID)
    campaign.delete(schema, found.ref)
    with pytest.raises(ConflictError):
        campaign.update(schema, found.ref, {"firstName": "A"})


def test_only_one_records_own_address_is_deleted(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """The address of a collection, of another resource or of a parent is never written to."""
    schema = described(campaign)
    campaign.create(schema, person())
    sandbox.campaign.clear_requests()
    home = f"{sandbox.campaign_url}/campaign/profileAndServicesExt"
    for ref in (f"{home}/profile", f"{home}/profile/", f"{home}/cusVehicle/@a", f"{home}/profile/@a/cusVehicles/@b"):
        with pytest.raises(ProtocolError):
            campaign.delete(schema, ref)
        with pytest.raises(ProtocolError):
            campaign.update(schema, ref, {})
    with pytest.raises(UntrustedUrlError):
        campaign.delete(schema, "https://evil.example/contoso/campaign/profileAndServicesExt/profile/@a")
    assert sandbox.campaign.requests()["total"] == 0


def test_nothing_of_an_address_is_in_the_values(campaign: CampaignStandard) -> None:
    """What the engine may keep of a record holds neither its PKey nor its href."""
    schema = described(campaign)
    campaign.create(schema, person())
    found = campaign.find(schema, "externalId", ID)
    assert found is not None
    assert not {"PKey", "href"} & set(found.values)
    assert "@" not in repr(found)


def test_two_records_with_one_key(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Several exact matches are for a person to merge; neither is chosen."""
    sandbox.campaign.load("profile", [person(), person(firstName="Other")])
    with pytest.raises(RecordRefusedError) as refused:
        apply(campaign, wanted(person(), known=True))
    assert refused.value.field == "externalId"
    assert ID not in str(refused.value)


@pytest.mark.parametrize("threshold", [10, 100_000])
def test_the_match_is_found_behind_the_first_page(sandbox: Sandbox, threshold: int) -> None:
    """A filter that finds prefixes is read to its end, also in tables where Campaign leaves `next` out by default."""
    sandbox.campaign.set(big_table_threshold=threshold)
    others = [{"externalId": f"e{number}", "lastName": f"a{number:03}"} for number in range(80)]
    sandbox.campaign.load("profile", [*others, {"externalId": "me", "lastName": "a"}])
    with connect(sandbox, keys={"profile": BY_LAST_NAME}) as campaign:
        found = campaign.find(described(campaign), "lastName", "a")
        assert found is not None
        assert found.values["externalId"] == "me"
        assert campaign.find(described(campaign), "lastName", "a0") is None


def test_pages_never_lead_elsewhere(sandbox: Sandbox) -> None:
    """A next link to another host is not followed and gets no token."""
    sandbox.campaign.set(foreign_links="https://evil.example")
    sandbox.campaign.load("profile", [{"lastName": f"a{number}"} for number in range(30)])
    with connect(sandbox, keys={"profile": BY_LAST_NAME}) as campaign:
        schema = described(campaign)
        with pytest.raises(UntrustedUrlError):
            campaign.find(schema, "lastName", "a")


@pytest.mark.parametrize("key", ["a b", "a&_lineCount=1", "ümläut/ß", "100%", "x?y#z", "+", "a\nb", "日本", "'\"<>"])
def test_any_key_is_found_again(campaign: CampaignStandard, key: str) -> None:
    """A key with characters that mean something in an address arrives whole."""
    schema = described(campaign)
    assert campaign.find(schema, "externalId", key) is None
    campaign.create(schema, person(key))
    found = campaign.find(schema, "externalId", key)
    assert found is not None
    assert found.values["externalId"] == key


@pytest.mark.parametrize("shape", ["bare", "wrapped"])
def test_keys_as_addresses(sandbox: Sandbox, shape: str) -> None:
    """With by_uri the key itself is the address; a single record may come bare or in `content`."""
    sandbox.campaign.set(single_get=shape)
    with connect(sandbox, keys={"profile": CampaignKey(by_uri=True)}) as campaign:
        assert apply(campaign, wanted(person())).kind is OutcomeKind.CREATED
        assert apply(campaign, wanted(person(), known=True)).kind is OutcomeKind.IDENTICAL
        assert apply(campaign, wanted(person(firstName="B"), known=True)).kind is OutcomeKind.UPDATED
        assert apply(campaign, wanted(person(), delete=True)).kind is OutcomeKind.DELETED
        assert campaign.find(described(campaign), "externalId", ID) is None
    assert sandbox.campaign.engine_calls()["GET by filter"] == 0


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"gender": "invalid"}, "gender"),
        ({"email": "nobody"}, "email"),
        ({"firstName": "x" * 31}, "firstName"),
        ({"age": 7}, "age"),
        ({"cusChildren": "many"}, "cusChildren"),
        ({"orgUnit": {"PKey": "nowhere"}}, "orgUnit"),
        ({"orgUnit": {"PKey": "@nowhere"}}, ""),
        ({"orgUnit": {"title": "All"}}, "orgUnit"),
    ],
)
def test_values_campaign_will_never_take(campaign: CampaignStandard, values: dict[str, Value], field: str) -> None:
    """A bad value concerns its record alone and is named by its field, never by itself."""
    with pytest.raises(RecordRefusedError) as refused:
        apply(campaign, wanted(person(**values)))
    assert refused.value.field == field
    assert ID not in str(refused.value)
    assert not any(str(value) in str(refused.value) for value in values.values())


def test_a_key_cannot_be_changed(campaign: CampaignStandard) -> None:
    """Campaign refuses another key for an existing record, for good."""
    schema = described(campaign)
    campaign.create(schema, person())
    found = campaign.find(schema, "externalId", ID)
    assert found is not None
    with pytest.raises(RecordRefusedError):
        campaign.update(schema, found.ref, {"externalId": "another"})


def test_links(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A link is written by the linked record's PKey or by its key, compared afterwards, and cleared by null."""
    assert apply(campaign, wanted(person(orgUnit="europe"))).kind is OutcomeKind.CREATED
    assert apply(campaign, wanted(person(orgUnit="europe"), known=True)).kind is OutcomeKind.IDENTICAL
    assert kept(sandbox)["orgUnit"] == "europe"
    assert apply(campaign, wanted(person(orgUnit=None), known=True)).kind is OutcomeKind.UPDATED
    assert kept(sandbox)["orgUnit"] is None


@pytest.mark.parametrize("resource", ["profile", "cusVehicle", "cusServiceVisit"])
def test_a_field_that_was_unpublished(campaign: CampaignStandard, sandbox: Sandbox, resource: str) -> None:
    """A field gone in mid-run stops the workflow with its name; it is not the record's fault."""
    name = {"profile": "cusLoyalty", "cusVehicle": "vehicleName", "cusServiceVisit": "garage"}[resource]
    schema = described(campaign, resource)
    sandbox.campaign.drop_field(resource, name)
    with pytest.raises(SchemaChangedError) as changed:
        campaign.create(schema, {"externalId": ID, name: "x"})
    assert (changed.value.table, changed.value.field) == (resource, name)


def test_a_filter_that_was_unpublished(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A missing filter is not the same as a missing record."""
    schema = described(campaign)
    sandbox.campaign.drop_key("profile")
    with pytest.raises(SchemaChangedError):
        campaign.find(schema, "externalId", ID)


def test_policies_that_rewrite_do_not_cause_writes_for_ever(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """A name or address that Campaign stores in other letters counts as written."""
    sandbox.campaign.set(smart_case=True, lower_email=True)
    values = person(firstName="aDA", email="Ada@Example.org")
    apply(campaign, wanted(values))
    assert kept(sandbox)["firstName"] == "Ada"
    assert apply(campaign, wanted(values, known=True)).kind is OutcomeKind.IDENTICAL


def test_version_8(sandbox: Sandbox) -> None:
    """Where version 8 hides the cause, the look-up tells a duplicate from a refusal; location is created only."""
    sandbox.campaign.set(v8=True)
    with connect(sandbox, v8=True) as campaign:
        schema = described(campaign)
        assert apply(campaign, wanted(person(**{"location.city": "Oslo"}))).kind is OutcomeKind.CREATED
        with pytest.raises(ConflictError):
            campaign.create(schema, person())
        assert apply(campaign, wanted(person(firstName="B"))).kind is OutcomeKind.UPDATED
        with pytest.raises(UnavailableError):
            campaign.create(schema, person("other", gender="invalid"))
        with pytest.raises(RecordRefusedError) as refused:
            apply(campaign, wanted(person(**{"location.city": "Bergen"}), known=True))
        assert refused.value.field == "location.city"
        assert apply(campaign, wanted(person(), delete=True)).kind is OutcomeKind.DELETED


def test_many_threads_share_one_connector(campaign: CampaignStandard, sandbox: Sandbox) -> None:
    """Writers in several threads neither mix records up nor ask for more than one token."""
    schema = described(campaign)

    def write(number: int) -> OutcomeKind:
        values = person(f"key-{number}", firstName=f"N{number}")
        return campaign.apply(wanted(values), schema, still_ours=lambda: None).kind

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(200))) == {OutcomeKind.CREATED}
    rows = {row["externalId"]: row["firstName"] for row in sandbox.campaign.rows("profile")}
    assert rows == {f"key-{number}": f"N{number}" for number in range(200)}
    assert sandbox.campaign.engine_calls()["token"] == 1
