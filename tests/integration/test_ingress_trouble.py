"""Ingress against both systems on loopback while something goes wrong: nothing is lost, and nobody is in the way."""

from __future__ import annotations

import pytest
from tests.ingress_room import (
    dataverse,
    differences,
    drain,
    ids,
    join,
)

from syncline import Integration, MemoryStorage
from syncline.instrumentation import Notice, ResyncStarted, Throttled
from syncline.records import ReadStage
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState
from syncline.workflows.cycle import CycleEnd

CROWD = 120


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


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
