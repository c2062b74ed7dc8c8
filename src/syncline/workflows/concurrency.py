"""How many writes go out at once.

What lives here: a limit that looks for the point where more at once stops helping, and backs off when a service asks
for it. Pure arithmetic over what it is told; no threads, no clock of its own.
"""

from __future__ import annotations

__all__ = ["ConcurrencyLimit"]

#: A step up must improve the rate by this much to be kept; less is noise and contention.
_WORTH_IT = 1.08
#: Completions per unit of the limit that make a measurement.
_SAMPLES_EACH = 4
_FEWEST_SAMPLES = 32
#: Measurements to rest at a limit before trying a larger one again.
_REST = 40


class ConcurrencyLimit:
    """A limit between 1 and `most`: climbs while the rate grows with it, halves when the service is overloaded.

    The right number depends on the distance to the service: close by, a few threads already keep the processor busy
    and more only contend; at 20 ms away it takes dozens. So it is measured, not configured.
    """

    def __init__(self, most: int, start: int = 8) -> None:
        self._most = most
        self._limit = min(start, most)
        self._done = 0
        self._since: float | None = None
        self._previous: tuple[int, float] | None = None
        self._rest = 0

    @property
    def limit(self) -> int:
        return self._limit

    def completed(self, count: int, now: float, *, saturated: bool) -> None:
        """`count` writes came back by `now` (seconds, monotonic); `saturated` says whether there was always more to do.

        Time in which there was too little to do measures nothing and is thrown away.
        """
        if not saturated:
            self._forget()
            return
        if self._since is None:
            self._since = now
            return
        self._done += count
        enough = max(_FEWEST_SAMPLES, self._limit * _SAMPLES_EACH)
        if self._done >= enough and now > self._since:
            self._judge(self._done / (now - self._since))
            self._forget()

    def overloaded(self) -> None:
        """The service asked for less: halve, and stay there for a while."""
        self._limit = max(1, self._limit // 2)
        self._previous = None
        self._rest = _REST
        self._forget()

    def _forget(self) -> None:
        self._done = 0
        self._since = None

    def _judge(self, rate: float) -> None:
        if self._rest > 0:
            self._rest -= 1
            return
        if self._previous is not None and rate < self._previous[1] * _WORTH_IT:
            self._limit, self._previous, self._rest = self._previous[0], None, _REST
            return
        if self._limit < self._most:
            self._previous = (self._limit, rate)
            self._limit = min(self._most, self._limit * 2)

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self._limit} of {self._most}>"
