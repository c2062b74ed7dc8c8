"""Campaign to Microsoft Dynamics 365.

What lives here: the egress workflow and what it does within a cycle: which file is read next, what the rules make of
its rows, and which rows go to Dynamics together. The rules themselves are in `syncline.events`.

Every event has an id of its own, made of what never changes about it, and rows in Dynamics are only ever created under
that id. So an event may be exported, pushed, read and sent as often as it likes: it appears once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import ClassVar, Unpack, cast

from attrs import evolve, frozen

from syncline.backlog import DeadReason, Entry, Grant, Item, Lane, Role, Settlement, Settling
from syncline.clock import Clock
from syncline.connectors.base import DynamicsConnector, Gate
from syncline.connectors.file_source import FileSource
from syncline.definition_json import definition_from_json
from syncline.definitions import EgressDefinition
from syncline.errors import ConversionError
from syncline.events import LogKind, RawEvent, event_id, event_of, is_contact_id
from syncline.exported_files import FilePage, FoundFile
from syncline.instrumentation import FileRead, Instrumentation
from syncline.records import Event, EventKind, NewRow, Outcome, OutcomeKind, RecordKey
from syncline.scopes import scope_of, workflow_name
from syncline.store import ActionEntry, FileCommit, Refusal, Storage
from syncline.views.preview import Preview
from syncline.workflows.base import Workflow
from syncline.workflows.checks import CheckReport
from syncline.workflows.concurrency import ConcurrencyLimit
from syncline.workflows.dead_letters import DeadLetters
from syncline.workflows.egress_checks import preflight
from syncline.workflows.egress_preview import EventLook
from syncline.workflows.event_rows import check_header, key_of, known_events, log_of, mark_name, new_row, raw_of
from syncline.workflows.settings import EngineSettings, WorkflowOptions
from syncline.workflows.snapshot import Snapshot
from syncline.workflows.verdicts import dead, skipped
from syncline.workflows.work import Plan, Reading, Work
from syncline.workflows.writers import Answer, Job, Task

__all__ = ["Accepted", "EgressWorkflow"]

#: To the ledger: Dynamics has it. What it says there does not matter, since it is never changed.
_THERE = b"\x01"
_CRASHED = "The process died {} times while this was being sent, with no other beside it."
#: Table of what is set aside because it is no event at all; events stand under their kind.
_UNREADABLE = "unreadable"
#: Bulk messages at once: each is much work for the service, and more soon stand in each other's way.
_MOST_AT_ONCE, _AT_ONCE_FIRST = 16, 2
#: People looked up in one go.
_PEOPLE = 500
#: Whom Dynamics did not know is asked for again at the soonest after this, whatever speaks for it.
_SOON = timedelta(minutes=1)
#: Rows whose events are remembered from their reading to their turn.
_REMEMBERED = 20_000
_NEVER: tuple[int, Event | None] = (-1, None)
#: Entries that the ledger forgets in one transaction, and what is done in one for what waited too long.
_FORGOTTEN = 10_000


@frozen(kw_only=True)
class Accepted:
    """What became of pushed events. All of them are durable."""

    #: Events that are in the backlog now and were not before.
    queued: int
    #: Events that were in the backlog already, or that are known to be in Dynamics.
    known: int


class EgressWorkflow(Workflow[EgressDefinition]):
    """Email events travel from Campaign to the timelines of contacts.

    They come from exported logs in `events`, any number of sources, and from whoever calls `accept`.
    """

    title: ClassVar[str] = "Campaign to Microsoft Dynamics 365"
    kind: ClassVar[str] = "egress"

    def __init__(
        self,
        *,
        dynamics: DynamicsConnector,
        storage: Storage,
        events: FileSource | Iterable[FileSource] = (),
        definition: EgressDefinition | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> None:
        super().__init__(storage, definition or EgressDefinition(), **options)
        self._dynamics = dynamics
        self._sources = (events,) if isinstance(events, FileSource) else tuple(events)
        self._limit = ConcurrencyLimit(min(self._settings.writers, _MOST_AT_ONCE), start=_AT_ONCE_FIRST)

    @property
    def dead_letters(self) -> DeadLetters:
        """Rows that cannot be understood and events that Dynamics refused. A retry takes them as they were read."""
        self._row()
        return DeadLetters(self._storage, self.id, as_read=True)

    def accept(self, events: Iterable[Event]) -> Accepted:
        """Take events that are pushed, from a webhook or a stream; they are durable when this returns.

        Possible in every status: what is accepted while nothing runs is written after the next start. All of them are
        queued or none. The same event may be pushed, and exported, any number of times. A kind that is switched off is
        not written. Raises what the storage raises: then push again.
        """
        row = self._row()
        definition = self._parse(row.definition)
        every = evolve(definition, kinds=frozenset(EventKind))
        entries: dict[RecordKey, Entry] = {}
        given = 0
        for event in events:
            given += 1
            raw = RawEvent.of(event)
            key = key_of(event_of(raw, every) or event, definition)
            entries[key] = Entry(key=key, seq=0, payload=raw.to_payload())
        known = known_events(self._storage, self.id, entries)
        report = self._storage.accept(self.id, [entry for key, entry in entries.items() if key not in known])
        return Accepted(queued=report.queued, known=given - report.queued)

    def preview(self, *, limit: int = 100) -> Preview:
        """What would become of the next `limit` rows of exported files, by the definition as last edited.

        Writes and notes nothing: the files are read again by the next cycle. Dynamics is asked whom it knows of the
        people in them, `look_ups` of them. An event that is in two of these rows shows twice and is created once. What
        was pushed, or is queued already, does not show. Raises DefinitionError when an activity table is missing,
        SchemaChangedError when a file lacks a column, ValueError for a limit below 1, and what the connectors raise.
        """
        row = self._row()
        self._heed_gates()
        look = EventLook(
            workflow=self.id,
            definition=self._parse(row.definition),
            dynamics=self._dynamics,
            sources=self._sources,
            storage=self._storage,
        )
        return look.preview(limit)

    def replay(self, *, by: str = "") -> int:
        """Read every exported file that still lies there once more, from the next cycle on; how many were read before.

        For when a definition makes events of rows that were none. What is in Dynamics already is not written again.
        """
        self._row()
        action = ActionEntry(at=self._storage.now(), action="replay", by=by, detail="all exported files")
        return self._storage.forget_files(self.id, action)

    def _preflight(
        self, definition: EgressDefinition, previous: Snapshot | None
    ) -> tuple[CheckReport, Snapshot | None]:
        return preflight(definition, self._dynamics, self._sources, previous)

    def _work(self, snapshot: Snapshot) -> Work:
        return _EgressWork(
            workflow=self.id,
            snapshot=snapshot,
            dynamics=self._dynamics,
            sources=self._sources,
            storage=self._storage,
            clock=self._clock,
            settings=self._settings,
            tell=self._tell,
        )

    def _gates(self) -> Sequence[Gate]:
        return self._dynamics.gates


@frozen(kw_only=True)
class _Read:
    """A page of one file of one source."""

    source: FileSource
    log: LogKind
    page: FilePage


class _EgressWork(Work):
    """One generation at work."""

    def __init__(
        self,
        *,
        workflow: str,
        snapshot: Snapshot,
        dynamics: DynamicsConnector,
        sources: Sequence[FileSource],
        storage: Storage,
        clock: Clock,
        settings: EngineSettings,
        tell: Instrumentation,
    ) -> None:
        self._workflow = workflow
        self._scope = scope_of(workflow)
        self._definition = cast(EgressDefinition, definition_from_json(snapshot.definition))
        self._schemas = snapshot.targets
        self._dynamics = dynamics
        self._sources = sources
        self._storage = storage
        self._clock = clock
        self._settings = settings
        self._tell = tell
        self._marks = dict(storage.file_marks(workflow)) if sources else {}
        #: Files that were found and not read to their end. Only the reader's thread touches it.
        self._pending: deque[tuple[FileSource, FoundFile]] = deque()
        self._files_due = self._people_due = clock.monotonic()
        #: What the rules made of a row when it was read, by its id, with the read sequence it was queued under: so most
        #: rows need not be understood a second time when it is their turn.
        self._made: dict[str, tuple[int, Event]] = {}
        #: People whom Dynamics did not know a moment ago: their events need not be sent to find that out again.
        self._strangers: set[str] = set()
        self._doubt_at = clock.monotonic() + settings.poll_interval.total_seconds()

    @property
    def gates(self) -> Sequence[Gate]:
        return self._dynamics.gates

    @property
    def batch(self) -> int:
        return self._dynamics.most_new_rows

    def heed_others(self) -> None:
        """Whom another worker found in Dynamics meanwhile is no stranger here either."""
        now = self._clock.monotonic()
        if now >= self._doubt_at:
            self._strangers.clear()
            self._doubt_at = now + self._settings.poll_interval.total_seconds()

    def begin(self, grant: Grant) -> None:
        if grant.role is Role.WRITER:
            return
        for kind in EventKind:
            while self._forget(grant, kind.value) == _FORGOTTEN:
                pass
        days = self._definition.keep_unknown_days
        if days is not None:
            before = self._storage.now() - timedelta(days=days)
            while self._storage.drop_set_aside(grant, before, _FORGOTTEN) == _FORGOTTEN:
                pass

    def _forget(self, grant: Grant, table: str) -> int:
        """The ledger spares repeated exports the way to Dynamics; it need not know every event there ever was."""
        keep = self._settings.remembered_events
        if self._storage.ledger_size(self._workflow, table) <= keep + keep // 10:
            return 0
        return self._storage.forget_oldest(grant, table, keep, _FORGOTTEN)

    # -- reading -------------------------------------------------------------------------------------------------------

    def next_reading(self, grant: Grant, queued: int) -> Reading | None:
        now = self._clock.monotonic()
        if now >= self._people_due and (people := self._people()):
            return Reading(
                fetch=partial(self._look_up, people),
                keep=partial(self._keep_people, grant, people),
                about="contact",
            )
        if not self._sources or now < self._files_due or queued >= self._settings.high_water:
            return None
        return Reading(fetch=self._next_page, keep=partial(self._keep_page, grant, now), about="exported files")

    def _people(self) -> Sequence[str]:
        """Whom it is time to look for again."""
        now = self._storage.now()
        people = self._storage.strangers(self._workflow, now - self._settings.unknown_poll, _PEOPLE)
        if not people:
            # What ingress brought to Campaign was a contact a moment ago.
            people = self._storage.strangers_known(
                self._workflow, now - _SOON, _PEOPLE, ledger=workflow_name(self._scope, "ingress"), table="contact"
            )
        if not people:
            self._people_due = self._clock.monotonic() + self._settings.poll_interval.total_seconds()
        return people

    def _look_up(self, people: Sequence[str]) -> Collection[str]:
        return self._dynamics.fetch("contact", (), people).keys()

    def _keep_people(self, grant: Grant, people: Sequence[str], answer: object) -> int:
        known = cast(Collection[str], answer)
        self._strangers.difference_update(people)
        return self._storage.looked_up(grant, people, set(known))

    def _next_page(self) -> _Read | None:
        if not self._pending:
            self._pending.extend((source, file) for source in self._sources for file in source.files())
        while self._pending:
            source, file = self._pending[0]
            log = log_of(file.name, self._definition)
            mark = self._marks.get(mark_name(source, file.name))
            if log is None or (mark is not None and mark.done and evolve(mark, name=file.name).is_of(file)):
                self._pending.popleft()
                continue
            try:
                before = None if mark is None else evolve(mark, name=file.name)
                page = source.read(file, before, self._definition.file_format, self._settings.file_page)
                check_header(page, log, self._definition)
            except BaseException:
                self._pending.popleft()  # the others do not wait for it; it is found again
                raise
            if page.mark.done:
                self._pending.popleft()
            return _Read(source=source, log=log, page=page)
        return None

    def _keep_page(self, grant: Grant, asked_at: float, answer: object) -> int:
        read = cast("_Read | None", answer)
        if read is None:
            self._files_due = self._clock.monotonic() + self._settings.poll_interval.total_seconds()
            return 0
        rows, stands = read.page.rows, read.page.mark
        seq = self._storage.next_read(grant)
        entries, refusals, nothing = self._decide(read, seq)
        known = known_events(self._storage, self._workflow, [entry.key for entry in entries])
        new = [entry for entry in entries if entry.key not in known]
        mark = evolve(stands, name=mark_name(read.source, stands.name))
        skipped_rows = nothing + len(entries) - len(new)
        commit = FileCommit(mark=mark, entries=new, refusals=refusals, skipped=skipped_rows)
        report = self._storage.commit_file(grant, commit)
        self._marks[mark.name] = mark
        for kind in {entry.key.table for entry in new}:
            self._forget(grant, kind)
        self._tell(
            FileRead(
                workflow=self._workflow,
                file=stands.name,
                rows=len(rows),
                queued=report.queued,
                skipped=skipped_rows,
                refused=len(refusals),
                done=stands.done,
                seconds=self._clock.monotonic() - asked_at,
            )
        )
        return len(rows)

    def _decide(self, read: _Read, seq: int) -> tuple[list[Entry], list[Refusal], int]:
        """What is queued, what is set aside, and how many rows are no events."""
        entries: list[Entry] = []
        refusals: list[Refusal] = []
        nothing = 0
        for row in read.page.rows:
            raw = raw_of(row, read.log, read.page.mark.name)
            try:
                event = event_of(raw, self._definition)
            except ConversionError as error:
                key = RecordKey(table=_UNREADABLE, id=raw.id)
                entry = Entry(key=key, seq=seq, payload=raw.to_payload())
                refused = Refusal(entry=entry, reason=DeadReason.CONVERSION, field=error.field, message=str(error))
                refusals.append(refused)
                continue
            if event is None:
                nothing += 1
                continue
            key = key_of(event, self._definition)
            entries.append(Entry(key=key, seq=seq, payload=raw.to_payload(), lane=Lane.LIVE))
            self._remember(key.id, seq, event)
        return entries, refusals, nothing

    def _remember(self, record: str, seq: int, event: Event) -> None:
        before = self._made.pop(record, None)
        # Of two rows of one event on one page nobody knows here which one the queue keeps.
        if len(self._made) < _REMEMBERED and (before is None or before[0] != seq):
            self._made[record] = (seq, event)

    # -- writing -------------------------------------------------------------------------------------------------------

    def plan(self, items: Sequence[Item]) -> Plan:
        settlements: list[Settlement] = []
        rows: dict[EventKind, list[tuple[Task, NewRow]]] = {}
        for item in items:
            made = self._row_of(item)
            if isinstance(made, Settlement):
                settlements.append(made)
            else:
                kind, task, row = made
                rows.setdefault(kind, []).append((task, row))
        return Plan(settlements=settlements, jobs=list(self._jobs(rows)))

    def refreshed(self, items: Sequence[Item], answer: object) -> Plan:
        """Never asked for: an event cannot be read again by key."""
        return Plan(settlements=[skipped(item) for item in items])

    def _row_of(self, item: Item) -> Settlement | tuple[EventKind, Task, NewRow]:
        if item.crashes_alone >= self._settings.crash_limit:
            return dead(item, DeadReason.CRASHED, _CRASHED.format(item.crashes_alone))
        if item.payload is None:
            return dead(item, DeadReason.CONVERSION, "What was read is damaged. Replay the exported files.")
        try:
            seq, event = self._made.pop(item.key.id, _NEVER)
            if seq != item.seq:
                event = event_of(RawEvent.from_payload(item.payload), self._definition)
            if event is None:
                return skipped(item)
            # An event keeps the id it was read under; what was no event then gets one now.
            known = "" if item.key.table == _UNREADABLE else item.key.id
            row = new_row(event, known or event_id(event, self._definition.instance), self._definition, self._schemas)
        except ConversionError as error:
            return dead(item, DeadReason.CONVERSION, str(error), error.field)
        if event.contact in self._strangers or not is_contact_id(event.contact):
            return Settlement(item=item, settling=Settling.SET_ASIDE, person=event.contact)
        task = Task(item=item, fingerprint=_THERE, fingerprint_if_created=_THERE, person=event.contact)
        return event.kind, task, row

    def _jobs(self, rows: Mapping[EventKind, list[tuple[Task, NewRow]]]) -> Iterator[Job]:
        for kind, made in rows.items():
            table = self._definition.activities[kind].table
            for start in range(0, len(made), self.batch):
                some = made[start : start + self.batch]
                tasks = [task for task, _ in some]
                yield Job(tasks=tasks, send=partial(self._send, table, tasks, [row for _, row in some]))

    def _send(
        self, table: str, tasks: Sequence[Task], rows: Sequence[NewRow], still_ours: Callable[[], None]
    ) -> Sequence[Answer]:
        answers = self._dynamics.create(table, rows, still_ours=still_ours)
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(answer, Outcome) and answer.kind is OutcomeKind.PARENT_UNKNOWN:
                self._strangers.add(task.person)
        return answers
