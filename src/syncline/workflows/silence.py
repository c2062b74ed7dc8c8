"""Whom a cycle leaves alone and until when: a service that asked for silence, and one that cannot be reached.

What lives here: `Silence`, which is told of every success and trouble. What is done meanwhile is for the cycle.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from syncline.clock import Clock
from syncline.errors import AmbiguousWriteError, RetryLaterError, ThrottledError, UnavailableError
from syncline.instrumentation import Instrumentation, Throttled
from syncline.store import Storage
from syncline.workflows.concurrency import ConcurrencyLimit
from syncline.workflows.work import Work

__all__ = ["Silence"]

#: An unreachable service is left alone this long, doubling from the first to the second number of seconds.
_OUTAGE_FIRST, _OUTAGE_MOST = 1.0, 60.0
#: So many failures in a row, or as many as go out at once if that is more, are no accident of single requests.
_FEWEST_FAILURES = 4


class Silence:
    """One cycle's. Moments are on the monotonic clock unless they are datetimes."""

    def __init__(
        self,
        *,
        storage: Storage,
        workflow: str,
        work: Work,
        clock: Clock,
        limit: ConcurrencyLimit,
        tell: Instrumentation,
    ) -> None:
        #: When the source may be asked again, and when the target.
        self.reads_from = self.writes_from = clock.monotonic()
        #: Whether a write succeeded since a service was away.
        self.others_succeed = False
        self._storage = storage
        self._workflow = workflow
        self._work = work
        self._clock = clock
        self._limit = limit
        self._tell = tell
        self._asked_until: datetime | None = None
        self._failures_in_a_row = 0
        self._outage = _OUTAGE_FIRST

    @property
    def until(self) -> datetime | None:
        """When the silence ends that was asked for; None where a service is merely away."""
        asked = self._asked_until if self._asked_until and self._asked_until > self._clock.now() else None
        return self._closed_until() or asked

    def answered(self) -> None:
        """The target answered a question."""
        self._failures_in_a_row = 0
        self._outage = _OUTAGE_FIRST

    def succeeded(self) -> None:
        """The target took a write."""
        self.answered()
        self.others_succeed = True

    def heed_source(self, error: RetryLaterError) -> None:
        """Leave the source alone for as long as its answer means."""
        self.reads_from = self._throttled(error) if isinstance(error, ThrottledError) else self._away()

    def heed_target(self, error: BaseException) -> bool:
        """Whether the answer to one write means that the target is to be left alone, which it is from now on."""
        if isinstance(error, ThrottledError):
            self.writes_from = self._throttled(error)
            return True
        if not isinstance(error, UnavailableError | AmbiguousWriteError):
            return False
        self._failures_in_a_row += 1
        if self._failures_in_a_row < max(_FEWEST_FAILURES, self._limit.limit):
            return False
        self.writes_from = self._away()
        return True

    def _throttled(self, error: ThrottledError) -> float:
        """Close the gate for everybody and ask for less afterwards; until when."""
        gates = [gate for gate in self._work.gates if gate.principal == error.principal]
        until = self._closed_until(error.principal)
        now = self._clock.monotonic()
        if until is None and gates and error.retry_after is not None:
            return now  # that wait is over
        if until is None:
            # Nobody holds requests back, so that asking again at once would go on for ever.
            until = self._clock.now() + timedelta(seconds=max(error.retry_after or 0.0, self._outage_wait()))
        self._asked_until = until
        known = self._storage.gate(error.principal)
        if known is None or until > known:
            self._storage.close_gate(error.principal, until)
            self._limit.overloaded()
            self._tell(Throttled(workflow=self._workflow, principal=error.principal, until=until))
        return now + max(0.0, (until - self._clock.now()).total_seconds())

    def _closed_until(self, principal: str | None = None) -> datetime | None:
        """Until when the work's gates are closed, or those of one principal."""
        gates = (gate for gate in self._work.gates if principal in (None, gate.principal))
        return max((gate.closed_until for gate in gates if gate.closed_until is not None), default=None)

    def _away(self) -> float:
        """A service cannot be reached: leave it alone, longer each time; until when."""
        self._failures_in_a_row = 0
        self.others_succeed = False
        self._limit.overloaded()
        return self._clock.monotonic() + self._outage_wait()

    def _outage_wait(self) -> float:
        wait, self._outage = self._outage, min(self._outage * 2, _OUTAGE_MOST)
        return wait
