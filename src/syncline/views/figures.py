"""Numbers, spans and moments as people read them.

What lives here: functions from a value to a short text. A missing value is a dash. No layout.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["MISSING", "count", "moment", "per_second", "share", "span"]

MISSING: Final = "-"

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def count(number: int | None) -> str:
    """`12,340`."""
    return MISSING if number is None else f"{number:,}"


def per_second(rate: float | None) -> str:
    """`42.0/s`; three digits below one, so that a slow rate is not shown as none."""
    if rate is None:
        return MISSING
    return f"{rate:,.1f}/s" if rate >= 1 or rate == 0 else f"{rate:.3f}/s"


def share(part: float) -> str:
    """`63 %`. Never rounds up to 100 before all is done, nor down to 0 once something is."""
    percent = round(part * 100)
    if 0 < part < 1:
        percent = min(max(percent, 1), 99)
    return f"{percent} %"


def span(length: timedelta | None) -> str:
    """`3 h 20 min`: the two largest units. Below a second, `under 1 s`."""
    if length is None:
        return MISSING
    left = int(length.total_seconds())
    if left < 1:
        return "0 s" if not length else "under 1 s"
    parts: list[str] = []
    for unit, seconds in _UNITS:
        whole, left = divmod(left, seconds)
        if whole or parts:
            parts.append(f"{whole:,} {unit}" if whole else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))


def moment(when: datetime | None) -> str:
    """`2026-01-02 03:04:05 UTC`, whatever time zone it came in."""
    return MISSING if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
