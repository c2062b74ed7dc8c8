"""Microsoft Dynamics 365 to Campaign.

What lives here: the ingress workflow and what it does within a cycle: which table is read next, what the rules make of
a page and of a leased record, and the write that follows. The rules themselves are in `syncline.mapping`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, cast

from attrs import evolve

from syncline.backlog import DeadReason, Entry, Grant, Item, Lane, Role, Settlement
from syncline.clock import Clock
from syncline.connectors.base import CampaignConnector, DynamicsConnector, Gate
from syncline.definition_json import definition_from_json
from syncline.definitions import IngressDefinition
from syncline.errors import (
    CursorLostError,
    LeaseLostError,
    ProtocolError,
    RetryLaterError,
    SchemaChangedError,
)
from syncline.instrumentation import Instrumentation, PageRead, ResyncStarted
from syncline.mapping import RefuseDecision, TablePlan, WriteDecision, decide
from syncline.records import (
    Change,
    Page,
    ReadPosition,
    ReadRequest,
    ReadStage,
    RecordKey,
    encode_values,
)
from syncline.scopes import workflow_name
from syncline.state_machine import WorkflowState
from syncline.store import PageCommit, Refusal, StateChange, Storage
from syncline.workflows import reading
from syncline.workflows.checks import CheckReport
from syncline.workflows.consent_round import CONTACT, Parties
from syncline.workflows.contact_opt_outs import ContactOptOuts
from syncline.workflows.environments import check_environments
from syncline.workflows.holding import DeleteGuard
from syncline.workflows.ingress_actions import IngressActions
from syncline.workflows.ingress_checks import preflight
from syncline.workflows.linking import Linking
from syncline.workflows.opt_out_carriers import carries_opt_outs, consent_warnings
from syncline.workflows.schema_watch import SchemaWatch
from syncline.workflows.settings import EngineSettings
from syncline.workflows.snapshot import Snapshot
from syncline.workflows.sweep import RollingSweep
from syncline.workflows.work import Plan, Reading, Work
from syncline.workflows.writers import Answer
from syncline.workflows.writing import Writing, lacks

__all__ = ["IngressWorkflow"]

#: How many of the records that a full read did not show are queued at a time.
_MISSING_BATCH = 1_000


class IngressWorkflow(IngressActions):
    """Contacts and custom tables travel from Dynamics 365 to Campaign."""

    title: ClassVar[str] = "Microsoft Dynamics 365 to Campaign"
    kind: ClassVar[str] = "ingress"

    @property
    def _most_workers(self) -> int:
        """One where opt-outs travel along: what is decided about a person rests on what was just decided."""
        return 1 if carries_opt_outs(self._storage, self.id) else super()._most_workers

    def _preflight(
        self, definition: IngressDefinition, previous: Snapshot | None
    ) -> tuple[CheckReport, Snapshot | None]:
        elsewhere = carries_opt_outs(self._storage, workflow_name(self._scope, "opt_out"))
        return preflight(definition, self._dynamics, self._campaign, previous, elsewhere=elsewhere)

    def _warnings(self) -> tuple[str, ...]:
        told = consent_warnings(self._storage, self._scope)
        return (*(told if told and carries_opt_outs(self._storage, self.id) else ()), *super()._warnings())

    def _work(self, snapshot: Snapshot) -> Work:
        check_environments(snapshot, self._dynamics, self._campaign)
        return _IngressWork(
            workflow=self.id,
            snapshot=snapshot,
            dynamics=self._dynamics,
            campaign=self._campaign,
            storage=self._storage,
            clock=self._clock,
            settings=self._settings,
            tell=self._tell,
        )


class _IngressWork(Work):
    """One generation at work."""

    def __init__(
        self,
        *,
        workflow: str,
        snapshot: Snapshot,
        dynamics: DynamicsConnector,
        campaign: CampaignConnector,
        storage: Storage,
        clock: Clock,
        settings: EngineSettings,
        tell: Instrumentation,
    ) -> None:
        definition = cast(IngressDefinition, definition_from_json(snapshot.definition))
        self._workflow = workflow
        self._dynamics = dynamics
        self._campaign = campaign
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._tell = tell
        self._watch = SchemaWatch(snapshot, definition, dynamics, campaign, interval=settings.schema_interval)
        self._reads = True
        self._positions = dict(storage.positions(workflow))
        #: The links that the read under way of each table has gone through in this cycle.
        self._ways: dict[str, set[str]] = {}
        #: Whether a page was asked for in this cycle.
        self._asked = False
        self._due = dict.fromkeys(self._plans, clock.monotonic())
        #: Tables whose last page was the newest there was.
        self._caught_up: set[str] = set()
        self._guard = DeleteGuard(workflow, definition.guardrails, storage, tell)
        self._sweep = RollingSweep(
            workflow=workflow,
            plans=lambda: self._plans,
            storage=storage,
            dynamics=dynamics,
            campaign=campaign,
            clock=clock,
            settings=settings,
            tell=tell,
        )
        self._tables = definition.linked_tables
        self._linking = Linking(
            workflow=workflow,
            tables=self._tables,
            watch=self._watch,
            storage=storage,
            campaign=campaign,
            settings=settings,
            positions=self._positions,
        )
        self._opt_outs = self._carried(snapshot, definition)
        self._writing = Writing(
            workflow=workflow,
            watch=self._watch,
            guard=self._guard,
            linking=self._linking,
            storage=storage,
            dynamics=dynamics,
            campaign=campaign,
            settings=settings,
        )

    def _carried(self, snapshot: Snapshot, definition: IngressDefinition) -> ContactOptOuts | None:
        """What lets opt-outs travel with contacts; None where their mapping has no pairs."""
        for mapping in definition.mappings:
            if mapping.opt_outs:
                parties = Parties.of(
                    pairs=mapping.opt_outs,
                    key_field=mapping.key,
                    contact=snapshot.sources[CONTACT],
                    profile=snapshot.targets[mapping.resource],
                    dynamics=self._dynamics,
                    campaign=self._campaign,
                    clock=self._clock,
                )
                return ContactOptOuts(
                    workflow=self._workflow,
                    parties=parties,
                    storage=self._storage,
                    settings=self._settings,
                    tell=self._tell,
                )
        return None

    @property
    def gates(self) -> Sequence[Gate]:
        return (*self._dynamics.gates, *self._campaign.gates)

    @property
    def _plans(self) -> Mapping[str, TablePlan]:
        return self._watch.plans

    def begin(self, grant: Grant) -> None:
        self._writing.begin(grant)
        if self._opt_outs is not None:
            self._opt_outs.begin(grant)
        self._reads = grant.role is Role.READER
        if not self._reads:
            return
        self._guard.begin(grant)
        for table in self._positions.keys() - self._plans.keys():
            self._storage.drop_position(self._workflow, table)
            del self._positions[table]
        for table, noted_in in self._storage.wanted_replays(self._workflow).items():
            if table in self._plans and noted_in < grant.generation:
                seq = self._storage.next_read(grant)
                position = self._full_read(seq, first=True, resync=table in self._positions or self._has_traces(table))
                self._positions[table] = position
                self._storage.begin_replay(grant, table, position)

    def heed_others(self) -> None:
        """What this worker would know by itself if it were the only one: how far was read, and what is held."""
        if self._reads:
            self._guard.look()
        else:
            self._positions.clear()
            self._positions.update(self._storage.positions(self._workflow))

    # -- reading -------------------------------------------------------------------------------------------------------

    def next_reading(self, grant: Grant, queued: int) -> Reading | None:
        if (learnt := self._watch.news()) is not None:
            self._keep_snapshot(grant, learnt)
        if self._watch.is_due(self._storage.now()):
            return self._look_again(grant)
        if self._opt_outs is not None and (waited := self._opt_outs.next(grant)) is not None:
            return waited
        for table in self._by_urgency():
            position = self._positions.get(table)
            tracked = position is not None and position.stage is ReadStage.DELTA
            if not tracked and queued >= self._settings.high_water:
                continue
            if position is not None and position.stage is ReadStage.MISSING:
                return self._missing(grant, table, position)
            return self._page(grant, table, position)
        return self._guard.next(grant, self._caught_up) or self._sweep.next(grant, self._caught_up)

    def _look_again(self, grant: Grant) -> Reading:
        """Both sides' schemas, compared with what is known of them."""

        def keep(_: object) -> int:
            self._keep_snapshot(grant, self._watch.checked(self._storage.now()))
            return 0

        def failed(error: BaseException) -> None:
            if not isinstance(error, RetryLaterError):
                raise error
            self._watch.postpone(self._storage.now())

        return Reading(fetch=lambda: self._watch.verify(self._plans, key=True), keep=keep, failed=failed, about="")

    def _keep_snapshot(self, grant: Grant, snapshot: Snapshot) -> None:
        """What was learnt holds for every later cycle of this generation, in whatever process."""
        running, generation = WorkflowState.RUNNING, grant.generation
        change = StateChange(
            expected_state=running,
            expected_generation=generation,
            state=running,
            generation=generation,
            snapshot=snapshot.to_json(),
            grant=grant,
        )
        if not self._storage.change_state(self._workflow, change):
            raise LeaseLostError("The workflow was taken over while its schemas were looked at.")

    def _by_urgency(self) -> list[str]:
        """The tables that are due: those whose changes are tracked, then parents, then the one that waited longest.

        The first page of a cycle goes to the table that was read longest ago, whatever its stage: where cycles are so
        short that it is the only page, every table has its turn.
        """
        now = self._clock.monotonic()

        def urgency(table: str) -> tuple[bool, int, float]:
            position = self._positions.get(table)
            if not self._asked:
                read_at = None if position is None else position.read_at
                return False, 0, read_at.timestamp() if read_at is not None else 0.0
            tracked = position is not None and position.stage is ReadStage.DELTA
            return not tracked, 0 if tracked else self._tables.level(table), self._due[table]

        return sorted((table for table, due in self._due.items() if due <= now), key=urgency)

    def _page(self, grant: Grant, table: str, position: ReadPosition | None) -> Reading:
        self._asked = True
        seq = self._storage.next_read(grant)
        if position is None:
            known = self._storage.ledger_size(self._workflow, table) > 0
            position = self._full_read(seq, first=not known, resync=known or self._has_traces(table))
        columns = self._plans[table].columns
        if self._opt_outs is not None:
            columns = self._opt_outs.columns(table, columns)
        request = reading.request_for(table, columns, position, self._settings.overlap_margin)
        return Reading(
            fetch=partial(self._read, request, counted=reading.is_beginning(position)),
            keep=partial(self._keep, grant, table, position, seq, self._clock.monotonic()),
            failed=partial(self._failed, grant, table, position),
            about=table,
        )

    def _read(self, request: ReadRequest, *, counted: bool = False) -> Page:
        """One page, and where it hints at a changed schema, a look at that too; on a reader thread."""
        try:
            page = self._dynamics.read(request)
        except SchemaChangedError:
            self._watch.verify([request.table])  # which names the field, if it is one that the rules need
            if request.link is None:
                raise
            raise CursorLostError(
                f"The position in {request.table} names columns that are not needed any more and are gone."
            ) from None
        if request.stage is not ReadStage.KEYS:
            self._watch.heed(request.table, page.changes)
        if not counted:
            return page
        try:
            return evolve(page, about=self._dynamics.count(request.table))
        except RetryLaterError:
            return page

    def _full_read(self, seq: int, *, first: bool, resync: bool) -> ReadPosition:
        return reading.begin(now=self._source_time(), seq=seq, first=first, resync=resync)

    def _has_traces(self, table: str) -> bool:
        """Whether an earlier reading left anything that the source may have deleted since, written or queued."""
        if self._storage.ledger_size(self._workflow, table) > 0:
            return True
        groups = self._storage.counts(self._workflow).groups
        return any(number for group, number in groups.items() if group.table == table)

    def _source_time(self) -> datetime:
        """Now by the source's clock, as far as its answers have told it."""
        return self._storage.now() + timedelta(seconds=self._dynamics.clock_offset or 0.0)

    def _failed(self, grant: Grant, table: str, position: ReadPosition, error: BaseException) -> None:
        """A lost position is the one error that is mended here: a full read follows, which finds deletions too."""
        if not isinstance(error, CursorLostError) or reading.is_beginning(position):
            raise error
        resync = position.resync or self._has_traces(table)
        restart = self._full_read(self._storage.next_read(grant), first=reading.is_first(position), resync=resync)
        # What an earlier resync saw may be gone by now.
        self._storage.forget_seen(grant, table, restart)
        self._ways.pop(table, None)
        self._positions[table] = restart
        self._tell(ResyncStarted(workflow=self._workflow, table=table, reason=error.message))

    def _keep(self, grant: Grant, table: str, position: ReadPosition, seq: int, asked_at: float, answer: object) -> int:
        page = cast(Page, answer)
        changes = () if position.stage is ReadStage.KEYS else page.changes
        entries, refusals = self._decide_page(table, position, seq, changes)
        if self._opt_outs is not None:
            entries += self._opt_outs.heard(grant, table, changes, seq)
        behind = reading.following(position, page, self._storage.now(), deletions=True)
        self._note_way(table, page)
        seen = [change.key.id for change in page.changes] if position.compares else ()
        commit = PageCommit(table=table, position=behind, entries=entries, refusals=refusals, seen=seen, seq=seq)
        report = self._storage.commit_page(grant, commit)
        self._positions[table] = behind
        now = self._clock.monotonic()
        idle = reading.caught_up(behind, page)
        (self._caught_up.add if idle else self._caught_up.discard)(table)
        self._due[table] = now + self._settings.poll_interval.total_seconds() if idle else now
        self._tell(
            PageRead(
                workflow=self._workflow,
                table=table,
                stage=position.stage,
                changes=len(changes),
                queued=report.queued,
                skipped=report.skipped,
                refused=len(refusals),
                seconds=now - asked_at,
            )
        )
        return len(changes)

    def _note_way(self, table: str, page: Page) -> None:
        """Raises ProtocolError when the pages of a read lead back to one of them: it would never end."""
        if page.next_link is None:
            self._ways.pop(table, None)
            return
        way = self._ways.setdefault(table, set())
        if page.next_link in way:
            raise ProtocolError(
                f"The pages of {table} lead in a circle.",
                remedy="Nothing was lost: the position stays where it was. Report this to the source's support.",
            )
        way.add(page.next_link)

    def _decide_page(
        self, table: str, position: ReadPosition, seq: int, told: Sequence[Change]
    ) -> tuple[list[Entry], list[Refusal]]:
        plan, first, lane = self._plans[table], reading.is_first(position), reading.lane_of(position)
        changes, contradictory = _collapse(told)
        ledger = self._storage.ledger(self._workflow, table, list(changes))
        entries: list[Entry] = []
        refusals: list[Refusal] = []
        for record, change in changes.items():
            refresh = record in contradictory or lacks(plan, change)
            payload = None if refresh or change.values is None else _payload(plan, change)
            entry = Entry(key=change.key, seq=seq, payload=payload, lane=lane, first=first, refresh=refresh)
            if not refresh:
                decision = decide(change, plan, ledger.get(record), first=first)
                if isinstance(decision, RefuseDecision):
                    refusals.append(_refusal(entry, decision))
                    continue
                if not isinstance(decision, WriteDecision):
                    entry = evolve(entry, only_if_queued=True, decided_on=ledger.get(record))
            entries.append(entry)
        return entries, refusals

    def _missing(self, grant: Grant, table: str, position: ReadPosition) -> Reading:
        """Queue what we know of and a full read never showed, to be asked for by key: only the source says gone."""

        def keep(_: object) -> int:
            missing = self._storage.unseen(self._workflow, table, _MISSING_BATCH)
            if missing:
                seq = self._storage.next_read(grant)
                entries = self._refreshes(table, missing, seq)
                page = PageCommit(table=table, position=position, entries=entries, seen=missing, seq=seq)
                self._storage.commit_page(grant, page)
            else:
                behind = evolve(position, stage=ReadStage.DELTA, resync=False, compares=False)
                self._storage.forget_seen(grant, table, behind)
                self._positions[table] = behind
            return len(missing)

        failed = partial(self._failed, grant, table, position)
        return Reading(fetch=lambda: None, keep=keep, failed=failed, about=table)

    @staticmethod
    def _refreshes(table: str, records: Sequence[str], seq: int) -> list[Entry]:
        return [
            Entry(key=RecordKey(table=table, id=record), seq=seq, payload=None, lane=Lane.BULK, refresh=True)
            for record in records
        ]

    # -- writing -------------------------------------------------------------------------------------------------------

    @property
    def before(self) -> Mapping[str, Collection[str]]:
        return self._linking.before

    def plan(self, items: Sequence[Item]) -> Plan:
        if self._opt_outs is None:
            return self._writing.plan(items)
        return self._opt_outs.plan(items, self._writing.plan)

    def midway(self, met: Sequence[tuple[Item, object]]) -> Plan:
        return super().midway(met) if self._opt_outs is None else self._opt_outs.midway(met)

    def settled(self, item: Item, answer: Answer, usual: Settlement) -> Settlement:
        usual = self._writing.settled(item, usual)
        return usual if self._opt_outs is None else self._opt_outs.settled(item, answer, usual)

    def refreshed(self, items: Sequence[Item], answer: object) -> Plan:
        return self._writing.refreshed(items, answer)


def _collapse(changes: Iterable[Change]) -> tuple[dict[str, Change], set[str]]:
    """One change per record, the last one; and the records of which the page says both that they are and are not."""
    newest: dict[str, Change] = {}
    contradictory: set[str] = set()
    for change in changes:
        before = newest.get(change.key.id)
        if before is not None and before.deleted is not change.deleted:
            contradictory.add(change.key.id)
        newest[change.key.id] = change
    return newest, contradictory


def _payload(plan: TablePlan, change: Change) -> bytes:
    values = change.values or {}
    return encode_values({column: values[column] for column in plan.columns})


def _refusal(entry: Entry, decision: RefuseDecision) -> Refusal:
    error = decision.error
    return Refusal(entry=entry, reason=DeadReason.CONVERSION, field=error.field, message=str(error))
