"""Awaiting Syncline: for hosts that live in an asyncio event loop.

What lives here: `call`, which awaits any method in a thread of its own, and `run_cycle` and `run`, which can also be
asked to end. No second copy of the other methods, and no work: that is done by the very code that everybody else runs.

Cancellation is honest. Who awaits is told that it is over when it is over: a cancelled cycle begins nothing new,
finishes and keeps what is in flight, gives its lease back, and then CancelledError is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Event, Thread
from typing import Any, ParamSpec, TypeVar

from syncline.workflows.base import CycleReport, Workflow

__all__ = ["call", "run", "run_cycle"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def call(function: Callable[_P, _T], /, *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Await a call that blocks, such as `workflow.start` or `integration.egress.accept`.

    - It runs in a thread of its own, so that it neither waits for others nor keeps them waiting.
    - It cannot be called back: when the awaiting task is cancelled, the call comes to its end first, and then
      CancelledError is raised.

    Raises what the call raises, also when the task was cancelled meanwhile: that it failed must not be lost.
    """
    return await _await_thread(partial(function, *arguments, **named), Event())


async def run_cycle(
    workflow: Workflow[Any], *, seconds: float | None = None, records: int | None = None
) -> CycleReport:
    """Await one `Workflow.run_cycle`. Cancelling the task asks the cycle to end; it ends as with `until` there.

    With requests in flight that takes as long as they take, at most the drain deadline and one request's time.
    """
    asked = Event()
    work = partial(workflow.run_cycle, seconds=seconds, records=records, until=asked.is_set)
    return await _await_thread(work, asked)


async def run(workflow: Workflow[Any]) -> CycleReport:
    """Await `Workflow.run`: cycle after cycle until the workflow is STOPPED or FAILED, or the task is cancelled.

    It holds one thread all the while. Who has many workflows calls `run_cycle` for them in turn instead.
    """
    asked = Event()
    return await _await_thread(partial(workflow.run, until=asked.is_set), asked)


async def _await_thread(work: Callable[[], _T], asked: Event) -> _T:
    """What `work` returns or raises. `asked` is set as soon as nobody wants to wait for it any longer."""
    # Not the loop's own pool: that is small, and what waits for a cycle there would keep others from ever beginning.
    outcome: Future[_T] = Future()
    ended = _told_here(outcome)
    thread = Thread(target=copy_context().run, args=(_work_into, outcome, work), name="syncline-awaited")
    thread.start()
    cancelled: asyncio.CancelledError | None = None
    try:
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError as error:
                cancelled = error
                asked.set()
    finally:
        asked.set()  # also when the loop is gone and this coroutine is merely closed
    if cancelled is not None and outcome.exception() is None:
        raise cancelled
    return outcome.result()


def _work_into(outcome: Future[_T], work: Callable[[], _T]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  (whatever it is, it belongs to whoever awaits)
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


def _told_here(outcome: Future[Any]) -> asyncio.Future[None]:
    """A future of the running loop that is done when the outcome is there; it tells nothing else."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any longer
            loop.call_soon_threadsafe(ended.set_result, None)

    outcome.add_done_callback(tell)
    return ended
