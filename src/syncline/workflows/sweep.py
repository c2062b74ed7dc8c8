"""The rolling comparison of Campaign with the source, irrespective of what the ledger remembers.

What lives here: which records are due, and what becomes of what is found. Campaign documents no conditional write, so a
worker that was paused can send a stale one late, and people can change what Syncline wrote: this finds both within the
period. It only runs while nothing is on its way, a few records at a time, spread over the period.

It walks through the ledger: what Syncline never wrote is for a reconciliation to find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, cast

from attrs import define, evolve, field

from syncline.backlog import Grant, ItemState
from syncline.clock import Clock
from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.instrumentation import Instrumentation, SweepMended
from syncline.mapping import TablePlan
from syncline.records import Change, RecordKey
from syncline.store import Storage
from syncline.sweeps import KnownRecord, Sweep
from syncline.workflows.comparison import Compared, Comparison
from syncline.workflows.linked_keys import tables_by_pkey
from syncline.workflows.settings import EngineSettings
from syncline.workflows.work import Reading

__all__ = ["RollingSweep"]

#: Records looked at in one step, which nothing else can interrupt.
_STEP: Final = 20
_ON_THEIR_WAY: Final = (ItemState.READY, ItemState.LEASED)


@define(kw_only=True, eq=False)
class RollingSweep:
    """The sweep of one generation within one cycle."""

    workflow: str
    #: The rules of the day, by table: they may learn while the cycle runs.
    plans: Callable[[], Mapping[str, TablePlan]]
    storage: Storage
    dynamics: DynamicsConnector
    campaign: CampaignConnector
    clock: Clock
    settings: EngineSettings
    tell: Instrumentation
    _sweeps: dict[str, Sweep] | None = field(default=None, init=False)
    #: Nothing is due before this, on the monotonic clock.
    _not_before: float = field(default=-math.inf, init=False)

    def next(self, grant: Grant, caught_up: Collection[str]) -> Reading | None:
        """A step of a table that is caught up and behind its time, while nothing is on its way to Campaign."""
        if not self.settings.sweep_period or self.clock.monotonic() < self._not_before:
            return None
        if self._sweeps is None:
            self._sweeps = dict(self.storage.sweeps(self.workflow))
        now = self.storage.now()
        for table in sorted(self.plans().keys() & set(caught_up)):
            records = self._take(grant, table, now)
            if records:
                return self._step(grant, table, records)
        self._not_before = self.clock.monotonic() + self.settings.attention.total_seconds()
        return None

    def _take(self, grant: Grant, table: str, now: datetime) -> Sequence[KnownRecord]:
        """The records that are due now. Notes the end of a round, and the beginning of the next one."""
        known = self.storage.ledger_size(self.workflow, table)
        if not self._due(grant, table, now, known) or self._busy():
            return ()
        sweep = self._sweep_of(table)
        records = self.storage.known_records(self.workflow, table, after=sweep.after, limit=_STEP)
        if not records:
            self._keep(grant, table, evolve(sweep, done=True, rounds=sweep.rounds + 1), ())
            self._due(grant, table, now, known)
        return records

    def _due(self, grant: Grant, table: str, now: datetime, known: int) -> bool:
        """Whether fewer records were checked than the share of the period that is over asks for."""
        sweep = (self._sweeps or {}).get(table) or Sweep(since=now, began_at=now, done=True)
        over = (now - sweep.began_at) / self.settings.sweep_period
        if not sweep.done:
            return over >= 1 or sweep.checked < math.floor(known * over)
        if known and (over >= 1 or not sweep.rounds):
            self._keep(grant, table, evolve(sweep, began_at=now, after=0, done=False, checked=0, mended=0), ())
        return False

    def _busy(self) -> bool:
        groups = self.storage.counts(self.workflow).groups
        return any(number and group.state in _ON_THEIR_WAY for group, number in groups.items())

    def _sweep_of(self, table: str) -> Sweep:
        return (self._sweeps or {})[table]

    def _step(self, grant: Grant, table: str, records: Sequence[KnownRecord]) -> Reading:
        calls = 0
        plans = self.plans()
        linked = {parent: plans[parent].target for parent in tables_by_pkey(plans[table])}
        comparison = Comparison(plan=plans[table], campaign=self.campaign, linked=linked)

        def fetch() -> list[Compared]:
            nonlocal calls
            found = []
            for change in self._changes(comparison.plan, records):
                wanted = comparison.wanted(change, known=True)
                if not isinstance(wanted, Compared):
                    wanted = comparison.look(change, wanted)
                    calls += wanted.calls
                found.append(wanted)
            return found

        def failed(error: BaseException) -> None:
            raise error

        return Reading(
            fetch=fetch,
            keep=lambda answer: self._note(grant, table, records, cast("list[Compared]", answer), calls),
            failed=failed,
            about=table,
            calls=lambda: calls,
        )

    def _changes(self, plan: TablePlan, records: Sequence[KnownRecord]) -> Sequence[Change]:
        """The records as the source has them now; what is queued will be written anyway and is left out."""
        ids = [record.id for record in records if not record.queued]
        found = self.dynamics.fetch(plan.table, plan.columns, ids) if ids else {}
        return [found.get(one) or Change(key=RecordKey(table=plan.table, id=one), values=None) for one in ids]

    def _note(
        self, grant: Grant, table: str, records: Sequence[KnownRecord], found: Sequence[Compared], calls: int
    ) -> int:
        sweep = self._sweep_of(table)
        wrong = [one.record.key.id for one in found if one.kind.wrong]
        self._keep(
            grant,
            table,
            evolve(
                sweep,
                after=records[-1].place,
                checked=sweep.checked + len(records),
                mended=sweep.mended + len(wrong),
                checked_ever=sweep.checked_ever + len(records),
                mended_ever=sweep.mended_ever + len(wrong),
                calls=sweep.calls + calls,
            ),
            wrong,
        )
        if wrong:
            self.tell(SweepMended(workflow=self.workflow, table=table, checked=len(records), mended=len(wrong)))
        return 0

    def _keep(self, grant: Grant, table: str, sweep: Sweep, wrong: Sequence[str]) -> None:
        self.storage.commit_sweep(grant, table, sweep, wrong)
        if self._sweeps is not None:
            self._sweeps[table] = sweep
