"""Start, stop and edit while real processes work, as the state machine and the Workflows page promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from tests.acceptance.hosts import Host
from tests.ingress_room import DEFINITION, MAPPING, differences, drain, join

from syncline import ActionNotAvailableError, FieldMapping, IngressDefinition, Integration
from syncline.sandbox import Sandbox, people
from syncline.state_machine import Action, WorkflowState

EDITED = IngressDefinition(
    mappings=[evolve(MAPPING, fields=[*MAPPING.fields, FieldMapping(source="jobtitle", target="cusLoyalty")])]
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Both systems in a process of their own, with some people."""
    with Sandbox(process=True) as running:
        running.dynamics.load("contact", people(300, 3, clean=True))
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where all processes of a test keep their state."""
    return tmp_path / "syncline.db"


@pytest.fixture
def page(sandbox: Sandbox, database: Path) -> Iterator[Integration]:
    """What the host's web page holds: it looks and asks, and never runs a cycle."""
    integration = join(sandbox, database)
    yield integration
    integration.close()


def test_stop_during_a_write_finishes_it_before_the_status_says_stopped(
    sandbox: Sandbox, database: Path, page: Integration
) -> None:
    """While the last writes are under way it is stopping, not stopped, and afterwards nothing arrives any more."""
    sandbox.campaign.add_fault("latency", milliseconds=300, method="POST", path="profile")
    page.ingress.start()
    with Host(sandbox, database) as host:
        host.ask("forever")
        while sandbox.campaign.count("profile") == 0:
            assert page.ingress.status is not WorkflowState.FAILED
        page.ingress.stop()
        seen_stopping = page.ingress.stopping
        answer = host.answer()

    assert seen_stopping
    assert "STOPPED" in answer
    arrived = sandbox.campaign.count("profile")
    assert page.ingress.status is WorkflowState.STOPPED
    assert page.ingress.backlog.leased == 0
    assert page.storage.audit(page.ingress.id) == []
    written = page.storage.counts(page.ingress.id).totals.written
    assert written == arrived == sandbox.campaign.count("profile")


def test_two_hosts_on_one_workflow_take_turns(sandbox: Sandbox, database: Path, page: Integration) -> None:
    """One works; the other returns at once and says so; nothing is written twice."""
    sandbox.campaign.add_fault("latency", milliseconds=50, method="POST", path="profile")
    page.ingress.start()
    with Host(sandbox, database) as first, Host(sandbox, database) as second:
        first.tell("cycle 3")
        while sandbox.campaign.count("profile") == 0:
            assert page.ingress.status is not WorkflowState.FAILED
        assert second.cycle(5)["end"] == "BUSY"
        first.answer()
        while (report := second.cycle(5))["end"] != "IDLE":
            assert report["status"] == "RUNNING"

    assert differences(sandbox) == []
    assert page.storage.counts(page.ingress.id).totals.written == 300


def test_starting_twice_is_refused_and_names_what_is_available(page: Integration) -> None:
    """Start and stop are one toggle."""
    page.ingress.start()

    with pytest.raises(ActionNotAvailableError, match="STARTING") as refusal:
        page.ingress.start()

    assert refusal.value.available == (Action.EDIT, Action.STOP)


def test_stop_while_starting_needs_no_host(sandbox: Sandbox, page: Integration) -> None:
    """A start nobody has taken up yet is called off at once, and nothing was read or written."""
    page.ingress.start()
    sandbox.dynamics.clear_requests()

    page.ingress.stop()

    assert page.ingress.status is WorkflowState.STOPPED
    assert sandbox.dynamics.requests()["total"] == 0


def test_an_edit_waits_for_a_restart_and_says_so(sandbox: Sandbox, database: Path, page: Integration) -> None:
    """The running host goes on with the definition it started with; the warning goes when the new one really runs."""
    page.ingress.start()
    with Host(sandbox, database) as host:
        host.cycle(30)
        page.ingress.edit(EDITED)
        sandbox.dynamics.update("contact", next(iter(people(300, 3, clean=True)))["contactid"], jobtitle="Pilot")
        host.cycle(30)
        loyalties = {row["cusLoyalty"] for row in sandbox.campaign.rows("profile", ["cusLoyalty"])}
        assert loyalties == {""}
        assert page.ingress.pending_changes
        assert page.ingress.view.stop_warns
        assert "jobtitle" in str(page.ingress.pending_changes)

        page.ingress.stop()
        page.ingress.start()
        page.ingress.replay("contact")
        host.cycle(30)

    assert not page.ingress.pending_changes
    assert page.ingress.running_definition == EDITED
    assert page.ingress.definition == EDITED != DEFINITION


def test_a_paused_host_that_was_taken_over_changes_nothing_more(
    sandbox: Sandbox, database: Path, page: Integration
) -> None:
    """A host that sleeps longer than its lease finds, when it wakes, that it may not settle anything."""
    page.ingress.start()
    with Host(sandbox, database) as sleeper:
        sandbox.campaign.add_fault("latency", milliseconds=100, method="POST", path="profile")
        sleeper.tell("cycle 30")
        while sandbox.campaign.count("profile") == 0:
            assert page.ingress.status is not WorkflowState.FAILED
        sleeper.pause(database)
        try:
            with join(sandbox, database) as other:
                other.storage.set_time_offset(3_600)  # type: ignore[attr-defined]
                sandbox.campaign.clear_faults()
                drain(other)
        finally:
            sleeper.resume()
        report = sleeper.answer()

    assert "LEASE_LOST" in report
    assert differences(sandbox) == []
    assert page.storage.audit(page.ingress.id) == []
