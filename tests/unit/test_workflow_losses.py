"""What gets lost on the way, such as a cursor, an answer or a process: nothing of it is lost to Campaign."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve
from tests.scripted import nothing
from tests.workflow_room import Stage

from syncline.backlog import ALONE_AFTER, DeadReason, Item
from syncline.errors import (
    AmbiguousWriteError,
    CursorLostError,
    UnavailableError,
)
from syncline.instrumentation import ResyncStarted, TakenOver
from syncline.records import ReadRequest, ReadStage
from syncline.state_machine import WorkflowState
from syncline.workflows.owner import this_owner
from syncline.workflows.settings import EngineSettings


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


def test_a_write_that_was_under_way_when_its_host_vanished_is_known_as_such(stage: Stage) -> None:
    """Before a write goes out it is marked: who takes over knows which records may have been written."""
    late: list[Item] = []

    def vanish(verb: str, key: str) -> None:
        if late:
            return
        stage.advance(61)
        other = stage.storage.acquire(stage.workflow.id, evolve(this_owner(), id="another"), timedelta(seconds=60))
        assert other is not None
        late.extend(stage.storage.lease(other, 10))
        stage.storage.release(other)

    stage.campaign.before = vanish
    stage.workflow.run_cycle(records=1)

    (taken_over,) = [item for item in late if item.ambiguous]
    assert taken_over.crashes == 1
    stage.drain()
    assert stage.in_step()


def test_a_record_that_kills_its_process_is_set_aside_and_nobody_beside_it(stage: Stage) -> None:
    """After a few crashes it is sent alone, and only what happens then speaks against it; the others are written."""
    poison, deaths = list(stage.dynamics.rows)[17], []

    def dies(verb: str, key: str) -> None:
        if key == poison:
            deaths.append(verb)
            stage.advance(61)
            other = stage.storage.acquire(stage.workflow.id, evolve(this_owner(), id="another"), timedelta(seconds=60))
            assert other is not None
            stage.storage.release(other)
            raise UnavailableError("nobody is there any more to hear it")

    stage.campaign.before = dies
    stage.drain()

    (letter,) = stage.workflow.dead_letters
    assert (letter.key.id, letter.reason) == (poison, DeadReason.CRASHED)
    assert "died 3 times while this record was being sent, with no other" in letter.message
    assert len(deaths) == ALONE_AFTER + stage.settings.crash_limit
    assert stage.campaign.records.keys() == stage.dynamics.rows.keys() - {poison}


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
