"""Deletions that wait for somebody's word because they are many: values, and what a storage must do for them.

What lives here: `Hold` and `Judgement`, and `HoldStore`, a part of `syncline.store.Storage`. What is held, and how many
are too many, is for the workflow; that it survives a crash and is counted exactly is for the storage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from syncline.backlog import Grant
from syncline.history import ActionEntry

__all__ = ["Hold", "HoldStore", "Judgement"]


@frozen(kw_only=True)
class Hold:
    """What is held of one table."""

    #: Deletions that are held now.
    held: int
    #: They are too many: nothing goes until somebody confirms or discards, and what is held later joins them.
    asked: bool
    #: Held deletions that went unasked since `let_go_from`.
    let_go: int
    #: When the window that `let_go` counts in began; None when nothing ever went.
    let_go_from: datetime | None


@frozen(kw_only=True)
class Judgement:
    """What became of the held deletions of one table."""

    #: How many were let go.
    released: int
    #: How many are held on.
    held: int
    #: Whether this was the first time that they were too many.
    newly_asked: bool


class HoldStore(ABC):
    """The part of a storage that keeps held deletions; the conditions of `Storage` hold here too."""

    @abstractmethod
    def holds(self, workflow: str) -> Mapping[str, Hold]:
        """What is held, table by table; tables of which nothing is and was held are missing."""

    @abstractmethod
    def held_records(self, workflow: str, table: str, limit: int) -> Sequence[str]:
        """Ids of the records whose deletion is held, those that were queued first to begin with."""

    @abstractmethod
    def judge_held(self, grant: Grant, table: str, *, most: int, window: timedelta) -> Judgement:
        """Let what is held of a table go if that is not too much; else keep it until somebody has a word.

        - Nothing held: nothing is asked any more.
        - Asked before: all stays held, however few they have become.
        - No more than `most`, together with what was let go like this in the last `window`: all become ready,
          `confirmed`, and count as let go. A window begins with the first deletion after the one before ended.
        - Else all stays held, and the table is asked about from now on, which the history notes.
        """

    @abstractmethod
    def unhold(self, grant: Grant) -> int:
        """Make ready again, not confirmed and in the bulk lane, what was held under an earlier generation; how many.

        The rules may have changed. What was asked about is still asked about when it comes to be held again.
        """

    @abstractmethod
    def confirm_held(self, workflow: str, table: str, action: ActionEntry) -> int:
        """Make all that is held of a table ready, `confirmed`; how many. They do not count as let go."""

    @abstractmethod
    def discard_held(self, workflow: str, table: str, action: ActionEntry) -> int:
        """Take all that is held of a table out of the queue; how many, which count as discarded.

        The ledger goes on knowing the records; of one that may have been written meanwhile, with unknown values.
        """
