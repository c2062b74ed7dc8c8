"""Forgetting what is old, a little at a time, while there is nothing else to do.

What lives here: `Housekeeping`. What is old is told by `Retention`; what goes is the storage's contract.
"""

from __future__ import annotations

from typing import Final

from syncline.clock import Clock
from syncline.store import ActionEntry, Storage
from syncline.upkeep import Purged, Retention

__all__ = ["Housekeeping"]

#: Rows of each kind in one transaction, so that nobody waits long for it.
_BATCH: Final = 500
#: Once nothing is left to remove, this many seconds pass before anybody looks again.
_REST: Final = 3_600.0


class Housekeeping:
    """One workflow's, in one process."""

    def __init__(self, storage: Storage, workflow: str, retention: Retention, clock: Clock) -> None:
        self._storage = storage
        self._workflow = workflow
        self._retention = retention
        self._clock = clock
        self._not_before = clock.monotonic()

    def step(self) -> Purged:
        """One batch, if it is time for it."""
        if self._clock.monotonic() < self._not_before:
            return Purged()
        gone = self._storage.purge(self._workflow, self._retention, _BATCH)
        if not gone.total:
            self._not_before = self._clock.monotonic() + _REST
        elif gone.open_letters:
            self._note("", gone)
        return gone

    def all(self, by: str) -> Purged:
        """Everything that is old, batch after batch; noted in the history."""
        total = Purged()
        while (gone := self._storage.purge(self._workflow, self._retention, _BATCH)).total:
            total += gone
        self._note(by, total)
        return total

    def _note(self, by: str, gone: Purged) -> None:
        entry = ActionEntry(at=self._storage.now(), action="purge", by=by, detail=str(gone))
        self._storage.record(self._workflow, entry)
