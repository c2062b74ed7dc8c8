"""Comparing Campaign with the source: values of the ledger's walk and of the rolling sweep.

What lives here: `KnownRecord` and `Sweep`, which the storage deals in. What is compared, and when, is for the workflow.
"""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

__all__ = ["KnownRecord", "Sweep"]


@frozen(kw_only=True)
class KnownRecord:
    """One record that the target is known to have."""

    #: Where it stands in the walk through the ledger. Only grows.
    place: int
    id: str
    #: Whether a change of it is queued, so that it will be written anyway.
    queued: bool


@frozen(kw_only=True, str=False)
class Sweep:
    """How far the rolling comparison of one table has come, and what it found."""

    #: When the first round began.
    since: datetime
    #: When the round under way began, or the last one when it is done.
    began_at: datetime
    #: The place of the record that was checked last; 0 at the beginning of a round.
    after: int = field(default=0, repr=False)
    #: Whether the round is done, so that the next one waits for its time.
    done: bool = False
    #: Rounds that are done.
    rounds: int = 0
    #: Records looked at in this round, and those of them that were not as they should be and were queued.
    checked: int = 0
    mended: int = 0
    #: The same since the first round began.
    checked_ever: int = 0
    mended_ever: int = 0
    #: Engine calls that the sweep itself has cost since the first round began.
    calls: int = 0

    def __str__(self) -> str:
        return (
            f"{self.checked_ever:,} checked and {self.mended_ever:,} queued to be mended since "
            f"{self.since:%Y-%m-%d %H:%M} UTC, {self.rounds:,} rounds done"
        )
