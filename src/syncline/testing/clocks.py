"""Clocks for tests.

What lives here: time that passes when somebody sleeps or says so, and no other time. Nothing here waits.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

__all__ = ["JumpingClock"]


class JumpingClock:
    """The real time, on which a sleep takes no time but moves the clock. Thread-safe."""

    def __init__(self) -> None:
        #: Seconds that this clock runs ahead of the real time.
        self.ahead = 0.0
        #: Seconds by which the wall clock is wrong besides; set it as an operator would who mistypes the time.
        self.wrong = 0.0
        #: What was slept, in seconds, one after the other.
        self.sleeps: list[float] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<JumpingClock {self.ahead:.1f} s ahead>"

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead + self.wrong)

    def monotonic(self) -> float:
        return datetime.now(UTC).timestamp() + self.ahead

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.sleeps.append(seconds)
            self.ahead += max(seconds, 0.0)

    def jump(self, seconds: float) -> None:
        """Let time pass. Never backwards: raises ValueError."""
        if seconds < 0:
            raise ValueError("time passes forwards only; a clock that is put back is `wrong`")
        with self._lock:
            self.ahead += seconds
