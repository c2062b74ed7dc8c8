"""The throttle gate: nobody passes before the time the service named."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.http_room import HeldClock

from syncline.connectors.http import ThrottleGate
from syncline.errors import ThrottledError


def test_an_open_gate_lets_everybody_pass() -> None:
    """A new gate is open and says so."""
    gate = ThrottleGate("user at contoso", HeldClock())
    gate.check()
    assert gate.closed_until is None
    assert repr(gate) == "<ThrottleGate user at contoso: open>"


def test_a_closed_gate_tells_how_long_and_opens_on_time() -> None:
    """check() raises with the remaining seconds until the time is over."""
    clock = HeldClock()
    gate = ThrottleGate("u", clock)
    assert gate.close(30) == clock.now() + timedelta(seconds=30)
    clock.sleep(20)
    with pytest.raises(ThrottledError) as caught:
        gate.check()
    assert caught.value.retry_after == pytest.approx(10)
    assert caught.value.principal == "u"
    assert "closed until" in repr(gate)
    clock.sleep(10)
    gate.check()
    assert gate.closed_until is None


def test_a_wait_is_extended_and_never_shortened() -> None:
    """A second, shorter demand changes nothing; a longer one does."""
    clock = HeldClock()
    gate = ThrottleGate("u", clock)
    first = gate.close(60)
    assert gate.close(5) == first
    assert gate.close(90) == first + timedelta(seconds=30)


@pytest.mark.parametrize("seconds", [0, -5, math.nan])
def test_a_wait_that_is_none_leaves_the_gate_open(seconds: float) -> None:
    """Zero, the past and what is no number do not close a gate."""
    gate = ThrottleGate("u", HeldClock())
    gate.close(seconds)
    gate.check()


def test_no_wait_is_longer_than_the_most() -> None:
    """A demand for a year, or a stored gate from a wrong clock, ends after `max_wait`: then one request probes."""
    clock = HeldClock()
    gate = ThrottleGate("u", clock, max_wait=900)
    assert gate.close(math.inf) == clock.now() + timedelta(seconds=900)
    other = ThrottleGate("u", clock, max_wait=900)
    other.close_until(clock.now() + timedelta(days=400))
    assert other.closed_until == clock.now() + timedelta(seconds=900)
    other.close_until(clock.now() - timedelta(days=1))
    assert other.remaining == 900


def test_without_a_time_the_wait_doubles_and_is_forgotten_in_quiet_times() -> None:
    """Each new strike doubles the wait; turned away together counts once; five quiet minutes begin anew."""
    clock = HeldClock()
    gate = ThrottleGate("u", clock)
    waits = []
    for _ in range(4):
        gate.close(None)
        gate.close(None)
        waits.append(gate.remaining)
        clock.sleep(gate.remaining)
    assert waits == [2, 4, 8, 16]
    clock.sleep(1000)
    gate.close(None)
    assert gate.remaining == 2


def test_a_stored_gate_holds_after_a_restart() -> None:
    """What closed_until told before a restart closes the new gate for the rest of the time."""
    clock = HeldClock()
    until = ThrottleGate("u", clock).close(100)
    clock.sleep(40)
    gate = ThrottleGate("u", clock)
    gate.close_until(until)
    assert gate.remaining == pytest.approx(60)


@given(st.lists(st.tuples(st.floats(0, 500), st.one_of(st.none(), st.floats(allow_nan=True))), max_size=20))
def test_the_opening_time_never_moves_back(steps: list[tuple[float, float | None]]) -> None:
    """Over any history the moment of opening only grows while closed, and never lies beyond the most."""
    clock = HeldClock()
    gate = ThrottleGate("u", clock, max_wait=300)
    for pause, seconds in steps:
        clock.sleep(pause)
        before = gate.closed_until
        gate.close(seconds)
        after = gate.closed_until
        if before is not None:
            assert after is not None
            assert after >= before
        assert gate.remaining <= 300.001
