"""The clock for tests: time passes when somebody sleeps or says so, and never backwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.testing.clocks import JumpingClock


def test_a_sleep_takes_no_time_and_moves_both_clocks() -> None:
    """Sleeps and jumps add up; a sleep of less than nothing is none."""
    clock = JumpingClock()
    began, steady = clock.now(), clock.monotonic()
    clock.sleep(1_000.0)
    clock.sleep(-5.0)
    clock.jump(500.0)
    assert clock.sleeps == [1_000.0, -5.0]
    assert clock.ahead == 1_500.0
    assert clock.now() - began >= timedelta(seconds=1_500)
    assert clock.monotonic() - steady >= 1_500


def test_a_wrong_clock_is_wrong_on_the_wall_only() -> None:
    """Somebody puts the clock back: no time has passed, and none goes back."""
    clock = JumpingClock()
    began, steady = clock.now(), clock.monotonic()
    clock.wrong = -3_600.0
    assert clock.now() < began
    assert clock.monotonic() >= steady
    with pytest.raises(ValueError, match="forwards"):
        clock.jump(-1.0)
