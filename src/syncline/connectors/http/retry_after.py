"""Reading the Retry-After and Date headers.

What lives here: strict parsers of two header values. Never a decision about waiting: that is the gate's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["parse_http_date", "parse_retry_after"]

_SECONDS = re.compile(r"[0-9]{1,9}")
_IMF_FIXDATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_http_date(value: str) -> datetime | None:
    """The moment an IMF-fixdate names (RFC 9110, 5.6.7), in UTC; None for anything else. Never raises.

    The two obsolete forms are not read: neither service sends them, and guessing a century is how parsers go wrong.
    """
    match = _IMF_FIXDATE.fullmatch(value)
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    try:
        return datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None


def parse_retry_after(value: str | None, now: datetime, max_seconds: float = 900) -> float | None:
    """Seconds to wait, between 0 and `max_seconds`; None where the header is absent or cannot be read. Never raises.

    Accepted are up to nine ASCII digits, or an IMF-fixdate compared with `now` (timezone-aware). Whatever else a
    service sends (`nan`, `1e9`, digits of other scripts, thousands of digits) counts as no header at all, so that the
    caller's own backoff applies.
    """
    if value is None:
        return None
    text = value.strip(" \t")
    if _SECONDS.fullmatch(text):
        return min(float(text), max_seconds)
    moment = parse_http_date(text)
    if moment is None:
        return None
    here = now if now.tzinfo is not None else now.replace(tzinfo=UTC)
    return min(max((moment - here).total_seconds(), 0.0), max_seconds)
