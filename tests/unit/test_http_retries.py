"""Short retries: three tries, jitter, a budget, and a switch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from tests.http_room import HeldClock

from syncline.errors import AmbiguousWriteError, ThrottledError, UnavailableError
from syncline.retries import Retries, retries_off


def failing(times: int, error: Exception) -> tuple[Callable[[], str], list[int]]:
    """A call that fails so many times, and the list it counts itself in."""
    calls: list[int] = []

    def call() -> str:
        calls.append(1)
        if len(calls) <= times:
            raise error
        return "done"

    return call, calls


def test_two_failures_are_survived() -> None:
    """The third try counts, after two growing random waits of at most a few seconds."""
    clock = HeldClock()
    call, calls = failing(2, UnavailableError("down"))
    assert Retries(clock).run(call) == "done"
    assert len(calls) == 3
    assert len(clock.slept) == 2
    assert all(0 <= wait <= 4 for wait in clock.slept)


def test_there_is_no_fourth_try() -> None:
    """After three tries the last error is the caller's: the backlog waits longer than a process should."""
    error = UnavailableError("down")
    call, calls = failing(9, error)
    with pytest.raises(UnavailableError) as caught:
        Retries(HeldClock()).run(call)
    assert caught.value is error
    assert len(calls) == 3


@pytest.mark.parametrize(
    "error", [ThrottledError("wait", retry_after=1, principal="u"), AmbiguousWriteError("perhaps"), ValueError("bug")]
)
def test_only_what_was_certainly_not_applied_is_tried_again(error: Exception) -> None:
    """Throttling, unknown outcomes and mistakes pass straight through."""
    call, calls = failing(1, error)
    with pytest.raises(type(error)):
        Retries(HeldClock()).run(call)
    assert len(calls) == 1


def test_a_service_that_is_down_is_not_asked_three_times_as_often() -> None:
    """Over many calls to a dead service the retries stay within the budget of one in ten."""
    retries = Retries(HeldClock())
    total = 0
    for _ in range(1000):
        call, calls = failing(9, UnavailableError("down"))
        with pytest.raises(UnavailableError):
            retries.run(call)
        total += len(calls)
    assert total <= 1.12 * 1000


def test_the_switch_turns_retries_off() -> None:
    """Inside retries_off() every call is tried once."""
    call, calls = failing(1, UnavailableError("down"))
    with retries_off(), pytest.raises(UnavailableError):
        Retries(HeldClock()).run(call)
    assert len(calls) == 1
    assert Retries(HeldClock()).run(call) == "done"


def test_more_than_three_tries_cannot_be_asked_for() -> None:
    """Long patience belongs to the backlog."""
    with pytest.raises(ValueError):
        Retries(HeldClock(), tries=4)
    call, calls = failing(1, UnavailableError("down"))
    with pytest.raises(UnavailableError):
        Retries(HeldClock(), tries=1).run(call)
    assert len(calls) == 1


def test_third_party_libraries_load_only_when_needed() -> None:
    """Importing the connectors loads neither httpx nor tenacity nor cryptography."""
    code = (
        "import sys, syncline, syncline.retries, syncline.connectors.http\n"
        "loaded = {'httpx', 'httpcore', 'tenacity', 'cryptography', 'certifi'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(loaded)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
