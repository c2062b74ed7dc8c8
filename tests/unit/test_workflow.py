"""A workflow's status, actions and cycles, with connectors that do exactly what the test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.scripted import ScriptedCampaign, ScriptedDynamics, nothing

from syncline import FieldMapping, IngressDefinition, MemoryStorage, TableMapping
from syncline.backlog import Grant
from syncline.errors import (
    ActionNotAvailableError,
    AmbiguousWriteError,
    CredentialsError,
    CursorLostError,
    DefinitionError,
    MissingExtraError,
    RecordRefusedError,
    SchemaChangedError,
    SynclineError,
    UnavailableError,
)
from syncline.instrumentation import Instrumentation, Notice, ResyncStarted, StateChanged, TakenOver
from syncline.records import ReadRequest, ReadStage
from syncline.state_machine import Action, WorkflowState
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.ingress import IngressWorkflow
from syncline.workflows.owner import this_owner
from syncline.workflows.settings import EngineSettings

MAPPING = TableMapping(table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")])
WIDER = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source="lastname", target="lastName"), FieldMapping(source="jobtitle", target="title")],
)


SOON = timedelta(milliseconds=1)


class Stage:
    """A workflow between two scripted connectors."""

    def __init__(self, people: int = 30, settings: EngineSettings | None = None) -> None:
        self.storage = MemoryStorage()
        self._later = 0.0
        self.dynamics = ScriptedDynamics(people)
        self.campaign = ScriptedCampaign()
        self.notices: list[Notice] = []
        self.settings = settings or EngineSettings(retry_first=SOON, retry_most=SOON * 20)
        self.workflow = self.again()

    def again(self) -> IngressWorkflow:
        """The same workflow as another process would make it."""
        return IngressWorkflow(
            dynamics=self.dynamics,
            campaign=self.campaign,
            storage=self.storage,
            definition=IngressDefinition(mappings=[MAPPING]),
            settings=self.settings,
            tell=Instrumentation([self.notices.append]),
        )

    def advance(self, seconds: float) -> None:
        """Let time pass for everything that is stored."""
        self._later += seconds
        self.storage.set_time_offset(self._later)

    def drain(self) -> CycleReport:
        for _ in range(500):
            report = self.workflow.run_cycle()
            self.advance(60)
            if not report.status.started or (report.end is CycleEnd.IDLE and report.resume_at is None):
                return report
        raise AssertionError(f"not caught up: {report}")

    def in_step(self) -> bool:
        wanted = {record: row["lastname"] for record, row in self.dynamics.rows.items()}
        return wanted == {record: row["lastName"] for record, row in self.campaign.records.items()}


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A workflow that was started, and exact counters whatever the test does."""
    made = Stage()
    made.workflow.start()
    yield made
    assert made.storage.audit(made.workflow.id) == []
    totals, size = made.storage.counts(made.workflow.id).totals, made.storage.counts(made.workflow.id).size
    ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
    assert totals.put == ended + size


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
    """W6: while a write is under way the status is RUNNING and stopping, never STOPPED."""
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
    assert page.backlog.size == len(stage.dynamics.rows) - len(stage.campaign.records)


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


# -- edits -------------------------------------------------------------------------------------------------------------


SETUP = DefinitionError("The file of certificate authorities cannot be read.", path="ca_file")
ODD = RecordRefusedError("Campaign about profile: no.")


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


# -- nothing lost ------------------------------------------------------------------------------------------------------


def test_an_expired_cursor_finds_what_was_deleted_meanwhile(stage: Stage) -> None:
    """I9: what the ledger has and the full read does not show is asked for by key."""
    stage.drain()
    gone = next(iter(stage.dynamics.rows))
    stage.dynamics.remove(gone)
    del stage.dynamics.versions[gone]

    def expired(request: ReadRequest) -> None:
        if request.stage is ReadStage.DELTA and request.link == "delta:30":
            raise CursorLostError("expired")

    stage.dynamics.before_read = expired
    stage.drain()

    assert stage.in_step()
    assert [notice.table for notice in stage.notices if isinstance(notice, ResyncStarted)] == ["contact"]
    assert stage.dynamics.fetched == [gone, gone], "when it was missed, and right before it was deleted"


def test_a_record_that_the_full_read_overlooked_is_not_deleted(stage: Stage) -> None:
    """A gap in paging looks like a deletion; asking by key tells them apart."""
    stage.drain()
    overlooked = next(iter(stage.dynamics.rows))
    del stage.dynamics.versions[overlooked]

    def expired(request: ReadRequest) -> None:
        if request.link == "delta:30":
            stage.dynamics.before_read = lambda _: None
            raise CursorLostError("expired")

    stage.dynamics.before_read = expired
    stage.drain()

    assert overlooked in stage.campaign.records
    assert stage.in_step()


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
def test_a_write_that_was_applied_without_an_answer_happens_once(stage: Stage, verb: str) -> None:
    """F-43: look before sending again, for every verb."""
    record = next(iter(stage.dynamics.rows))
    if verb != "create":
        stage.drain()
        if verb == "update":
            stage.dynamics.put(record, lastname="New")
        else:
            stage.dynamics.remove(record)
    lost = [verb]

    def no_answer(done: str, key: str) -> None:
        if key == record and done in lost:
            lost.remove(done)
            raise AmbiguousWriteError("no answer")

    stage.campaign.after = no_answer
    stage.campaign.verbs.clear()
    stage.drain()

    assert stage.in_step()
    assert [done for done, key in stage.campaign.verbs if key == record].count(verb) == 1
    assert not lost


def test_a_create_without_an_answer_and_a_deletion_meanwhile_leave_nothing_behind(stage: Stage) -> None:
    """The ledger does not know the record, so only the target can say whether there is something to delete."""
    record = next(iter(stage.dynamics.rows))

    def no_answer(done: str, key: str) -> None:
        if key == record and done == "create":
            stage.campaign.after = nothing
            stage.dynamics.remove(record)
            raise AmbiguousWriteError("no answer")

    stage.campaign.after = no_answer
    stage.drain()
    stage.drain()

    assert record not in stage.campaign.records
    assert stage.in_step()


def test_a_value_that_goes_and_comes_back_around_a_lost_answer_ends_right(stage: Stage) -> None:
    """A, then B without an answer, then A again: the ledger says A, the target may say B."""
    stage.drain()
    record = next(iter(stage.dynamics.rows))
    before = stage.dynamics.rows[record]["lastname"]
    stage.dynamics.put(record, lastname="B")

    def no_answer(done: str, key: str) -> None:
        stage.campaign.after = nothing
        stage.dynamics.put(record, lastname=before)
        raise AmbiguousWriteError("no answer")

    stage.campaign.after = no_answer
    stage.drain()
    stage.drain()

    assert stage.in_step()


def test_a_change_that_is_taken_back_while_it_waits_is_not_written() -> None:
    """The newer reading, which equals the ledger, takes the place of the older one in the queue."""
    stage = Stage(settings=EngineSettings(retry_first=timedelta(minutes=10)))
    stage.workflow.start()
    stage.drain()
    record = next(iter(stage.dynamics.rows))
    before = stage.dynamics.rows[record]["lastname"]
    stage.dynamics.put(record, lastname="For a moment")

    def away(verb: str, key: str) -> None:
        raise UnavailableError("away")

    stage.campaign.before = away
    stage.workflow.run_cycle(records=1)
    assert stage.workflow.backlog.size == 1
    stage.dynamics.put(record, lastname=before)
    stage.campaign.before = nothing
    stage.campaign.verbs.clear()
    stage.drain()

    assert "update" not in [verb for verb, _ in stage.campaign.verbs]
    assert stage.in_step()


def test_a_host_that_vanished_is_taken_over_and_told(stage: Stage) -> None:
    """Its leased rows come back; the next cycle finishes them."""
    stage.workflow.run_cycle(records=1)
    grant = stage.storage.acquire(stage.workflow.id, this_owner(), timedelta(seconds=60))
    assert grant is not None
    stage.storage.mark_sending(grant, stage.storage.lease(grant, 10))
    stage.advance(61)

    stage.drain()

    assert stage.in_step()
    assert any(isinstance(notice, TakenOver) for notice in stage.notices)


def test_a_crash_loop_without_progress_ends_in_failed() -> None:
    """Decision 12: with the count, instead of for ever."""
    stage = Stage(settings=EngineSettings(crash_loop_limit=3))
    stage.workflow.start()
    for _ in range(4):
        assert stage.storage.acquire(stage.workflow.id, this_owner(), timedelta(seconds=60)) is not None
        stage.advance(61)

    report = stage.workflow.run_cycle()

    assert report.status is WorkflowState.FAILED
    assert stage.workflow.error is not None
    assert "times in a row" in stage.workflow.error.message
