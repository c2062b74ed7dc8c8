"""Ingress against both systems on loopback: what arrives, what does not, and what a host sees of it."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from tests.ingress_room import (
    DEFINITION,
    FIELDS,
    MAPPING,
    differences,
    drain,
    ids,
    join,
    mapping_with,
)

from syncline import FieldMapping, Filter, IngressDefinition, Integration, MemoryStorage, TableMapping
from syncline.definitions import Comparison
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.settings import EngineSettings

CROWD = 120


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


# -- the plain job ----------------------------------------------------------------------------------------------------


def test_a_first_load_brings_every_contact_inactive_ones_too(integration: Integration, sandbox: Sandbox) -> None:
    """I9: the first run transfers all records, and one create is all it costs."""
    report = drain(integration)

    assert report.status is WorkflowState.RUNNING
    assert differences(sandbox) == []
    calls = sandbox.campaign.engine_calls()
    assert (calls["POST"], calls["PATCH"], calls["DELETE"]) == (CROWD, 0, 0)
    assert calls["GET"] <= 2, "the pre-flight's look at the key, and nothing per record"
    assert integration.ingress.backlog.size == 0


def test_afterwards_only_changes_travel(integration: Integration, sandbox: Sandbox) -> None:
    """Change tracking: one change costs one look and one write, whatever the size of the table."""
    drain(integration)
    changed, deleted = ids(sandbox)[:2]
    sandbox.campaign.reset_counters()
    sandbox.dynamics.update("contact", changed, lastname="Neu")
    sandbox.dynamics.delete("contact", deleted)
    sandbox.dynamics.load("contact", people(1, 6, clean=True))

    report = drain(integration)

    assert differences(sandbox) == []
    assert report.written == 3
    calls = sandbox.campaign.engine_calls()
    assert (calls["POST"], calls["PATCH"], calls["DELETE"], calls["GET"]) == (1, 1, 1, 2)


def test_a_change_of_an_unmapped_column_costs_no_call(integration: Integration, sandbox: Sandbox) -> None:
    """I13: mapped values decide, not the fact that a row was touched."""
    drain(integration)
    sandbox.campaign.reset_counters()
    sandbox.dynamics.update("contact", ids(sandbox)[0], fax="12345")

    drain(integration)

    assert sandbox.campaign.engine_calls()["total"] == 0


def test_profiles_others_made_are_adopted_by_key_and_never_touched_otherwise(
    integration: Integration, sandbox: Sandbox
) -> None:
    """I12: only the key match counts."""
    known = ids(sandbox)[0]
    sandbox.campaign.load("profile", [{"externalId": known, "lastName": "Old"}, {"lastName": "Stranger"}])

    drain(integration)

    rows = list(sandbox.campaign.rows("profile", ["externalId", "lastName"]))
    assert len(rows) == CROWD + 1
    assert [row["lastName"] for row in rows if not row["externalId"]] == ["Stranger"]
    assert not any(row["lastName"] == "Old" for row in rows)


def test_deletes_are_propagated_only_when_the_mapping_says_so(sandbox: Sandbox) -> None:
    """I7: with apply_deletes off a deletion in Dynamics leaves the profile alone."""
    with join(sandbox, MemoryStorage(), definition=mapping_with(apply_deletes=False)) as keeping:
        keeping.ingress.start()
        drain(keeping)
        sandbox.dynamics.delete("contact", ids(sandbox)[0])
        drain(keeping)

    assert sandbox.campaign.count("profile") == CROWD


def test_fields_without_apply_updates_are_written_on_load_and_replay_only(sandbox: Sandbox) -> None:
    """I3: an incremental update leaves them alone; a replay writes them again."""
    fields = [evolve(one, apply_updates=one.source != "lastname") for one in MAPPING.fields]
    person = ids(sandbox)[0]
    with join(sandbox, MemoryStorage(), definition=mapping_with(fields=fields)) as integration:
        integration.ingress.start()
        drain(integration)
        before = sandbox.campaign.get("profile", person)
        sandbox.dynamics.update("contact", person, lastname="Later", firstname="Soon")
        drain(integration)
        after = sandbox.campaign.get("profile", person)
        integration.ingress.replay("contact")
        integration.ingress.stop()
        integration.ingress.start()
        drain(integration)
        replayed = sandbox.campaign.get("profile", person)

    assert before is not None
    assert after is not None
    assert replayed is not None
    assert (after["firstName"], after["lastName"]) == ("Soon", before["lastName"])
    assert replayed["lastName"] == "Later"


def test_a_record_that_leaves_the_filter_stays_or_goes_as_the_mapping_says(sandbox: Sandbox) -> None:
    """I6: with delete_filtered_out what was written and passes no more is deleted; strangers never are."""
    definition = mapping_with(
        filters=[Filter(field="statecode", comparison=Comparison.EQUALS, value=0)], delete_filtered_out=True
    )
    with join(sandbox, MemoryStorage(), definition=definition) as integration:
        integration.ingress.start()
        drain(integration)
        active = [row["contactid"] for row in sandbox.dynamics.rows("contact") if row["statecode"] == 0]
        assert sandbox.campaign.count("profile") == len(active) < CROWD
        sandbox.dynamics.update("contact", active[0], statecode=1)
        drain(integration)

    assert sandbox.campaign.get("profile", active[0]) is None
    assert sandbox.campaign.count("profile") == len(active) - 1


def test_created_and_deleted_between_two_polls_leaves_no_trace(integration: Integration, sandbox: Sandbox) -> None:
    """A delete of a record nobody wrote costs nothing."""
    drain(integration)
    sandbox.campaign.reset_counters()
    person = next(iter(people(1, 9, clean=True)))
    sandbox.dynamics.load("contact", [person])
    sandbox.dynamics.delete("contact", person["contactid"])

    drain(integration)

    assert sandbox.campaign.engine_calls()["total"] == 0
    assert differences(sandbox) == []


def test_a_deleted_record_that_comes_back_is_created_again(integration: Integration, sandbox: Sandbox) -> None:
    """The tombstone of the first life does not swallow the second."""
    drain(integration)
    person = next(iter(people(CROWD, 5, clean=True)))
    sandbox.dynamics.delete("contact", person["contactid"])
    drain(integration)
    assert sandbox.campaign.count("profile") == CROWD - 1
    sandbox.dynamics.load("contact", [person])

    drain(integration)

    assert differences(sandbox) == []


def test_a_custom_table_travels_beside_the_contacts(sandbox: Sandbox) -> None:
    """I1, I4, I8: money, dates, a lookup's id and a picklist's label arrive as what Campaign's resource holds."""
    names = {"new_name": "vehicleName", "new_fuel": "vehicleNumber", "new_price": "price"}
    names |= {"new_registeredon": "built", "new_contactid": "ownerId"}
    vehicles = TableMapping(
        table="new_vehicle",
        resource="cusVehicle",
        fields=[FieldMapping(source=source, target=target) for source, target in names.items()],
        labels=True,
    )
    owner = ids(sandbox)[0]
    car: dict[str, Any] = {
        "new_vehicleid": "0a0b0c0d-0000-4000-8000-00000000000a",
        "new_name": "Dienstwagen",
        "new_price": 20000.5,
        "new_registeredon": "2024-02-29",
        "new_contactid": owner,
    }
    sandbox.dynamics.load("new_vehicle", [car])
    with join(sandbox, MemoryStorage(), definition=IngressDefinition(mappings=[MAPPING, vehicles])) as integration:
        schema = integration.dynamics.describe("new_vehicle")
        assert schema is not None
        fuel, label = next(iter(schema.fields["new_fuel"].options.items()))
        sandbox.dynamics.update("new_vehicle", car["new_vehicleid"], new_fuel=int(fuel))
        integration.ingress.start()
        drain(integration)

    assert differences(sandbox) == []
    (arrived,) = sandbox.campaign.rows("cusVehicle", ["externalId", *names.values()])
    assert arrived == {
        "externalId": car["new_vehicleid"],
        "vehicleName": "Dienstwagen",
        "vehicleNumber": label,
        "price": 20000.5,
        "built": "2024-02-29",
        "ownerId": owner,
    }


# -- a host's view ----------------------------------------------------------------------------------------------------


def test_the_workflows_list_shows_name_backlog_status_and_actions(integration: Integration) -> None:
    """W2: as text, as HTML and as data."""
    integration.ingress.run_cycle(records=1)

    text, html = str(integration.workflows), integration.workflows._repr_html_()
    line, _, opt_out = integration.workflows.as_data()

    for shown in (text, html):
        assert "Microsoft Dynamics 365 to Campaign" in shown
        assert "RUNNING" in shown
    assert line["backlog"]["size"] == CROWD - 1
    assert line["actions"] == ["edit", "stop"]
    assert (opt_out["name"], opt_out["status"]) == ("Opt-In/Out", "STOPPED")


def test_the_backlog_tells_more_than_a_number(integration: Integration) -> None:
    """W3: by table and operation, age, and what is set aside."""
    integration.ingress.run_cycle(records=1)

    backlog = integration.ingress.backlog

    assert backlog.by_table() == {"contact": CROWD - 1}
    assert backlog.by_operation() == {"upsert": CROWD - 1}
    assert backlog.oldest_age is not None
    assert backlog.leased == 0


def test_a_running_definition_survives_an_edit_in_another_process(sandbox: Sandbox) -> None:
    """W7, V12: a generation uses one definition, also when the next cycle runs elsewhere."""
    storage = MemoryStorage()
    with join(sandbox, storage) as first, join(sandbox, storage) as second:
        first.ingress.start()
        first.ingress.run_cycle(records=1)
        second.ingress.edit(mapping_with(fields=[FieldMapping(source="lastname", target="lastName")]))
        drain(second)

        assert differences(sandbox, FIELDS) == []
        assert first.ingress.running_definition == DEFINITION
        assert first.ingress.pending_changes


def test_many_small_cycles_come_to_the_same_as_one_long_one(sandbox: Sandbox) -> None:
    """X1: a host's scheduler may cut the work wherever it likes."""
    settings = EngineSettings(lease_batch=7, settle_batch=3)
    with join(sandbox, MemoryStorage(), settings=settings) as integration:
        integration.ingress.start()
        reports = [integration.ingress.run_cycle(records=5) for _ in range(CROWD // 5)]
        drain(integration)

    assert {report.end for report in reports} == {CycleEnd.BUDGET}
    assert differences(sandbox) == []
