"""Short retries: seconds, in process, at most three tries. The only importer of tenacity.

What lives here: trying a call again that certainly was not applied. Never here: long waits, which survive a restart and
belong to the backlog; throttling, which belongs to the gate; and writes without a known outcome.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from syncline.clock import Clock
from syncline.errors import UnavailableError

__all__ = ["Retries", "retries_off"]

T = TypeVar("T")

_off = threading.Event()


@contextmanager
def retries_off() -> Iterator[None]:
    """Every call is tried once only, in all threads, while this lasts. For tests."""
    _off.set()
    try:
        yield
    finally:
        _off.clear()


class Retries:
    """Tries a call again after `UnavailableError`. Thread-safe.

    At most `tries` tries, with random waits that grow from `first_wait` to `longest_wait` seconds. A budget keeps a
    service that is down from being asked three times as often as one that is up: each call earns `budget` of a retry,
    and at most `burst` of them are saved up.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        tries: int = 3,
        first_wait: float = 0.2,
        longest_wait: float = 4.0,
        budget: float = 0.1,
        burst: float = 10.0,
    ) -> None:
        if not 1 <= tries <= 3:
            raise ValueError("Tries in one go are one, two or three; the backlog does the rest.")
        self._clock = clock
        self._tries = tries
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._budget = budget
        self._burst = burst
        self._saved = burst
        self._lock = threading.Lock()

    def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, which must be safe to repeat. Raises the last `UnavailableError`; others at once."""
        with self._lock:
            self._saved = min(self._burst, self._saved + self._budget)
        try:
            return call()
        except UnavailableError as error:
            if self._tries == 1 or _off.is_set():
                raise
            first = error
        return self._again(call, first)

    def _again(self, call: Callable[[], T], first: UnavailableError) -> T:
        import tenacity  # loaded when something fails, not before

        failures = [first]

        def attempt() -> T:
            if failures:
                raise failures.pop()  # the first try was made already; here it only counts
            return call()

        def may_retry(state: tenacity.RetryCallState) -> bool:
            failed = state.outcome is not None and isinstance(state.outcome.exception(), UnavailableError)
            return failed and state.attempt_number < self._tries and self._spend()

        retrying = tenacity.Retrying(
            sleep=self._clock.sleep,
            stop=tenacity.stop_after_attempt(self._tries),
            wait=tenacity.wait_random_exponential(multiplier=self._first_wait, max=self._longest_wait),
            retry=may_retry,
            reraise=True,
        )
        return retrying(attempt)

    def _spend(self) -> bool:
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True
