"""Linked tables between the two halves of the sandbox, over the wire: both ways to write a link, and cardinality 1."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.ingress_room import drain, join

from syncline import FieldMapping, IngressDefinition, Link, LinkBy, MemoryStorage, TableMapping
from syncline.errors import RecordRefusedError
from syncline.sandbox import Sandbox, people
from syncline.views import PreviewKind
from syncline.workflows.checks import CheckResult

COMPANY, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
ACCOUNTS = TableMapping(
    table="account", resource="cusAccount", key="accountId", fields=[FieldMapping(source="name", target="label")]
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Both halves, two contacts of a company and one of another contact, and a link on the profile."""
    sandbox = Sandbox()
    sandbox.start()
    fields = [{"name": "accountId", "kind": "string", "length": 50}, {"name": "label", "kind": "string", "length": 100}]
    sandbox.campaign.add_resource("cusAccount", fields, exposure="ext", key="accountId")
    sandbox.campaign.add_field("profile", "cusAccountId", "string", length=50)
    sandbox.campaign.add_field("profile", "cusAccount", "link", target="cusAccount")
    sandbox.dynamics.load("account", [{"accountid": COMPANY, "name": "Contoso"}, {"accountid": OTHER, "name": "Other"}])
    crowd = [{**person} for person in people(3, 7, clean=True)]
    points_to = {0: (COMPANY, "account"), 1: (COMPANY, "account"), 2: (crowd[0]["contactid"], "contact")}
    for number, (record, table) in points_to.items():
        crowd[number]["_parentcustomerid_value"] = record
        crowd[number]["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] = table
    sandbox.dynamics.load("contact", crowd)
    yield sandbox
    sandbox.stop()


def definition(*links: Link) -> IngressDefinition:
    contacts = TableMapping(
        table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")], links=links
    )
    return IngressDefinition(mappings=[contacts, ACCOUNTS])


BY_COLUMN = Link(source="parentcustomerid", target="cusAccountId", table="account")
BY_PKEY = Link(source="parentcustomerid", target="cusAccount", table="account", by=LinkBy.PKEY)


@pytest.mark.parametrize("link", [BY_COLUMN, BY_PKEY])
def test_a_lookup_to_several_tables_links_what_it_points_to(sandbox: Sandbox, link: Link) -> None:
    """By either way: the company where it is one, and nothing where it is a contact; a second run changes nothing."""
    with join(sandbox, MemoryStorage(), definition=definition(link)) as integration:
        integration.ingress.start()
        drain(integration)
        rows = sandbox.campaign.rows("profile", [link.target])
        assert sorted(str(row[link.target] or "") for row in rows) == ["", COMPANY, COMPANY]
        counted = integration.ingress.forecast(exact=True)
        assert counted.calls.value == 0
        sandbox.dynamics.update("contact", _first(sandbox), lastname="Changed")
        drain(integration)
        assert integration.ingress.preview(table="contact").counts[PreviewKind.IDENTICAL] == 3
        assert len(integration.ingress.dead_letters) == 0


def _first(sandbox: Sandbox) -> str:
    return str(next(iter(sandbox.dynamics.rows("contact", ["contactid"])))["contactid"])


def test_the_calls_of_a_first_load_are_forecast(sandbox: Sandbox) -> None:
    """A column costs nothing more; a PKey one look at each record that is pointed to, which is at most one a link."""
    for link, calls, exact in ((BY_COLUMN, 5, True), (BY_PKEY, 7, False)):
        with join(sandbox, MemoryStorage(), definition=definition(link)) as integration:
            forecast = integration.ingress.forecast(exact=True).calls
            assert (forecast.value, forecast.exact) == (calls, exact)
            waits = integration.ingress.preview(table="contact")
            assert sum(record.reason == f"waits for account({COMPANY})" for record in waits) == 2


def test_a_link_without_a_key_is_never_sent(sandbox: Sandbox) -> None:
    """Campaign would create the record and leave the link empty without a word: the connector refuses it before."""
    with join(sandbox, MemoryStorage(), definition=definition(BY_PKEY)) as integration:
        profile = integration.campaign.describe("profile")
        assert profile is not None
        with pytest.raises(RecordRefusedError, match="without a PKey"):
            integration.campaign.create(profile, {"externalId": "x", "cusAccount": {"label": "Contoso"}})
        assert sandbox.campaign.count("profile") == 0
        account = integration.campaign.describe("cusAccount")
        assert account is not None
        assert integration.campaign.link_to(account, "accountId", COMPANY) is None


def test_the_remedy_for_a_parent_that_somebody_deleted_in_campaign_works(sandbox: Sandbox) -> None:
    """A child linked by PKey says what brings its parent back; a replay, which trusts the ledger, would not."""
    with join(sandbox, MemoryStorage(), definition=definition(BY_PKEY)) as integration:
        ingress = integration.ingress
        ingress.start()
        drain(integration)
        sandbox.campaign.delete("cusAccount", COMPANY)
        sandbox.dynamics.update("contact", _first(sandbox), lastname="Changed")
        drain(integration)
        (letter,) = ingress.dead_letters
        assert "reconcile('account', queue=True)" in letter.message
        ingress.reconcile("account", queue=True)
        drain(integration)
        ingress.dead_letters.retry()
        drain(integration)
        assert len(ingress.dead_letters) == 0
        row = sandbox.campaign.get("profile", letter.key.id)
        assert row is not None
        assert row["lastName"] == "Changed"
        assert row["cusAccount"]
        # The other child did not change: its link is empty, and comparing finds it.
        report = ingress.reconcile("contact", queue=True)
        assert [record.fields for record in report] == [("cusAccount",)]
        drain(integration)
        assert ingress.reconcile("contact").in_step
        rows = sandbox.campaign.rows("profile", ["cusAccount"])
        assert sorted(str(row["cusAccount"] or "") for row in rows) == ["", COMPANY, COMPANY]


def test_a_link_of_cardinality_1_is_warned_about_and_works(sandbox: Sandbox) -> None:
    """Campaign hides a record whose parent is not there: it is not written before, so that it is never hidden."""
    sandbox.campaign.set_link("cusVehicle", "owner", mandatory=True)
    sandbox.dynamics.load("new_vehicle", [{"new_name": "Red", "new_contactid": _first(sandbox)}])
    vehicles = TableMapping(
        table="new_vehicle",
        resource="cusVehicle",
        fields=[FieldMapping(source="new_name", target="vehicleName")],
        links=[Link(source="new_contactid", target="ownerId", table="contact")],
    )
    contacts = TableMapping(table="contact", resource="profile", fields=[])
    with join(sandbox, MemoryStorage(), definition=IngressDefinition(mappings=[vehicles, contacts])) as integration:
        warned = [check for check in integration.ingress.check().checks if check.result is CheckResult.WARNING]
        assert any("cardinality 1" in check.detail for check in warned)
        integration.ingress.start()
        drain(integration)
        vehicle = integration.campaign.describe("cusVehicle")
        (row,) = sandbox.campaign.rows("cusVehicle", ["externalId", "owner"])
        assert row["owner"] == _first(sandbox)
        assert vehicle is not None
        assert integration.campaign.find(vehicle, "externalId", row["externalId"]) is not None


def test_a_resource_that_nothing_joins_is_warned_about(sandbox: Sandbox) -> None:
    """Ids in a column that no link is joined on are worth a word before the start."""
    sandbox.campaign.drop_field("profile", "cusAccount")
    with join(sandbox, MemoryStorage(), definition=definition(BY_COLUMN)) as integration:
        (check,) = [one for one in integration.ingress.check().checks if one.name.startswith("contact: link")]
        assert check.result is CheckResult.WARNING
        assert "nothing is joined" in check.detail
