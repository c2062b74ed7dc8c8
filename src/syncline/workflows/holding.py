"""Deletions that are held while nobody has said that so many are meant.

What lives here: which deletions are held, when they are judged, and how many are too many. That a hold outlives a
process and is counted exactly is the storage's business; see `syncline.holds`.

A deletion that somebody made in Dynamics and that change tracking told is not held. Held are those that Syncline
infers: a record left the filters, or a full read did not find it any more. They are held one by one when their turn to
be written comes, and judged together once their table is caught up and nothing else of it waits: then nobody has to be
asked about three of them, and none of ten thousand is gone before they are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from syncline.backlog import Grant, Item, ItemState
from syncline.definitions import Guardrails
from syncline.holds import Hold
from syncline.instrumentation import DeletesHeld, Instrumentation
from syncline.records import Change
from syncline.store import Storage
from syncline.workflows.work import Reading

__all__ = ["DeleteGuard", "most_unasked", "warnings_of", "would_wait"]

#: What was let go unasked counts against the guardrails for so long.
WINDOW: Final = timedelta(days=1)
#: Rows in these states may yet turn out to be deletions of the same kind.
_ON_THEIR_WAY: Final = (ItemState.READY, ItemState.LEASED)


def most_unasked(guardrails: Guardrails, known: int) -> int:
    """How many inferred deletions of a table, of which the ledger knows so many records, go without a word."""
    share = known * guardrails.filtered_out_percent // 100
    return max(guardrails.filtered_out_floor, min(guardrails.filtered_out_deletes, share))


def would_wait(hold: Hold | None, inferred: int, *, most: int, now: datetime) -> bool:
    """Whether so many inferred deletions, those that are held already included, would have to wait for a word."""
    if hold is None or not inferred:
        return inferred > most
    if hold.asked and hold.held:
        return True
    fresh = hold.let_go_from is not None and now - hold.let_go_from < WINDOW
    return inferred + (hold.let_go if fresh else 0) > most


def warnings_of(holds: Mapping[str, Hold]) -> tuple[str, ...]:
    """What a person must see: a sentence for each table that waits for a word."""
    return tuple(
        f"{hold.held:,} deletions of {table} wait for a confirmation"
        for table, hold in sorted(holds.items())
        if hold.asked and hold.held
    )


class DeleteGuard:
    """Holds deletions and lets them go, for one generation within one cycle."""

    def __init__(self, workflow: str, guardrails: Guardrails, storage: Storage, tell: Instrumentation) -> None:
        self._workflow = workflow
        self._guardrails = guardrails
        self._storage = storage
        self._tell = tell
        #: Tables of which something was held since they were judged last.
        self._open: set[str] = set()

    def begin(self, grant: Grant) -> None:
        """Take up what earlier cycles held; the rules of an earlier generation may have changed."""
        holds = self._storage.holds(self._workflow)
        # What was asked about needs no judge while it is held, and nobody asks any more once nothing is.
        self._open = {table for table, hold in holds.items() if hold.asked != bool(hold.held)}
        held = {table for table, hold in holds.items() if hold.held}
        if held and self._storage.unhold(grant):
            self._open |= held

    def look(self) -> None:
        """Take up what other workers have held meanwhile."""
        holds = self._storage.holds(self._workflow)
        self._open |= {table for table, hold in holds.items() if hold.held and not hold.asked}

    def holds(self, item: Item, change: Change, *, read_by_key: bool) -> bool:
        """Whether this deletion has to wait; it is on its way into the hold then.

        With values it left the filters; without, it is inferred where it was missing when read by its key.
        """
        if item.confirmed or (change.deleted and not read_by_key):
            return False
        self._open.add(item.key.table)
        return True

    def next(self, grant: Grant, caught_up: Collection[str]) -> Reading | None:
        """A step that judges a table of which everything that may have to be held is."""
        for table in sorted(self._open.intersection(caught_up)):
            groups = self._storage.counts(self._workflow).groups
            if not any(number and one.table == table and one.state in _ON_THEIR_WAY for one, number in groups.items()):
                return self._judging(grant, table)
        return None

    def _judging(self, grant: Grant, table: str) -> Reading:
        def keep(_: object) -> int:
            most = most_unasked(self._guardrails, self._storage.ledger_size(self._workflow, table))
            judgement = self._storage.judge_held(grant, table, most=most, window=WINDOW)
            self._open.discard(table)
            if judgement.newly_asked:
                self._tell(DeletesHeld(workflow=self._workflow, table=table, held=judgement.held, most=most))
            return 0

        return Reading(fetch=lambda: None, keep=keep, about=table)
