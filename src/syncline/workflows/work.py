"""What a cycle needs to know about the workflow it runs.

What lives here: the abstract base `Work` and the values it deals in. A cycle owns leases, threads, budgets and the
order of things; the work knows what to read, what the rules make of it, and how to write it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence

from attrs import field, frozen

from syncline.backlog import Grant, Item, Settlement
from syncline.connectors.base import Gate
from syncline.workflows.writers import Answer, Job

__all__ = ["Plan", "Reading", "Work"]


def _raise(error: BaseException) -> None:
    raise error


@frozen(kw_only=True)
class Reading:
    """One page to fetch. `fetch` runs on a reader thread and does I/O with the source only.

    `keep` runs on the coordinator with what `fetch` returned, and stores it; it returns how many changes came.
    """

    fetch: Callable[[], object]
    keep: Callable[[object], int]
    #: Called instead of `keep` when `fetch` raised; raises the error again unless it could be dealt with.
    failed: Callable[[BaseException], None] = _raise
    #: The table that is read, for the error of a workflow that fails over it.
    about: str
    #: Engine calls that it cost at the target, once it is kept.
    calls: Callable[[], int] = lambda: 0


@frozen(kw_only=True)
class Plan:
    """What the rules make of leased items."""

    #: Ends that need no request.
    settlements: Sequence[Settlement] = ()
    jobs: Sequence[Job] = ()
    #: Asks the source for records by key; runs on a reader thread, and the coordinator hands what it returned to
    #: `refreshed`. None when nothing has to be read again.
    refresh: Callable[[], object] | None = None
    #: The items `refresh` is about.
    refreshing: Sequence[Item] = field(factory=tuple)


class Work(ABC):
    """One generation of one workflow, as it was when it started. Only the coordinator calls these methods."""

    @property
    @abstractmethod
    def gates(self) -> Sequence[Gate]:
        """Every gate that requests of this work pass."""

    @property
    def before(self) -> Mapping[str, Collection[str]]:
        """Table to the tables whose ready rows are leased before its own, within a lane."""
        return {}

    @property
    def batch(self) -> int:
        """How many rows a job of this work takes at most."""
        return 1

    @abstractmethod
    def begin(self, grant: Grant) -> None:
        """Take up what was noted for the next start: called once at the beginning of every cycle, harmless if done.

        Under a writer's grant nothing is to be read, and what only the reader may do is left to it.
        """

    def heed_others(self) -> None:
        """Take up what other workers of the workflow may have changed; called now and then while there may be some."""

    @abstractmethod
    def next_reading(self, grant: Grant, queued: int) -> Reading | None:
        """The next page worth fetching now, or None. Full reads pause while `queued`, the backlog's size, is high."""

    @abstractmethod
    def plan(self, items: Sequence[Item]) -> Plan:
        """Decide what becomes of leased items under the rules of this generation."""

    def midway(self, met: Sequence[tuple[Item, object]]) -> Plan:
        """Decide again about items whose jobs ended `Midway`, with what each learnt. They are still leased.

        All that came back at once are given together, so that they can share a transaction.
        """
        raise NotImplementedError(f"{type(self).__name__} has no jobs that end midway")

    def settled(self, item: Item, answer: Answer, usual: Settlement) -> Settlement:
        """How a row's answer is settled; `usual` is what the engine makes of it."""
        return usual

    @abstractmethod
    def refreshed(self, items: Sequence[Item], answer: object) -> Plan:
        """The same, for items whose records were read again."""
