"""Reading Retry-After: whatever a service sends, a wait in bounds or none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncline.connectors.http import parse_retry_after
from syncline.connectors.http.retry_after import parse_http_date

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7\t", 7.0),
        ("007", 7.0),
        ("900", 900.0),
        ("901", 900.0),
        ("999999999", 900.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 900.0),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0),
    ],
)
def test_both_forms_are_read_and_held_in_bounds(value: str, seconds: float) -> None:
    """Whole seconds and IMF-fixdates give the wait, never below zero and never above the most."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "-1", "+5", "1.5", "1e9", "nan", "inf", "-0", "0x10", "1_000", "\u0661\u0662", "5, 10", "5;",
        "1" * 10, "9" * 5000, "soon", "7\n", "Sun, 31 Feb 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:60 GMT",
        "Sun, 01 Mar 2026 24:00:00 GMT", "Sun, 01 Mar 0000 00:00:00 GMT", "Sun, 01 Mar 99999 12:00:30 GMT",
        "Sun, 01 Mar 2026 12:00:30 +0000", "Sun, 01 Mar 2026 12:00:30 -0000", "Sunday, 01-Mar-26 12:00:30 GMT",
        "Sun Mar  1 12:00:30 2026", "2026-03-01T12:00:30Z", "sun, 01 mar 2026 12:00:30 gmt",
    ],
)  # fmt: skip
def test_anything_else_counts_as_no_header(value: str | None) -> None:
    """What is neither form is ignored, so that the caller's own backoff applies."""
    assert parse_retry_after(value, NOW) is None


@given(st.one_of(st.text(), st.from_regex(r"\A[A-Za-z0-9:, +-]{0,40}\Z"), st.integers().map(str), st.floats().map(str)))
@example("9" * 100_000)
def test_no_text_whatever_raises(value: str) -> None:
    """The parser never raises, and what it returns is a finite number in bounds."""
    seconds = parse_retry_after(value, NOW, max_seconds=60)
    assert seconds is None or 0 <= seconds <= 60


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_date_in_the_standard_form_is_read(moment: datetime) -> None:
    """Dates as email.utils writes them are read to the second."""
    assert parse_http_date(format_datetime(moment, usegmt=True)) == moment.replace(microsecond=0)


def test_the_comparison_is_between_moments_not_between_clock_faces() -> None:
    """A clock in another zone, or without one, gives the same wait."""
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    value = "Sun, 01 Mar 2026 12:00:30 GMT"
    assert parse_retry_after(value, there) == 30.0
    assert parse_retry_after(value, NOW.replace(tzinfo=None)) == 30.0
