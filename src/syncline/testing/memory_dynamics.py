"""A Dynamics side without a network, for tests of what stands on the other side.

What lives here: `MemoryDynamics`, one table with change tracking in a dictionary. Never here: trouble; for that there
is the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from syncline.connectors.base import DynamicsConnector, Gate
from syncline.records import Change, Page, ReadRequest, ReadStage, RecordKey, Value, Values
from syncline.schemas import FieldSchema, FieldType, TableSchema

__all__ = ["MemoryDynamics"]


class MemoryDynamics(DynamicsConnector):
    """The table `contact` with an id and some columns of text. Not for several threads at once that change rows."""

    name = "Dynamics 365 in memory"
    identity = "dynamics:memory"
    gates: Sequence[Gate] = ()

    def __init__(self, columns: Sequence[str] = ("firstname", "lastname"), *, page_size: int = 10) -> None:
        self.rows: dict[str, Values] = {}
        self._page_size = page_size
        self._names = ("contactid", *columns)
        #: By id, in the order of their last changes: the number of the change. The deleted are among them.
        self._changed: dict[str, int] = {}
        self._last = 0

    def put(self, record: str, **values: Value) -> None:
        """Make a row, or change these columns of it."""
        self.rows[record] = {**dict.fromkeys(self._names), **self.rows.get(record, {}), "contactid": record, **values}
        self._note(record)

    def remove(self, record: str) -> None:
        """Delete a row."""
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
        texts = {name: FieldSchema(name=name, type=FieldType.STRING) for name in self._names[1:]}
        fields = {"contactid": FieldSchema(name="contactid", type=FieldType.GUID), **texts}
        return TableSchema(name=table, path="contacts", primary_key="contactid", fields=fields, change_tracking=True)

    def read(self, request: ReadRequest) -> Page:
        """A link is the number of the change to go on behind."""
        behind = int(request.link or 0)
        found = [record for record, number in self._changed.items() if number > behind]
        told = found[: self._page_size]
        gone_too = request.stage is ReadStage.DELTA
        changes = tuple(self._change(record, request.columns) for record in told if gone_too or record in self.rows)
        link = str(self._changed[told[-1]] if told else behind)
        if len(told) < len(found):
            return Page(changes=changes, next_link=link)
        return Page(changes=changes, delta_link=None if request.stage is ReadStage.OVERLAP else link)

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        return {record: self._change(record, columns) for record in ids if record in self.rows}

    def _change(self, record: str, columns: Sequence[str]) -> Change:
        row = self.rows.get(record)
        values = None if row is None else {name: row[name] for name in columns}
        return Change(key=RecordKey(table="contact", id=record), values=values)
