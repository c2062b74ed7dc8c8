"""Checks of workers that lease at the same moment, each from a thread of its own: nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier, Lock
from typing import TypeVar

from attrs import define, field

from syncline.backlog import SUSPECT_AFTER, Grant, Item, ItemState, Lane, Settlement, Settling
from syncline.testing.storage_checks.subject import WORKFLOW, Subject, entry, settlements

_Result = TypeVar("_Result")
_CREW = 4


def _at_once(grants: list[Grant], work: Callable[[Grant], _Result]) -> list[_Result]:
    """Every worker does the same, and all begin together."""
    line = Barrier(len(grants))

    def begin(grant: Grant) -> _Result:
        line.wait()
        return work(grant)

    with ThreadPoolExecutor(len(grants)) as pool:
        return list(pool.map(begin, grants))


def check_nobody_leases_what_another_one_takes(subject: Subject) -> None:
    """Of workers that lease at the same moment each gets other rows: of any table and lane, and delayed ones as well.

    Who is told that there is nothing is told so when nothing is ready, not because another one looks at the rows.
    """
    storage = subject.storage
    grants = [subject.worker(workers=_CREW) for _ in range(_CREW)]
    for table in ("contact", "account", "lead"):
        for lane in (Lane.LIVE, Lane.BULK):
            changes = [entry(f"{table}{lane}{number}", table=table, lane=lane) for number in range(20)]
            storage.put(grants[0], changes)
    soon = storage.now() + timedelta(seconds=20)
    delayed = storage.lease(grants[0], 30)
    retries = [Settlement(item=item, settling=Settling.RETRY, retry_at=soon) for item in delayed]
    assert storage.settle(grants[0], retries).settled == 30
    subject.wait(21)

    def lease_all(grant: Grant) -> list[Item]:
        mine: list[Item] = []
        while items := storage.lease(grant, 7):
            mine += items
        assert subject.in_state(ItemState.READY) == subject.in_state(ItemState.DELAYED) == 0
        return mine

    taken = _at_once(grants, lease_all)
    assert len({item.key for items in taken for item in items}) == sum(map(len, taken)) == 120
    subject.exact()
    for grant, items in zip(grants, taken, strict=True):
        assert storage.settle(grant, settlements(items)).settled == len(items)
    subject.exact()
    assert storage.counts(WORKFLOW).totals.written == 120


@define
class _InFlight:
    """What workers have leased for sure: noted after a lease and struck off before the settlement."""

    #: What was leased beside a lease of suspects.
    met: list[Item] = field(factory=list)
    #: Somebody failed, so that not everything will be settled.
    ended: bool = False
    _mutex: Lock = field(factory=Lock)
    _items: dict[int, Item] = field(factory=dict)

    def add(self, items: Sequence[Item]) -> None:
        with self._mutex:
            both = [*self._items.values(), *items]
            if self._items and items and any(item.crashes >= SUSPECT_AFTER for item in both):
                self.met += both
            self._items.update((item.id, item) for item in items)

    def remove(self, items: Sequence[Item]) -> None:
        with self._mutex:
            for item in items:
                del self._items[item.id]

    @contextmanager
    def until_somebody_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.ended = True
            raise


def check_suspects_are_apart_over_workers_that_lease_at_once(subject: Subject) -> None:
    """However many lease and settle at the same moment: while one has suspects nobody else has anything."""
    storage = subject.storage
    grant = subject.grant()
    storage.put(grant, [entry(f"s{number}") for number in range(3)])
    for _ in range(SUSPECT_AFTER):
        while items := storage.lease(grant, 10):
            storage.mark_sending(grant, items)
        grant = subject.takeover()
    grants = [grant, *(subject.worker(workers=_CREW) for _ in range(_CREW - 1))]
    storage.put(grant, [entry(f"r{number}", table=table) for number in range(20) for table in ("contact", "account")])
    in_flight = _InFlight()

    def work(mine: Grant) -> int:
        done = 0
        with in_flight.until_somebody_fails():
            while subject.size() and not in_flight.ended:
                items = storage.lease(mine, 3)
                in_flight.add(items)
                in_flight.remove(items)
                done += storage.settle(mine, settlements(items)).settled
        return done

    assert sum(_at_once(grants, work)) == 43
    assert in_flight.met == []
    subject.exact()
