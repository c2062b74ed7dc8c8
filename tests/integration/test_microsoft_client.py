"""Microsoft's own client, unchanged, against the sandbox: the judge of whether the sandbox speaks Dataverse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError
from PowerPlatform.Dataverse.models.filters import col
from PowerPlatform.Dataverse.models.query_builder import ExpandOption, QueryBuilder
from PowerPlatform.Dataverse.models.record import Record
from PowerPlatform.Dataverse.models.upsert import UpsertItem

from syncline.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Both systems, with TLS, since the client refuses anything else."""
    with Sandbox(tls=True) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataverseClient]:
    """The client with Azure's own credential; only the trusted authority is set, as an administrator would."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox.ca_file)
    sandbox.dynamics.reset()
    with (
        contextlib.closing(_credential(sandbox, sandbox.client_secret)) as credential,
        DataverseClient(sandbox.dynamics_https_url, credential) as opened,
    ):
        yield opened


def _credential(sandbox: Sandbox, secret: str) -> ClientSecretCredential:
    return ClientSecretCredential(
        sandbox.tenant_id,
        sandbox.client_id,
        secret,
        authority=sandbox.authority_https_url,
        disable_instance_discovery=True,
    )


def _rows(query: QueryBuilder) -> list[Record]:
    return [row for page in query.execute_pages() for row in page]


def test_a_row_is_created_read_updated_and_deleted(client: DataverseClient) -> None:
    """The life of one contact: every column comes back as written, and after the delete there is none."""
    written = {"firstname": "Zoë", "lastname": "D'Arcy", "numberofchildren": 2, "creditlimit": 20000.5}
    contact = client.records.create("contact", {**written, "birthdate": "1990-02-28", "donotemail": True})
    row = client.records.retrieve("contact", contact, select=["fullname", "creditlimit", "birthdate", "donotemail"])
    assert row is not None
    assert (row["fullname"], row["creditlimit"]) == ("Zoë D'Arcy", 20000.5)
    assert (row["birthdate"], row["donotemail"]) == ("1990-02-28", True)

    client.records.update("contact", contact, {"lastname": "Bennet"})
    changed = client.records.retrieve("contact", contact, select=["fullname"])
    assert changed is not None
    assert changed["fullname"] == "Zoë Bennet"

    client.records.delete("contact", contact)
    assert client.records.retrieve("contact", contact, select=["fullname"]) is None


def test_labels_of_choices_become_their_numbers(client: DataverseClient) -> None:
    """The client reads the choices from metadata, so a label can be written where a number belongs."""
    contact = client.records.create("contact", {"lastname": "Label", "gendercode": "Female"})
    row = client.records.retrieve("contact", contact, select=["gendercode"])
    assert row is not None
    assert row["gendercode"] == 2


def test_rows_are_bulk_created_and_read_in_pages(client: DataverseClient) -> None:
    """CreateMultiple gives an id per row, and paging brings each row once, in pages of the size asked for."""
    rows = [{"firstname": "Page", "lastname": f"Row {number:03d}"} for number in range(25)]
    ids = client.records.create("contact", rows)
    assert len(set(ids)) == 25

    pages = list(client.records.list_pages("contact", select=["lastname"], orderby=["lastname"], page_size=10))
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [row["lastname"] for page in pages for row in page] == [row["lastname"] for row in rows]


def test_the_query_builder_filters_sorts_and_expands(client: DataverseClient) -> None:
    """What the builder writes is understood: comparisons, text functions, lists, order, top and a related row."""
    account = client.records.create("account", {"name": "Adventure & Co", "accountnumber": "A-1"})
    people = [
        {
            "firstname": "Filter",
            "lastname": f"O'Number {number}",
            "numberofchildren": number,
            "parentcustomerid_account@odata.bind": f"/accounts({account})",
        }
        for number in range(6)
    ]
    client.records.create("contact", people)

    found = _rows(
        client.query.builder("contact")
        .select("lastname", "numberofchildren")
        .where(
            col("lastname").startswith("o'number") & (col("numberofchildren") >= 2) & ~(col("numberofchildren") == 4)
        )
        .where(col("numberofchildren").in_([1, 2, 3, 4, 5]))
        .order_by("numberofchildren", descending=True)
        .top(2)
        .expand(ExpandOption("parentcustomerid_account").select("name"))
    )
    assert [row["numberofchildren"] for row in found] == [5, 3]
    assert [row["parentcustomerid_account"]["name"] for row in found] == ["Adventure & Co"] * 2


def test_formatted_values_come_when_asked_for(client: DataverseClient) -> None:
    """The builder's formatted values are labels of choices and names behind lookups."""
    client.records.create("contact", {"lastname": "Formatted", "gendercode": 1})
    (row,) = _rows(client.query.builder("contact").select("gendercode", "statecode").include_formatted_values())
    assert row["gendercode@OData.Community.Display.V1.FormattedValue"] == "Male"
    assert row["statecode@OData.Community.Display.V1.FormattedValue"] == "Active"


def test_upserts_create_first_and_update_then(client: DataverseClient) -> None:
    """By alternate key, one row or many: the second time updates and no row is added."""
    for name in ("Before", "After"):
        client.records.upsert("account", [UpsertItem(alternate_key={"accountnumber": "U-1"}, record={"name": name})])
    several: list[UpsertItem | dict[str, Any]] = [
        UpsertItem(alternate_key={"accountnumber": f"U-{number}"}, record={"name": f"Several {number}"})
        for number in range(1, 4)
    ]
    client.records.upsert("account", several)
    rows = [row for page in client.records.list_pages("account", select=["name"], orderby=["name"]) for row in page]
    assert [row["name"] for row in rows] == ["Several 1", "Several 2", "Several 3"]


def test_updates_and_deletes_of_many(client: DataverseClient) -> None:
    """UpdateMultiple changes all rows named, BulkDelete removes them."""
    ids = client.records.create("contact", [{"lastname": f"Many {number}"} for number in range(4)])
    client.records.update("contact", ids, {"donotphone": True})
    flags = [row["donotphone"] for page in client.records.list_pages("contact", select=["donotphone"]) for row in page]
    assert flags == [True] * 4
    assert client.records.delete("contact", ids)
    assert not [row for page in client.records.list_pages("contact", select=["fullname"]) for row in page]


def test_a_batch_with_a_change_set_that_refers_to_itself(client: DataverseClient) -> None:
    """Creates, reads and a change set travel together; `$1` names the row created before it in the set."""
    batch = client.batch.new()
    batch.records.create("contact", {"lastname": "In a batch"})
    with batch.changeset() as changes:
        contact = changes.records.create("contact", {"lastname": "Owner"})
        changes.records.create(
            "new_vehicle", {"new_name": "Blue", "new_vin": "V1", "new_ContactId@odata.bind": contact}
        )
        changes.records.update("contact", contact, {"firstname": "Proud"})
    batch.records.list("contact", select=["fullname"], filter="firstname eq 'Proud'")
    result = batch.execute()

    assert not result.has_errors
    assert [response.status_code for response in result.responses] == [204, 204, 204, 204, 200]
    listed = result.responses[-1].data
    assert listed is not None
    assert [row["fullname"] for row in listed["value"]] == ["Proud Owner"]
    (vehicle,) = _rows(client.query.builder("new_vehicle").select("_new_contactid_value"))
    assert vehicle["_new_contactid_value"] == listed["value"][0]["contactid"]


def test_a_failing_change_set_leaves_nothing_behind(client: DataverseClient) -> None:
    """A refused operation undoes its change set, and `continue_on_error` lets the rest of the batch go on."""
    batch = client.batch.new()
    with batch.changeset() as changes:
        changes.records.create("contact", {"lastname": "Undone"})
        changes.records.create("contact", {"lastname": "Refused", "gendercode": 77})
    batch.records.create("contact", {"lastname": "Kept"})
    result = batch.execute(continue_on_error=True)

    assert [response.status_code for response in result.responses] == [400, 204]
    assert result.responses[0].error_code == "0x8004431a"
    rows = [row for page in client.records.list_pages("contact", select=["fullname"]) for row in page]
    assert [row["fullname"] for row in rows] == ["Kept"]


def test_errors_reach_the_caller_with_their_codes(client: DataverseClient) -> None:
    """Status, service code and request id of a refusal are where the client looks for them."""
    with pytest.raises(HttpError) as caught:
        client.records.update("contact", "00000000-0000-4000-8000-000000000000", {"lastname": "Nobody"})
    assert caught.value.status_code == 404
    assert caught.value.details["service_error_code"] == "0x80040217"
    assert caught.value.details["service_request_id"]


def test_throttling_is_told_with_a_time_to_wait(sandbox: Sandbox, client: DataverseClient) -> None:
    """Beyond the limit the client gets 429 with the seconds to wait, marked as passing trouble."""
    client.records.create("contact", {"lastname": "Warm"})
    sandbox.dynamics.set(protection=True, limit_requests=3)
    for number in range(3):
        client.records.create("contact", {"numberofchildren": number})
    with pytest.raises(HttpError) as caught:
        client.records.create("contact", {"numberofchildren": 4})
    assert caught.value.status_code == 429
    assert caught.value.is_transient
    assert 0 < caught.value.details["retry_after"] <= 300


def test_a_wrong_secret_is_refused_by_azures_credential(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's library recognises the refusal of the identity provider."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox.ca_file)
    with (
        contextlib.closing(_credential(sandbox, "wrong")) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(f"{sandbox.dynamics_https_url}/.default")


def test_tables_are_described(client: DataverseClient) -> None:
    """The client finds the set name, the key and typed columns of a table in its metadata."""
    table = client.tables.get("contact")
    assert table is not None
    assert (table.logical_name, table.entity_set_name) == ("contact", "contacts")
    typed = {column["LogicalName"]: column for column in client.tables.list_columns("contact", typed=True)}
    assert typed["firstname"]["MaxLength"] == 50
    assert typed["numberofchildren"]["MinValue"] == 0
    names = {
        relation["ReferencingEntityNavigationPropertyName"]
        for relation in client.tables.list_table_relationships("new_vehicle")
        if relation["ReferencingAttribute"] == "new_contactid"
    }
    assert names == {"new_ContactId"}
