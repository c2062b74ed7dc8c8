"""A Campaign side without a network, for tests of what stands on the other side.

What lives here: `MemoryCampaign`, one resource in a dictionary. Never here: trouble; for that there is the sandbox.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from syncline.clock import Clock, SystemClock
from syncline.connectors.base import CampaignConnector, ChangedPage, Gate, KeyCheck, KeyProblem
from syncline.errors import ConflictError
from syncline.records import TargetRecord, Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["MemoryCampaign"]

_KEY = "externalId"
#: Sorts before every moment.
_EVER = "0"


class MemoryCampaign(CampaignConnector):
    """The resource `profile` with its key `externalId`, some fields of text, and these opt-outs. Thread-safe.

    It says when a record was created and changed, and when each opt-out was, by `clock`.
    """

    name = "Campaign in memory"
    identity = "campaign:memory"
    gates: Sequence[Gate] = ()

    def __init__(
        self,
        fields: Sequence[str] = ("firstName", "lastName"),
        *,
        opt_outs: Sequence[str] = (),
        page_size: int = 10,
        clock: Clock | None = None,
    ) -> None:
        #: By key, what each record says.
        self.records: dict[str, Values] = {}
        self._texts = (_KEY, *fields)
        self._opt_outs = tuple(opt_outs)
        self._page_size = page_size
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()

    def put(self, key: str, **values: Value) -> None:
        """Make a record, or change these fields of it, as somebody in Campaign would."""
        with self._lock:
            self._store(key, {_KEY: key, **values})

    def remove(self, key: str) -> None:
        """Delete a record."""
        with self._lock:
            del self.records[key]

    def _store(self, key: str, values: Values) -> None:
        now = self._clock.now().astimezone(UTC).isoformat(timespec="milliseconds")
        before = self.records.get(key)
        if before is None:
            before = {**dict.fromkeys(self._texts), **dict.fromkeys(self._opt_outs, False), "created": now}
        changed = {name for name in self._opt_outs if name in values and values[name] is not before[name]}
        stamps = {_stamp(name): now if name in changed else before.get(_stamp(name)) for name in self._opt_outs}
        self.records[key] = {**before, **values, **stamps, "lastModified": now}

    def check_access(self) -> None:
        return

    def tables(self) -> Mapping[str, str]:
        return {"profile": "Profile"}

    def describe(self, table: str) -> TableSchema | None:
        if table != "profile":
            return None
        kinds = {
            **dict.fromkeys(self._texts, FieldType.STRING),
            **dict.fromkeys(self._opt_outs, FieldType.BOOLEAN),
            **dict.fromkeys((*map(_stamp, self._opt_outs), "created", "lastModified"), FieldType.DATETIME),
        }
        fields = {
            name: FieldSchema(name=name, type=kind, writable=kind is not FieldType.DATETIME)
            for name, kind in kinds.items()
        }
        return TableSchema(name=table, path=table, fields=fields)

    def check_key(self, resource: TableSchema, key_field: str) -> KeyCheck:
        return KeyCheck(problem=None if key_field == _KEY else KeyProblem.NO_FILTER)

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        found = self.records.get(key)
        return None if found is None else TargetRecord(ref=key, values=found)

    def create(self, resource: TableSchema, values: Values) -> None:
        key = str(values[_KEY])
        with self._lock:
            if key in self.records:
                raise ConflictError(f"A record of {resource.name} is there already.")
            self._store(key, values)

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        with self._lock:
            if ref not in self.records:
                raise ConflictError(f"A record of {resource.name} is gone.")
            self._store(ref, values)

    def delete(self, resource: TableSchema, ref: str) -> None:
        with self._lock:
            self.records.pop(ref, None)

    def count(self, resource: TableSchema) -> int | None:
        return len(self.records)

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        """In the order of keys. A link is the moment and the key to go on behind."""
        told_since, _, behind = (link or "").partition(" ")
        moment = told_since or ("" if since is None else since.astimezone(UTC).isoformat(timespec="milliseconds"))
        with self._lock:
            found = [
                (key, record)
                for key, record in sorted(self.records.items())
                if key > behind and str(record["lastModified"]) >= moment
            ]
        told = found[: self._page_size]
        more = f"{moment or _EVER} {told[-1][0]}" if len(told) < len(found) else None
        return ChangedPage(records=tuple(record for _, record in told), next_link=more)


def _stamp(opt_out: str) -> str:
    return f"{opt_out}LastModified"
