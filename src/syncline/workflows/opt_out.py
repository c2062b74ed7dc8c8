"""Opt-In/Out: opt-outs travel in the configured direction, by one rule, and none is lost.

What lives here: the workflow and what it reads within a cycle: Dynamics' changes, Campaign's changed profiles, and who
waited for a profile. What becomes of a person is in `consent_lane`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Final, Unpack, cast

from attrs import evolve

from syncline.backlog import Grant, Item, Settlement
from syncline.clock import Clock
from syncline.connectors.base import CampaignConnector, ChangedPage, DynamicsConnector, Gate
from syncline.connectors.file_source import FileSource
from syncline.consent import Decision, Side, Sighting, Terms
from syncline.definition_json import definition_from_json
from syncline.definitions import OptOutDefinition, OptOutDirection
from syncline.errors import (
    CursorLostError,
    DefinitionError,
    ProtocolError,
    RecordRefusedError,
    SchemaChangedError,
    UntrustedUrlError,
)
from syncline.exported_files import FilePage
from syncline.instrumentation import PageRead, ReplayRequested, ResyncStarted
from syncline.records import Page, ReadPosition, ReadStage
from syncline.schemas import TableSchema
from syncline.scopes import workflow_name
from syncline.state_machine import WorkflowEvent, next_state
from syncline.store import FileCommit, PageCommit, Storage
from syncline.views.consent import ConsentView, Why
from syncline.views.preview import Preview
from syncline.workflows import reading
from syncline.workflows.base import Workflow
from syncline.workflows.checks import CheckReport
from syncline.workflows.consent_lane import ConsentLane
from syncline.workflows.consent_round import CONTACT, PROFILE, Met, Parties, campaign_sightings, person_of
from syncline.workflows.opt_out_carriers import carries_opt_outs, consent_warnings
from syncline.workflows.opt_out_checks import preflight
from syncline.workflows.opt_out_files import EXPORTS, heard_of, next_page
from syncline.workflows.opt_out_preview import preview_contacts, preview_person
from syncline.workflows.settings import WorkflowOptions
from syncline.workflows.snapshot import Snapshot
from syncline.workflows.work import Plan, Reading, Work
from syncline.workflows.writers import Answer

__all__ = ["OptOutWorkflow"]

#: How far before the last look Campaign is asked for changes again: its clock and its commits are not ours.
_OVERLAP: Final = timedelta(minutes=1)
#: People who may have a profile now, looked up at a time.
_ARRIVED: Final = 1_000
_WAITING: Final = "waiting"
#: What Campaign, or whatever stands before it, can say of the address of a page that it does not serve any more.
_LINK_IS_DEAD: Final = (CursorLostError, ProtocolError, RecordRefusedError, SchemaChangedError, UntrustedUrlError)


class OptOutWorkflow(Workflow[OptOutDefinition]):
    """Opt-outs of contacts and profiles."""

    title: ClassVar[str] = "Opt-In/Out"
    kind: ClassVar[str] = "opt_out"

    def __init__(
        self,
        *,
        dynamics: DynamicsConnector,
        campaign: CampaignConnector,
        storage: Storage,
        definition: OptOutDefinition | None = None,
        files: FileSource | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> None:
        super().__init__(storage, definition or OptOutDefinition(), **options)
        self._dynamics = dynamics
        self._campaign = campaign
        self._files = files

    # -- looking -------------------------------------------------------------------------------------------------------

    def why(self, contact_id: str) -> Why:
        """Every decision about a person's opt-outs, in order: what was known, what was decided, by which rule.

        Empty for somebody about whom nothing was decided. Decisions of every workflow of the integration are there.
        """
        person = person_of(contact_id)
        decisions: list[Decision] = []
        after = 0
        while page := self._storage.decisions(self._scope, person=person, after=after, limit=500):
            decisions.extend(page)
            after = page[-1].id
        standings = self._storage.standings(self._scope, [person])
        now = {channel: standing.out for (_, channel), standing in standings.items()}
        return Why(person=person, decisions=tuple(decisions), now=now)

    def preview(self, *, record: str | None = None, limit: int = 100) -> Preview:
        """Who would be opted out or in, and where, by the definition as last edited; writes nothing anywhere.

        - With `record`, the id of one contact; else the first `limit` contacts as a full read gives them.
        - Both systems are asked about each of them: an engine call in Campaign, which `look_ups` counts.
        - What exported files say is not looked at, and neither is what Campaign alone knows of others.

        Raises DefinitionError when the direction is disabled or a table is missing, ValueError for a limit below 1, and
        what the connectors raise.
        """
        row = self._row()
        definition = self._parse(row.definition)
        if definition.direction is OptOutDirection.DISABLED:
            raise DefinitionError("the direction is disabled", path="direction", remedy="Choose one, and add pairs.")
        self._heed_gates()
        contact, profile = self._dynamics.describe(CONTACT), self._campaign.describe(PROFILE)
        if contact is None or profile is None:
            raise DefinitionError("contact or profile cannot be seen", remedy="check() says what is missing.")
        lane = self._lane(definition, contact, profile)
        if record is not None:
            return preview_person(lane, person_of(record))
        return preview_contacts(lane, limit, self._settings.overlap_margin)

    @property
    def consent(self) -> ConsentView:
        """Which opt-outs are at risk, which opt-ins are held, who waits for a profile; and the decision record."""
        undelivered, held, waiting = self._storage.consent_numbers(self._scope)
        return ConsentView(
            undelivered=undelivered,
            held=held,
            waiting=waiting,
            troubles=tuple(self._storage.consent_troubles(self._scope)),
            read=partial(self._storage.decisions, self._scope),
            entries=partial(self._storage.record_entries, self._scope),
            ends=partial(self._storage.record_seal, self._scope),
        )

    def _warnings(self) -> tuple[str, ...]:
        return (*consent_warnings(self._storage, self._scope), *super()._warnings())

    # -- acting --------------------------------------------------------------------------------------------------------

    def replay(self, *, by: str = "") -> None:
        """Look at every contact and every profile again from the next start. It opts nobody in."""
        next_state(self._row().state, WorkflowEvent.REPLAY_REQUESTED)
        for table in (CONTACT, PROFILE):
            self._storage.want_replay(self.id, table, self._action("replay", by, table))
            self._tell(ReplayRequested(workflow=self.id, table=table))

    # -- what a concrete workflow says ---------------------------------------------------------------------------------

    @property
    def _most_workers(self) -> int:
        """One: what is decided about a person rests on what was just decided."""
        return 1

    def _preflight(
        self, definition: OptOutDefinition, previous: Snapshot | None
    ) -> tuple[CheckReport, Snapshot | None]:
        return preflight(
            definition,
            self._dynamics,
            self._campaign,
            previous,
            self._clock,
            files=self._files is not None,
            elsewhere=carries_opt_outs(self._storage, workflow_name(self._scope, "ingress")),
        )

    def _work(self, snapshot: Snapshot) -> Work:
        definition = cast(OptOutDefinition, definition_from_json(snapshot.definition))
        lane = self._lane(definition, snapshot.sources[CONTACT], snapshot.targets[PROFILE])
        asks = definition.poll_campaign and definition.direction.writes_dynamics
        files = self._files if definition.direction.writes_dynamics else None
        return _OptOutWork(lane, self._clock, poll_campaign=asks, files=files)

    def _lane(self, definition: OptOutDefinition, contact: TableSchema, profile: TableSchema) -> ConsentLane:
        return ConsentLane(
            workflow=self.id,
            table=CONTACT,
            ingress=workflow_name(self._scope, "ingress"),
            terms=Terms(
                direction=definition.direction,
                rule=definition.rule,
                margin=timedelta(seconds=definition.skew_margin_seconds),
            ),
            parties=Parties.of(
                pairs=definition.pairs,
                key_field=definition.key,
                contact=contact,
                profile=profile,
                dynamics=self._dynamics,
                campaign=self._campaign,
                clock=self._clock,
            ),
            storage=self._storage,
            settings=self._settings,
            tell=self._tell,
        )

    def _gates(self) -> Sequence[Gate]:
        return (*self._dynamics.gates, *self._campaign.gates)


class _OptOutWork(Work):
    """One generation at work."""

    def __init__(self, lane: ConsentLane, clock: Clock, *, poll_campaign: bool, files: FileSource | None) -> None:
        self._lane = lane
        self._storage = lane.storage
        self._parties = lane.parties
        self._clock = clock
        self._grant: Grant | None = None
        self._positions = dict(lane.storage.positions(lane.workflow))
        self._files = files
        self._marks = dict(lane.storage.file_marks(lane.workflow)) if files is not None else {}
        sources = [CONTACT, *([PROFILE] if poll_campaign else []), *([EXPORTS] if files is not None else []), _WAITING]
        self._due = dict.fromkeys(sources, clock.monotonic())
        #: Whether a pass over the profiles was begun anew in this cycle.
        self._passes_again = False

    @property
    def gates(self) -> Sequence[Gate]:
        return (*self._parties.dynamics.gates, *self._parties.campaign.gates)

    def begin(self, grant: Grant) -> None:
        self._grant = grant
        for table, noted_in in self._storage.wanted_replays(self._lane.workflow).items():
            if noted_in < grant.generation:
                position = self._from_the_beginning(table, self._storage.next_read(grant))
                self._storage.begin_replay(grant, table, position)
                self._positions[table] = position

    # -- reading -------------------------------------------------------------------------------------------------------

    def next_reading(self, grant: Grant, queued: int) -> Reading | None:
        now = self._clock.monotonic()
        ready = sorted((source for source, due in self._due.items() if due <= now), key=self._due.__getitem__)
        if not ready:
            return None
        make: dict[str, Callable[[Grant], Reading]] = {
            CONTACT: self._contacts,
            PROFILE: self._profiles,
            EXPORTS: self._exports,
            _WAITING: self._waiting,
        }
        return make[ready[0]](grant)

    def _rest(self, source: str, *, idle: bool) -> None:
        now = self._clock.monotonic()
        self._due[source] = now + self._lane.settings.poll_interval.total_seconds() if idle else now

    def _from_the_beginning(self, table: str, seq: int) -> ReadPosition:
        connector = self._parties.dynamics if table == CONTACT else self._parties.campaign
        now = self._storage.now() + timedelta(seconds=connector.clock_offset or 0.0)
        return reading.begin(now=now, seq=seq, first=True, resync=False)

    def _contacts(self, grant: Grant) -> Reading:
        seq = self._storage.next_read(grant)
        position = self._positions.get(CONTACT) or self._from_the_beginning(CONTACT, seq)
        margin = self._lane.settings.overlap_margin
        request = reading.request_for(CONTACT, self._parties.columns, position, margin)
        return Reading(
            fetch=partial(self._parties.dynamics.read, request),
            keep=partial(self._keep_contacts, grant, position, seq, self._clock.monotonic()),
            failed=partial(self._lost, grant, position),
            about=CONTACT,
        )

    def _lost(self, grant: Grant, position: ReadPosition, error: BaseException) -> None:
        """A lost position is mended by reading every contact again: what they say now is all that matters."""
        if not isinstance(error, CursorLostError) or reading.is_beginning(position):
            raise error
        restart = self._from_the_beginning(CONTACT, self._storage.next_read(grant))
        self._storage.forget_seen(grant, CONTACT, restart)
        self._positions[CONTACT] = restart
        self._lane.tell(ResyncStarted(workflow=self._lane.workflow, table=CONTACT, reason=error.message))

    def _keep_contacts(self, grant: Grant, position: ReadPosition, seq: int, asked_at: float, answer: object) -> int:
        page = cast(Page, answer)
        people = self._lane.heard(grant, page.changes)
        behind = reading.following(position, page, self._storage.now(), deletions=False)
        queued = self._commit(grant, CONTACT, behind, people, seq)
        self._rest(CONTACT, idle=reading.caught_up(behind, page))
        self._told(CONTACT, position.stage, len(page.changes), queued, asked_at)
        return len(page.changes)

    def _profiles(self, grant: Grant) -> Reading:
        seq = self._storage.next_read(grant)
        position = self._positions.get(PROFILE) or self._from_the_beginning(PROFILE, seq)
        since = position.started_at - _OVERLAP if position.stage is ReadStage.DELTA else None
        return Reading(
            fetch=partial(self._parties.campaign.changed_since, self._parties.profile, since, position.link),
            keep=partial(self._keep_profiles, grant, position, seq, self._clock.monotonic()),
            failed=partial(self._pass_again, grant, position, seq),
            about=PROFILE,
        )

    def _pass_again(self, grant: Grant, position: ReadPosition, seq: int, error: BaseException) -> None:
        """A pass whose next page is not to be had begins anew, once in a cycle: a link may not live for ever."""
        if position.link is None or self._passes_again or not isinstance(error, _LINK_IS_DEAD):
            raise error
        self._passes_again = True
        self._commit(grant, PROFILE, evolve(position, link=None, delta_link=None), [], seq)
        self._lane.tell(ResyncStarted(workflow=self._lane.workflow, table=PROFILE, reason=error.message))

    def _keep_profiles(self, grant: Grant, position: ReadPosition, seq: int, asked_at: float, answer: object) -> int:
        page = cast(ChangedPage, answer)
        now = self._parties.time_of(self._parties.campaign)
        # By what this answer told of Campaign's clock: ours may have been set since the one before.
        began = now - timedelta(seconds=self._clock.monotonic() - asked_at)
        seen: dict[str, dict[str, Sighting]] = {}
        for record in page.records:
            person = record.get(self._parties.key_field)
            if isinstance(person, str) and person:
                seen[person.lower()] = campaign_sightings(self._parties.profile, self._parties.pairs, record, now)
        due = self._lane.owe(grant, Side.CAMPAIGN, dict(seen))
        # The pass that is under way began when its first page was asked for: what changed since is for the next one.
        begun = position.delta_link or began.isoformat()
        if page.next_link is not None:
            behind = evolve(position, link=page.next_link, delta_link=begun, read_at=self._storage.now())
        else:
            behind = evolve(
                position,
                stage=ReadStage.DELTA,
                link=None,
                delta_link=None,
                started_at=datetime.fromisoformat(begun),
                read_at=self._storage.now(),
            )
        queued = self._commit(grant, PROFILE, behind, due, seq)
        self._rest(PROFILE, idle=page.next_link is None)
        self._told(PROFILE, position.stage, len(page.records), queued, asked_at)
        return len(page.records)

    def _exports(self, grant: Grant) -> Reading:
        files, seq = self._files, self._storage.next_read(grant)
        if files is None:
            raise DefinitionError("No exported files were configured.")
        return Reading(
            fetch=partial(next_page, files, dict(self._marks)),
            keep=partial(self._keep_rows, grant, seq),
            about=EXPORTS,
        )

    def _keep_rows(self, grant: Grant, seq: int, answer: object) -> int:
        page = cast("FilePage | None", answer)
        self._rest(EXPORTS, idle=page is None)
        if page is None:
            return 0
        heard = heard_of(page, self._parties.key_field, self._lane.channels, seq)
        due = self._lane.owe(grant, Side.CAMPAIGN, dict(heard.people))
        entries = self._lane.entries(due, seq)
        self._storage.commit_file(grant, FileCommit(mark=page.mark, entries=entries, refusals=heard.refusals))
        self._marks[page.mark.name] = page.mark
        return len(page.rows)

    def _waiting(self, grant: Grant) -> Reading:
        """Who waited for a profile that the ledger has now; asks no service."""

        def keep(_: object) -> int:
            people = self._lane.arrived(_ARRIVED)
            if people:
                self._storage.put(grant, self._lane.entries(people, self._storage.next_read(grant)))
            self._rest(_WAITING, idle=True)
            return len(people)

        return Reading(fetch=lambda: None, keep=keep, about=CONTACT)

    def _commit(self, grant: Grant, table: str, behind: ReadPosition, people: Sequence[str], seq: int) -> int:
        page = PageCommit(table=table, position=behind, entries=self._lane.entries(people, seq))
        report = self._storage.commit_page(grant, page)
        self._positions[table] = behind
        return report.queued

    def _told(self, table: str, stage: ReadStage, changes: int, queued: int, asked_at: float) -> None:
        self._lane.tell(
            PageRead(
                workflow=self._lane.workflow,
                table=table,
                stage=stage,
                changes=changes,
                queued=queued,
                skipped=0,
                refused=0,
                seconds=self._clock.monotonic() - asked_at,
            )
        )

    # -- writing -------------------------------------------------------------------------------------------------------

    def plan(self, items: Sequence[Item]) -> Plan:
        return Plan(jobs=self._lane.jobs(items))

    def midway(self, met: Sequence[tuple[Item, object]]) -> Plan:
        return self._lane.midway(self._held, cast("Sequence[tuple[Item, Met]]", met))

    def settled(self, item: Item, answer: Answer, usual: Settlement) -> Settlement:
        return self._lane.settled(self._held, item, answer, usual)

    def refreshed(self, items: Sequence[Item], answer: object) -> Plan:
        raise DefinitionError("Opt-outs are read in rounds and never refreshed.")

    @property
    def _held(self) -> Grant:
        if self._grant is None:
            raise DefinitionError("A cycle begins before it works.")
        return self._grant
