"""The sandbox's own clock: real time, plus an offset that a test can move, so that the two systems can disagree.

What never lives here: waiting. Nothing in the sandbox sleeps because of a clock.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

__all__ = ["SandboxClock"]


class SandboxClock:
    """Real time in UTC moved by `offset` seconds; `freeze()` makes it stand still.

    Each system has its own, so `Date` headers, `modifiedon` and Campaign's time stamps of one system agree with each
    other and may disagree with those of the other system.
    """

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = timedelta(seconds=offset)
        self._frozen: datetime | None = None
        self._date_second = -1
        self._date = b""

    def __repr__(self) -> str:
        state = f"frozen at {self._frozen.isoformat()}" if self._frozen else f"offset {self._offset.total_seconds()} s"
        return f"<SandboxClock {state}>"

    def now(self) -> datetime:
        """The system's time, timezone-aware, in UTC."""
        return (self._frozen or datetime.now(UTC)) + self._offset

    def shift(self, seconds: float) -> float:
        """Move the clock by `seconds` (negative: back). Returns the whole offset in seconds."""
        self._offset += timedelta(seconds=seconds)
        self._date_second = -1
        return self._offset.total_seconds()

    def freeze(self, frozen: bool = True) -> None:
        """Stand still at the present moment, or go on."""
        self._frozen = datetime.now(UTC) if frozen else None
        self._date_second = -1

    def http_date(self) -> bytes:
        """The time as the value of a `Date` header; computed once per second, since every answer has one."""
        second = int(time.time())
        if second != self._date_second:
            self._date_second = second
            self._date = format_datetime(self.now(), usegmt=True).encode()
        return self._date
