"""A Campaign side without a network, for tests of what stands on the other side.

What lives here: `MemoryCampaign`, one resource in a dictionary. Never here: trouble; for that there is the sandbox.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from syncline.connectors.base import CampaignConnector, Gate, KeyCheck, KeyProblem
from syncline.errors import ConflictError
from syncline.records import TargetRecord, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["MemoryCampaign"]

_KEY = "externalId"


class MemoryCampaign(CampaignConnector):
    """The resource `profile` with its key `externalId` and some fields of text. Thread-safe."""

    name = "Campaign in memory"
    identity = "campaign:memory"
    gates: Sequence[Gate] = ()

    def __init__(self, fields: Sequence[str] = ("firstName", "lastName")) -> None:
        #: By key, what each record says.
        self.records: dict[str, Values] = {}
        self._fields = (_KEY, *fields)
        self._lock = threading.Lock()

    def check_access(self) -> None:
        return

    def tables(self) -> Mapping[str, str]:
        return {"profile": "Profile"}

    def describe(self, table: str) -> TableSchema | None:
        if table != "profile":
            return None
        fields = {name: FieldSchema(name=name, type=FieldType.STRING) for name in self._fields}
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
            self.records[key] = {**dict.fromkeys(self._fields), **values}

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        with self._lock:
            if ref not in self.records:
                raise ConflictError(f"A record of {resource.name} is gone.")
            self.records[ref] = {**self.records[ref], **values}

    def delete(self, resource: TableSchema, ref: str) -> None:
        with self._lock:
            self.records.pop(ref, None)

    def count(self, resource: TableSchema) -> int | None:
        return len(self.records)
