"""Awaiting Syncline: the event loop goes on meanwhile, and cancelling ends what it cancels, no more and no less."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import anyio
import pytest
from tests.workflow_room import Stage

from syncline import MemoryStorage, asynchronous
from syncline.errors import ActionNotAvailableError, StorageFullError
from syncline.records import Event, EventKind
from syncline.state_machine import WorkflowState
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.egress import EgressWorkflow
from syncline.workflows.settings import EngineSettings

#: How long a test waits for what must happen, in seconds; none of them takes that long unless it fails.
PATIENCE = 60.0


class Held:
    """A scripted call that says when it has begun, and does not end before it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> None:
        self.begun.set()
        assert self.may_end.wait(PATIENCE)

    async def wait_until_begun(self) -> None:
        while not self.begun.is_set():
            await asyncio.sleep(0.001)


@pytest.fixture
def stage() -> Stage:
    """Something to do: a workflow of a few people that was started."""
    staged = Stage()
    staged.workflow.start()
    return staged


def test_a_cycle_is_awaited_while_the_loop_goes_on(stage: Stage) -> None:
    """The loop is what lets the write end here: it could not if the cycle held it up."""
    write = Held()
    stage.campaign.before = write

    async def host() -> CycleEnd:
        cycle = asyncio.create_task(asynchronous.run_cycle(stage.workflow))
        await write.wait_until_begun()
        write.may_end.set()
        return (await cycle).end

    assert asyncio.run(host()) is CycleEnd.IDLE
    assert stage.in_step()


def test_the_budget_of_an_awaited_cycle_counts(stage: Stage) -> None:
    """It is `Workflow.run_cycle`, with its arguments."""
    report = asyncio.run(asynchronous.run_cycle(stage.workflow, seconds=60, records=10))

    assert (report.end, report.written) == (CycleEnd.BUDGET, 10)


@pytest.mark.parametrize("awaited", [asynchronous.run_cycle, asynchronous.run])
def test_a_cancelled_cycle_finishes_what_is_in_flight_and_begins_nothing_more(
    awaited: Callable[[Any], Awaitable[object]],
) -> None:
    """The task ends when nothing is under way any more; the workflow stays RUNNING, and the next cycle goes on."""
    stage = Stage(people=500)
    stage.workflow.start()
    write = Held()
    stage.campaign.before = write

    async def host() -> bool:
        cycle = asyncio.ensure_future(awaited(stage.workflow))
        await write.wait_until_begun()
        cycle.cancel()
        done, _ = await asyncio.wait([cycle], timeout=0.05)
        too_early = bool(done)
        cycle.cancel()  # a second time changes nothing
        write.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await cycle
        return too_early

    assert asyncio.run(host()) is False
    arrived = len(stage.campaign.records)
    counts = stage.storage.counts(stage.workflow.id)
    row = stage.storage.workflow(stage.workflow.id)
    assert 0 < arrived < 500
    assert counts.totals.written == arrived
    assert stage.workflow.backlog.leased == 0
    assert (row.state, row.wanted, row.owner) == (WorkflowState.RUNNING, True, None)
    assert stage.storage.audit(stage.workflow.id) == []
    stage.drain()
    assert stage.in_step()


def test_a_cycle_that_takes_too_long_is_ended_by_a_timeout(stage: Stage) -> None:
    """`asyncio.timeout` works as with anything else that is awaited."""
    write = Held()
    stage.campaign.before = write

    async def host() -> None:
        async with asyncio.timeout(None) as timeout:
            cycle = asynchronous.run_cycle(stage.workflow)
            asyncio.get_running_loop().call_later(0.05, write.may_end.set)
            timeout.reschedule(asyncio.get_running_loop().time() + 0.01)
            await cycle

    with pytest.raises(TimeoutError):
        asyncio.run(host())
    assert stage.storage.workflow(stage.workflow.id).owner is None


def test_a_cancel_scope_of_anyio_waits_as_well(stage: Stage) -> None:
    """On asyncio, anyio cancels again and again until the task gives in; it gives in when the cycle has ended."""
    write = Held()
    stage.campaign.before = write

    async def host() -> bool:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asynchronous.run_cycle, stage.workflow)
            await write.wait_until_begun()
            tasks.cancel_scope.cancel()
            asyncio.get_running_loop().call_later(0.05, write.may_end.set)
        return tasks.cancel_scope.cancelled_caught

    assert asyncio.run(host())
    assert stage.storage.workflow(stage.workflow.id).owner is None


def test_a_loop_of_cycles_ends_with_the_workflow(stage: Stage) -> None:
    """Somebody stops it: the report is that of the last cycle."""

    async def host() -> WorkflowState:
        running = asyncio.create_task(asynchronous.run(stage.workflow))
        while len(stage.campaign.records) < len(stage.dynamics.rows):
            await asyncio.sleep(0.001)
        await asynchronous.call(stage.workflow.stop, by="ann")
        return (await running).status

    assert asyncio.run(host()) is WorkflowState.STOPPED
    assert stage.in_step()


def test_a_resting_loop_of_cycles_is_cancelled_without_waiting_for_the_rest() -> None:
    """An hour between two looks is no hour until a host can go."""
    stage = Stage(settings=EngineSettings(idle_wait=timedelta(hours=1)))
    stage.workflow.start()

    async def host() -> None:
        running = asyncio.create_task(asynchronous.run(stage.workflow))
        while not any(notice.event == "cycle.finished" for notice in stage.notices):
            await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(host())
    assert stage.in_step()


def test_any_call_can_be_awaited_and_says_what_it_says() -> None:
    """Positional and named arguments go in; results and errors come out."""
    stage = Stage()

    async def host() -> None:
        await asynchronous.call(stage.workflow.start, by="ann")
        assert await asynchronous.call(lambda: stage.workflow.status) is WorkflowState.STARTING
        with pytest.raises(ActionNotAvailableError):
            await asynchronous.call(stage.workflow.start)

    asyncio.run(host())
    assert next(iter(stage.workflow.history)).by == "ann"


def test_a_cancelled_call_has_done_its_work_when_the_task_ends() -> None:
    """A push whose sender hung up is durable or it was never begun; it does not go on unseen."""
    storage = MemoryStorage()
    egress = EgressWorkflow(dynamics=Stage().dynamics, storage=storage)
    push = Held()

    def accept() -> None:
        push()
        egress.accept([Event(kind=EventKind.SEND, contact="a", occurred_on=storage.now(), log_id="1")])

    async def host() -> None:
        call = asyncio.create_task(asynchronous.call(accept))
        await push.wait_until_begun()
        call.cancel()
        push.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(host())
    assert egress.backlog.size == 1


def test_a_failure_is_not_lost_to_a_cancellation() -> None:
    """What went wrong is told although nobody wanted to wait for it any longer."""
    push = Held()

    def accept() -> None:
        push()
        raise StorageFullError("the disk is full")

    async def host() -> None:
        call = asyncio.create_task(asynchronous.call(accept))
        await push.wait_until_begun()
        call.cancel()
        push.may_end.set()
        with pytest.raises(StorageFullError):
            await call

    asyncio.run(host())


def test_an_iterator_that_is_exhausted_does_not_leave_its_caller_waiting() -> None:
    """The one exception that a future refuses to carry comes out as the language has it."""

    async def host() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asynchronous.call(next, iter(()))

    asyncio.run(host())


def test_context_variables_of_the_host_are_seen() -> None:
    """Such as the span that a tracer keeps there."""
    request: ContextVar[str] = ContextVar("request", default="")

    async def host() -> str:
        request.set("of the host")
        return await asynchronous.call(request.get)

    assert asyncio.run(host()) == "of the host"


def test_a_loop_that_is_closed_over_the_head_of_a_cycle_still_ends_it(stage: Stage) -> None:
    """Nobody can wait any longer; the cycle is asked to end all the same, and its thread is gone soon."""
    write = Held()
    stage.campaign.before = write
    loop = asyncio.new_event_loop()
    cycle = asynchronous.run(stage.workflow)

    async def begin() -> None:
        await asyncio.wait_for(asyncio.shield(loop.create_task(write.wait_until_begun())), PATIENCE)

    before = set(threading.enumerate())
    task = loop.create_task(cycle)
    loop.run_until_complete(begin())
    loop.close()
    (thread,) = [one for one in set(threading.enumerate()) - before if one.name == "syncline-awaited"]
    cycle.close()
    write.may_end.set()
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert stage.storage.workflow(stage.workflow.id).owner is None
    task._log_destroy_pending = False  # type: ignore[attr-defined]
