"""What views of the records of one table have in common: how many there are of each kind, and which.

What lives here: `RecordsShown`. How a record is shown, and what is said below, is for each view.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from syncline.views.figures import count
from syncline.views.shown import Shown

__all__ = ["RecordsShown"]


class _OneRecord(Protocol):
    @property
    def kind(self) -> StrEnum: ...

    def as_data(self) -> dict[str, Any]: ...


_Kind = TypeVar("_Kind", bound=StrEnum)
_Record = TypeVar("_Record", bound=_OneRecord)


class RecordsShown(Shown, Generic[_Record, _Kind]):
    """A value about records of one Dynamics table and the Campaign resource it fills."""

    __slots__ = ()

    table: str
    resource: str
    records: tuple[_Record, ...]

    @property
    @abstractmethod
    def counts(self) -> Mapping[_Kind, int]:
        """How many records of each kind; every kind is there."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether these are all records there are to show."""

    def of(self, kind: _Kind) -> tuple[_Record, ...]:
        """The records of one kind."""
        return tuple(record for record in self.records if record.kind is kind)

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "table": self.table,
            "resource": self.resource,
            "counts": {kind.value: number for kind, number in self.counts.items()},
            "records": [record.as_data() for record in self.records],
            "complete": self.complete,
        }

    def _summary(self) -> str:
        told = ", ".join(f"{count(number)} {kind.value}" for kind, number in self.counts.items() if number)
        return told or "no records"

    def __iter__(self) -> Iterator[_Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.table} -> {self.resource}: {self._summary()}>"
