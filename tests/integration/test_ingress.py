"""Ingress against both systems on loopback: what arrives, what does not, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from tests.ingress_room import DEFINITION, FIELDS, MAPPING, campaign, dataverse, differences, drain, join

from syncline import FieldMapping, Filter, IngressDefinition, Integration, MemoryStorage, TableMapping
from syncline.definitions import Comparison
from syncline.instrumentation import Notice, ResyncStarted, Throttled
from syncline.records import ReadStage
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


@pytest.fixture
def notices() -> list[Notice]:
    """What the workflow told its hook."""
    return []


@pytest.fixture
def integration(sandbox: Sandbox, notices: list[Notice]) -> Iterator[Integration]:
    """Joined, started, nothing read yet."""
    joined = join(sandbox, MemoryStorage(), hooks=[notices.append])
    joined.ingress.start()
    yield joined
    assert joined.storage.audit(joined.ingress.id) == []
    joined.close()


def ids(sandbox: Sandbox) -> list[str]:
    return [str(row["contactid"]) for row in sandbox.dynamics.rows("contact", ["contactid"])]


def mapping_with(**changes: Any) -> IngressDefinition:
    kept = {one.source for one in changes.get("fields", MAPPING.fields)}
    replacements = [one for one in MAPPING.replacements if one.field in kept]
    return IngressDefinition(mappings=[evolve(MAPPING, **{"replacements": replacements, **changes})])


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


# -- nothing lost -----------------------------------------------------------------------------------------------------


def test_changes_made_while_the_first_load_is_paging_arrive(sandbox: Sandbox) -> None:
    """Decision 10: the delta link of the last page may not cover them, the overlap does."""
    with join(sandbox, MemoryStorage(), dynamics=dataverse(sandbox, page_size=10)) as integration:
        integration.ingress.start()
        integration.ingress.run_cycle(records=1)
        loaded = integration.storage.positions(integration.ingress.id)["contact"]
        assert loaded.stage.value == "load"
        everybody = ids(sandbox)
        sandbox.dynamics.update("contact", everybody[0], lastname="First page")
        sandbox.dynamics.update("contact", everybody[-1], lastname="Last page")
        sandbox.dynamics.delete("contact", everybody[1])
        drain(integration)

    assert differences(sandbox) == []


@pytest.mark.parametrize("token", ["start", "end"])
def test_whoever_is_deleted_while_a_full_read_is_paging_goes(sandbox: Sandbox, token: str) -> None:
    """Decision 10: wherever the delta link of the last page points to, the keys that are left over are asked for."""
    sandbox.dynamics.call("set", initial_token=token)
    with join(sandbox, MemoryStorage(), dynamics=dataverse(sandbox, page_size=10)) as integration:
        integration.ingress.start()
        integration.ingress.run_cycle(records=1)
        (written,) = (row["externalId"] for row in sandbox.campaign.rows("profile", ["externalId"]))
        sandbox.dynamics.delete("contact", written)
        drain(integration)
        assert differences(sandbox) == []

        sandbox.dynamics.expire_tokens()
        for person in ids(sandbox):
            sandbox.dynamics.update("contact", person, lastname="Again")
        integration.ingress.run_cycle(records=1)
        position = integration.storage.positions(integration.ingress.id)["contact"]
        assert position.resync
        assert position.stage is ReadStage.LOAD
        again = sandbox.campaign.rows("profile", ["externalId", "lastName"])
        (written,) = (row["externalId"] for row in again if row["lastName"] == "Again")
        sandbox.dynamics.delete("contact", written)
        drain(integration)
        assert differences(sandbox) == []


def test_a_cut_first_load_resumes_at_its_page(sandbox: Sandbox) -> None:
    """Another process, or the same one later, goes on where the stored position stands."""
    storage = MemoryStorage()
    with join(sandbox, storage, dynamics=dataverse(sandbox, page_size=10)) as first:
        first.ingress.start()
        first.ingress.run_cycle(records=1)
        read_before = sandbox.dynamics.requests()["total"]
        with join(sandbox, storage, dynamics=dataverse(sandbox, page_size=10)) as second:
            drain(second)

    assert read_before > 0
    assert differences(sandbox) == []
    assert storage.counts("default/ingress").totals.written == CROWD


def test_an_expired_cursor_leads_to_a_full_read_that_finds_deletions(
    integration: Integration, sandbox: Sandbox, notices: list[Notice]
) -> None:
    """I9: never a silent gap: what was deleted meanwhile is found by comparing with the ledger."""
    drain(integration)
    everybody = ids(sandbox)
    for person in everybody[:5]:
        sandbox.dynamics.delete("contact", person)
    sandbox.dynamics.update("contact", everybody[6], lastname="Meanwhile")
    sandbox.dynamics.expire_tokens()

    drain(integration)

    assert differences(sandbox) == []
    assert [notice.table for notice in notices if isinstance(notice, ResyncStarted)] == ["contact"]
    assert integration.ingress.status is WorkflowState.RUNNING


def test_rows_that_show_up_again_while_paging_do_no_harm(sandbox: Sandbox) -> None:
    """The feed is at least once: a duplicate page entry is written once."""
    sandbox.dynamics.call("set", duplicates=True)
    with join(sandbox, MemoryStorage(), dynamics=dataverse(sandbox, page_size=10)) as integration:
        integration.ingress.start()
        drain(integration)

    assert differences(sandbox) == []
    assert sandbox.campaign.duplicates("profile", "externalId") == {}


def test_a_create_without_an_answer_is_looked_for_before_it_is_sent_again(
    integration: Integration, sandbox: Sandbox
) -> None:
    """F-43: applied, and the answer lost. No profile exists twice, and nobody is set aside."""
    sandbox.campaign.add_fault("applied", method="POST", path="profile", count=5)

    report = drain(integration)

    assert report.dead == 0
    assert differences(sandbox) == []
    assert sandbox.campaign.duplicates("profile", "externalId") == {}


# -- trouble that passes ----------------------------------------------------------------------------------------------


def test_no_request_leaves_inside_a_retry_after_wait(
    integration: Integration, sandbox: Sandbox, notices: list[Notice]
) -> None:
    """X2, V10: the wait is honoured by every writer, the status stays RUNNING, and it says until when."""
    drain(integration)
    for person in ids(sandbox)[:20]:
        sandbox.dynamics.update("contact", person, lastname="Throttled")
    sandbox.campaign.add_fault("throttle", retry_after=5, path="profile", count=1)

    report = integration.ingress.run_cycle()  # without a time to wait in it ends, however fast the machine is

    assert report.end is CycleEnd.THROTTLED
    assert integration.ingress.status is WorkflowState.RUNNING
    assert integration.ingress.throttled_until is not None
    assert integration.ingress.backlog.throttled > 0
    assert any(isinstance(notice, Throttled) for notice in notices)
    drain(integration)
    # What was in flight with the throttled request may still arrive; nothing may leave once its answer is here.
    assert all(milliseconds < 2500 for milliseconds in sandbox.campaign.requests()["early_after_ms"])
    assert differences(sandbox) == []


def test_an_outage_of_the_target_loses_nothing_and_sets_nobody_aside(
    integration: Integration, sandbox: Sandbox
) -> None:
    """X2: 503 without end is waited out; the backlog keeps everything."""
    integration.ingress.run_cycle(records=1)
    sandbox.campaign.clear_requests()
    fault = sandbox.campaign.add_fault("fail", status=503, path="profile")

    report = integration.ingress.run_cycle(seconds=1)

    assert report.end in (CycleEnd.UNAVAILABLE, CycleEnd.BUDGET)
    assert integration.ingress.status is WorkflowState.RUNNING
    assert integration.ingress.backlog.size >= CROWD - 1
    assert sandbox.campaign.requests()["total"] < 60
    sandbox.campaign.clear_faults(fault)
    report = drain(integration)
    assert differences(sandbox) == []
    assert len(integration.ingress.dead_letters) == 0


def test_a_page_of_html_instead_of_json_fails_nothing_silently(integration: Integration, sandbox: Sandbox) -> None:
    """F-50: the page is rejected whole, the cursor stays, and the status says what came instead."""
    sandbox.dynamics.add_fault("login_page", path="contacts", skip=1)  # the pre-flight asks for one row

    report = drain(integration)

    assert report.status is WorkflowState.FAILED
    assert integration.ingress.error is not None
    assert integration.ingress.error.kind == "ProtocolError"
    assert integration.storage.positions(integration.ingress.id) == {}
    sandbox.dynamics.clear_faults()
    integration.ingress.start()
    drain(integration)
    assert differences(sandbox) == []


# -- records that cannot be written -----------------------------------------------------------------------------------


def test_a_refused_record_is_set_aside_and_the_others_flow(integration: Integration, sandbox: Sandbox) -> None:
    """X3: reason and key are kept; a retry takes today's value from Dynamics and resolves it."""
    person = ids(sandbox)[3]
    sandbox.campaign.refuse("profile", person)
    drain(integration)
    letters = list(integration.ingress.dead_letters)
    assert [letter.key.id for letter in letters] == [person]
    assert sandbox.campaign.count("profile") == CROWD - 1

    sandbox.campaign.accept("profile", person)
    sandbox.dynamics.update("contact", person, lastname="Mended")
    assert integration.ingress.dead_letters.retry() == 1
    drain(integration)

    assert len(integration.ingress.dead_letters) == 0
    assert differences(sandbox) == []


def test_a_value_that_cannot_be_written_is_set_aside_with_its_field(integration: Integration, sandbox: Sandbox) -> None:
    """I4: Campaign's first names are shorter than Dynamics': never cut, never in the way of others."""
    person = ids(sandbox)[3]
    sandbox.dynamics.update("contact", person, firstname="Bartholomew" * 4)

    drain(integration)

    (letter,) = integration.ingress.dead_letters
    assert (letter.key.id, letter.field) == (person, "firstname")
    assert "Bartholomew" not in letter.message
    assert sandbox.campaign.count("profile") == CROWD - 1


def test_a_discarded_letter_is_closed_and_a_later_change_travels_all_the_same(
    integration: Integration, sandbox: Sandbox
) -> None:
    """Discarding gives up one state of the record, not the record."""
    person = ids(sandbox)[3]
    sandbox.campaign.refuse("profile", person)
    drain(integration)
    assert integration.ingress.dead_letters.discard(list(integration.ingress.dead_letters), by="me") == 1
    sandbox.campaign.accept("profile", person)
    sandbox.dynamics.update("contact", person, lastname="Again")

    drain(integration)

    assert differences(sandbox) == []
    assert [entry.by for entry in integration.ingress.history if entry.action == "discard"] == ["me"]


# -- starts that must not happen --------------------------------------------------------------------------------------


def failed_start(integration: Integration) -> str:
    integration.ingress.start()
    report = integration.ingress.run_cycle(seconds=5)
    assert report.status is WorkflowState.FAILED
    assert integration.ingress.error is not None
    assert integration.ingress.error.kind == "CheckFailedError"
    return integration.ingress.error.message


def test_an_unknown_field_fails_the_check_and_suggests_the_right_one(sandbox: Sandbox) -> None:
    """W9: every mistake is named with its path."""
    definition = mapping_with(fields=[FieldMapping(source="lastnam", target="lastName")])

    with join(sandbox, MemoryStorage(), definition=definition) as integration:
        message = failed_start(integration)

    assert "lastnam" in message
    assert "lastname" in message
    assert sandbox.campaign.count("profile") == 0


def test_wrong_credentials_fail_the_check_with_a_remedy(sandbox: Sandbox) -> None:
    """W9: which side, and what to do; never a secret."""
    from syncline.connectors.dynamics import ClientSecret, Dataverse

    wrong = ClientSecret(sandbox.tenant_id, sandbox.client_id, "wr0ng-s3cret", authority_url=sandbox.authority_url)
    refused = Dataverse(sandbox.dynamics_url, wrong, allow_loopback_http=True)

    with join(sandbox, MemoryStorage(), dynamics=refused) as integration:
        message = failed_start(integration)

    assert "Dynamics 365: credentials" in message
    assert "wr0ng" not in message


def test_a_wrong_organisation_fails_the_check(sandbox: Sandbox) -> None:
    """W9: the gateway's "Oops" is told as what it means."""
    from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer

    secret = OAuthServerToServer(sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url)
    elsewhere = CampaignStandard(sandbox.campaign_url.replace("contoso", "fabrikam"), secret, allow_loopback_http=True)

    with join(sandbox, MemoryStorage(), campaign=elsewhere) as integration:
        message = failed_start(integration)

    assert "Campaign: credentials" in message


def test_a_table_without_change_tracking_fails_the_check(sandbox: Sandbox) -> None:
    """W9: with where to turn it on."""
    sandbox.dynamics.call("set_change_tracking", table="contact", on=False)

    with join(sandbox, MemoryStorage()) as integration:
        message = failed_start(integration)

    assert "contact: change tracking" in message


@pytest.mark.parametrize("filtered", [True, False])
def test_a_key_that_would_make_duplicates_fails_the_check(sandbox: Sandbox, filtered: bool) -> None:
    """I2: no identification key, or no filter, no start."""
    sandbox.campaign.drop_key("profile", filtered=filtered)

    with join(sandbox, MemoryStorage()) as integration:
        message = failed_start(integration)

    assert "profile: key externalId" in message


def test_a_storage_filled_from_elsewhere_is_not_mixed_up(sandbox: Sandbox) -> None:
    """S-16: the same storage with another environment does not start."""
    storage = MemoryStorage()
    with join(sandbox, storage) as integration:
        integration.ingress.start()
        drain(integration)
        integration.ingress.stop()
        with Sandbox() as other, join(sandbox, storage, campaign=campaign(other)) as mixed:
            message = failed_start(mixed)

    assert "the same as before" in message


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
