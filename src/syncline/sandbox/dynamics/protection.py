"""Service protection: how many requests, how much work and how many at once one user gets from one web server.

Lives here: the three sliding counts and their 429 answers. Never here: faults a test asks for.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import attrs

from .answers import DataverseError
from .environment import Environment, Settings

__all__ = ["Meter", "Protection"]


@attrs.define
class Meter:
    """What one user has used of one web server lately."""

    requests: deque[float] = attrs.field(factory=deque)
    work: deque[tuple[float, float]] = attrs.field(factory=deque)
    work_seconds: float = 0.0
    running: int = 0

    def forget_before(self, start: float) -> None:
        """Drops what has left the window."""
        while self.requests and self.requests[0] <= start:
            self.requests.popleft()
        while self.work and self.work[0][0] <= start:
            self.work_seconds -= self.work.popleft()[1]


class Protection:
    """Meters per web server. All calls are for the application user."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._meters: dict[int, Meter] = {}

    def __repr__(self) -> str:
        return f"Protection({len(self._meters)} servers in use)"

    def forget(self) -> None:
        """Empties all meters."""
        self._meters.clear()

    def enter(self, server: int) -> Meter:
        """Counts a request in. Raises DataverseError (429) when a limit is reached; refused requests count too,
        so that Retry-After grows for a client that goes on."""
        settings = self._environment.settings
        meter = self._meters.setdefault(server, Meter())
        now = self._environment.now().timestamp()
        if settings.protection:
            meter.forget_before(now - settings.limit_window_seconds)
            meter.requests.append(now)
            refusal = next((found for limit in _LIMITS if (found := limit(meter, settings, now))), None)
            if refusal is not None:
                raise refusal
        meter.running += 1
        return meter

    def leave(self, meter: Meter, seconds: float) -> None:
        """Counts a request out, with the time it took."""
        meter.running -= 1
        if self._environment.settings.protection:
            meter.work.append((self._environment.now().timestamp(), seconds))
            meter.work_seconds += seconds

    def headers(self, meter: Meter) -> tuple[tuple[str, str], ...]:
        """The two headers that tell what is left."""
        settings = self._environment.settings
        left = max(settings.limit_requests - len(meter.requests), 0)
        time_left = max(settings.limit_execution_seconds - meter.work_seconds, 0.0)
        return (
            ("x-ms-ratelimit-burst-remaining-xrm-requests", str(left)),
            ("x-ms-ratelimit-time-remaining-xrm-requests", f"{time_left:,.2f}"),
        )


def _refusal(code: str, message: str, retry_after: float) -> DataverseError:
    return DataverseError(429, code, message, headers={"Retry-After": str(max(1, math.ceil(retry_after)))})


def _too_many_requests(meter: Meter, settings: Settings, now: float) -> DataverseError | None:
    over = len(meter.requests) - settings.limit_requests
    if over <= 0:
        return None
    # The moment when enough of the window has passed for one more request to fit.
    free_at = meter.requests[min(over, len(meter.requests) - 1)] + settings.limit_window_seconds
    return _refusal(
        "0x80072322",
        f"Number of requests exceeded the limit of {settings.limit_requests} over time window of"
        f" {settings.limit_window_seconds:g} seconds.",
        free_at - now,
    )


def _too_much_work(meter: Meter, settings: Settings, now: float) -> DataverseError | None:
    excess = meter.work_seconds - settings.limit_execution_seconds
    if excess < 0 or not meter.work:
        return None
    free_at = meter.work[-1][0]
    for at, seconds in meter.work:
        excess -= seconds
        if excess < 0:
            free_at = at
            break
    return _refusal(
        "0x80072321",
        "Combined execution time of incoming requests exceeded limit of"
        f" {settings.limit_execution_seconds * 1000:,.0f} milliseconds over time window of"
        f" {settings.limit_window_seconds:g} seconds. Decrease number of concurrent requests or reduce the duration of"
        " requests and try again later.",
        free_at + settings.limit_window_seconds - now,
    )


def _too_many_at_once(meter: Meter, settings: Settings, _now: float) -> DataverseError | None:
    if meter.running < settings.limit_concurrent:
        return None
    return _refusal(
        "0x80072326", f"Number of concurrent requests exceeded the limit of {settings.limit_concurrent}.", 1.0
    )


_LIMITS: tuple[Callable[[Meter, Settings, float], DataverseError | None], ...] = (
    _too_many_at_once,
    _too_many_requests,
    _too_much_work,
)
