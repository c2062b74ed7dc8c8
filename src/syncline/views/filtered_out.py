"""Who would be deleted because they do not pass the filters, as values, as text and as HTML.

What lives here: `FilteredOut`, filled in by a workflow. Ids and numbers only, no record values. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import field, frozen

from syncline.views.figures import count
from syncline.views.shown import Shown
from syncline.views.table import Cell, Column, Note, Table

__all__ = ["FilteredOut"]


@frozen(kw_only=True, repr=False, str=False)
class FilteredOut(Shown):
    """The records of a table that Syncline wrote to Campaign and that do not pass the filters as last edited."""

    #: The Dynamics table, and the Campaign resource it fills.
    table: str
    resource: str
    #: Ids of the first of them.
    records: tuple[str, ...] = field(repr=False)
    #: How many there are in all.
    number: int
    #: How many records of the table Syncline wrote.
    known: int
    #: How many records do not pass the filters and were never written: nothing happens to them.
    never_written: int
    #: Whether the mapping says `delete_filtered_out`; without it they stay.
    deletes: bool
    #: How many would go without a confirmation.
    most: int
    #: Whether they are so many that they would be held.
    held: bool

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "table": self.table,
            "resource": self.resource,
            "records": list(self.records),
            "number": self.number,
            "known": self.known,
            "never_written": self.never_written,
            "deletes": self.deletes,
            "most": self.most,
            "held": self.held,
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"<FilteredOut {self.table}: {count(self.number)} of {count(self.known)}{', held' if self.held else ''}>"

    def _tables(self) -> Sequence[Table]:
        title = f"{count(self.number)} of {count(self.known)} records in {self.resource} do not pass the filters"
        return (
            Table(
                caption=f"Filtered out of {self.table}",
                columns=(Column(title="Record"),),
                rows=tuple((Cell(record),) for record in self.records),
                empty="nobody",
                notes=(Note(title=title, lines=tuple(self._lines())),),
            ),
        )

    def _lines(self) -> Iterator[str]:
        if len(self.records) < self.number:
            yield f"Only the first {count(len(self.records))} of them are listed."
        if not self.deletes:
            yield "They stay in Campaign: delete_filtered_out is off."
        elif self.held:
            yield f"No more than {count(self.most)} go without a confirmation: all of them would be held."
        elif self.number:
            yield "They would be deleted in Campaign when they are read next: by a replay, or when they change."
        yield f"{count(self.never_written)} more were never written. Nothing was written to find out."
