"""Two small services that misbehave on demand, and what the tests of random histories tell them apart by.

The services keep their state apart from the connectors, as real ones do: a connector can be thrown away with the
process that had it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from attrs import define, field

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

    def ask(self, gate: Gate) -> str:
        """Send a request through a client's gate; the fault it meets. Raises ThrottledError where silence is wanted."""
        if gate.closed_until is not None:
            raise ThrottledError("waiting", retry_after=None, principal=gate.principal)
        fault = self._arrive()
        if fault == "throttled":
            gate.close_until(self.clock.now() + timedelta(seconds=WAIT))
            raise ThrottledError("asked to wait", retry_after=WAIT, principal=gate.principal)
        return fault

    def _arrive(self) -> str:
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
        fault = self._service.ask(self._gate)
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
        fault = self._service.ask(self._gate)
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

    def _refuse(self, fault: str) -> None:
        if (error := self._service.refusal(fault)) is not None:
            raise error

    def _begin(self) -> str:
        self._world.interject()
        fault = self._service.ask(self._gate)
        self._refuse(fault)
        return fault

    def _end(self, fault: str) -> None:
        self._world.interject()
        if fault == "lost after":
            raise AmbiguousWriteError("no answer")
        if fault == "bug after":
            raise ZeroDivisionError("a bug")
