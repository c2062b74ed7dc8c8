"""Two small services that misbehave on demand, a workflow between them, and what the end of a history must look like.

The services keep their state apart from the connectors, as real ones do: a connector can be thrown away with the
process that had it. What the target should hold is worked out here once more, without the mapping's own code.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from attrs import define, evolve, field, frozen

from syncline import (
    FieldMapping,
    FieldReplacement,
    Filter,
    IngressDefinition,
    MemoryStorage,
    SQLiteStorage,
    TableMapping,
)
from syncline.connectors.base import CampaignCapabilities, CampaignConnector, DynamicsConnector, Gate, KeyCheck
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    CredentialsError,
    CursorLostError,
    RecordRefusedError,
    ThrottledError,
    UnavailableError,
)
from syncline.records import Change, Page, ReadRequest, ReadStage, RecordKey, TargetRecord, Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema
from syncline.state_machine import WorkflowState
from syncline.storage.sql_storage import SQLStorage
from syncline.table_mapping import Comparison
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.ingress import IngressWorkflow
from syncline.workflows.owner import this_owner
from syncline.workflows.settings import EngineSettings

Edit: TypeAlias = tuple[str, int, str | None, str | None, str | None]  # table, record, lastname, jobtitle, kind

TABLES = {"contact": "profile", "account": "cusAccount"}
KEYS = {"profile": "externalId", "cusAccount": "accountId"}
LONGEST = 20
TOO_LONG = "x" * (LONGEST + 1)
#: The target refuses it for good.
REFUSED = "refused"
WAIT = 300.0


def record_id(number: int) -> str:
    return f"{number:08d}-0000-4000-8000-000000000000"


def _strings(*names: str, longest: int | None = None) -> dict[str, FieldSchema]:
    return {name: FieldSchema(name=name, type=FieldType.STRING, max_length=longest) for name in names}


SOURCES = {
    table: TableSchema(
        name=table,
        path=f"{table}s",
        primary_key=f"{table}id",
        fields={
            f"{table}id": FieldSchema(name=f"{table}id", type=FieldType.GUID),
            **_strings("lastname", "jobtitle", "kind"),
        },
        change_tracking=True,
    )
    for table in TABLES
}
TARGETS = {
    resource: TableSchema(
        name=resource, path=resource, fields={**_strings(KEYS[resource], "title"), **_strings("lastName", longest=20)}
    )
    for resource in TABLES.values()
}


@frozen(kw_only=True)
class Rules:
    """What the definition of a history says; the part that can be edited."""

    #: "" when it is not mapped, "always", or "once" for `apply_updates` off.
    title: str = ""
    #: Only records whose kind is "a".
    filtered: bool = False
    delete_filtered_out: bool = False
    #: The title "A" becomes "Alpha".
    replaced: bool = False
    tables: tuple[str, ...] = ("contact", "account")

    def definition(self, *, apply_deletes: bool) -> IngressDefinition:
        fields = [FieldMapping(source="lastname", target="lastName")]
        if self.title:
            fields.append(FieldMapping(source="jobtitle", target="title", apply_updates=self.title == "always"))
        mappings = [
            TableMapping(
                table=table,
                resource=TABLES[table],
                key=KEYS[TABLES[table]],
                fields=fields,
                filters=[Filter(field="kind", comparison=Comparison.EQUALS, value="a")] if self.filtered else [],
                delete_filtered_out=self.delete_filtered_out,
                apply_deletes=apply_deletes,
                replacements=[FieldReplacement(field="jobtitle", value="A", replacement="Alpha")]
                if self.replaced and self.title
                else [],
            )
            for table in self.tables
        ]
        return IngressDefinition(mappings=mappings)

    def of_table(self, table: str) -> Rules | None:
        return evolve(self, tables=(table,)) if table in self.tables else None

    def title_of(self, row: Mapping[str, Value]) -> Value:
        return "Alpha" if self.replaced and row["jobtitle"] == "A" else row["jobtitle"]


@define(slots=False)
class MovedClock:
    """The computer's clock, and whatever the test adds to it."""

    ahead: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.ahead += seconds


@define
class _Gate:
    principal: str
    clock: MovedClock
    until: datetime | None = None

    @property
    def closed_until(self) -> datetime | None:
        return self.until if self.until is not None and self.until > self.clock.now() else None

    def close_until(self, when: datetime) -> None:
        self.until = when if self.until is None else max(self.until, when)


@define(eq=False)
class Service:
    """What outlives every connector: who is being throttled, and what is to go wrong next."""

    principal: str
    clock: MovedClock
    quiet_until: datetime | None = None
    faults: deque[str] = field(factory=deque)
    #: Requests that came although silence was asked for.
    intrusions: int = 0

    def arrive(self) -> str:
        """A request comes in; the fault it meets."""
        now = self.clock.now()
        if self.quiet_until is not None and now < self.quiet_until:
            self.intrusions += 1
        fault = self.faults.popleft() if self.faults else ""
        if fault == "throttled":
            self.quiet_until = now + timedelta(seconds=WAIT)
        return fault

    def refusal(self, fault: str) -> Exception | None:
        """What a client makes of a request that was turned away."""
        return {
            "unavailable": UnavailableError("away"),
            "credentials": CredentialsError("the secret has expired"),
            "cursor": CursorLostError("expired"),
            "bug": ZeroDivisionError("a bug"),
            "lost before": AmbiguousWriteError("no answer"),
            "conflict": ConflictError("it changed"),
            "refused": RecordRefusedError("no such thing", field="lastName"),
        }.get(fault)


class World:
    """Both services' data. Thread-safe; what is edited while requests are under way is edited through `interject`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.rows: dict[tuple[str, str], dict[str, Value]] = {}
        self.versions: dict[tuple[str, str], int] = {}
        #: What a record was before its last edit: pages may tell it once more, before what it is now.
        self.before: dict[tuple[str, str], dict[str, Value] | None] = {}
        #: The links of earlier epochs are lost, and so is what was deleted under them.
        self.epoch = 0
        self.version = 0
        #: When each record was touched last, in versions; never forgotten.
        self.touched: dict[tuple[str, str], int] = {}
        #: Every title a record ever had.
        self.titles: dict[tuple[str, str], set[Value]] = {}
        #: Key to rows, by resource: a list, since a target may take duplicates.
        self.stored: dict[str, list[dict[str, Value]]] = {resource: [] for resource in KEYS}
        #: Profiles that others created.
        self.foreign: set[tuple[str, str]] = set()
        self.page_size = 3
        self.pages: deque[str] = deque()
        self.interjections: deque[Edit] = deque()

    def edit(self, edit: Edit) -> None:
        """Change, create or (with no lastname) delete a record of the source."""
        table, number, lastname, jobtitle, kind = edit
        key = (table, record_id(number))
        with self.lock:
            old = self.rows.get(key)
            if lastname is None:
                if old is None:
                    return
                del self.rows[key]
            else:
                self.rows[key] = {"lastname": lastname, "jobtitle": jobtitle, "kind": kind}
                self.titles.setdefault(key, set()).add(jobtitle)
            self.before[key] = old
            self.touch(key)

    def touch(self, key: tuple[str, str]) -> None:
        self.version += 1
        self.versions[key] = self.touched[key] = self.version

    def interject(self) -> None:
        with self.lock:
            if self.interjections:
                self.edit(self.interjections.popleft())

    def expire(self) -> None:
        """Every link is lost, and with it which records were deleted."""
        with self.lock:
            self.epoch += 1
            self.versions = {key: version for key, version in self.versions.items() if key in self.rows}

    def rows_at(self, resource: str, record: str) -> list[dict[str, Value]]:
        return [row for row in self.stored[resource] if row[KEYS[resource]] == record]

    def put_foreign(self, table: str, number: int, lastname: str, title: str | None) -> None:
        resource, record = TABLES[table], record_id(number)
        with self.lock:
            if not self.rows_at(resource, record):
                self.stored[resource].append({KEYS[resource]: record, "lastName": lastname, "title": title})
            self.foreign.add((table, record))


class Source(DynamicsConnector):
    """A service with change tracking. A link is the range of versions it stands for, and its epoch."""

    name = "Dynamics, misbehaving"
    identity = "dynamics"
    gates: Sequence[Gate] = ()

    def __init__(self, world: World, service: Service) -> None:
        self._world = world
        self._service = service
        self._gate = _Gate(service.principal, service.clock)
        self.gates = [self._gate]

    def check_access(self) -> None:
        return

    def tables(self) -> Mapping[str, str]:
        return {table: table.title() for table in TABLES}

    def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
        return SOURCES.get(table)

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        self._ask()
        self._world.interject()
        with self._world.lock:
            found = {one: self._tell((table, one), columns) for one in ids if (table, one) in self._world.rows}
        self._world.interject()
        return found

    def read(self, request: ReadRequest) -> Page:
        world = self._world
        self._ask()
        world.interject()
        with world.lock:
            epoch, after, until = self._range(request)
            if epoch != world.epoch:
                raise CursorLostError("expired")
            page = self._page(request, after, until)
        world.interject()
        return page

    def _ask(self) -> None:
        if self._gate.closed_until is not None:
            raise ThrottledError("waiting", retry_after=None, principal=self._gate.principal)
        fault = self._service.arrive()
        if fault == "throttled":
            self._gate.close_until(self._service.clock.now() + timedelta(seconds=WAIT))
            raise ThrottledError("asked to wait", retry_after=WAIT, principal=self._gate.principal)
        if (error := self._service.refusal(fault)) is not None:
            raise error

    def _range(self, request: ReadRequest) -> tuple[int, int, int]:
        world = self._world
        if request.link is None:
            return world.epoch, 0, world.version
        kind, epoch, after, until = request.link.split()
        return int(epoch), int(after), world.version if kind == "delta" else int(until)

    def _page(self, request: ReadRequest, after: int, until: int) -> Page:
        world = self._world
        changed = sorted(
            (version, key)
            for key, version in world.versions.items()
            if key[0] == request.table and after < version <= until
        )
        tracked = request.stage is ReadStage.DELTA
        changed = [(version, key) for version, key in changed if tracked or key in world.rows]
        told, rest = changed[: world.page_size], changed[world.page_size :]
        changes = [self._tell(key, request.columns) for _, key in told]
        changes = self._disorder(changes, changed, request, tracked)
        if rest:
            return Page(changes=tuple(changes), next_link=f"page {world.epoch} {told[-1][0]} {until}")
        if request.stage in (ReadStage.KEYS, ReadStage.OVERLAP):
            return Page(changes=tuple(changes))
        # Where the token of a load points to is not documented: to its end is what loses most.
        now = until if tracked else world.version
        return Page(changes=tuple(changes), delta_link=f"delta {world.epoch} {now} {now}")

    def _disorder(
        self, changes: list[Change], all_changes: list[tuple[int, Any]], request: ReadRequest, tracked: bool
    ) -> list[Change]:
        """What pages do: say things twice, in another order, early, or with what was before in front of what is."""
        how = self._world.pages.popleft() if self._world.pages else ""
        if how == "twice":
            return [*changes, *changes]
        if how == "reversed":
            return changes[::-1]
        if how == "overlapping":
            return [*changes, *(self._tell(key, request.columns) for _, key in all_changes[-2:])]
        if how == "history":
            return [*(self._earlier(change.key, request.columns, tracked) or change for change in changes), *changes]
        if how == "contradictory" and tracked:
            return [*changes, *(Change(key=change.key, values=None) for change in changes)]
        return changes

    def _earlier(self, key: RecordKey, columns: Sequence[str], tracked: bool) -> Change | None:
        earlier = self._world.before.get((key.table, key.id))
        if earlier is None:
            return Change(key=key, values=None) if tracked else None
        return Change(key=key, values={column: earlier[column] for column in columns})

    def _tell(self, key: tuple[str, str], columns: Sequence[str]) -> Change:
        row = self._world.rows.get(key)
        values = None if row is None else {column: row[column] for column in columns}
        return Change(key=RecordKey(table=key[0], id=key[1]), values=values)


class Target(CampaignConnector):
    """Records by key. A fault can hit before or after the change."""

    name = "Campaign, misbehaving"
    identity = "campaign"
    gates: Sequence[Gate] = ()

    def __init__(self, world: World, service: Service, *, refuses_duplicates: bool) -> None:
        self._world = world
        self._service = service
        self._gate = _Gate(service.principal, service.clock)
        self.gates = [self._gate]
        self.capabilities = CampaignCapabilities(refuses_duplicates=refuses_duplicates)

    def check_access(self) -> None:
        return

    def tables(self) -> Mapping[str, str]:
        return {resource: resource for resource in KEYS}

    def describe(self, table: str) -> TableSchema | None:
        return TARGETS.get(table)

    def check_key(self, resource: TableSchema, key_field: str) -> KeyCheck:
        return KeyCheck(problem=None)

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        fault = self._ask()
        if fault in ("lost before", "lost after"):
            raise UnavailableError("no answer to a question")
        self._refuse(fault)
        with self._world.lock:
            found = self._world.rows_at(resource.name, key)
            return TargetRecord(ref=key, values=dict(found[0])) if found else None

    def create(self, resource: TableSchema, values: Values) -> None:
        fault = self._begin()
        self._judge(values)
        with self._world.lock:
            if self.capabilities.refuses_duplicates and self._world.rows_at(resource.name, self._key(resource, values)):
                raise ConflictError("it exists")
            self._world.stored[resource.name].append(dict(values))
        self._end(fault)

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        fault = self._begin()
        self._judge(values)
        with self._world.lock:
            found = self._world.rows_at(resource.name, ref)
            if not found:
                raise ConflictError("it is gone")
            found[0].update(values)
        self._end(fault)

    def delete(self, resource: TableSchema, ref: str) -> None:
        fault = self._begin()
        with self._world.lock:
            kept = [row for row in self._world.stored[resource.name] if row[KEYS[resource.name]] != ref]
            self._world.stored[resource.name] = kept
        self._end(fault)

    def same(self, schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
        return stored == wanted

    @staticmethod
    def _key(resource: TableSchema, values: Values) -> str:
        return str(values[KEYS[resource.name]])

    @staticmethod
    def _judge(values: Values) -> None:
        if values.get("lastName") == REFUSED:
            raise RecordRefusedError("no such name", field="lastName")

    def _ask(self) -> str:
        if self._gate.closed_until is not None:
            raise ThrottledError("waiting", retry_after=None, principal=self._gate.principal)
        fault = self._service.arrive()
        if fault == "throttled":
            self._gate.close_until(self._service.clock.now() + timedelta(seconds=WAIT))
            raise ThrottledError("asked to wait", retry_after=WAIT, principal=self._gate.principal)
        return fault

    def _refuse(self, fault: str) -> None:
        if (error := self._service.refusal(fault)) is not None:
            raise error

    def _begin(self) -> str:
        self._world.interject()
        fault = self._ask()
        self._refuse(fault)
        return fault

    def _end(self, fault: str) -> None:
        self._world.interject()
        if fault == "lost after":
            raise AmbiguousWriteError("no answer")
        if fault == "bug after":
            raise ZeroDivisionError("a bug")


SETTINGS = EngineSettings(
    writers=2,
    attention=timedelta(milliseconds=1),
    retry_first=timedelta(seconds=100),
    retry_most=timedelta(seconds=200),
    crash_loop_limit=1_000,
    poll_interval=timedelta(hours=1),
)


class History:
    """One workflow and everything that happens to it. Each method is a step."""

    def __init__(
        self,
        *,
        rules: Rules,
        apply_deletes: bool = True,
        refuses_duplicates: bool = True,
        file: Path | None = None,
        storage: SQLStorage | None = None,
        start: bool = True,
    ) -> None:
        self.clock = MovedClock()
        self.world = World()
        self.source = Service("source", self.clock)
        self.target = Service("target", self.clock)
        self.storage = storage or (MemoryStorage() if file is None else SQLiteStorage(file))
        self.rules = self.running = rules
        self.apply_deletes = apply_deletes
        self._refuses_duplicates = refuses_duplicates
        #: For each table the version of the source when a start brought other rules for it.
        self.edited_at: dict[str, int] = dict.fromkeys(TABLES, 0)
        self.edited = False
        self.restart()
        if start:
            self.workflow.start()
        self.complaints: list[str] = []

    # -- steps -----------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Another process: only what is stored is known."""
        self.workflow = IngressWorkflow(
            dynamics=Source(self.world, self.source),
            campaign=Target(self.world, self.target, refuses_duplicates=self._refuses_duplicates),
            storage=self.storage,
            definition=self.rules.definition(apply_deletes=self.apply_deletes),
            settings=SETTINGS,
            clock=self.clock,
        )

    def edit(self, edit: Edit) -> None:
        self.world.edit(edit)

    def foreign(self, table: str, number: int, lastname: str, title: str | None) -> None:
        self.world.put_foreign(table, number, lastname, title)

    def interject(self, edits: Sequence[Edit]) -> None:
        self.world.interjections.extend(edits)

    def expire(self) -> None:
        self.world.expire()

    def pages(self, size: int, how: Sequence[str]) -> None:
        self.world.page_size = size
        self.world.pages.extend(how)

    def source_faults(self, faults: Sequence[str]) -> None:
        self.source.faults.extend(faults)

    def target_faults(self, faults: Sequence[str]) -> None:
        self.target.faults.extend(faults)

    def advance(self, seconds: float) -> None:
        self.clock.ahead += seconds
        self.storage.set_time_offset(self.clock.ahead)

    def cycle(self, records: int | None = None) -> CycleReport:
        report = self.workflow.run_cycle(records=records)
        self.complaints += self.storage.audit(self.workflow.id)
        return report

    def stop(self) -> None:
        if self.workflow.status.started:
            self.workflow.stop()
            if self.workflow.status is not WorkflowState.STOPPED:
                self.complaints.append(f"stopped and nobody is at work, but it is {self.workflow.status}")

    def start(self) -> None:
        if not self.workflow.status.started:
            self.workflow.start()
            self._take_up()

    def define(self, rules: Rules) -> None:
        self.rules = rules
        self.edited = True
        self.workflow.edit(rules.definition(apply_deletes=self.apply_deletes))
        if self.workflow.status is WorkflowState.STARTING:  # the definition is taken when the checks begin
            self._take_up()

    def _take_up(self) -> None:
        for table in TABLES:
            if self.running.of_table(table) != self.rules.of_table(table):
                self.edited_at[table] = self.world.version
        self.running = self.rules

    def replay(self, table: str) -> None:
        if table in self.rules.tables:
            self.workflow.replay(table)

    def vanish(self, leased: int, marked: int, applied: int) -> None:
        """A process claims records, marks and writes some of them, and is never heard of again."""
        grant = self.storage.acquire(self.workflow.id, this_owner(), timedelta(seconds=60))
        if grant is None:
            return
        items = self.storage.lease(grant, leased)
        self.storage.mark_sending(grant, items[:marked])
        for item in items[: min(marked, applied)]:
            resource = TABLES[item.key.table]
            with self.world.lock:
                for row in self.world.rows_at(resource, item.key.id):
                    row["lastName"] = "left by the dead"
        self.advance(61)

    def letters(self, discard: bool, some: int) -> None:
        letters = list(self.workflow.dead_letters)[:some]
        if discard:
            # A refused deletion that is discarded stays at the target for good, as whoever discards it has decided.
            letters = [letter for letter in letters if (letter.key.table, letter.key.id) in self.world.rows]
            self.workflow.dead_letters.discard(letters)
            for letter in letters:  # whoever discards settles it at the source
                self._mend((letter.key.table, letter.key.id))
        else:
            self.workflow.dead_letters.retry(letters)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _mend(self, key: tuple[str, str]) -> None:
        with self.world.lock:
            row = self.world.rows.get(key)
            if row is not None:
                if row["lastname"] in (REFUSED, TOO_LONG):
                    row["lastname"] = "mended"
                self.world.touch(key)

    def drain(self) -> None:
        for _ in range(60):
            self.start()
            report = self.cycle()
            self.advance(1_000)
            if report.end is CycleEnd.IDLE and report.resume_at is None:
                return
        self.complaints.append(f"not caught up: {report} {self.workflow.backlog}")

    def settle(self) -> None:
        """All trouble ends, and everything that waits for a person is dealt with."""
        for service in (self.source, self.target):
            service.faults.clear()
        self.world.interjections.clear()
        for key, row in list(self.world.rows.items()):
            if row["lastname"] in (REFUSED, TOO_LONG):
                self._mend(key)
        self.advance(1_000)
        self.drain()
        self.letters(discard=False, some=1_000)
        self.drain()

    def renew(self) -> None:
        """Replay every table under the rules of the day."""
        for table in self.rules.tables:
            self.replay(table)
        self.stop()
        self.start()
        self.drain()

    def wrongs(self, *, renewed: bool = False) -> list[str]:
        """What is not as it must be at the end, a sentence each."""
        found = list(self.complaints)
        counts = self.storage.counts(self.workflow.id)
        totals = counts.totals
        ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
        if totals.put != ended + counts.size:
            found.append(f"{totals} do not add up with {counts.size} queued")
        if counts.size:
            found.append(f"{counts.size} are still queued")
        if counts.dead_letters:
            found += [f"dead: {letter.key} {letter.message}" for letter in self.workflow.dead_letters]
        for service in (self.source, self.target):
            if service.intrusions:
                found.append(f"{service.intrusions} requests reached the {service.principal} while it wanted silence")
        found += [f"{one.name} is still alive" for one in threading.enumerate() if one.name.startswith("syncline")]
        for table in self.running.tables:
            found += self._table(table, renewed)
        return found

    def _table(self, table: str, renewed: bool) -> list[str]:
        resource, found = TABLES[table], []
        records = {row[KEYS[resource]] for row in self.world.stored[resource]}
        records |= {record for name, record in self.world.rows if name == table}
        for record in sorted(map(str, records)):
            rows = self.world.rows_at(resource, record)
            if len(rows) > 1:
                found.append(f"{table} {record} is there {len(rows)} times")
            trouble = self._record((table, record), rows[0] if rows else None, renewed)
            found += [f"{table} {record} {trouble}"] if trouble else []
        return found

    def _record(self, key: tuple[str, str], there: dict[str, Value] | None, renewed: bool) -> str:
        row, rules, foreign = self.world.rows.get(key), self.running, key in self.world.foreign
        strict = renewed or self.world.touched.get(key, 0) > self.edited_at[key[0]]
        if row is None:
            gone_too = there is not None and self.apply_deletes and not foreign
            if foreign and there is None and key not in self.world.touched:
                return "was created by others and is gone"
            return f"is deleted and still there as {there}" if gone_too else ""
        if not strict:
            return ""
        if rules.filtered and row["kind"] != "a":
            left = there is not None and rules.delete_filtered_out and not foreign
            return f"left the filter and is still there as {there}" if left else ""
        if there is None:
            return f"is missing; it is {row}"
        if there.get("lastName") != row["lastname"]:
            return f"is {there} and should be {row}"
        return self._title(key, row, there, renewed)

    def _title(self, key: tuple[str, str], row: dict[str, Value], there: dict[str, Value], renewed: bool) -> str:
        title, wanted = there.get("title"), self.running.title_of(row)
        exact = self.running.title == "always" or (self.running.title == "once" and renewed)
        if exact and title != wanted:
            return f"has the title {title!r} and should have {wanted!r}"
        known = self.world.titles[key] | {"Alpha", None} | ({"foreign"} if key in self.world.foreign else set())
        return "" if title in known else f"has the title {title!r}, which it never had"
