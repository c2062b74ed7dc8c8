"""One transaction of the SQL storage, and what every room needs inside it.

What lives here: names to ids, the time, numbers that only grow, the guard of a grant, and the changes of counters,
which are collected while the transaction runs and written once before it commits. No rules of the queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from attrs import define, field, frozen

from syncline.backlog import Grant, ItemState, Operation
from syncline.errors import LeaseLostError, StorageCorruptError
from syncline.storage.dialect import Session

__all__ = ["DELAYED", "DELETE", "LEASED", "OPERATIONS", "READY", "STATES", "UPSERT", "Held", "Names", "Transaction"]

#: What the columns `op` and `state` mean.
OPERATIONS: Final = (Operation.UPSERT, Operation.DELETE)
UPSERT, DELETE = range(2)
STATES: Final = (ItemState.READY, ItemState.DELAYED, ItemState.LEASED)
READY, DELAYED, LEASED = range(3)

_TOTALS: Final = ("put", "written", "superseded", "skipped", "dead", "discarded", "refused", "open_letters")


@define
class Names:
    """Ids that were seen in the database: names never change theirs. Emptied whenever that may not hold."""

    workflows: dict[str, int] = field(factory=dict)
    tables: dict[tuple[int, str], int] = field(factory=dict)
    table_names: dict[int, str] = field(factory=dict)

    def forget(self) -> None:
        self.workflows.clear()
        self.tables.clear()
        self.table_names.clear()


@frozen
class Held:
    """What a grant holds, as of this transaction."""

    grant: Grant
    workflow_id: int
    #: Dead letters of the workflow that are open.
    open_letters: int
    #: The table that was served last.
    turn: int


@define(eq=False)
class Transaction:
    """What the rooms of the storage work with."""

    session: Session
    _names: Names
    _time: Callable[[Session], int]
    _groups: Counter[tuple[int, int, int, int]] = field(factory=Counter)
    _totals: dict[int, Counter[str]] = field(factory=dict)
    _now: int | None = None

    @property
    def now(self) -> int:
        """The time in microseconds; one moment for the whole transaction."""
        if self._now is None:
            self._now = self._time(self.session)
        return self._now

    # -- names --------------------------------------------------------------------------------------------------

    def workflow_id(self, workflow: str) -> int:
        """Raises KeyError when it was never registered."""
        found = self._names.workflows.get(workflow)
        if found is None:
            row = self.session.row("workflow_id", (workflow,))
            if row is None:
                raise KeyError(workflow)
            found = self._names.workflows[workflow] = row[0]
        return found

    def find_table(self, workflow_id: int, table: str) -> int | None:
        """The table's id, or None when nothing was ever stored for it."""
        found = self._names.tables.get((workflow_id, table))
        if found is None:
            row = self.session.row("table_id", (workflow_id, table))
            if row is None:
                return None
            found = self._names.tables[workflow_id, table] = row[0]
            self._names.table_names[found] = table
        return found

    def table_id(self, workflow_id: int, table: str) -> int:
        """The table's id; a new one when nothing was ever stored for it."""
        found = self.find_table(workflow_id, table)
        if found is None:
            self.session.run("add_table", (workflow_id, table))
            found = self.find_table(workflow_id, table)
            if found is None:
                raise StorageCorruptError(f"table {table} was added and is not there.")
        return found

    def table_names(self, workflow_id: int) -> dict[int, str]:
        """All tables of a workflow."""
        return dict(self.session.rows("table_names", (workflow_id,)))

    def table_name(self, workflow_id: int, table_id: int) -> str:
        """The name of a table that has an id."""
        names = self._names.table_names
        if table_id not in names:
            names.update(self.table_names(workflow_id))
        return names[table_id]

    # -- guards and numbers -------------------------------------------------------------------------------------

    def held(self, grant: Grant) -> Held | None:
        """What the grant holds, or None when another one followed, it was given back, or its generation passed."""
        row = self.session.row("hold", (grant.workflow, grant.generation, grant.epoch, grant.owner))
        return None if row is None else Held(grant, *row)

    def hold(self, grant: Grant) -> Held:
        """What the grant holds. Raises LeaseLostError when it holds no more."""
        held = self.held(grant)
        if held is None:
            raise LeaseLostError(
                f"The grant with epoch {grant.epoch} to work on {grant.workflow} no longer holds.",
                remedy="Another process took over or the workflow was started anew; this one changed nothing more.",
            )
        return held

    def take_numbers(self, sequence: str, count: int = 1) -> int:
        """The first of `count` numbers that were never given before."""
        self.expect(1, self.session.run("take_numbers", (count, sequence)))
        row = self.session.row("last_number", (sequence,))
        if row is None:
            raise StorageCorruptError(f"the number sequence {sequence} is missing.")
        last: int = row[0]
        return last - count + 1

    @staticmethod
    def expect(wanted: int, changed: int) -> None:
        """Raises StorageCorruptError, which ends the transaction, when a guarded write did not change what it must."""
        if changed != wanted:
            raise StorageCorruptError(f"a guarded write changed {changed} rows instead of {wanted}: nothing was kept.")

    # -- counters -----------------------------------------------------------------------------------------------

    def count(self, table_id: int, op: int, lane: int, state: int, change: int = 1) -> None:
        """Note that this many more (or fewer) changes stand here."""
        self._groups[table_id, op, lane, state] += change

    def move(self, table_id: int, op: int, lane: int, state: int, to: int, count: int = 1) -> None:
        """Note that changes went from one state to another."""
        self._groups[table_id, op, lane, state] -= count
        self._groups[table_id, op, lane, to] += count

    def total(self, workflow_id: int, **changes: int) -> None:
        """Note what is to be added to the totals of a workflow."""
        self._totals.setdefault(workflow_id, Counter()).update(changes)

    def flush(self) -> None:
        """Write what was noted. The database refuses a counter below zero."""
        for group, change in self._groups.items():
            if change and not self.session.run("add_to_counter", (change, *group)):
                self.session.run("start_counter", (change, *group))
        for workflow_id, changes in self._totals.items():
            if any(changes.values()):
                added = [changes[name] for name in _TOTALS]
                self.expect(1, self.session.run("add_to_totals", (*added, workflow_id)))
        self._groups.clear()
        self._totals.clear()
