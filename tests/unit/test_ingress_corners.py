"""Corners of the ingress engine that random histories or a careful reader found: each was lost, stuck or wrong once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from tests.histories import SETTINGS, History, Rules
from tests.misbehaving import record_id

from syncline.errors import CredentialsError, CursorLostError, StorageBusyError, StorageFullError, ThrottledError
from syncline.records import Page, ReadRequest, ReadStage
from syncline.state_machine import WorkflowState
from syncline.workflows.cycle import CycleEnd

ONE_TABLE = Rules(tables=("contact",))
#: The coordinator notices nothing by itself.
UNATTENDED = evolve(SETTINGS, heartbeat=timedelta(hours=1), attention=timedelta(hours=1))


def put(history: History, number: int, lastname: str | None, title: str | None = None, kind: str = "a") -> None:
    history.edit(("contact", number, lastname, title, kind))


def at_target(history: History, number: int) -> object:
    found = history.world.rows_at("profile", record_id(number))
    return found[0]["lastName"] if found else None


def hooked(history: History, before_read: Callable[[ReadRequest], Page | None]) -> None:
    """Let `before_read` answer reads, or leave them to the source by returning None."""
    source = history.workflow._dynamics
    read = source.read
    source.read = lambda request: before_read(request) or read(request)  # type: ignore[method-assign]


def outlast(history: History) -> None:
    """Take longer than the budget, until the coordinator has noticed."""
    looks, monotonic = threading.Semaphore(0), history.clock.monotonic

    def looked_at() -> float:
        looks.release()
        return monotonic()

    history.clock.ahead += 30
    history.clock.monotonic = looked_at  # type: ignore[method-assign]
    for _ in range(50):
        if not looks.acquire(timeout=0.1):  # nobody looks any more: the cycle only waits for this answer
            break
    history.clock.monotonic = monotonic  # type: ignore[method-assign]


def interrupted() -> History:
    """Four people, and a full read that was interrupted after it had seen the first ones."""
    history = History(rules=ONE_TABLE)
    for number in range(4):
        put(history, number, "A")
    history.drain()
    history.expire()
    history.pages(1, [])
    history.source_faults(["", "", "", "unavailable"])
    history.cycle()
    return history


# -- lost cursors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["known to the ledger", "never written"])
def test_what_is_queued_and_was_deleted_while_the_cursor_was_lost_is_not_written(known: bool) -> None:
    """Nobody tells such a deletion: the full read does not show it, and the queue holds what was before."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    if known:
        history.drain()
        put(history, 1, "B")
    history.target_faults(["unavailable"] * 2)
    history.cycle()
    assert history.workflow.backlog.size == 1
    put(history, 1, None)
    history.expire()
    history.cycle()

    history.settle()

    assert at_target(history, 1) is None
    assert history.wrongs() == []


def test_what_an_interrupted_full_read_saw_does_not_hide_what_was_deleted_since() -> None:
    """The second full read begins with a clean slate."""
    history = interrupted()
    put(history, 0, None)
    history.expire()

    history.settle()

    assert history.wrongs() == []


def test_a_replay_does_not_inherit_what_an_interrupted_full_read_saw() -> None:
    """The same when it is a replay that begins anew."""
    history = interrupted()
    put(history, 0, None)
    history.world.versions.pop(("contact", record_id(0)))
    history.replay("contact")
    history.stop()
    history.start()

    history.settle()

    assert history.wrongs() == []


def test_a_table_that_comes_back_with_a_replay_finds_what_was_deleted_meanwhile() -> None:
    """Its position is gone and its ledger is not."""
    history = History(rules=Rules())
    put(history, 1, "A")
    history.edit(("account", 1, "A", None, "a"))
    history.drain()
    history.define(Rules(tables=("account",)))
    history.stop()
    history.drain()
    put(history, 1, None)
    history.expire()
    history.define(Rules())
    history.replay("contact")
    history.stop()

    history.settle()

    assert history.wrongs() == []


def test_a_source_that_loses_the_beginning_of_a_full_read_fails_the_workflow() -> None:
    """There is no position to lose: reading from the start again would go on for ever."""
    history = History(rules=ONE_TABLE)

    def lost(_: ReadRequest) -> Page | None:
        raise CursorLostError("expired")

    hooked(history, lost)
    report = history.workflow.run_cycle(seconds=5)

    assert report.status is WorkflowState.FAILED


def test_pages_that_lead_in_a_circle_fail_the_workflow() -> None:
    """F-47: the same page for ever is no progress and no end."""
    history = History(rules=ONE_TABLE)
    links = {None: "first", "first": "second", "second": "third", "third": "first"}
    hooked(history, lambda request: Page(changes=(), next_link=links[request.link]))

    report = history.workflow.run_cycle(seconds=5)

    assert report.status is WorkflowState.FAILED
    assert history.workflow.error is not None
    assert history.workflow.error.kind == "ProtocolError"


def test_a_tracked_read_without_a_delta_link_fails_the_workflow() -> None:
    """The status says so, instead of an exception from every cycle."""
    history = History(rules=ONE_TABLE)
    hooked(history, lambda _: Page(changes=()))

    report = history.workflow.run_cycle(seconds=5)

    assert report.status is WorkflowState.FAILED


# -- answers that were lost for good -----------------------------------------------------------------------------------


def test_a_record_set_aside_after_a_lost_answer_is_not_taken_for_what_it_was() -> None:
    """A, then B without an answer and given up, then A again: the ledger must not say that A is there."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    history.drain()
    put(history, 1, "B")
    history.target_faults(["", "lost after"])
    history.cycle()
    assert at_target(history, 1) == "B"
    history.advance(1_000)
    history.target_faults(["refused"])
    history.cycle()
    assert history.workflow.backlog.dead == 1
    put(history, 1, "A")

    history.drain()

    assert at_target(history, 1) == "A"


def test_a_record_set_aside_after_a_lost_create_is_deleted_when_its_source_goes() -> None:
    """The ledger never knew it, and the target may have it."""
    history = History(rules=ONE_TABLE)
    history.drain()
    put(history, 1, "A")
    history.target_faults(["lost after"])
    history.cycle()
    assert at_target(history, 1) == "A"
    history.advance(1_000)
    history.target_faults(["refused"])
    history.cycle()
    assert history.workflow.backlog.dead == 1
    put(history, 1, None)

    history.drain()

    assert at_target(history, 1) is None


def test_a_refused_reading_that_takes_the_place_of_a_lost_answer_keeps_it_in_mind() -> None:
    """A, then B without an answer, then a value that is too long, then A again."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    history.drain()
    put(history, 1, "B")
    history.target_faults(["", "lost after"])
    history.cycle()
    put(history, 1, "x" * 21)
    history.cycle()
    put(history, 1, "A")

    history.drain()

    assert at_target(history, 1) == "A"


def test_a_record_that_leaves_the_filter_after_a_lost_create_is_deleted_when_its_source_goes() -> None:
    """Skipping it must not forget that it may be there."""
    history = History(rules=evolve(ONE_TABLE, filtered=True))
    history.drain()
    put(history, 1, "A")
    history.target_faults(["lost after"])
    history.cycle()
    assert history.workflow.backlog.size == 1
    put(history, 1, "A", kind="b")
    history.drain()
    put(history, 1, None)

    history.drain()

    assert at_target(history, 1) is None


# -- cycles that never end, or never get anywhere ----------------------------------------------------------------------


def test_a_service_that_asks_for_silence_and_closes_no_gate_is_left_alone() -> None:
    """A connector without a gate must not turn a wait into a storm."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    asked: list[float] = []

    def refuse(*_: object) -> None:
        asked.append(history.clock.monotonic())
        raise ThrottledError("silence", retry_after=30, principal="somebody else")

    history.workflow._campaign.create = refuse  # type: ignore[method-assign, assignment]
    report = history.workflow.run_cycle(seconds=2)
    again = history.workflow.run_cycle(seconds=2)

    assert {report.end, again.end} == {CycleEnd.THROTTLED}
    assert report.resume_at is not None
    assert len(asked) <= 2


def test_rows_are_leased_one_at_a_time_when_the_settings_say_so() -> None:
    """The smallest batch is a batch."""
    history = History(rules=ONE_TABLE)
    history.workflow._settings = evolve(SETTINGS, lease_batch=1)
    for number in range(3):
        put(history, number, "A")

    report = history.workflow.run_cycle(seconds=5)

    assert (report.end, report.written) == (CycleEnd.IDLE, 3)


def test_a_page_that_takes_longer_than_the_budget_is_kept() -> None:
    """Else a host with short cycles would fetch the same page for ever."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")

    hooked(history, lambda _: outlast(history))

    for _ in range(4):
        history.workflow.run_cycle(seconds=20)

    assert at_target(history, 1) == "A"


def test_a_record_whose_reading_by_key_takes_longer_than_the_budget_is_written() -> None:
    """The same for what is read again by key."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    history.drain()
    put(history, 1, "B")
    history.pages(3, ["contradictory"])
    history.cycle(records=0)
    fetch = history.workflow._dynamics.fetch

    def slow(*arguments: object) -> object:
        outlast(history)
        return fetch(*arguments)  # type: ignore[arg-type]

    history.workflow._dynamics.fetch = slow  # type: ignore[method-assign, assignment]
    for _ in range(4):
        history.workflow.run_cycle(seconds=20)

    assert at_target(history, 1) == "B"


def test_a_connector_that_ends_its_thread_does_not_hang_the_cycle() -> None:
    """Whatever is raised comes back to the coordinator."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")

    def leave(*_: object) -> None:
        raise SystemExit(1)

    history.workflow._campaign.create = leave  # type: ignore[method-assign, assignment]
    cycle = threading.Thread(target=history.cycle, daemon=True)
    cycle.start()
    cycle.join(20)

    assert not cycle.is_alive()
    assert history.workflow.backlog.leased == 0


# -- losing the grant --------------------------------------------------------------------------------------------------


def test_a_failure_of_a_process_that_was_taken_over_changes_nothing() -> None:
    """The other one has stopped the workflow: there is nothing to fail, and nothing to raise."""
    history = History(rules=ONE_TABLE)
    history.workflow._settings = UNATTENDED
    put(history, 1, "A")

    def overtaken(request: ReadRequest) -> Page | None:
        if request.stage is ReadStage.LOAD:
            history.advance(61)
            history.stop()
            raise CredentialsError("the secret has expired")
        return None

    hooked(history, overtaken)
    report = history.workflow.run_cycle()

    assert report.end is CycleEnd.LEASE_LOST
    assert history.workflow.status is WorkflowState.STOPPED


def test_a_grant_lost_while_a_lost_cursor_is_mended_is_a_lost_grant() -> None:
    """It fails no workflow: somebody else has it."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    history.drain()
    history.workflow._settings = UNATTENDED

    def overtaken(request: ReadRequest) -> Page | None:
        history.advance(61)
        history.stop()
        raise CursorLostError("expired")

    hooked(history, overtaken)
    report = history.workflow.run_cycle()

    assert report.end is CycleEnd.LEASE_LOST
    assert history.workflow.status is WorkflowState.STOPPED


def test_a_write_without_an_answer_in_a_short_cycle_is_looked_up_in_the_next() -> None:
    """A cycle of one record at a time remembers what it does not know."""
    history = History(rules=ONE_TABLE, refuses_duplicates=False)
    for number in range(3):
        put(history, number, "A")
    history.target_faults(["", "lost after"] * 3)
    for _ in range(12):
        history.cycle(records=1)
        history.advance(500)

    history.settle()

    assert history.wrongs() == []


# -- hosts with short cycles, and loops --------------------------------------------------------------------------------


def test_changes_are_read_while_a_first_load_is_written_a_record_at_a_time() -> None:
    """O6: what changes meanwhile goes first, however small the cycles are."""
    history = History(rules=ONE_TABLE)
    history.pages(10, [])
    for number in range(10):
        put(history, number, "A")
    history.cycle(records=1)
    for _ in range(3):  # the load's second pass and the first delta
        history.cycle(records=1)
    put(history, 9, "B")

    for _ in range(2):
        history.cycle(records=1)

    assert at_target(history, 9) == "B"
    assert history.workflow.backlog.size > 2


def test_every_table_has_its_turn_in_cycles_of_one_page() -> None:
    """Where a cycle has room for one page only, the table that waited longest is next."""
    history = History(rules=Rules())
    put(history, 1, "A")
    history.edit(("account", 1, "A", None, "a"))
    hooked(history, lambda _: outlast(history))

    for _ in range(12):
        history.workflow.run_cycle(seconds=20)

    assert history.wrongs() == []


def test_a_loop_outlives_a_database_that_is_busy_now_and_then() -> None:
    """X2: `run` goes on when the storage has trouble that passes."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    acquire, trouble = history.storage.acquire, [StorageBusyError("locked"), StorageFullError("the disk is full")]

    def sometimes(*arguments: Any, **options: Any) -> Any:
        if trouble:
            raise trouble.pop()
        return acquire(*arguments, **options)

    history.storage.acquire = sometimes  # type: ignore[method-assign]
    report = history.workflow.run(until=lambda: at_target(history, 1) == "A")

    assert report.written == 1


def test_a_loop_that_is_to_end_tells_its_trouble() -> None:
    """Nobody knows the status while the storage does not answer, so there is no report to return."""
    history = History(rules=ONE_TABLE)

    def busy(*_: Any, **__: Any) -> Any:
        raise StorageBusyError("locked")

    history.storage.acquire = busy  # type: ignore[method-assign]
    with pytest.raises(StorageBusyError):
        history.workflow.run(until=lambda: True)


# -- traps that others fell into ---------------------------------------------------------------------------------------


def test_another_process_keeps_the_silence_that_one_was_asked_for() -> None:
    """V10: the wait belongs to the service, not to the connector that was told."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    history.target_faults(["throttled"])
    assert history.cycle().end is CycleEnd.THROTTLED

    for _ in range(3):
        history.restart()
        history.advance(20)
        assert history.cycle().end is CycleEnd.THROTTLED
    history.settle()

    assert history.target.intrusions == 0
    assert history.wrongs() == []


@pytest.mark.parametrize("apply_deletes", [True, False])
def test_a_full_read_after_a_lost_cursor_obeys_the_rule_about_deletions(apply_deletes: bool) -> None:
    """I7: deletions that are ignored stay ignored when a resync is what finds them."""
    history = History(rules=ONE_TABLE, apply_deletes=apply_deletes)
    put(history, 1, "A")
    history.drain()
    put(history, 1, None)
    history.expire()

    history.settle()

    assert at_target(history, 1) == (None if apply_deletes else "A")


def test_a_record_that_left_the_filter_unseen_is_deleted_by_the_full_read() -> None:
    """I6: also when nobody told that it left."""
    history = History(rules=evolve(ONE_TABLE, filtered=True, delete_filtered_out=True))
    put(history, 1, "A")
    history.drain()
    put(history, 1, "A", kind="b")
    history.expire()

    history.settle()

    assert at_target(history, 1) is None


def test_a_late_page_does_not_bring_back_what_was_deleted() -> None:
    """V8: of a page and a deletion the one that was read later counts, and a contradiction is looked up."""
    history = History(rules=ONE_TABLE)
    put(history, 1, "A")
    history.drain()
    put(history, 1, "B")
    put(history, 1, None)
    history.pages(3, ["history", "twice"])

    history.settle()

    assert at_target(history, 1) is None
