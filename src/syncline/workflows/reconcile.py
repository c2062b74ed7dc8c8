"""Comparing both sides of a table on demand, and taking over what matches.

What lives here: the walk over the source and over the ledger, page by page; what one record comes to is in
`syncline.workflows.comparison`. Memory is bounded by a page, whatever the size of the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from attrs import define, field

from syncline.clock import Clock
from syncline.errors import ThrottledError
from syncline.mapping import WriteDecision
from syncline.records import Change, RecordKey
from syncline.views.reconciliation import ReconciledRecord, ReconcileKind, Reconciliation
from syncline.workflows.comparison import Compared, Comparison
from syncline.workflows.linked_keys import tables_by_pkey
from syncline.workflows.next_start import NextStart

__all__ = ["reconcile"]

#: Look-ups at once.
_LOOKERS: Final = 8
#: Records of the ledger that the source is asked for at a time.
_WALK: Final = 500
#: How often silence is waited for before a throttled look-up is given up.
_PATIENCE: Final = 20


def reconcile(start: NextStart, table: str, *, adopt: bool, queue: bool, limit: int, clock: Clock) -> Reconciliation:
    """Compare; see `IngressActions.reconcile`."""
    plan = start.plan(table)
    linked = {parent: start.plan(parent).target for parent in tables_by_pkey(plan)}
    run = _Run(
        start=start,
        comparison=Comparison(plan=plan, campaign=start.campaign, linked=linked),
        adopt=adopt,
        queue=queue or adopt,
        limit=limit,
        clock=clock,
    )
    run.source()
    run.ledger()
    return run.result()


@define(kw_only=True, eq=False)
class _Run:
    """One reconciliation under way."""

    start: NextStart
    comparison: Comparison
    adopt: bool
    queue: bool
    limit: int
    clock: Clock
    _counts: Counter[ReconcileKind] = field(factory=Counter, init=False)
    _records: list[ReconciledRecord] = field(factory=list, init=False)
    _calls: int = field(default=0, init=False)
    _queued: int = field(default=0, init=False)
    _adopted: int = field(default=0, init=False)
    #: Records in Campaign that are ours and were not looked up.
    _ours_unseen: int = field(default=0, init=False)

    @property
    def table(self) -> str:
        return self.comparison.plan.table

    def source(self) -> None:
        """Every record of the source."""
        for page, _ in self.start.pages(self.comparison.plan):
            known = self.start.ledger(self.table, list(page))
            self._compare([(change, record in known) for record, change in page.items()])

    def ledger(self) -> None:
        """Everything the ledger knows that the source does not have any more."""
        for ids in self._known():
            found = self.start.dynamics.fetch(self.table, self.comparison.plan.columns, ids)
            gone = [record for record in ids if record not in found]
            self._compare([(Change(key=RecordKey(table=self.table, id=one), values=None), True) for one in gone])

    def _known(self) -> Iterator[list[str]]:
        after = 0
        storage, workflow = self.start.storage, self.start.workflow
        while self.start.registered and (
            records := storage.known_records(workflow, self.table, after=after, limit=_WALK)
        ):
            after = records[-1].place
            yield [record.id for record in records]

    def _compare(self, pairs: Sequence[tuple[Change, bool]]) -> None:
        """Some records, each with whether the ledger knows it; what they come to is kept at once."""
        looked: list[tuple[Change, WriteDecision]] = []
        found: list[Compared] = []
        for change, known in pairs:
            wanted = self.comparison.wanted(change, known=known)
            if isinstance(wanted, Compared):
                found.append(wanted)
                self._ours_unseen += known
            else:
                looked.append((change, wanted))
        with closing(_Lookers(self.comparison, self.clock)) as lookers:
            found += lookers.all(looked)
        self._calls += sum(one.calls for one in found)
        self._counts.update(one.kind for one in found)
        told = [one.record for one in found if one.kind.wrong or one.kind is ReconcileKind.REFUSED]
        self._records += told[: max(0, self.limit - len(self._records))]
        self._keep(found)

    def _keep(self, found: Sequence[Compared]) -> None:
        storage, workflow = self.start.storage, self.start.workflow
        if self.adopt:
            matching = {one.record.key.id: one.fingerprint for one in found if one.kind is ReconcileKind.IDENTICAL}
            self._adopted += storage.adopt(workflow, self.table, matching) if matching else 0
        if not self.queue:
            return
        there = [one.record.key.id for one in found if one.kind is ReconcileKind.DIFFERENT]
        others = [one.record.key.id for one in found if one.kind in (ReconcileKind.MISSING, ReconcileKind.EXTRA)]
        for records, are_there in ((there, True), (others, False)):
            if records:
                storage.queue_anew(workflow, self.table, records, there=are_there)
                self._queued += len(records)

    def result(self) -> Reconciliation:
        """What it all came to."""
        in_campaign = self.start.campaign.count(self.comparison.plan.target)
        self._calls += in_campaign is not None
        ours = self._ours_unseen + sum(
            self._counts[kind] for kind in (ReconcileKind.IDENTICAL, ReconcileKind.DIFFERENT, ReconcileKind.EXTRA)
        )
        return Reconciliation(
            table=self.table,
            resource=self.comparison.plan.resource,
            counts={kind: self._counts[kind] for kind in ReconcileKind},
            records=tuple(self._records),
            strangers=None if in_campaign is None else max(0, in_campaign - ours),
            queued=self._queued,
            adopted=self._adopted,
            calls=self._calls,
        )


class _Lookers:
    """A few threads that look records up, and wait where Campaign asks for silence."""

    def __init__(self, comparison: Comparison, clock: Clock) -> None:
        self._comparison = comparison
        self._clock = clock
        self._pool = ThreadPoolExecutor(max_workers=_LOOKERS, thread_name_prefix="syncline-reconcile")

    def all(self, pairs: Sequence[tuple[Change, WriteDecision]]) -> list[Compared]:
        """In the same order."""
        return list(self._pool.map(lambda pair: self._patiently(*pair), pairs))

    def _patiently(self, change: Change, decision: WriteDecision) -> Compared:
        for _ in range(_PATIENCE):
            try:
                return self._comparison.look(change, decision)
            except ThrottledError as error:
                self._clock.sleep(max(error.retry_after or 0.0, 1.0))
        return self._comparison.look(change, decision)

    def close(self) -> None:
        """End the threads; what has not begun is not begun."""
        self._pool.shutdown(cancel_futures=True)
