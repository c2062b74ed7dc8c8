"""How many writes go out at once."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from syncline.workflows.concurrency import ConcurrencyLimit


def run(limit: ConcurrencyLimit, rate: Callable[[int], float], completions: int) -> None:
    """Complete writes at the rate a service gives to as many at once as the limit allows."""
    now = 0.0
    for _ in range(completions):
        now += 1 / rate(limit.limit)
        limit.completed(1, now, saturated=True)


def test_it_climbs_while_more_at_once_brings_more() -> None:
    """20 ms away, the rate grows with every request in flight."""
    limit = ConcurrencyLimit(32)

    run(limit, lambda at_once: at_once / 0.02, 3_000)

    assert limit.limit == 32


def test_it_stays_low_where_more_at_once_only_contends() -> None:
    """Close by, a few threads keep the processor busy."""
    limit = ConcurrencyLimit(32)

    run(limit, lambda at_once: 2_000 - 10 * at_once, 3_000)

    assert limit.limit == 8


def test_an_overloaded_service_gets_half_at_once_and_time_to_breathe() -> None:
    """A 429 halves at once; climbing again waits for many good measurements."""
    limit = ConcurrencyLimit(32, start=32)

    limit.overloaded()
    run(limit, lambda at_once: at_once / 0.02, 500)

    assert limit.limit == 16


def test_idle_time_measures_nothing() -> None:
    """A backlog that trickles in says nothing about what the target bears."""
    limit = ConcurrencyLimit(32)

    for moment in range(10_000):
        limit.completed(1, moment / 1_000, saturated=False)

    assert limit.limit == 8


@given(st.lists(st.one_of(st.floats(0.0001, 10), st.none()), max_size=500), st.integers(1, 64))
def test_it_never_leaves_its_bounds(steps: list[float | None], most: int) -> None:
    """Whatever happens, at least one request may go and never more than the most."""
    limit, now = ConcurrencyLimit(most), 0.0
    for step in steps:
        if step is None:
            limit.overloaded()
        else:
            now += step
            limit.completed(17, now, saturated=True)
        assert 1 <= limit.limit <= most
