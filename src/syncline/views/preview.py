"""What a workflow would do with records, as values, as text and as HTML.

What lives here: `Preview`, filled in by a workflow. Record values are in it, because a person asked to see them: `str`,
`_repr_html_` and `as_data` show them, `repr` never does, so that a log that is handed one stays clean. No I/O.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from attrs import field, frozen

from syncline.records import RecordKey, Value
from syncline.views.figures import count
from syncline.views.records_shown import RecordsShown
from syncline.views.table import Cell, Column, Note, Table

__all__ = ["FieldChange", "Preview", "PreviewKind", "PreviewedRecord"]

#: Longest value shown in text and HTML, in characters; `FieldChange` has it whole.
_LONGEST_VALUE: Final = 80
#: Fields of one record that share a cell, in characters; the others go into further rows.
_CELL: Final = 400


class PreviewKind(StrEnum):
    """What would become of a record."""

    CREATE = "create"
    UPDATE = "update"
    #: Campaign holds these values already.
    IDENTICAL = "identical"
    DELETE = "delete"
    FILTERED_OUT = "filtered out"
    #: It cannot be written as it is and would become a dead letter.
    REFUSED = "refused"
    #: It is gone in Dynamics and nothing follows from that.
    LEFT_ALONE = "left alone"


@frozen(kw_only=True)
class FieldChange:
    """One field before and after; `before` is None also for a record that is not there yet."""

    name: str
    before: Value = field(repr=False)
    after: Value = field(repr=False)

    def __str__(self) -> str:
        before, after = _shown(self.before), _shown(self.after)
        return f"{self.name}: {after}" if self.before is None else f"{self.name}: {before} -> {after}"


@frozen(kw_only=True)
class PreviewedRecord:
    """What would become of one record, and why."""

    key: RecordKey
    kind: PreviewKind
    #: CREATE: every field that would be written, constants and key included. UPDATE: the fields that differ.
    fields: tuple[FieldChange, ...] = field(default=(), repr=lambda fields: f"<{len(fields)} fields>")
    #: For people; names fields and never a value.
    reason: str = ""
    #: REFUSED: the field it is about, where known.
    field: str = ""

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows, record values included: a decimal is a text, exact."""
        return {
            "table": self.key.table,
            "id": self.key.id,
            "kind": self.kind.value,
            "fields": [
                {"name": one.name, "before": _plain_json(one.before), "after": _plain_json(one.after)}
                for one in self.fields
            ],
            "reason": self.reason,
            "field": self.field,
        }

    def _rows(self) -> Iterator[tuple[Cell, ...]]:
        first, *others = _packed([self.reason, *map(str, self.fields)] if self.reason else list(map(str, self.fields)))
        yield Cell(self.key.id), Cell(self.kind.value), Cell(first)
        for text in others:
            yield Cell(""), Cell(""), Cell(text)


@frozen(kw_only=True, repr=False, str=False)
class Preview(RecordsShown[PreviewedRecord, PreviewKind]):
    """What the definition as last edited would do with some records of a table. Nothing was written to find out."""

    #: What is read, and what it fills: a Dynamics table and a Campaign resource, or exported files and activities.
    table: str
    resource: str
    records: tuple[PreviewedRecord, ...]
    #: Whether these are all that were asked for; False when the table has further records.
    complete: bool
    #: For how many records the other side was asked; of Campaign, engine calls that the preview itself cost.
    look_ups: int
    #: Whom `look_ups` asked.
    asked: str = "Campaign"

    @property
    def counts(self) -> Mapping[PreviewKind, int]:
        """How many records of each kind; every kind is there."""
        found = Counter(record.kind for record in self.records)
        return {kind: found[kind] for kind in PreviewKind}

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows, record values included."""
        return {**super().as_data(), "look_ups": self.look_ups}

    def _tables(self) -> Sequence[Table]:
        table = Table(
            caption=f"Preview of {self.table} to {self.resource}",
            columns=(Column(title="Record"), Column(title="What"), Column(title="Fields")),
            rows=tuple(row for record in self.records for row in record._rows()),
            empty="no records",
            notes=(Note(title=self._title(), lines=self._lines()),),
        )
        return (table,)

    def _title(self) -> str:
        return f"{self.table} to {self.resource}: {self._summary()}"

    def _lines(self) -> tuple[str, ...]:
        more = () if self.complete else (f"Only the first {count(len(self))} records were read; more follow.",)
        return (*more, f"Nothing was written. {self.asked} was asked for {count(self.look_ups)} records.")


def _shown(value: Value) -> str:
    if value is None:
        return "empty"
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, str | bool | list | dict) else None
    told = text or str(value)
    return told if len(told) <= _LONGEST_VALUE else f"{told[: _LONGEST_VALUE - 1]}\N{HORIZONTAL ELLIPSIS}"


def _plain_json(value: Value) -> Any:
    return json.loads(json.dumps(value, default=str))


def _packed(texts: Sequence[str]) -> list[str]:
    """The texts joined, as many as fit into one cell, in their order; at least one cell."""
    cells = [""]
    for text in texts:
        joined = f"{cells[-1]}; {text}" if cells[-1] else text
        if cells[-1] and len(joined) > _CELL:
            cells.append(text)
        else:
            cells[-1] = joined
    return cells
