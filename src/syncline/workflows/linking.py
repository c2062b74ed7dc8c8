"""Records that point to others: which may be written now, which wait, and which will never be.

What lives here: the verdict on a record whose rules say write, what has to be asked about a parent that nobody has
heard of, and the order of deletions. That a wait outlives a process is the storage's business: see `syncline.parents`.

A record goes when each record it points to is in Campaign. It waits while that one is queued, or its table is still
read in full. Else Dynamics and Campaign are asked, and the record itself is read once more, since what was read of it
may be older than what is known of its parent. Only then is it set aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final, TypeAlias

from attrs import define, field, frozen

from syncline.backlog import DeadReason, Entry, Item, ItemState, Lane, Operation, Settlement, Settling
from syncline.connectors.base import CampaignConnector
from syncline.conversions.reading import UnfitError
from syncline.errors import SkipRecordError
from syncline.linked_tables import LinkedTables
from syncline.mapping import LinkedTo, SkipDecision, SkipReason, WriteDecision, decide
from syncline.parents import Parent
from syncline.records import Change, ReadPosition, ReadStage, RecordKey
from syncline.store import Storage
from syncline.workflows.schema_watch import SchemaWatch
from syncline.workflows.settings import EngineSettings

__all__ = ["Inquiry", "Judgement", "Linking", "Verdict"]

#: A wait is looked at again after this long, and each time after as long again as it has lasted.
_FIRST_LOOK: Final = timedelta(minutes=1)
#: Rows in these states are on their way without anybody's doing.
_UNDER_WAY: Final = (ItemState.READY, ItemState.LEASED, ItemState.DELAYED)


@frozen(kw_only=True)
class Inquiry:
    """Records that were read again, and what both sides said of the records they point to."""

    changes: Mapping[RecordKey, Change]
    #: None for what Dynamics does not have. Only of those records that were to be asked about.
    parents: Mapping[RecordKey, Change | None] = field(factory=dict)
    #: What Campaign has.
    there: frozenset[RecordKey] = frozenset()


@frozen(kw_only=True)
class Verdict:
    """What becomes of a record: nothing set means that it goes."""

    #: It waits, or is set aside.
    settlement: Settlement | None = None
    #: It has to be read again together with what it points to.
    ask: bool = False


@frozen(kw_only=True)
class Judgement:
    """What becomes of several records."""

    #: One for each, in order.
    verdicts: Sequence[Verdict]
    #: Parents to queue before anything of it is settled; their `seq` is for the caller to give.
    wanted: Sequence[Entry]
    #: Parents that the ledger knows, and those of them of which nothing is queued.
    known: frozenset[RecordKey]
    settled: frozenset[RecordKey]


_GO: Final = Verdict()
_ASK: Final = Verdict(ask=True)
_Standing: TypeAlias = Mapping[RecordKey, Parent]


@define(kw_only=True, eq=False)
class Linking:
    """The links of one generation at work, within one cycle."""

    workflow: str
    tables: LinkedTables
    watch: SchemaWatch
    storage: Storage
    campaign: CampaignConnector
    settings: EngineSettings
    #: How far each table was read; kept up to date by whoever reads.
    positions: Mapping[str, ReadPosition]
    #: Parents that Campaign was asked about in this cycle.
    _looked_up: dict[RecordKey, bool] = field(factory=dict, init=False)
    #: Who waits for whom by the verdicts of the moment, which nobody has stored yet.
    _waiting: dict[RecordKey, RecordKey] = field(factory=dict, init=False)

    @property
    def before(self) -> Mapping[str, frozenset[str]]:
        """Table to the tables that are leased before it."""
        return {table: above for table in self.tables.parents if (above := self.tables.before(table))}

    # -- writing ----------------------------------------------------------------------------------------------------

    def judge(self, writes: Sequence[tuple[Item, WriteDecision]], inquiry: Inquiry | None) -> Judgement:
        """`inquiry` is what was read of these just now; None says that they are as they were queued."""
        wanted = {parent.key for _, decision in writes for parent in decision.parents}
        standing = self.storage.parents(self.workflow, wanted) if wanted else {}
        missing: dict[RecordKey, None] = {}
        self._waiting.clear()
        verdicts = [self._verdict(item, decision, standing, inquiry, missing) for item, decision in writes]
        known = frozenset(key for key, parent in standing.items() if parent.known)
        settled = frozenset(key for key in known if standing[key].state is None)
        return Judgement(verdicts=verdicts, wanted=[_wanted(key) for key in missing], known=known, settled=settled)

    def _verdict(
        self,
        item: Item,
        decision: WriteDecision,
        standing: _Standing,
        inquiry: Inquiry | None,
        missing: dict[RecordKey, None],
    ) -> Verdict:
        for linked in decision.parents:
            verdict = self._about(item, linked, standing[linked.key], inquiry, missing)
            if verdict is not _GO:
                return verdict
        return _GO

    def _about(
        self, item: Item, linked: LinkedTo, parent: Parent, inquiry: Inquiry | None, missing: dict[RecordKey, None]
    ) -> Verdict:
        fresh = inquiry is not None and item.key in inquiry.changes
        if parent.known:
            return self._about_known(item, linked, parent, fresh=fresh)
        if parent.state is not None or parent.key == item.key:
            return self._about_queued(item, linked, parent, inquiry)
        if inquiry is not None and parent.key in inquiry.there:
            return _GO
        if parent.dead:
            return self._dead(item, linked, _SET_ASIDE, fresh=fresh)
        if self._is_loading(parent.key.table):
            return self._waits(item, linked, queued=False)
        if inquiry is None or parent.key not in inquiry.parents:
            return _ASK
        return self._about_asked(item, linked, inquiry.parents[parent.key], missing)

    def _about_known(self, item: Item, linked: LinkedTo, parent: Parent, *, fresh: bool) -> Verdict:
        """Campaign has it, unless what is queued takes it away; what waits for the record itself is no deletion."""
        if parent.state is ItemState.LEASED:
            return _GO if self._circle(item.key, parent) else self._waits(item, linked, queued=True)
        if parent.deleting and parent.state in _UNDER_WAY:
            return self._waits(item, linked, queued=True) if fresh else _ASK
        return _GO

    def _about_queued(self, item: Item, linked: LinkedTo, parent: Parent, inquiry: Inquiry | None) -> Verdict:
        """What Campaign has is waited for too, since it may be a deletion; in a circle nothing is deleted."""
        if circle := self._circle(item.key, parent):
            if inquiry is None or parent.key not in inquiry.parents:
                return _ASK
            if parent.key in inquiry.there:
                return _GO
            return self._dead(item, linked, _CIRCLE.format(" -> ".join(map(str, circle))), fresh=True)
        if self._expired(item):
            return self._dead(item, linked, self._late(), fresh=True)
        return self._waits(item, linked, queued=True)

    def _circle(self, child: RecordKey, parent: Parent) -> list[RecordKey]:
        """The records that would wait for each other if the child waited for this parent; empty if they would not."""
        if parent.state is not ItemState.WAITING and parent.key != child and parent.key not in self._waiting:
            return []
        stored: dict[RecordKey, RecordKey] = {}
        way, here = [child], parent.key
        while here != child:
            if here in way:
                return []  # the child only points into a circle: one of its own records finds it
            way.append(here)
            if here not in self._waiting and here not in stored:
                chain = [here, *self.storage.waits_for(self.workflow, here)]
                stored.update(pairwise(chain))
            following = self._waiting.get(here) or stored.get(here)
            if following is None:
                return []
            here = following
        return [*way, child]

    def _about_asked(
        self, item: Item, linked: LinkedTo, change: Change | None, missing: dict[RecordKey, None]
    ) -> Verdict:
        """Nobody had heard of it, and now Dynamics has said what it is."""
        plan = self.watch.plans[linked.key.table]
        decision = decide(change or Change(key=linked.key, values=None), plan, None, first=False)
        if isinstance(decision, SkipDecision):
            filtered = decision.reason is SkipReason.FILTERED_OUT
            return self._dead(item, linked, _FILTERED.format(linked.key.table) if filtered else _GONE, fresh=True)
        if self._expired(item):
            return self._dead(item, linked, self._late(), fresh=True)
        missing[linked.key] = None
        return self._waits(item, linked, queued=True)

    def _is_loading(self, table: str) -> bool:
        """Whether a full read of the table is still to show what it has."""
        position = self.positions.get(table)
        return position is None or position.stage in (ReadStage.LOAD, ReadStage.KEYS, ReadStage.OVERLAP)

    def _expired(self, item: Item) -> bool:
        return item.waits_from is not None and self.storage.now() - item.waits_from >= self.settings.parent_wait

    def _late(self) -> str:
        return _LATE.format(f"{self.settings.parent_wait / timedelta(hours=1):g} hours")

    def _waits(self, item: Item, linked: LinkedTo, *, queued: bool) -> Verdict:
        """`queued` says whether the parent is; else it is still to be read."""
        now = self.storage.now()
        since = item.waits_from or now
        latest = max(since + self.settings.parent_wait, now + _FIRST_LOOK)
        look_again = min(now + max(now - since, _FIRST_LOOK), latest)
        self._waiting[item.key] = linked.key
        settlement = Settlement(
            item=item, settling=Settling.WAITING, parent=linked.key, parent_queued=queued, retry_at=look_again
        )
        return Verdict(settlement=settlement)

    @staticmethod
    def _dead(item: Item, linked: LinkedTo, why: str, *, fresh: bool) -> Verdict:
        """Set aside, if this is how the record is now: what was read earlier may point elsewhere by now."""
        if not fresh:
            return _ASK
        source = linked.rule.link.source
        settlement = Settlement(
            item=item,
            settling=Settling.DEAD,
            reason=DeadReason.PARENT,
            field=source,
            message=f"{item.key.table}.{source} points to {linked.key}. {why}",
            parent=linked.key,
        )
        return Verdict(settlement=settlement)

    # -- asking -----------------------------------------------------------------------------------------------------

    def inquire(
        self,
        changes: Mapping[RecordKey, Change],
        asked: Iterable[Change],
        known: frozenset[RecordKey],
        fetch: Callable[[str, Sequence[str]], Mapping[str, Change]],
    ) -> Inquiry:
        """Ask both sides about what the asked ones of these records point to, by `fetch` of table and ids.

        Runs on a reader thread and touches no storage. Campaign is not asked about `known` records, nor twice within
        a cycle.
        """
        wanted: dict[str, dict[str, None]] = {}
        for change in asked:
            for key in self._points_to(change):
                wanted.setdefault(key.table, {})[key.id] = None
        parents: dict[RecordKey, Change | None] = {}
        for table, records in wanted.items():
            answer = fetch(table, list(records))
            parents.update({RecordKey(table=table, id=record): answer.get(record) for record in records})
        there = frozenset(key for key in parents if key not in known and self._is_in_campaign(key))
        return Inquiry(changes=changes, parents=parents, there=there)

    def _points_to(self, change: Change) -> Iterable[RecordKey]:
        for rule in self.watch.plans[change.key.table].links:
            try:
                record = None if change.values is None else rule.value(change.values)
            except (KeyError, UnfitError):
                continue  # the rules will say so
            if record is not None:
                yield LinkedTo(rule=rule, id=str(record)).key

    def _is_in_campaign(self, key: RecordKey) -> bool:
        if key not in self._looked_up:
            plan = self.watch.plans[key.table]
            try:
                found = self.campaign.find(plan.target, plan.mapping.key, key.id)
            except SkipRecordError:  # several have the key: none of them is the one
                found = None
            self._looked_up[key] = found is not None
        return self._looked_up[key]

    # -- deleting ---------------------------------------------------------------------------------------------------

    def hold_delete(self, item: Item) -> Settlement | None:
        """Children are deleted first: keep a parent's deletion back until theirs have been read and are done with.

        Not for longer than `children_first`: after that a child that is left over loses its link.
        """
        now = self.storage.now()
        children = [table for table in self.tables.behind(item.key.table) if table in self.watch.plans]
        if not children or now - item.queued_at >= self.settings.children_first:
            return None
        groups = self.storage.counts(self.workflow).groups
        deleting = any(
            number and group.table in children and group.operation is Operation.DELETE and group.state in _UNDER_WAY
            for group, number in groups.items()
        )
        if not deleting and all(self._is_read_since(table, item) for table in children):
            return None
        retry_at = now + self.settings.retry_first / 10
        return Settlement(item=item, settling=Settling.RETRY, retry_at=retry_at, counts=False)

    def _is_read_since(self, table: str, item: Item) -> bool:
        position = self.positions.get(table)
        if position is None or position.stage is not ReadStage.DELTA:
            return False
        return position.read_at is not None and position.read_at >= item.queued_at


def _wanted(key: RecordKey) -> Entry:
    """A record that others wait for and that change tracking has not told yet."""
    return Entry(key=key, seq=0, payload=None, lane=Lane.LIVE, refresh=True)


_SET_ASIDE: Final = "That record is set aside itself. Correct it and retry it: this one follows by itself."
_GONE: Final = (
    "Dynamics 365 does not show that record. Correct the lookup, or let the application user read the record."
)
_FILTERED: Final = "The filters of {} keep that record out. Widen them, or filter this record out too."
_CIRCLE: Final = "These records wait for each other: {}. Clear one of these lookups in Dynamics 365."
_LATE: Final = "That record did not reach Campaign within {}. See why, then retry this one, or let it follow by itself."
