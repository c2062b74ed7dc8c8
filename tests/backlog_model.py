"""A backlog as a few dictionaries have it: what the contract says, without any storage.

What lives here: the model's values, and what random histories are drawn from. The histories and what is compared are in
`tests/contract/test_backlog_machine.py`.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from attrs import Factory, define, evolve, field
from hypothesis import strategies as st

from syncline.backlog import Group, Item, ItemState, Lane, Operation, Settling, suspects_together
from syncline.records import RecordKey

TABLES = ("contact", "account")
KEYS = [RecordKey(table=table, id=record) for table in TABLES for record in ("a", "b", "c")]
#: How many reads ago the oldest entries of a put were read.
OLDEST = 3


@define
class Change:
    """A change as the model has it."""

    seq: int
    payload: bytes | None
    lane: Lane
    first: bool
    refresh: bool
    ambiguous: bool = False
    attempts: int = 0
    crashes: int = 0
    place: int = 0
    #: It was held and may go.
    confirmed: bool = False
    #: What it was put as; that it is to be read anew after a failure does not change it.
    operation: Operation = field(
        default=Factory(
            lambda self: Operation.DELETE if self.payload is None and not self.refresh else Operation.UPSERT, True
        )
    )

    def merged(self, new: Change) -> Change:
        """What is queued when `new` comes before this one has gone."""
        winner = evolve(new, place=self.place, crashes=self.crashes) if new.seq >= self.seq else self
        return evolve(
            winner,
            lane=min(self.lane, new.lane),
            first=self.first or new.first,
            ambiguous=self.ambiguous or new.ambiguous,
        )

    def group(self, key: RecordKey, state: ItemState) -> Group:
        return Group(table=key.table, operation=self.operation, lane=self.lane, state=state)


@define
class Row:
    """A record in the queue as the model has it."""

    change: Change
    state: ItemState = ItemState.READY
    #: When a delayed row comes due, in the machine's own seconds.
    due: float = 0.0
    sending: bool = False
    waiting: Change | None = None


@define
class Letter:
    """An open dead letter as the model has it."""

    seq: int
    first: bool
    ambiguous: bool


def most_urgent(rows: dict[RecordKey, Row]) -> int:
    """The lane that goes first; behind all lanes where there are no rows."""
    return min((row.change.lane for row in rows.values()), default=max(Lane) + 1)


def next_suspects(suspects: dict[RecordKey, Row], limit: int) -> list[RecordKey]:
    """Of the most urgent lane those with the most crashes, of the table of the oldest of them."""
    lane = most_urgent(suspects)
    line = sorted(
        (-row.change.crashes, row.change.place, key) for key, row in suspects.items() if row.change.lane == lane
    )
    most, _, first = line[0]
    together = [key for number, _, key in line if number == most and key.table == first.table]
    return together[: min(limit, suspects_together(-most))]


def check_order(innocent: dict[RecordKey, Row], items: list[Item], limit: int) -> None:
    """Lane before lane, the oldest of each table first, and no table more than one ahead of another that waits."""
    assert len(items) == min(limit, len(innocent))
    taken = {item.key for item in items}
    assert taken <= innocent.keys()
    lanes = [innocent[item.key].change.lane for item in items]
    assert lanes == sorted(lanes)
    left = [key for key in innocent if key not in taken]
    assert all(innocent[key].change.lane >= max(lanes, default=Lane.CONSENT) for key in left)
    for lane in set(lanes):
        shares: Counter[str] = Counter({key.table: 0 for key in innocent if innocent[key].change.lane == lane})
        for table in shares:
            line = [key for key in innocent if key.table == table and innocent[key].change.lane == lane]
            line.sort(key=lambda key: innocent[key].change.place)
            mine = [item.key for item in items if item.key in line]
            shares[table] = len(mine)
            assert mine == line[: len(mine)]
        for key in left:
            if innocent[key].change.lane == lane:
                assert shares[key.table] >= max(shares.values()) - 1


#: What is drawn for a put: record, reads ago, payload, lane, first, refresh, only if it is queued.
Given: TypeAlias = tuple[RecordKey, int, bytes | None, Lane, bool, bool, bool]

ENTRIES: st.SearchStrategy[Given] = st.builds(
    lambda key, age, payload, lane, first, refresh, conditional: (
        key,
        age,
        None if refresh else payload,
        lane,
        first,
        refresh,
        conditional,
    ),
    st.sampled_from(KEYS),
    st.integers(0, OLDEST),
    st.sampled_from([None, b"{}", b'{"a":1}']),
    st.sampled_from(Lane),
    st.booleans(),
    st.booleans(),
    st.sampled_from([False, False, True]),
)
#: What waits for another record or is set aside has checks of its own; the model does not know it.
APART = (Settling.SET_ASIDE, Settling.WAITING)
ENDS = st.tuples(
    st.sampled_from([one for one in Settling if one not in APART]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 5, 100]),
    st.booleans(),
)
