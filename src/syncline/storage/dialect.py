"""What the SQL storage needs of a database.

What lives here: the two protocols a dialect implements. No SQL and no driver: a dialect translates every exception of
its driver into the errors of `syncline.errors`, and takes every named query from the .sql files (`queries` says how).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = ["Database", "Parameters", "Row", "Session"]

_Result = TypeVar("_Result")

Row: TypeAlias = tuple[Any, ...]
#: By position, or by name where the query names them.
Parameters: TypeAlias = Sequence[object] | Mapping[str, object]


class Session(Protocol):
    """One transaction under way. Queries go by their name in the .sql files."""

    @property
    def is_alone(self) -> bool:
        """Whether no other transaction that names the workflow runs beside this one, see `Database.write`."""

    def now(self) -> int:
        """The database's own time, in whole microseconds since 1970: the one clock of everybody who uses it."""

    def take(self, numbers: str, count: int) -> int:
        """The first of `count` numbers in a row that nobody was given before: `epoch` or `number`. They only grow."""

    def claim(self, epoch: int, place: tuple[int, int, int], behind: int, most: int) -> list[Row]:
        """Lease what has waited longest in a place of `ready` (a table, a lane, a suspicion) behind an id; in order.

        Rows that another transaction has claimed are passed over. See the query for the columns.
        """

    def enqueue(self, items: Sequence[Row]) -> int:
        """Add rows to `items`, with ids in a row that are theirs alone, and to what is ready; how many are in both.

        The columns are those of the table, without those that begin empty.
        """

    def finish(self, epoch: int, ids: Sequence[int]) -> int:
        """Take rows that are leased under the epoch out of `leases` and `items`; how many were in both."""

    def run(self, query: str, parameters: Parameters = ()) -> int:
        """Execute; the number of rows that changed."""

    def run_many(self, query: str, parameters: Iterable[Parameters]) -> int:
        """Execute once for each; the number of rows that changed in all."""

    def run_among(self, query: str, parameters: Sequence[object], values: Sequence[object]) -> int:
        """Execute for all of `values`, which take the place of `?*` after the other parameters."""

    def row(self, query: str, parameters: Parameters = ()) -> Row | None:
        """The first row, or None."""

    def rows(self, query: str, parameters: Parameters = ()) -> list[Row]:
        """All rows."""

    def rows_among(self, query: str, parameters: Sequence[object], values: Sequence[object]) -> list[Row]:
        """All rows for all of `values`, which take the place of `?*` after the other parameters. In no order."""


class Database(Protocol):
    """Opens transactions. Safe to use from any thread."""

    def write(
        self,
        workflow: str | None,
        work: Callable[[Session], _Result],
        *,
        durable: bool = True,
        erase: bool = False,
        shared: bool = False,
    ) -> _Result:
        """Do the work in a transaction that may write.

        No other transaction that names the same workflow runs beside it, in whatever process: it waits before its first
        query and sees what the other one committed. A name that ends with a slash stands for every workflow whose name
        begins with it; None is for what belongs to no workflow.
        With `shared` others that are `shared` may run beside it, where the database can do that: `Session.is_alone`
        tells the work. It then takes rows that it will change as a lease does, and passes over those that somebody
        else has taken.

        Commits when the work returns. Any exception in it ends the whole transaction: nothing of it happened. The work
        may be begun anew when the database lost it, so it must change nothing but the database.
        One that is not durable survives the death of the process; a failure of power may undo it, up to the next
        durable one. With `erase`, what the work deletes is overwritten in the database's files, logs included, as far
        as the database can do that.
        """

    def read(self, work: Callable[[Session], _Result]) -> _Result:
        """Do the work in a transaction that only reads, and sees one moment."""

    def close(self) -> None:
        """Let go of everything; the next transaction opens again."""
