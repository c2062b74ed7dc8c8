"""Creating many rows in calls that take all or nothing.

What lives here: how the rows that a call must not contain are found, so that all others are created. Pure but for the
three functions it is given. Creating is safe to repeat: ids are ours, and a row that is there already is a success.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from syncline.errors import ConflictError, SkipRecordError, SynclineError
from syncline.records import NewRow, Outcome, OutcomeKind

__all__ = ["CreateAnswer", "create_rows"]

#: What came of one row.
CreateAnswer: TypeAlias = Outcome | SynclineError


def create_rows(
    table: str,
    rows: Sequence[NewRow],
    *,
    together: Callable[[Sequence[NewRow]], None],
    existing: Callable[[str, Sequence[str]], Collection[str]],
    still_ours: Callable[[], None],
) -> list[CreateAnswer]:
    """One answer for each row, in their order.

    `together` creates rows or none of them; `existing` says which of these ids a table has; `still_ours` raises when
    nothing may be sent any more. A refused call is asked about: which of its rows are there, which of the records they
    point to are not. What is left is tried again, and halved when even that is refused, down to the row at fault. An
    error that is no row's fault (throttled, away, no answer) is the answer of all rows that have none yet.
    """
    return _Creation(table, rows, together, existing, still_ours).run()


class _Creation:
    def __init__(
        self,
        table: str,
        rows: Sequence[NewRow],
        together: Callable[[Sequence[NewRow]], None],
        existing: Callable[[str, Sequence[str]], Collection[str]],
        still_ours: Callable[[], None],
    ) -> None:
        self._table = table
        self._rows = rows
        self._together = together
        self._existing = existing
        self._still_ours = still_ours
        self._answers: dict[int, CreateAnswer] = {}

    def run(self) -> list[CreateAnswer]:
        #: Groups of rows, each with what was asked about it so far.
        groups: list[tuple[list[int], int]] = [(list(range(len(self._rows))), 0)]
        try:
            while groups:
                group, asked = groups.pop()
                if group:
                    groups += self._create(group, asked)
        except SynclineError as error:
            return [self._answers.get(index, error) for index in range(len(self._rows))]
        return [self._answers[index] for index in range(len(self._rows))]

    def _create(self, group: list[int], asked: int) -> list[tuple[list[int], int]]:
        """Try a group; what is to be tried next instead."""
        self._still_ours()
        try:
            self._together([self._rows[index] for index in group])
        except ConflictError as error:
            for question in (self._leave_out_existing, self._leave_out_orphans)[asked:]:
                asked += 1
                rest = question(group)
                if len(rest) < len(group):
                    return [(rest, asked)]
            return self._halves(group, asked, error)
        except SkipRecordError as error:
            return self._halves(group, asked, error)
        self._answers |= dict.fromkeys(group, Outcome(kind=OutcomeKind.CREATED))
        return []

    def _halves(self, group: list[int], asked: int, error: SynclineError) -> list[tuple[list[int], int]]:
        if len(group) == 1:
            self._answers[group[0]] = error
            return []
        middle = len(group) // 2
        return [(group[:middle], asked), (group[middle:], asked)]

    def _leave_out_existing(self, group: list[int]) -> list[int]:
        there = self._existing(self._table, [self._rows[index].id for index in group])
        found = [index for index in group if self._rows[index].id in there]
        self._answers |= dict.fromkeys(found, Outcome(kind=OutcomeKind.IDENTICAL))
        return [index for index in group if self._rows[index].id not in there]

    def _leave_out_orphans(self, group: list[int]) -> list[int]:
        wanted: dict[str, set[str]] = {}
        for index in group:
            for key in self._rows[index].links.values():
                wanted.setdefault(key.table, set()).add(key.id)
        there = {table: self._existing(table, sorted(ids)) for table, ids in wanted.items()}
        rest = []
        for index in group:
            if all(key.id in there[key.table] for key in self._rows[index].links.values()):
                rest.append(index)
            else:
                self._answers[index] = Outcome(kind=OutcomeKind.PARENT_UNKNOWN, calls=0)
        return rest
