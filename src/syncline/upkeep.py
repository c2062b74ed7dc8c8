"""What keeps a storage in order beside the work: forgetting people, forgetting what is old, and starting over.

What lives here: the part of the storage's contract that is not about moving records, and its values. No SQL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from attrs import Attribute, asdict, field, frozen

from syncline.erasure import Erased
from syncline.history import ActionEntry

__all__ = ["Purged", "Retention", "Upkeep"]


def _not_negative(_: object, attribute: Attribute[Any], value: timedelta | None) -> None:
    if value is not None and value < timedelta(0):
        raise ValueError(f"{attribute.name} must not be negative")


@frozen(kw_only=True)
class Retention:
    """How long is kept what is not needed any more. None keeps it without end.

    A record that was written leaves no row behind; the ledger has a hash of it for as long as the target has the
    record, since a delete could not be told without.
    """

    #: Dead letters that were retried, discarded or resolved, with what was read of their records.
    closed_letters: timedelta | None = field(default=timedelta(days=90), validator=_not_negative)
    #: Dead letters that nobody dealt with. They then count as discarded.
    open_letters: timedelta | None = field(default=None, validator=_not_negative)
    #: Who did what, and what became of the workflow.
    history: timedelta | None = field(default=timedelta(days=730), validator=_not_negative)
    #: Samples of depth and rate; those older than eight days go in any case.
    samples: timedelta | None = field(default=timedelta(days=8), validator=_not_negative)
    #: Decisions about opt-outs that a later decision followed. The last one of each person and channel stays.
    decisions: timedelta | None = field(default=timedelta(days=1095), validator=_not_negative)


@frozen(kw_only=True)
class Purged:
    """What one purge removed, exactly."""

    closed_letters: int = 0
    open_letters: int = 0
    history: int = 0
    samples: int = 0
    decisions: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())

    def __add__(self, other: Purged) -> Purged:
        mine, theirs = asdict(self), asdict(other)
        return Purged(**{name: mine[name] + theirs[name] for name in mine})

    def __str__(self) -> str:
        told = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in asdict(self).items() if number)
        return f"removed: {told or 'nothing'}"


class Upkeep(ABC):
    """The part of a `Storage` that keeps it in order. Every method is one transaction, as there."""

    @abstractmethod
    def forget(
        self,
        scope: str,
        person: str,
        action: ActionEntry,
        *,
        opted_out: Collection[str] = (),
        cannot_read_again: Collection[str] = (),
    ) -> Erased:
        """Remove a person's data from every workflow whose name begins with `scope` and a slash; all or nothing.

        - `person` is the id of the person's records, in whatever table. Their queued changes, dead letters of every
          status, ledger entries and decisions go. A queued change and an open dead letter count as discarded.
        - A leased row goes too: its lease ends, so that it is not sent if it was not marked as being sent, and whoever
          settles it is refused. `Erased.in_flight` counts those that were marked.
        - What is queued or dead of other records and names the person in its payload loses the payload and is read
          again by key; in the workflows `cannot_read_again` it is removed as well.
        - A suppression stays: a keyed hash (HMAC-SHA-256 under a random key of this store) of scope and person, with
          the channels the person was opted out of: `opted_out`, those of the last decisions, and those of an earlier
          suppression. See `suppressed`.
        - Where the history or a workflow's error names the person, the id goes.
        - What is removed is overwritten in the database's own files as far as the database can do that.
        - `action` is noted in the history of each workflow; it must not name the person.
        """

    @abstractmethod
    def suppressed(self, scope: str, people: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Those of these ids that were forgotten, with the channels in which they stay opted out."""

    @abstractmethod
    def purge(self, workflow: str, retention: Retention, limit: int) -> Purged:
        """Remove up to `limit` rows of each kind of the workflow that are older than `retention` allows.

        An open dead letter that goes counts as discarded. Nothing that is queued, and no decision that holds, ever
        goes. What is removed is not noted in the history: the caller does that.
        """

    @abstractmethod
    def start_over(
        self, workflow: str, tables: Collection[str], action: ActionEntry, *, doubt: bool, snapshot: str | None = None
    ) -> bool:
        """Forget how far these tables were read, so that the next start reads them in full and finds deletions.

        - With `doubt` every fingerprint of theirs in the ledger becomes empty: the target has the record, and nobody
          knows with which values.
        - `snapshot` takes the place of the workflow's, where it is given.
        - False, and nothing happened, unless the workflow is STOPPED or FAILED.
        """
