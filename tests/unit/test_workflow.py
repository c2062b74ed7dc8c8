"""A workflow's status, actions and cycles, with connectors that do exactly what the test says."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from tests.workflow_room import MAPPING, WIDER, Stage

from syncline import IngressDefinition
from syncline.backlog import Grant
from syncline.errors import (
    ActionNotAvailableError,
    CredentialsError,
    DefinitionError,
    MissingExtraError,
    RecordRefusedError,
    SchemaChangedError,
    SynclineError,
    UnavailableError,
)
from syncline.instrumentation import StateChanged
from syncline.records import ReadRequest
from syncline.state_machine import Action, WorkflowState
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.owner import this_owner
from syncline.workflows.settings import EngineSettings

SETUP = DefinitionError("The file of certificate authorities cannot be read.", path="ca_file")
ODD = RecordRefusedError("Campaign about profile: no.")


# -- status and actions ------------------------------------------------------------------------------------------------


def test_nothing_is_read_before_the_status_is_running(stage: Stage) -> None:
    """W4: STARTING only checks."""
    seen: list[WorkflowState] = []
    stage.dynamics.before_read = lambda _: seen.append(stage.again().status)

    stage.drain()

    assert set(seen) == {WorkflowState.RUNNING}


def test_a_cycle_of_a_workflow_nobody_started_does_nothing(stage: Stage) -> None:
    """The report says why."""
    stage.workflow.stop()

    report = stage.workflow.run_cycle()

    assert (report.end, report.status, report.worked) == (CycleEnd.NOT_STARTED, WorkflowState.STOPPED, False)
    assert stage.campaign.verbs == []


def test_start_and_stop_are_one_toggle(stage: Stage) -> None:
    """W5: each refuses what does not fit, and names what does."""
    with pytest.raises(ActionNotAvailableError, match="edit, stop"):
        stage.workflow.start()
    stage.workflow.stop()
    with pytest.raises(ActionNotAvailableError, match="edit, start"):
        stage.workflow.stop()
    assert stage.workflow.available_actions == (Action.EDIT, Action.START)


def test_each_start_is_a_new_generation_and_the_history_says_who(stage: Stage) -> None:
    """X12: who did what, and what became of it, newest first."""
    stage.drain()
    stage.workflow.stop(by="ann")
    stage.workflow.start(by="bob")
    stage.drain()

    told = [(entry.action, entry.by) for entry in stage.workflow.history]

    assert told == [("RUNNING", ""), ("start", "bob"), ("STOPPED", ""), ("stop", "ann"), ("RUNNING", ""), ("start", "")]
    assert stage.storage.workflow(stage.workflow.id).generation == 2


def test_stop_during_a_cycle_finishes_what_is_in_flight(stage: Stage) -> None:
    """W6: while a write is under way the status is RUNNING and stopping, never STOPPED. What was not done stays."""
    writing, go_on = threading.Event(), threading.Event()
    seen: list[tuple[WorkflowState, bool]] = []

    def before(verb: str, key: str) -> None:
        writing.set()
        assert go_on.wait(10)

    stage.campaign.before = before
    cycle = threading.Thread(target=stage.workflow.run_cycle)
    cycle.start()
    assert writing.wait(10)
    page = stage.again()
    page.stop()
    seen.append((page.status, page.stopping))
    go_on.set()
    cycle.join(20)

    assert seen == [(WorkflowState.RUNNING, True)]
    assert page.status is WorkflowState.STOPPED
    assert page.backlog.leased == 0
    assert page.backlog.size >= len(stage.dynamics.rows) - len(stage.campaign.records)
    page.start()
    stage.drain()
    assert stage.in_step()


def test_a_cycle_that_is_asked_to_end_keeps_what_it_did_and_begins_nothing_more() -> None:
    """X1: a host that wants its thread back gets it soon; the status stays RUNNING, and the next cycle goes on."""
    stage, asked = Stage(people=500), threading.Event()
    stage.workflow.start()
    stage.campaign.before = lambda *_: asked.set()

    report = stage.workflow.run_cycle(until=asked.is_set)

    assert (report.end, report.status, report.worked) == (CycleEnd.ASKED, WorkflowState.RUNNING, True)
    assert 0 < report.written == len(stage.campaign.records) < 500
    assert stage.workflow.backlog.leased == 0
    stage.drain()
    assert stage.in_step()


def test_a_cycle_that_is_asked_to_end_before_it_begins_asks_nobody_anything(stage: Stage) -> None:
    """Neither the checks of a start nor a page: whoever calls next does them."""
    reads: list[object] = []
    stage.dynamics.before_read = reads.append
    stage.dynamics.access = lambda: reads.append("access")

    report = stage.workflow.run_cycle(until=lambda: True)

    assert (report.end, report.status) == (CycleEnd.ASKED, WorkflowState.STARTING)
    assert reads == []


def test_a_stop_that_comes_while_the_checks_run_is_honoured_before_anything_is_read(stage: Stage) -> None:
    """The checks' success does not overwrite the wish to stop."""
    reads: list[ReadRequest] = []
    stage.dynamics.before_read = reads.append
    stage.dynamics.access = lambda: stage.again().stop()

    report = stage.workflow.run_cycle()

    assert report.status is WorkflowState.STOPPED
    assert reads == []


def test_a_second_process_returns_at_once_and_says_so(stage: Stage) -> None:
    """X1: one works, the others do not wait."""
    reports: list[CycleReport] = []
    stage.dynamics.before_read = lambda _: reports.append(stage.again().run_cycle())

    stage.drain()

    assert {report.end for report in reports} == {CycleEnd.BUSY}
    assert stage.in_step()


def test_long_checks_take_nothing_off_the_lease_that_the_writes_have(stage: Stage) -> None:
    """R2: however long the checks of a start took, nobody takes over while the first writes are made."""
    grants: list[Grant | None] = []
    checks, writes = iter([50]), iter([30])

    def check() -> None:
        stage.advance(next(checks, 0))

    def write(_verb: str, _key: str) -> None:
        if seconds := next(writes, 0):  # one of the writer threads
            stage.advance(seconds)
            grants.append(stage.storage.acquire(stage.workflow.id, this_owner(), timedelta(minutes=1)))

    stage.dynamics.access = check
    stage.campaign.before = write

    stage.workflow.run_cycle()

    assert grants == [None]


def test_unreachable_services_keep_a_start_waiting_but_not_for_ever() -> None:
    """L3: trouble that passes never fails a start at once; after the start's own time-out it does."""
    stage = Stage(settings=EngineSettings(start_timeout=timedelta(minutes=5)))
    stage.workflow.start()

    def away() -> None:
        raise UnavailableError("no route")

    stage.dynamics.access = away
    first = stage.workflow.run_cycle()
    stage.advance(301)
    second = stage.workflow.run_cycle()

    assert (first.end, first.status) == (CycleEnd.UNAVAILABLE, WorkflowState.STARTING)
    assert second.status is WorkflowState.FAILED


def test_only_a_new_start_leaves_failed(stage: Stage) -> None:
    """FAILED clears the wish; the error stays until then and is gone afterwards."""

    def refuse() -> None:
        raise CredentialsError("the secret has expired", remedy="Renew it.")

    stage.dynamics.access = refuse
    stage.workflow.run_cycle()
    stage.dynamics.access = lambda: None
    assert stage.workflow.run_cycle().end is CycleEnd.NOT_STARTED
    assert stage.workflow.error is not None
    assert "Renew it." in stage.workflow.error.message

    stage.workflow.start()
    stage.drain()

    assert stage.workflow.error is None
    assert stage.in_step()


def test_a_schema_change_in_mid_run_stops_with_the_field_and_moves_nothing(stage: Stage) -> None:
    """W10: the record stays queued and the status names it."""

    def gone(verb: str, key: str) -> None:
        raise SchemaChangedError("profile.lastName is gone", table="profile", field="lastName", remedy="Mend it.")

    stage.campaign.before = gone
    report = stage.drain()

    assert report.status is WorkflowState.FAILED
    assert stage.workflow.error is not None
    assert stage.workflow.error.kind == "SchemaChangedError"
    assert stage.workflow.error.about.startswith("contact(")
    assert stage.workflow.backlog.size == 30
    assert any(isinstance(n, StateChanged) and n.after is WorkflowState.FAILED for n in stage.notices)


@pytest.mark.parametrize("error", [SETUP, ODD, MissingExtraError("Signing in", extra="certificate")], ids=repr)
def test_whatever_a_connector_raises_in_the_checks_is_a_failed_check(stage: Stage, error: SynclineError) -> None:
    """A certificate file that went away must read as a failed check, not as an exception in the host's scheduler."""

    def refuse() -> None:
        raise error

    stage.dynamics.access = refuse

    report = stage.workflow.run_cycle()

    assert report.status is WorkflowState.FAILED
    assert error.message in str(stage.workflow.check())
    assert stage.workflow.error is not None
    assert error.message in stage.workflow.error.message


@pytest.mark.parametrize("error", [SETUP, ODD], ids=repr)
def test_whatever_a_connector_raises_while_reading_fails_with_the_table(stage: Stage, error: SynclineError) -> None:
    """W4: FAILED names what was read; the position stays."""

    def refuse(_: ReadRequest) -> None:
        raise error

    stage.dynamics.before_read = refuse

    report = stage.workflow.run_cycle()

    assert report.status is WorkflowState.FAILED
    assert stage.workflow.error is not None
    assert stage.workflow.error.about == "contact"
    assert stage.storage.positions(stage.workflow.id) == {}


def test_a_set_up_that_breaks_while_writing_sets_nobody_aside(stage: Stage) -> None:
    """It is no record's fault: the workflow fails, and everything stays queued."""

    def refuse(_verb: str, _key: str) -> None:
        raise SETUP

    stage.campaign.before = refuse

    report = stage.workflow.run_cycle()

    assert report.status is WorkflowState.FAILED
    assert (report.dead, stage.workflow.backlog.size) == (0, 30)


# -- edits -------------------------------------------------------------------------------------------------------------


def test_an_edit_takes_effect_with_the_next_start_and_says_what_it_needs(stage: Stage) -> None:
    """W7, W8: until then pending_changes is true, typed, and honest about what runs."""
    stage.drain()
    stage.workflow.edit(IngressDefinition(mappings=[WIDER]), by="ann")
    record = next(iter(stage.dynamics.rows))
    stage.dynamics.put(record, jobtitle="Pilot")
    stage.drain()
    assert "title" not in stage.campaign.records[record]
    assert stage.workflow.pending_changes
    assert stage.workflow.view.stop_warns

    stage.workflow.stop()
    assert not stage.workflow.pending_changes
    stage.workflow.start()
    stage.dynamics.put(record, jobtitle="Captain")
    stage.drain()

    assert stage.campaign.records[record]["title"] == "Captain"
    assert not stage.workflow.pending_changes


def test_editing_back_leaves_nothing_pending(stage: Stage) -> None:
    """What counts is the difference from what runs."""
    stage.drain()
    stage.workflow.edit(IngressDefinition(mappings=[WIDER]))
    stage.workflow.edit(IngressDefinition(mappings=[MAPPING]))

    assert not stage.workflow.pending_changes


def test_a_column_that_the_edit_needs_is_read_again_by_key(stage: Stage) -> None:
    """Decision 6: what was queued before the edit leaves under the new rules, without a full read."""
    stage.workflow.run_cycle(records=1)
    stage.workflow.edit(IngressDefinition(mappings=[WIDER]))
    stage.workflow.stop()
    stage.workflow.start()
    stage.drain()

    assert all("title" in row or row["lastName"] for row in stage.campaign.records.values())
    assert len(stage.dynamics.fetched) == 29
    assert stage.in_step()


def test_a_replay_waits_for_the_next_start_and_finds_deletions_too(stage: Stage) -> None:
    """I10: all records are sent again; what was deleted while nobody looked is gone afterwards."""
    stage.workflow.edit(IngressDefinition(mappings=[WIDER]))
    stage.drain()
    gone, kept = list(stage.dynamics.rows)[:2]
    stage.campaign.records[kept]["title"] = "changed by hand"
    stage.workflow.replay("contact")
    stage.drain()
    assert stage.campaign.records[kept]["title"] == "changed by hand"

    stage.workflow.stop()
    stage.dynamics.remove(gone)
    stage.workflow.start()
    stage.drain()

    assert stage.in_step()
    assert stage.storage.wanted_replays(stage.workflow.id) == {}


def test_a_replay_of_too_many_is_refused_with_the_numbers(stage: Stage) -> None:
    """I10: two million, here or in the table."""
    stage.dynamics.counted = 2_000_000

    with pytest.raises(ActionNotAvailableError, match="2,000,000 records in contact"):
        stage.workflow.replay("contact")
    with pytest.raises(DefinitionError, match="not mapped"):
        stage.workflow.replay("account")
