"""Whether a schema may be published now, as a value, as text and as HTML.

What lives here: `SchemaGuardReport`, filled in by a workflow. No I/O, no rules: what a change means is told by
`syncline.schema_changes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from syncline.schema_changes import ChangeEffect, SchemaChange
from syncline.state_machine import WorkflowState
from syncline.views.figures import count
from syncline.views.shown import Shown
from syncline.views.table import Cell, Column, Note, Table

__all__ = ["SchemaGuardReport"]


@frozen(kw_only=True, repr=False, str=False)
class SchemaGuardReport(Shown):
    """What is in flight, and how the schemas of now differ from those the workflow started with.

    True when it is safe to remove, rename or retype what the mapping uses: nothing runs and nothing is being sent.
    Adding columns, fields and values is safe at any time.
    """

    status: WorkflowState
    #: Changes that wait in the backlog, those in flight included.
    queued: int
    #: Of these: claimed by a process that works on them.
    in_flight: int
    #: Differences between what the workflow knows and today's schemas, those that would stop it first.
    changes: tuple[SchemaChange, ...]
    #: When both sides were last found to be as the workflow knows them; None before the first start.
    checked_at: datetime | None

    @property
    def safe(self) -> bool:
        """Whether anything may be published now."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not safe; empty when it is."""
        return tuple(self._reasons())

    @property
    def stops(self) -> tuple[SchemaChange, ...]:
        """The differences that stop the workflow, or would at its next page."""
        return tuple(change for change in self.changes if change.effect is ChangeEffect.STOPS)

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "safe": self.safe,
            "reasons": list(self.reasons),
            "status": self.status.value,
            "queued": self.queued,
            "in_flight": self.in_flight,
            "checked_at": None if self.checked_at is None else self.checked_at.isoformat(),
            "changes": [
                {
                    "side": change.side.value,
                    "table": change.table,
                    "field": change.field,
                    "kind": change.kind.value,
                    "effect": change.effect.value,
                    "what": change.what,
                    "meaning": change.meaning,
                }
                for change in self.changes
            ],
        }

    def __bool__(self) -> bool:
        return self.safe

    def __iter__(self) -> Iterator[SchemaChange]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __repr__(self) -> str:
        return f"<SchemaGuardReport: {'safe' if self.safe else 'not safe'}, {len(self.changes)} differences>"

    def _reasons(self) -> Iterator[str]:
        if self.status.started:
            yield (
                f"The status is {self.status.value}: what is removed, renamed or retyped now stops the workflow with "
                "FAILED. Stop it first, publish, correct the mapping, start."
            )
        if self.in_flight:
            yield f"{count(self.in_flight)} records are being written. Wait until the status is STOPPED."
        for change in self.stops:
            yield f"{change.side}: {change.place} {change.what}. {change.meaning}".strip()

    def _tables(self) -> Sequence[Table]:
        rows = tuple(
            (
                Cell(change.place, mark="stops the workflow" if change.effect is ChangeEffect.STOPS else ""),
                Cell(change.side.value),
                Cell(change.what),
                Cell(change.effect.value),
                Cell(change.meaning),
            )
            for change in self.changes
        )
        columns = tuple(Column(title=title) for title in ("Field", "Side", "Difference", "Effect", "What it means"))
        title = "Safe to publish now" if self.safe else "Not safe to remove, rename or retype anything now"
        note = Note(title=title, lines=(*self.reasons, *self._lines()))
        table = Table(
            caption="Schemas since the start", columns=columns, rows=rows, empty="no differences", notes=(note,)
        )
        return (table,)

    def _lines(self) -> Iterator[str]:
        yield "Adding columns, fields and values is safe at any time."
        if self.queued:
            yield f"{count(self.queued)} changes wait in the backlog. They stay, and are read anew where needed."
