"""The throttle gate: one per principal and service, shared by every worker of that principal.

What lives here: when requests may be sent again. Never a wait: the gate raises and the caller decides.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from syncline.clock import Clock
from syncline.errors import ThrottledError

__all__ = ["ThrottleGate"]

_FIRST_BACKOFF = 2.0
_FORGET_AFTER = 300.0


class ThrottleGate:
    """Closed while a service asked for silence. In memory and thread-safe; the engine keeps its state in the storage.

    `principal` names whom the service throttles: one user of one environment. `max_wait` caps every wait, in seconds,
    so that a wrong header cannot silence a workflow for a day: after it, one request probes.
    """

    def __init__(self, principal: str, clock: Clock, max_wait: float = 900.0) -> None:
        if not max_wait > 0:
            raise ValueError("max_wait must be positive.")
        self.principal = principal
        self.max_wait = max_wait
        self._clock = clock
        self._lock = threading.Lock()
        self._opens_at: float | None = None  # monotonic: a wall clock set back must not keep the gate shut
        self._until: datetime | None = None
        self._strikes = 0

    def __repr__(self) -> str:
        until = self.closed_until
        state = f"closed until {until.isoformat(timespec='seconds')}" if until else "open"
        return f"<ThrottleGate {self.principal}: {state}>"

    @property
    def closed_until(self) -> datetime | None:
        """When requests may be sent again, in UTC; None while the gate is open."""
        return self._until if self.remaining > 0 else None

    @property
    def remaining(self) -> float:
        """Seconds until the gate opens; 0 while it is open."""
        opens_at = self._opens_at
        return 0.0 if opens_at is None else max(0.0, opens_at - self._clock.monotonic())

    def close(self, seconds: float | None) -> datetime:
        """Close for `seconds`, or for a growing backoff where the service named no time; return when it opens.

        A closed gate is only ever extended, never opened earlier. Several workers that are turned away together count
        as one strike of the backoff.
        """
        with self._lock:
            wait = self._backoff() if seconds is None else seconds
            # not (wait > 0) also holds for NaN
            wait = 0.0 if not wait > 0 else min(wait, self.max_wait)
            return self._extend(wait)

    def close_until(self, when: datetime) -> None:
        """Load a gate that was stored: close until `when` (timezone-aware), at most `max_wait` from now."""
        wait = (when - self._clock.now()).total_seconds()
        with self._lock:
            self._extend(min(max(wait, 0.0), self.max_wait))

    def check(self) -> None:
        """Return while the gate is open; raise `ThrottledError` with the seconds that remain while it is closed."""
        if self._opens_at is None:
            return
        remaining = self.remaining
        if remaining <= 0:
            return
        raise ThrottledError(
            f"{self.principal} is throttled for another {remaining:.0f} s.",
            retry_after=remaining,
            principal=self.principal,
        )

    def _backoff(self) -> float:
        remaining = self.remaining
        if remaining > 0:
            return remaining
        opened_at = self._opens_at
        if opened_at is not None and self._clock.monotonic() - opened_at > _FORGET_AFTER:
            self._strikes = 0
        self._strikes += 1
        return float(min(_FIRST_BACKOFF * 2.0 ** min(self._strikes - 1, 30), self.max_wait))

    def _extend(self, wait: float) -> datetime:
        now = self._clock.now().astimezone(UTC)
        opens_at = self._clock.monotonic() + wait
        if wait > 0 and (self._opens_at is None or opens_at > self._opens_at):
            self._opens_at = opens_at
            self._until = now + timedelta(seconds=wait)
        return self.closed_until or now
