"""What the next start would send and cost, as values, as text and as HTML.

What lives here: `Forecast`, filled in by a workflow, and `Figure`, a number that says how sure it is. No I/O, no rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

from attrs import Attribute, field, frozen

from syncline.views.figures import count
from syncline.views.shown import Shown
from syncline.views.table import Align, Cell, Column, Note, Table

__all__ = ["Certainty", "Figure", "Forecast", "NextRead", "TableForecast"]


class Certainty(StrEnum):
    """How a figure is to be taken, the surest first."""

    EXACT = "exact"
    #: It can be less and never more, as long as the source's own count is right where it rests on that.
    AT_MOST = "at most"
    #: An estimate: it can be less and more.
    ABOUT = "about"
    UNKNOWN = "unknown"


_SUREST_FIRST: Final = list(Certainty)


def _given_unless_unknown(figure: Figure, _: Attribute[Any], value: int | None) -> None:
    if (value is None) is not (figure.certainty is Certainty.UNKNOWN):
        raise ValueError(f"a figure that is {figure.certainty.value} cannot be {value}")
    if value is not None and value < 0:
        raise ValueError(f"a figure cannot be {value}")


@frozen
class Figure:
    """A number and how sure it is. Prints as `500`, `at most 500`, `about 500` or `unknown`."""

    #: None when it is unknown.
    value: int | None = field(validator=_given_unless_unknown)
    certainty: Certainty = Certainty.EXACT

    @classmethod
    def unknown(cls) -> Figure:
        """Nobody can say without reading."""
        return cls(None, Certainty.UNKNOWN)

    @classmethod
    def sum(cls, figures: Iterable[Figure]) -> Figure:
        """All together, as sure as the least sure of them. A sum of upper bounds and estimates is an estimate."""
        all_of_them = list(figures)
        certainty = max((one.certainty for one in all_of_them), key=_SUREST_FIRST.index, default=Certainty.EXACT)
        if certainty is Certainty.UNKNOWN:
            return cls.unknown()
        return cls(sum(one.value or 0 for one in all_of_them), certainty)

    @property
    def exact(self) -> bool:
        return self.certainty is Certainty.EXACT

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {"value": self.value, "certainty": self.certainty.value}

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        return count(self.value) if self.exact else f"{self.certainty.value} {count(self.value)}"


class NextRead(StrEnum):
    """How the next start would begin to read a table."""

    #: Every record, and Campaign has none of them as far as Syncline knows.
    FIRST_LOAD = "first load"
    #: Every record, because somebody asked for it.
    REPLAY = "replay"
    #: Every record, because the position is gone.
    RESYNC = "resync"
    #: The rest of a full read that was begun, and then changes.
    CONTINUED = "rest of a full read"
    #: Only what changed since the last page.
    CHANGES = "changes"

    @property
    def reads_all(self) -> bool:
        """Whether every record of the table is read from the beginning."""
        return self in (NextRead.FIRST_LOAD, NextRead.REPLAY, NextRead.RESYNC)


_FIGURES: Final = (
    "source",
    "creates",
    "updates",
    "identical",
    "deletes",
    "held",
    "filtered_out",
    "refused",
    "calls",
    "original_calls",
)


@frozen(kw_only=True)
class TableForecast:
    """One table. Records are counted by what the ledger knows; see `Forecast` for what calls rest on."""

    table: str
    resource: str
    read: NextRead
    #: Records in Dynamics: counted by reading, or as Dynamics tells (that can be a day old).
    source: Figure
    #: Records that Syncline has written to Campaign.
    known: int
    #: Changes that wait in the backlog already.
    queued: int
    creates: Figure
    updates: Figure
    identical: Figure
    #: Those that would be sent.
    deletes: Figure
    #: Deletions that would wait for a confirmation, because so many records left the filters or are missing. They are
    #: in `original_calls` and not in `calls`.
    held: Figure
    filtered_out: Figure
    refused: Figure
    #: Engine calls at Campaign that Syncline needs.
    calls: Figure
    #: Engine calls in the arithmetic of Adobe's own integration: insert 1, delete 1, update 2, identical 1.
    original_calls: Figure

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "table": self.table,
            "resource": self.resource,
            "read": self.read.value,
            "known": self.known,
            "queued": self.queued,
            **{name: getattr(self, name).as_data() for name in _FIGURES},
        }

    def _row(self) -> tuple[Cell, ...]:
        figures = (self.source, self.creates, self.updates, self.identical, self.deletes, self.calls)
        first = Cell(self.table), Cell(self.read.value), Cell(count(self.known))
        return (*first, *(Cell(str(figure)) for figure in (*figures, self.original_calls)))


@frozen(kw_only=True, repr=False, str=False)
class Forecast(Shown):
    """What the next start would send and what it would cost. Nothing was written to find out.

    Calls are those of writing the records, on three conditions: nobody changes the source meanwhile, Campaign takes
    each write at the first attempt, and it holds what Syncline last wrote there. A record to be created that others
    made costs up to two calls more; one to be updated that holds the values already, or one to be deleted that is
    gone, costs one less. The checks of a start are not included: they look up each table's key, at Campaign Standard
    with up to two calls a table.
    """

    tables: tuple[TableForecast, ...]
    #: Whether every table was read to the end for this.
    read: bool

    @property
    def calls(self) -> Figure:
        """Engine calls at Campaign that Syncline needs, all tables together."""
        return Figure.sum(table.calls for table in self.tables)

    @property
    def original_calls(self) -> Figure:
        """The same in the arithmetic of Adobe's own integration."""
        return Figure.sum(table.original_calls for table in self.tables)

    def table(self, name: str) -> TableForecast:
        """The forecast of one Dynamics table. Raises KeyError when it is not mapped."""
        for one in self.tables:
            if one.table == name:
                return one
        raise KeyError(name)

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "tables": [table.as_data() for table in self.tables],
            "calls": self.calls.as_data(),
            "original_calls": self.original_calls.as_data(),
            "read": self.read,
        }

    def __iter__(self) -> Iterator[TableForecast]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def __repr__(self) -> str:
        return f"<Forecast of {len(self)} tables: {self.calls} calls>"

    def _tables(self) -> Sequence[Table]:
        numbers = ("Known", "In Dynamics", "Create", "Update", "Identical", "Delete", "Calls", "Adobe's calls")
        table = Table(
            caption="Forecast of the next start",
            columns=(
                Column(title="Table"),
                Column(title="Reads"),
                *(Column(title=title, align=Align.RIGHT) for title in numbers),
            ),
            rows=tuple(table._row() for table in self.tables),
            empty="no tables",
            notes=(Note(title=self._title(), lines=tuple(self._lines())),),
        )
        return (table,)

    def _title(self) -> str:
        return f"Engine calls: {self.calls}; by Adobe's arithmetic: {self.original_calls}"

    def _lines(self) -> Iterator[str]:
        if not self.read:
            yield "Numbers of records in Dynamics can be a day old, and what rests on them is no surer."
        if any(not table.read.reads_all for table in self.tables):
            yield "Where only changes are read, a full read would find this much; what did not change stays as it is."
        if any(table.queued for table in self.tables):
            yield "Changes wait in the backlog; what they may cost more is added to the calls."
        for table in self.tables:
            if table.held.value:
                yield f"{table.held} deletions of {table.table} would wait for a confirmation; no call is counted."
        yield "Calls hold for a Campaign that has what Syncline last wrote there. The checks of a start come on top."
