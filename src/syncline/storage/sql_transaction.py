"""One transaction of the SQL storage, and what every room needs inside it.

What lives here: names to ids, the time, numbers that only grow, the guard of a grant, and the changes of counters,
which are collected while the transaction runs and written once before it commits. No rules of the queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from attrs import define, field, frozen

from syncline.backlog import Grant, ItemState, Lane, Operation
from syncline.errors import LeaseLostError, StorageCorruptError
from syncline.storage.dialect import Session

__all__ = [
    "DELAYED",
    "DELETE",
    "GROUPS",
    "HELD",
    "LEASED",
    "OPERATIONS",
    "READY",
    "STATES",
    "UPSERT",
    "WAITING",
    "Held",
    "Names",
    "Transaction",
]

#: What the column `op` means, and the third part of a group of counted changes.
OPERATIONS: Final = (Operation.UPSERT, Operation.DELETE)
UPSERT, DELETE = range(2)
STATES: Final = (ItemState.READY, ItemState.DELAYED, ItemState.LEASED, ItemState.HELD, ItemState.WAITING)
READY, DELAYED, LEASED, HELD, WAITING = range(5)

_NAMES_OF_GROUPS: Final[Mapping[tuple[int, int, int], str]] = MappingProxyType(
    {
        (op, int(lane), state): f"{operation}.{lane.name.lower()}.{STATES[state]}"
        for op, operation in enumerate(OPERATIONS)
        for lane in Lane
        for state in range(len(STATES))
    }
)
#: Operation, lane and state of what a counter counts, by the counter's name.
GROUPS: Final[Mapping[str, tuple[int, int, int]]] = MappingProxyType(
    {name: group for group, name in _NAMES_OF_GROUPS.items()}
)
_TOTALS: Final = (
    "put", "written", "superseded", "skipped", "dead", "discarded", "refused", "set_aside", "open", "read", "turn",
)  # fmt: skip


@define
class Names:
    """Ids that were seen in the database: names never change theirs. Only what was committed is in here."""

    workflows: dict[str, int] = field(factory=dict)
    tables: dict[tuple[int, str], int] = field(factory=dict)
    table_names: dict[int, str] = field(factory=dict)

    def copy(self) -> Names:
        return Names(dict(self.workflows), dict(self.tables), dict(self.table_names))


@frozen
class Held:
    """What a grant holds, as of this transaction."""

    grant: Grant
    workflow_id: int
    #: Whether it is the reader's.
    reads: bool = True

    @property
    def epoch(self) -> int:
        return self.grant.epoch


@define(eq=False)
class Transaction:
    """What the rooms of the storage work with."""

    session: Session
    _names: Names
    #: Microseconds that time runs ahead of the database's, in tests.
    _ahead: int
    _changes: Counter[tuple[int, str]] = field(factory=Counter)
    #: What counters were at the beginning, as far as anybody asked: while the transaction is alone they stay that.
    _counters: dict[tuple[int, str], int] = field(factory=dict)
    #: The table that was served last, by workflow.
    _turns: dict[int, int] = field(factory=dict)
    _now: int | None = None

    @property
    def now(self) -> int:
        """The time in microseconds; one moment for the whole transaction."""
        if self._now is None:
            self._now = self.session.now() + self._ahead
        return self._now

    # -- names --------------------------------------------------------------------------------------------------

    def adds_names(self) -> None:
        """Keep the names that are learnt from here on to this transaction: it may not come true."""
        self._names = self._names.copy()

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
            self.adds_names()
            self.session.run("add_table", (workflow_id, table))
            found = self.find_table(workflow_id, table)
            if found is None:
                raise StorageCorruptError(f"table {table} was added and is not there.")
            self.session.run_many("start_counter", [(found, name) for name in (*GROUPS, "known")])
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

    # -- guards -------------------------------------------------------------------------------------------------

    def held(self, grant: Grant) -> Held | None:
        """What the grant holds, or None when another one followed, it was given back, or its generation passed."""
        row = self.session.row("hold", (grant.workflow, grant.generation, grant.epoch, grant.owner))
        return None if row is None else Held(grant, row[0], row[1] == 1)

    def hold(self, grant: Grant) -> Held:
        """What the grant holds. Raises LeaseLostError when it holds no more."""
        held = self.held(grant)
        if held is None:
            raise LeaseLostError(
                f"The grant with epoch {grant.epoch} to work on {grant.workflow} no longer holds.",
                remedy="Another process took over or the workflow was started anew; this one changed nothing more.",
            )
        return held

    def hold_reader(self, grant: Grant) -> Held:
        """The same for what only the reader may do. Raises LeaseLostError when the grant is a writer's, too."""
        held = self.hold(grant)
        if not held.reads:
            raise LeaseLostError(
                f"The grant with epoch {grant.epoch} to work on {grant.workflow} is no reader's.",
                remedy="Nothing was changed. This is a mistake in the engine: report it.",
            )
        return held

    @staticmethod
    def expect(wanted: int, changed: int) -> None:
        """Raises StorageCorruptError, which ends the transaction, when a guarded write did not change what it must."""
        if changed != wanted:
            raise StorageCorruptError(f"a guarded write changed {changed} rows instead of {wanted}: nothing was kept.")

    # -- counters -----------------------------------------------------------------------------------------------

    def count(self, table_id: int, op: int, lane: int, state: int, change: int = 1) -> None:
        """Note that this many more (or fewer) changes stand here."""
        self._changes[table_id, _NAMES_OF_GROUPS[op, lane, state]] += change

    def count_all(self, groups: Iterable[tuple[int, int, int]], state: int, sign: int = 1) -> None:
        """Note one change more (or less) for each (table, operation, lane)."""
        for (table_id, op, lane), number in Counter(groups).items():
            self.count(table_id, op, lane, state, sign * number)

    def count_known(self, table_id: int, change: int) -> None:
        """Note that the ledger knows this many more (or fewer) records of a table."""
        self._changes[table_id, "known"] += change

    def total(self, workflow_id: int, **changes: int) -> None:
        """Note what is to be added to the totals of a workflow."""
        for name, change in changes.items():
            self._changes[-workflow_id, name] += change

    def totals(self, workflow_id: int) -> dict[str, int]:
        """All totals of a workflow, as of the transaction's beginning."""
        return dict(self.session.rows("totals", (-workflow_id,)))

    def counter(self, scope: int, name: str) -> int:
        """One counter, with what this transaction adds to it."""
        found = self._counters.get((scope, name))
        if found is None:
            row = self.session.row("counter", (scope, name))
            if row is None:
                raise StorageCorruptError(f"the counter {name} of {scope} is missing.")
            found = self._counters[scope, name] = int(row[0])
        return found + self._changes[scope, name]

    def open_letters(self, workflow_id: int) -> int:
        """Dead letters of the workflow that are open."""
        return self.counter(-workflow_id, "open")

    def known(self, table_id: int) -> int:
        """How many records of the table the ledger has."""
        return self.counter(table_id, "known")

    def turn(self, workflow_id: int) -> int:
        """The table that was served last."""
        return self._turns.get(workflow_id) or self.counter(-workflow_id, "turn")

    def set_turn(self, workflow_id: int, table_id: int) -> None:
        """Note which table was served last."""
        self._turns[workflow_id] = table_id

    def next_read(self, workflow_id: int) -> int:
        """A read sequence that was never given before for this workflow."""
        last = self.counter(-workflow_id, "read")
        self.total(workflow_id, read=1)
        return last + 1

    def next_epoch(self) -> int:
        """An epoch that was never given before."""
        return self.session.take("epoch", 1)

    def next_ids(self, count: int) -> int:
        """The first of `count` ids that no row of the queue ever had."""
        return self.session.take("number", count)

    def start_totals(self, workflow_id: int) -> None:
        """Let the totals of a new workflow begin."""
        self.session.run_many("start_counter", [(-workflow_id, name) for name in _TOTALS])

    def flush(self) -> None:
        """Write what was noted. The database refuses a counter below zero.

        At the very end, and the turns first, whose scopes are below all others that a lease counts in: transactions
        that run side by side lock counters for a moment only, and in one order.
        """
        for workflow_id, table_id in self._turns.items():
            self.expect(1, self.session.run("set_turn", (table_id, -workflow_id)))
        self._turns.clear()
        changes = [(change, *counter) for counter, change in self._changes.items() if change]
        if changes:
            self.expect(len(changes), self.session.run_many("add_to_counter", changes))
        self._changes.clear()
        self._counters.clear()
