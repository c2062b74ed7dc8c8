"""Both sides as connectors without HTTP, for what loopback servers cannot be made to do at will."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from syncline.connectors.base import CampaignConnector, DynamicsConnector, Gate, KeyCheck
from syncline.errors import ConflictError
from syncline.records import Change, Page, ReadRequest, ReadStage, RecordKey, TargetRecord, Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema


def nothing(_verb: str, _key: str) -> None:
    """Let a verb be."""


CONTACT = TableSchema(
    name="contact",
    path="contacts",
    primary_key="contactid",
    fields={
        "contactid": FieldSchema(name="contactid", type=FieldType.GUID),
        "lastname": FieldSchema(name="lastname", type=FieldType.STRING),
        "jobtitle": FieldSchema(name="jobtitle", type=FieldType.STRING),
    },
    change_tracking=True,
)
PROFILE = TableSchema(
    name="profile",
    path="profile",
    fields={
        "externalId": FieldSchema(name="externalId", type=FieldType.STRING),
        "lastName": FieldSchema(name="lastName", type=FieldType.STRING, max_length=50),
        "title": FieldSchema(name="title", type=FieldType.STRING),
    },
)


class ScriptedDynamics(DynamicsConnector):
    """A table with change tracking: every change gets a version, a link is the version it stands for."""

    name = "Dynamics, scripted"
    identity = "dynamics"
    gates: Sequence[Gate] = ()

    def __init__(self, people: int = 0) -> None:
        self.rows: dict[str, dict[str, Value]] = {}
        self.versions: dict[str, int] = {}
        self.version = 0
        self.page_size = 100
        #: Called before each page; what it raises is the answer.
        self.before_read: Callable[[ReadRequest], None] = lambda _: None
        self.access: Callable[[], None] = lambda: None
        self.counted: int | None = None
        self.fetched: list[str] = []
        for number in range(people):
            self.put(f"{number:08d}-0000-4000-8000-000000000000", lastname=f"Person {number}", jobtitle=None)

    def put(self, record: str, **values: Value) -> str:
        self.rows[record] = {"jobtitle": None, **self.rows.get(record, {}), **values}
        self._touch(record)
        return record

    def remove(self, record: str) -> None:
        del self.rows[record]
        self._touch(record)

    def _touch(self, record: str) -> None:
        self.version += 1
        self.versions[record] = self.version

    def check_access(self) -> None:
        self.access()

    def tables(self) -> Mapping[str, str]:
        return {"contact": "Contact"}

    def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
        return CONTACT if table == "contact" else None

    def count(self, table: str) -> int | None:
        self.access()
        return self.counted if self.counted is not None else len(self.rows)

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        self.fetched.extend(ids)
        return {record: self._change(record, tuple(columns)) for record in ids if record in self.rows}

    def read(self, request: ReadRequest) -> Page:
        self.before_read(request)
        kind, _, rest = (request.link or "").partition(":")
        after, until = (int(rest.split("-")[0]), int(rest.split("-")[-1])) if kind else (0, self.version)
        if request.stage is ReadStage.DELTA and kind == "delta":
            until = self.version
        changed = sorted((version, record) for record, version in self.versions.items() if after < version <= until)
        gone_too = request.stage is ReadStage.DELTA
        changes = [(v, self._change(r, request.columns)) for v, r in changed if gone_too or r in self.rows]
        page, more = changes[: self.page_size], len(changes) > self.page_size
        told = tuple(change for _, change in page)
        if more:
            return Page(changes=told, next_link=f"page:{page[-1][0]}-{until}")
        if request.stage in (ReadStage.KEYS, ReadStage.OVERLAP):
            return Page(changes=told)
        # Where the token of a load points to is not documented: to its end is what loses most.
        return Page(changes=told, delta_link=f"delta:{until if gone_too else self.version}")

    def _change(self, record: str, columns: Sequence[str]) -> Change:
        row = self.rows.get(record)
        values = None if row is None else {column: row.get(column) for column in columns}
        return Change(key=RecordKey(table="contact", id=record), values=values)


class ScriptedCampaign(CampaignConnector):
    """Records by key. Every verb first asks `before`, and what it raises is the answer."""

    name = "Campaign, scripted"
    identity = "campaign"
    gates: Sequence[Gate] = ()

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Value]] = {}
        self.before: Callable[[str, str], None] = nothing
        #: As `before`, but when the target has been changed already.
        self.after: Callable[[str, str], None] = nothing
        self.verbs: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def check_access(self) -> None:
        return

    def tables(self) -> Mapping[str, str]:
        return {"profile": "Profile"}

    def describe(self, table: str) -> TableSchema | None:
        return PROFILE if table == "profile" else None

    def check_key(self, resource: TableSchema, key_field: str) -> KeyCheck:
        return KeyCheck(problem=None)

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        self._begin("find", key)
        found = self.records.get(key)
        return None if found is None else TargetRecord(ref=key, values=dict(found))

    def count(self, resource: TableSchema) -> int | None:
        return len(self.records)

    def create(self, resource: TableSchema, values: Values) -> None:
        key = str(values["externalId"])
        self._begin("create", key)
        with self._lock:
            if key in self.records:
                raise ConflictError("it exists")
            self.records[key] = dict(values)
        self.after("create", key)

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        self._begin("update", ref)
        self.records[ref].update(values)
        self.after("update", ref)

    def delete(self, resource: TableSchema, ref: str) -> None:
        self._begin("delete", ref)
        self.records.pop(ref, None)
        self.after("delete", ref)

    def same(self, schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
        return stored == wanted

    def _begin(self, verb: str, key: str) -> None:
        with self._lock:
            self.verbs.append((verb, key))
        self.before(verb, key)
