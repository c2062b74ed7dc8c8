"""The only place that reads the time.

Everything that waits, expires or stamps takes a `Clock`, so that a test can hold time still and move it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Tells the time and sleeps. Any object with these three methods will do."""

    def now(self) -> datetime:
        """The wall-clock time, timezone-aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences mean anything."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`, or return at once when it is not positive."""


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)
