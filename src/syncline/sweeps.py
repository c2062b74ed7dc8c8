"""Comparing Campaign with the source: values of the ledger's walk and of the rolling sweep, and what a storage must do.

What lives here: `KnownRecord` and `Sweep`, and `SweepStore`, a part of `syncline.store.Storage`. What is compared, and
when, is for the workflow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import field, frozen

from syncline.backlog import Grant, PutReport

__all__ = ["KnownRecord", "Sweep", "SweepStore"]


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


class SweepStore(ABC):
    """The part of a storage that compares the target with the source; the conditions of `Storage` hold here too."""

    @abstractmethod
    def known_records(self, workflow: str, table: str, *, after: int = 0, limit: int = 1_000) -> Sequence[KnownRecord]:
        """What the ledger knows of a table behind a place, in an order that never changes."""

    @abstractmethod
    def adopt(self, workflow: str, table: str, fingerprints: Mapping[str, bytes]) -> int:
        """Let the ledger know records that the target was found to have, with these fingerprints; how many.

        Left out are records with a fingerprint of their own already, and those of which a change is queued.
        """

    @abstractmethod
    def queue_anew(self, workflow: str, table: str, records: Sequence[str], *, there: bool) -> PutReport:
        """Queue records in the bulk lane, to be read again by key and written whatever the ledger thinks of them.

        What it knew of their values it knows no more. `there` says that the target has them, also those it did not
        know.
        """

    @abstractmethod
    def sweeps(self, workflow: str) -> Mapping[str, Sweep]:
        """How far the rolling comparison of each table has come; tables that it never began with are missing."""

    @abstractmethod
    def commit_sweep(self, grant: Grant, table: str, sweep: Sweep, records: Sequence[str]) -> PutReport:
        """Move the rolling comparison of a table, and queue what it found as `queue_anew` does, in one transaction."""
