"""How much one cycle may do, and until when: by time, by records, and by the host's word.

What lives here: `Budget`, and waiting that heeds the host's word. What is done with it is the cycle's.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from syncline.clock import Clock

__all__ = ["Budget", "never", "rest"]


def never() -> bool:
    """The word of a host that leaves it to the budget."""
    return False


@frozen(kw_only=True)
class Budget:
    """How much one cycle may do; None means without a limit."""

    seconds: float | None = None
    records: int | None = None
    #: Whether the host wants its thread back. Asked all the time; nothing new begins once it says True.
    until: Callable[[], bool] = never

    def less(self, seconds: float, records: int) -> Budget:
        """What is left of it."""
        return evolve(
            self,
            seconds=None if self.seconds is None else max(0.0, self.seconds - seconds),
            records=None if self.records is None else max(0, self.records - records),
        )


def rest(clock: Clock, seconds: float, until: Callable[[], bool], look: float) -> None:
    """Sleep for `seconds`, or less when `until`, asked every `look` seconds, says True."""
    over = clock.monotonic() + seconds
    while not until() and (left := over - clock.monotonic()) > 0:
        clock.sleep(min(left, look))
