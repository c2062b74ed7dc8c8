"""The storage, or the process, fails at the first call, at the second, at every one: afterwards all still ends in step.

The same story is told again and again: a first load, changes, deletions, a write without an answer, a lost cursor, a
record that is refused, an edit with a replay, a stop. In the N-th telling the N-th call of the storage fails, until a
telling comes to its end before that. Whoever calls the workflow does what a host does: it calls again.

`SYNCLINE_EVERY_CALL=1` tells it for every call and every kind of trouble (half an hour); else each kind fails at every
fiftieth call or so, each kind at others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.histories import History, Rules
from tests.misbehaving import REFUSED, record_id

from syncline import MemoryStorage
from syncline.errors import (
    ActionNotAvailableError,
    LeaseLostError,
    StorageBusyError,
    StorageCorruptError,
    StorageFullError,
    SynclineError,
)
from syncline.state_machine import WorkflowState
from syncline.store import Storage

_EVERY = 1 if os.environ.get("SYNCLINE_EVERY_CALL") else 53
_CALLS = sorted(Storage.__abstractmethods__ - {"close"})


class Crash(BaseException):
    """Ends the coordinator as Ctrl-C does, wherever it is."""


class FailingStorage(MemoryStorage):
    """Fails at one call, before it did anything or just after."""

    def __init__(self, error: Callable[[], BaseException], at: int, *, after: bool = False) -> None:
        super().__init__()
        self.calls = 0
        #: The method that failed.
        self.failed = ""
        self.armed = False
        self._error, self._at, self._after = error, at, after
        self._lock = threading.Lock()
        for name in _CALLS:
            setattr(self, name, self._failing(name, getattr(self, name)))

    def _failing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                self.calls += self.armed
                ours = self.armed and self.calls == self._at and not self.failed
                if ours:
                    self.failed = name
            if ours and not self._after:
                raise self._error()
            answer = method(*arguments, **named)
            if ours:
                raise self._error()
            return answer

        return call


def tell(history: History, storage: FailingStorage) -> None:
    """The story. Every action is called until it comes to an end, as a host would."""

    def insist(action: Callable[[], object]) -> None:
        for _ in range(3):
            try:
                action()
                return
            except (SynclineError, RuntimeError, Crash) as error:
                if isinstance(error, ActionNotAvailableError):
                    return  # what failed had come true
                alive = [one.name for one in threading.enumerate() if one.name.startswith("syncline")]
                assert alive == []
                history.advance(61)  # the lease of whoever died
        raise AssertionError("it fails more than once")

    put = history.world.edit
    storage.armed = True
    insist(history.workflow.start)
    for number in range(5):
        put(("contact", number, "A", "A", "a"))
    insist(history.cycle)
    put(("contact", 0, None, None, "a"))
    put(("contact", 1, "B", "A", "a"))
    put(("contact", 2, REFUSED, "A", "a"))
    history.target_faults(["", "", "lost after"])
    history.pages(2, ["contradictory", "twice"])
    insist(lambda: history.cycle(records=2))
    insist(history.cycle)
    put(("contact", 3, None, None, "a"))
    history.expire()
    insist(history.cycle)
    history.advance(1_000)
    insist(lambda: history.define(Rules(title="always", tables=("contact",))))
    insist(lambda: history.replay("contact"))
    insist(history.stop)
    insist(history.start)
    insist(history.cycle)
    put(("contact", 2, "C", "B", "a"))
    insist(lambda: history.letters(discard=False, some=10))
    insist(history.cycle)
    insist(history.stop)
    storage.armed = False


def in_every_telling(error: Callable[[], BaseException], first: int, *, after: bool = False) -> None:
    """Tell the story until it ends without a failure; it must end in step each time."""
    failed: list[str] = []
    for at in range(1 + first * 7 % _EVERY, 2_000, _EVERY):
        storage = FailingStorage(error, at, after=after)
        history = History(rules=Rules(tables=("contact",)), storage=storage, start=False)
        try:
            tell(history, storage)
            history.settle()
            history.renew()
            assert history.wrongs(renewed=True) == []
            assert history.workflow.status is WorkflowState.RUNNING
        except BaseException as trouble:
            trouble.add_note(f"in telling {at}, {'after' if after else 'in'} {storage.failed}")
            raise
        if not storage.failed:
            assert at > 100
            assert len(failed) > 5
            return
        failed.append(storage.failed)
    raise AssertionError("the story has no end")


@pytest.mark.parametrize(
    ("first", "error"),
    list(
        enumerate(
            [
                lambda: StorageFullError("the disk is full"),
                lambda: StorageBusyError("locked"),
                lambda: LeaseLostError("another process took over"),
                lambda: StorageCorruptError("not a database"),
                lambda: RuntimeError("a bug"),
                Crash,
            ]
        )
    ),
    ids=["full", "busy", "lease lost", "corrupt", "bug", "Ctrl-C"],
)
def test_whatever_call_of_the_storage_fails_all_ends_in_step(first: int, error: Callable[[], BaseException]) -> None:
    """V1 to V5 with trouble before every transaction."""
    in_every_telling(error, first)


@pytest.mark.parametrize("error", [Crash, lambda: StorageBusyError("locked")], ids=["Ctrl-C", "busy"])
def test_a_process_that_ends_after_any_transaction_leaves_all_in_step(error: Callable[[], BaseException]) -> None:
    """The transaction came true, and nobody in the process knows: an ambiguous commit."""
    in_every_telling(error, 6, after=True)


def test_a_stop_that_waits_for_a_cycle_is_settled_although_the_cycle_dies() -> None:
    """W6: `stopping` does not stay for ever because nobody is at work any more."""
    storage = FailingStorage(Crash, 1_000_000)
    history = History(rules=Rules(tables=("contact",)), storage=storage)
    history.world.edit(("contact", 1, "A", None, "a"))

    def stopped_from_elsewhere(*_: object) -> Any:
        history.workflow.stop()
        raise Crash

    storage.commit_page = stopped_from_elsewhere  # type: ignore[method-assign, assignment]
    with pytest.raises(Crash):
        history.workflow.run_cycle()
    report = history.workflow.run_cycle()

    assert report.status is WorkflowState.STOPPED
    assert history.world.rows_at("profile", record_id(1)) == []
