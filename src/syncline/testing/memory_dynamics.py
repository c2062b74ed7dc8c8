"""A Dynamics side without a network, for tests of what stands on the other side.

What lives here: `MemoryDynamics`, one table with change tracking in a dictionary. Never here: trouble; for that there
is the sandbox.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC

from syncline.clock import Clock, SystemClock
from syncline.connectors.base import DynamicsConnector, Gate
from syncline.errors import ConflictError
from syncline.records import Change, Page, ReadRequest, ReadStage, RecordKey, Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["MemoryDynamics"]


class MemoryDynamics(DynamicsConnector):
    """The table `contact` with an id, some columns of text, and these opt-outs. Thread-safe.

    It says when a row was created and changed, by `clock`. Rows are changed, and never created, through a workflow.
    """

    name = "Dynamics 365 in memory"
    identity = "dynamics:memory"
    gates: Sequence[Gate] = ()

    def __init__(
        self,
        columns: Sequence[str] = ("firstname", "lastname"),
        *,
        opt_outs: Sequence[str] = (),
        page_size: int = 10,
        clock: Clock | None = None,
    ) -> None:
        self.rows: dict[str, Values] = {}
        self._page_size = page_size
        self._texts = tuple(columns)
        self._opt_outs = tuple(opt_outs)
        self._clock = clock or SystemClock()
        #: By id, in the order of their last changes: the number of the change. The deleted are among them.
        self._changed: dict[str, int] = {}
        self._last = 0
        self._lock = threading.RLock()

    def put(self, record: str, **values: Value) -> None:
        """Make a row, or change these columns of it."""
        with self._lock:
            now = self._clock.now().astimezone(UTC).isoformat(timespec="seconds")
            before = self.rows.get(record)
            if before is None:
                before = {**dict.fromkeys(self._texts), **dict.fromkeys(self._opt_outs, False), "createdon": now}
            self.rows[record] = {**before, "contactid": record, **values, "modifiedon": now}
            self._note(record)

    def remove(self, record: str) -> None:
        """Delete a row."""
        with self._lock:
            del self.rows[record]
            self._note(record)

    def _note(self, record: str) -> None:
        self._last += 1
        self._changed.pop(record, None)
        self._changed[record] = self._last

    def check_access(self) -> None:
        return

    def tables(self) -> Mapping[str, str]:
        return {"contact": "Contact"}

    def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
        if table != "contact":
            return None
        kinds = {
            "contactid": FieldType.GUID,
            **dict.fromkeys(self._texts, FieldType.STRING),
            **dict.fromkeys(self._opt_outs, FieldType.BOOLEAN),
            **dict.fromkeys(("createdon", "modifiedon"), FieldType.DATETIME),
        }
        fields = {name: FieldSchema(name=name, type=kind) for name, kind in kinds.items()}
        return TableSchema(name=table, path="contacts", primary_key="contactid", fields=fields, change_tracking=True)

    def read(self, request: ReadRequest) -> Page:
        """A link is the number of the change to go on behind."""
        behind = int(request.link or 0)
        with self._lock:
            found = [record for record, number in self._changed.items() if number > behind]
            told = found[: self._page_size]
            gone_too = request.stage is ReadStage.DELTA
            changes = tuple(self._change(record, request.columns) for record in told if gone_too or record in self.rows)
            link = str(self._changed[told[-1]] if told else behind)
        if len(told) < len(found):
            return Page(changes=changes, next_link=link)
        return Page(changes=changes, delta_link=None if request.stage is ReadStage.OVERLAP else link)

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        with self._lock:
            return {record: self._change(record, columns) for record in ids if record in self.rows}

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        with self._lock:
            if record not in self.rows or self._etag(record) != etag:
                raise ConflictError(f"A row of {table} is gone, or was changed since.")
            self.put(record, **values)
            return self._etag(record)

    def _change(self, record: str, columns: Sequence[str]) -> Change:
        row = self.rows.get(record)
        values = None if row is None else {name: row[name] for name in columns}
        etag = None if row is None else self._etag(record)
        return Change(key=RecordKey(table="contact", id=record), values=values, etag=etag)

    def _etag(self, record: str) -> str:
        return str(self._changed[record])
