"""Checks of claiming: what is eligible, in what order, and that a claim counts."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from syncline.backlog import ItemState, Lane, Settlement, Settling
from syncline.testing.storage_checks.subject import WORKFLOW, Subject, entry, ids, settlements


def check_the_oldest_leave_first(subject: Subject) -> None:
    """Within a table and a lane the row that was queued first is leased first, and none twice."""
    grant, storage = subject.grant(), subject.storage
    for record in "cab":
        storage.put(grant, [entry(record)])
    assert ids(storage.lease(grant, 2)) == ["c", "a"]
    assert ids(storage.lease(grant, 2)) == ["b"]
    assert storage.lease(grant, 2) == []
    assert storage.lease(grant, 0) == []
    subject.exact()


def check_lanes_go_before_each_other(subject: Subject) -> None:
    """Consent before live before bulk, however old the others are."""
    grant = subject.grant()
    lanes = {"b": Lane.BULK, "l": Lane.LIVE, "c": Lane.CONSENT}
    for record, lane in lanes.items():
        subject.storage.put(grant, [entry(record, lane=lane)])
    assert ids(subject.lease(grant)) == ["c", "l", "b"]


def check_tables_take_turns(subject: Subject) -> None:
    """A long queue of one table does not hold up another one, whether many or few rows are asked for."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry(f"c{number}") for number in range(20)])
    storage.put(grant, [entry(f"a{number}", table="account") for number in range(3)])
    taken = storage.lease(grant, 4)
    assert sorted(ids(taken)) == ["a0", "a1", "c0", "c1"]
    singles = [storage.lease(grant, 1)[0].key.table for _ in range(2)]
    assert sorted(singles) == ["account", "contact"]
    rest = storage.lease(grant, 100)
    assert len(rest) == 17
    subject.exact()


def check_turns_reach_every_table(subject: Subject) -> None:
    """With more tables than rows asked for, each table has its turn."""
    grant, storage = subject.grant(), subject.storage
    tables = [f"t{number}" for number in range(5)]
    for table in tables:
        storage.put(grant, [entry(f"{table}-{number}", table=table) for number in range(4)])
    served = [item.key.table for _ in range(5) for item in storage.lease(grant, 2)]
    assert sorted(served) == sorted(tables * 2)


def check_attempts_count_at_the_claim(subject: Subject) -> None:
    """A claim counts when it is made; a failure of the service gives it back, a release too."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a"))[0]
    assert item.attempts == 1
    retry = Settlement(item=item, settling=Settling.RETRY)
    storage.settle(grant, [retry])
    item = subject.one(grant)
    assert item.attempts == 2
    storage.settle(grant, [evolve(retry, item=item, counts=False)])
    item = subject.one(grant)
    assert item.attempts == 2
    storage.settle(grant, [Settlement(item=item, settling=Settling.RELEASED)])
    assert subject.one(grant).attempts == 2


def check_delayed_rows_come_back_in_time(subject: Subject) -> None:
    """A delayed row is leased when its time has come, not before, at its old place; `next_due` tells when."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a"))[0]
    due = storage.now() + timedelta(seconds=30)
    storage.settle(grant, [Settlement(item=item, settling=Settling.RETRY, retry_at=due)])
    storage.put(grant, [entry("b")])
    assert storage.next_due(WORKFLOW) == due
    assert subject.in_state(ItemState.DELAYED) == 1
    assert ids(subject.lease(grant)) == ["b"]
    subject.wait(31)
    storage.put(grant, [entry("c")])
    assert ids(subject.lease(grant)) == ["a", "c"]
    assert storage.next_due(WORKFLOW) is None
    subject.exact()


def check_the_next_due_row_is_the_earliest(subject: Subject) -> None:
    """Of many delayed rows in several tables `next_due` names the first."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, entry("a"), entry("b"), entry("c", table="account"))
    now = storage.now()
    waits = {"a": 50, "b": 40, "c": 30}
    storage.settle(
        grant,
        [
            Settlement(item=item, settling=Settling.RETRY, retry_at=now + timedelta(seconds=waits[item.key.id]))
            for item in items
        ],
    )
    assert storage.next_due(WORKFLOW) == now + timedelta(seconds=30)
    subject.wait(45)
    assert sorted(ids(subject.lease(grant))) == ["b", "c"]


def check_marking_tells_what_is_still_ours(subject: Subject) -> None:
    """Only rows that are leased under the grant are to be sent."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, entry("a"), entry("b"))
    assert list(storage.mark_sending(grant, items)) == items
    assert list(storage.mark_sending(grant, items[:1])) == items[:1]
    subject.end(grant, items[0])
    assert list(storage.mark_sending(grant, items)) == items[1:]
    assert list(storage.mark_sending(grant, [])) == []


def check_counts_tell_states_lanes_and_age(subject: Subject) -> None:
    """The counts tell table, operation, lane and state, and since when the oldest row waits, in every state."""
    grant, storage = subject.grant(), subject.storage
    assert storage.counts(WORKFLOW).oldest is None
    storage.put(grant, [entry("a")])
    oldest = storage.counts(WORKFLOW).oldest
    assert oldest is not None
    subject.wait(10)
    storage.put(grant, [entry("b"), entry("c", lane=Lane.BULK)])
    (item,) = storage.lease(grant, 1)
    assert storage.counts(WORKFLOW).oldest == oldest == item.queued_at
    later = storage.now() + timedelta(hours=1)
    storage.settle(grant, [Settlement(item=item, settling=Settling.RETRY, retry_at=later)])
    assert storage.counts(WORKFLOW).oldest == oldest
    storage.lease(grant, 1)
    found = {(group.lane, group.state): number for group, number in storage.counts(WORKFLOW).groups.items()}
    assert found == {
        (Lane.LIVE, ItemState.DELAYED): 1,
        (Lane.LIVE, ItemState.LEASED): 1,
        (Lane.BULK, ItemState.READY): 1,
    }
    subject.wait(3601)
    storage.settle(grant, settlements(storage.lease(grant, 1)))
    newer = storage.counts(WORKFLOW).oldest
    assert newer is not None
    assert newer > oldest
