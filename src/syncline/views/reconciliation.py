"""How both sides of a table compare, as values, as text and as HTML.

What lives here: `Reconciliation`, filled in by a workflow. It names records and fields and holds no record values. No
I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from syncline.records import RecordKey
from syncline.views.figures import count
from syncline.views.records_shown import RecordsShown
from syncline.views.table import Cell, Column, Note, Table

__all__ = ["ReconcileKind", "ReconciledRecord", "Reconciliation"]


class ReconcileKind(StrEnum):
    """How one record compares."""

    #: It should be in Campaign and is not.
    MISSING = "missing"
    #: It is in Campaign, Syncline knows it as its own, and it should not be there.
    EXTRA = "extra"
    #: It is on both sides, and fields that every change writes differ.
    DIFFERENT = "different"
    IDENTICAL = "identical"
    #: It cannot be compared: its values do not convert, or several records in Campaign carry its key.
    REFUSED = "refused"
    #: The mapping wants nothing of it: filtered out, or gone where deletes are not applied.
    LEFT_ALONE = "left alone"

    @property
    def wrong(self) -> bool:
        """Whether both sides should be otherwise, and can be made so by writing."""
        return self in (ReconcileKind.MISSING, ReconcileKind.EXTRA, ReconcileKind.DIFFERENT)


@frozen(kw_only=True)
class ReconciledRecord:
    """How one record compares. Names fields and never a value."""

    key: RecordKey
    kind: ReconcileKind
    #: DIFFERENT: the Campaign fields that differ.
    fields: tuple[str, ...] = ()
    reason: str = ""

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "table": self.key.table,
            "id": self.key.id,
            "kind": self.kind.value,
            "fields": list(self.fields),
            "reason": self.reason,
        }


@frozen(kw_only=True, repr=False, str=False)
class Reconciliation(RecordsShown[ReconciledRecord, ReconcileKind]):
    """Both sides of a table, compared record by record."""

    #: The Dynamics table, and the Campaign resource it fills.
    table: str
    resource: str
    #: How many records of each kind; exact, every kind is there.
    counts: Mapping[ReconcileKind, int]
    #: Records that are not identical, the first of them; `complete` says whether these are all.
    records: tuple[ReconciledRecord, ...] = field(repr=False)
    #: Records of the resource that Syncline does not know, as far as Campaign's own count tells; never touched.
    strangers: int | None
    #: Differences that were queued.
    queued: int
    #: Records that the ledger knows now because they match.
    adopted: int
    #: Engine calls that the comparison itself cost.
    calls: int

    @property
    def in_step(self) -> bool:
        """Whether nothing is missing, extra or different."""
        return not any(number for kind, number in self.counts.items() if kind.wrong)

    @property
    def complete(self) -> bool:
        """Whether `records` holds all that are not identical and not left alone."""
        told = sum(n for kind, n in self.counts.items() if kind.wrong or kind is ReconcileKind.REFUSED)
        return len(self.records) == told

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        own = {name: getattr(self, name) for name in ("strangers", "queued", "adopted", "calls")}
        return {**super().as_data(), **own}

    def _tables(self) -> tuple[Table, ...]:
        return (
            Table(
                caption=f"Reconciliation of {self.table} and {self.resource}",
                columns=(Column(title="Record"), Column(title="What"), Column(title="Fields")),
                rows=tuple(
                    (Cell(one.key.id), Cell(one.kind.value), Cell(", ".join(one.fields) or one.reason))
                    for one in self.records
                ),
                empty="nothing differs",
                notes=(Note(title=f"{self.table} and {self.resource}: {self._summary()}", lines=self._lines()),),
            ),
        )

    def _lines(self) -> tuple[str, ...]:
        strangers = "an unknown number of" if self.strangers is None else count(self.strangers)
        done = f"Queued {count(self.queued)}, adopted {count(self.adopted)}."
        return (
            *(() if self.complete else (f"Only the first {count(len(self))} records that differ are listed.",)),
            f"Campaign has {strangers} records that Syncline does not know; they are never touched.",
            f"{done} The comparison cost {count(self.calls)} engine calls.",
        )
