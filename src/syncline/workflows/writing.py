"""What becomes of the records that ingress has leased.

What lives here: from a leased row to its end or its write, under the rules of the running generation. The rules are in
`syncline.mapping`; which record may go before which is in `linking`, which deletion is held in `holding`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from attrs import define, evolve, field

from syncline.backlog import DeadReason, Grant, Item, Settlement, Settling
from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.errors import ConflictError, RecordRefusedError, SchemaChangedError
from syncline.mapping import RefuseDecision, TablePlan, WriteDecision, decide
from syncline.records import Change, Outcome, RecordKey, decode_values
from syncline.store import Storage
from syncline.workflows.holding import DeleteGuard
from syncline.workflows.link_traffic import LinkTraffic
from syncline.workflows.linking import Inquiry, Linking
from syncline.workflows.schema_watch import SchemaWatch, unknown_values
from syncline.workflows.settings import EngineSettings
from syncline.workflows.verdicts import dead, held, skipped
from syncline.workflows.work import Plan
from syncline.workflows.writers import Job

__all__ = ["Writing", "lacks"]


@define
class _Decided:
    """What the rules, the links and the guards made of leased records."""

    settlements: list[Settlement] = field(factory=list)
    jobs: list[Job] = field(factory=list)
    #: Refused as they were queued: to be read again before they die.
    refused: list[Item] = field(factory=list)
    #: To be read again together with what they point to.
    asking: list[Item] = field(factory=list)
    #: Parents that Campaign has.
    known: frozenset[RecordKey] = frozenset()


class Writing:
    """Decides about leased records, for one generation within one cycle. Only the coordinator calls methods."""

    def __init__(
        self,
        *,
        workflow: str,
        watch: SchemaWatch,
        guard: DeleteGuard,
        linking: Linking,
        storage: Storage,
        dynamics: DynamicsConnector,
        campaign: CampaignConnector,
        settings: EngineSettings,
    ) -> None:
        self._workflow = workflow
        self._watch = watch
        self._guard = guard
        self._linking = linking
        self._storage = storage
        self._dynamics = dynamics
        self._campaign = campaign
        self._settings = settings
        self._traffic = LinkTraffic(campaign)
        #: Of the rows that are being written: what they point to.
        self._parents: dict[int, tuple[RecordKey, ...]] = {}
        self._grant: Grant | None = None

    def begin(self, grant: Grant) -> None:
        """Work under this grant from now on."""
        self._grant = grant

    def plan(self, items: Sequence[Item]) -> Plan:
        """See `Work.plan`."""
        settlements: list[Settlement] = []
        queued: list[tuple[Item, Change]] = []
        stale: list[Item] = []
        for item in items:
            plan = self._watch.plans.get(item.key.table)
            if plan is None:
                settlements.append(skipped(item))
            elif item.crashes_alone >= self._settings.crash_limit:
                settlements.append(dead(item, DeadReason.CRASHED, _CRASHED.format(item.crashes_alone)))
            elif item.refresh:
                stale.append(item)
            else:
                values = None if item.payload is None else decode_values(item.payload)
                change = Change(key=item.key, values=values)
                (stale.append(item) if lacks(plan, change) else queued.append((item, change)))
        known = []
        unlabelled = self._unlabelled(queued)
        for item, change in queued:
            (stale.append(item) if item.key in unlabelled else known.append((item, change)))
        decided = self._decide(known, None)
        return self._planned([*settlements, *decided.settlements], decided, stale)

    def _unlabelled(self, queued: Sequence[tuple[Item, Change]]) -> set[RecordKey]:
        """Records with an option whose label only the worker that read them has learnt."""
        changes: dict[str, list[Change]] = {}
        for _, change in queued:
            changes.setdefault(change.key.table, []).append(change)
        found: set[RecordKey] = set()
        for table, some in changes.items():
            plan = self._watch.plans[table]
            if plan.mapping.labels and unknown_values(plan, some):
                found.update(change.key for change in some if unknown_values(plan, (change,)))
        return found

    def settled(self, item: Item, usual: Settlement) -> Settlement:
        """What Campaign refused because another worker deleted a record it points to meanwhile is decided anew."""
        parents = self._parents.pop(item.id, ())
        if usual.reason is not DeadReason.REFUSED or not parents or item.attempts >= self._settings.max_attempts:
            return usual
        standing = self._storage.parents(self._workflow, parents)
        if all(parent.known and parent.state is None for parent in standing.values()):
            return usual
        retry_at = self._storage.now() + self._settings.retry_first
        return Settlement(item=item, settling=Settling.RETRY, retry_at=retry_at, refresh=True)

    def refreshed(self, items: Sequence[Item], answer: object) -> Plan:
        """See `Work.refreshed`."""
        inquiry = cast(Inquiry, answer)
        pairs = [(item, inquiry.changes.get(item.key) or Change(key=item.key, values=None)) for item in items]
        decided = self._decide(pairs, inquiry)
        return self._planned(decided.settlements, decided, [])

    def _planned(self, settlements: Sequence[Settlement], decided: _Decided, stale: Sequence[Item]) -> Plan:
        again = [*stale, *decided.refused, *decided.asking]
        refresh = self._refresher(again, decided.asking, decided.known) if again else None
        return Plan(settlements=settlements, jobs=decided.jobs, refresh=refresh, refreshing=again)

    def _refresher(
        self, items: Sequence[Item], asking: Sequence[Item], known: frozenset[RecordKey]
    ) -> Callable[[], object]:
        wanted, about = _by_table(item.key for item in items), {item.key for item in asking}

        def fetch() -> Inquiry:
            found: dict[RecordKey, Change] = {}
            for table, records in wanted.items():
                found.update((change.key, change) for change in self._fetch(table, records).values())
            asked = [change for key, change in found.items() if key in about]
            return self._linking.inquire(found, asked, known, self._fetch)

        return fetch

    def _fetch(self, table: str, records: Sequence[str]) -> Mapping[str, Change]:
        try:
            found = self._dynamics.fetch(table, self._watch.plans[table].columns, records)
        except SchemaChangedError:
            self._watch.verify([table])  # which names the field, if it is one that the rules need
            raise
        self._watch.heed(table, tuple(found.values()))
        return found

    def _decide(self, pairs: Sequence[tuple[Item, Change]], inquiry: Inquiry | None) -> _Decided:
        """`inquiry` is what the records were read with just now; None when they are as they were queued.

        What was read under older rules, or another schema, is seen anew before it is set aside for good.
        """
        decided, writes = _Decided(), list[tuple[Item, WriteDecision]]()
        ledgers = {
            table: self._storage.ledger(self._workflow, table, records)
            for table, records in _by_table(item.key for item, _ in pairs).items()
        }
        for item, change in pairs:
            remembered = ledgers[item.key.table].get(item.key.id)
            # After an attempt without an answer only the target knows what it holds.
            known = _THERE_PERHAPS if item.ambiguous else remembered
            decision = decide(change, self._watch.plans[item.key.table], known, first=item.first)
            if isinstance(decision, RefuseDecision) and inquiry is None:
                decided.refused.append(item)
            elif isinstance(decision, RefuseDecision):
                error = decision.error
                decided.settlements.append(dead(item, DeadReason.CONVERSION, str(error), error.field))
            elif not isinstance(decision, WriteDecision):
                decided.settlements.append(skipped(item, in_step=True))
            elif decision.write.delete and (end := self._held(item, change, read_by_key=inquiry is not None)):
                decided.settlements.append(end)
            else:
                writes.append((item, decision))
        self._link(writes, inquiry, decided)
        return decided

    def _held(self, item: Item, change: Change, *, read_by_key: bool) -> Settlement | None:
        """A deletion waits for somebody's word, or for those of its children."""
        if self._guard.holds(item, change, read_by_key=read_by_key):
            return held(item)
        return self._linking.hold_delete(item)

    def _link(self, writes: Sequence[tuple[Item, WriteDecision]], inquiry: Inquiry | None, decided: _Decided) -> None:
        """Let those go whose parents are there."""
        judged = self._linking.judge(writes, inquiry)
        decided.known = judged.known
        self._traffic.are_back(judged.settled)
        if judged.wanted and self._grant is not None:
            # A read sequence of its own, as for a retry: whatever is read from now on is newer.
            seq = self._storage.next_read(self._grant)
            self._storage.put(self._grant, [evolve(entry, seq=seq) for entry in judged.wanted])
        for (item, decision), verdict in zip(writes, judged.verdicts, strict=True):
            if verdict.ask:
                decided.asking.append(item)
            elif verdict.settlement is not None:
                decided.settlements.append(verdict.settlement)
            else:
                decided.jobs.append(self._job(item, self._watch.plans[item.key.table], decision))

    def _job(self, item: Item, plan: TablePlan, decision: WriteDecision) -> Job:
        write = evolve(decision.write, ambiguous=item.ambiguous)
        resource, parents = (
            plan.target,
            tuple((one, self._watch.plans[one.key.table].target) for one in decision.parents),
        )
        if parents:
            self._parents[item.id] = tuple(one.key for one in decision.parents)

        def send(still_ours: Callable[[], None]) -> Outcome:
            looks = self._watch.looks
            try:
                return self._traffic.send(write, resource, parents, still_ours)
            except SchemaChangedError:
                self._watch.heed_refusal(item.key.table, looks)  # which names every field that the rules need
                raise
            except RecordRefusedError:
                if self._watch.heed_refusal(item.key.table, looks):
                    raise ConflictError(f"The schema of {resource.name} changed: {item.key} is decided anew.") from None
                raise

        return Job.single(
            item=item,
            send=send,
            fingerprint=decision.fingerprint or None,
            fingerprint_if_created=decision.fingerprint_if_created or None,
            forget=write.delete,
        )


#: To `decide`: the target may have the record, and nobody knows with which values.
_THERE_PERHAPS = b""
_CRASHED = "The process died {} times while this record was being sent, with no other beside it."


def lacks(plan: TablePlan, change: Change) -> bool:
    """Whether the rules need a column that the record was read without."""
    values = change.values
    return values is not None and not all(column in values for column in plan.columns)


def _by_table(keys: Iterable[RecordKey]) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for key in keys:
        tables.setdefault(key.table, []).append(key.id)
    return tables
