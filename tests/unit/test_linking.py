"""Records that point to others, situation by situation: who goes, who waits, and who is set aside and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.forest import FOREST_KEYS, ForestHistory, ForestTarget, Planting
from tests.misbehaving import REFUSED, record_id

from syncline.backlog import DeadReason, Entry, Settlement, Settling
from syncline.records import RecordKey
from syncline.schemas import TableSchema
from syncline.views import ReconcileKind
from syncline.workflows.linking import _LATE
from syncline.workflows.owner import this_owner


def forest(*growths: tuple[str, int, str | None, str, int | None], **planting: Any) -> ForestHistory:
    """A history in which this was planted before anything was read."""
    history = ForestHistory(planting=Planting(**planting))
    history.grow_all(growths)
    return history


def letters(history: ForestHistory) -> dict[str, str]:
    """Record to reason of everything that is set aside."""
    return {str(letter.key): letter.reason.value for letter in history.workflow.dead_letters}


def named(table: str, number: int) -> str:
    return str(RecordKey(table=table, id=record_id(number)))


@pytest.mark.parametrize("by_pkey", [frozenset[str](), frozenset({"account", "contact", "visit"})])
def test_three_levels_are_in_step(by_pkey: frozenset[str]) -> None:
    """Parents first, whichever table is mapped first, and the links are there, written by either way."""
    tables = ("visit", "contact", "account")
    history = forest(("account", 0, "A", "a", None), ("account", 1, "B", "a", 0), by_pkey=by_pkey, tables=tables)
    history.grow_all([("contact", 0, "C", "a", 1), ("visit", 0, "D", "a", 0)])
    history.drain()
    assert history.wrongs() == []
    assert sum(map(len, history.world.stored.values())) == 4


def test_a_change_of_a_parent_holds_up_nobody() -> None:
    """Only what Campaign does not have, or is about to lose, is waited for."""
    history = forest(("account", 0, "A", "a", None), ("contact", 0, "C", "a", 0))
    history.drain()
    history.grow_all([("account", 0, "B", "a", None), ("contact", 0, "D", "a", 0)])
    report = history.cycle()
    assert (report.written, history.workflow.backlog.waiting) == (2, 0)


def test_a_waiting_child_is_seen() -> None:
    """In the backlog, in the line of the Workflows page, and in its data."""
    history = forest(("account", 0, "A", "a", None), ("contact", 0, "C", "a", 0))
    history.target_faults(["lost before"] * 30)
    history.cycle()
    backlog = history.workflow.backlog
    assert (backlog.size, backlog.waiting) == (2, 1)
    assert "1 waiting for their parent" in history.workflow.view.to_text(100)
    assert backlog.as_data()["waiting"] == 1
    history.target.faults.clear()
    history.drain()
    assert history.wrongs() == []


def test_a_child_moves() -> None:
    """A lookup that changes is a change, also when nothing else did; an emptied one empties the link."""
    history = forest(("account", 0, "A", "a", None), ("account", 1, "B", "a", None), ("contact", 0, "C", "a", 0))
    history.drain()
    for parent in (1, None):
        history.grow_all([("contact", 0, "C", "a", parent)])
        history.drain()
        (row,) = history.world.stored["profile"]
        assert row["accountId"] == (None if parent is None else record_id(parent))


def test_the_child_of_a_dead_parent_follows_it_and_comes_back_with_it() -> None:
    """Both are set aside, the child naming the parent and what to do; when the parent lands so does the child."""
    history = forest(("account", 0, REFUSED, "a", None), ("contact", 0, "C", "a", 0), ("visit", 0, "V", "a", 0))
    history.drain()
    assert letters(history) == {
        named("account", 0): "refused",
        named("contact", 0): "parent",
        named("visit", 0): "parent",
    }
    (letter,) = history.workflow.dead_letters.list(table="contact")
    assert letter.parent == RecordKey(table="account", id=record_id(0))
    assert letter.field == "accountid"
    assert "follows by itself" in letter.message
    history.grow_all([("account", 0, "A", "a", None)])
    history.drain()
    assert letters(history) == {}
    assert history.wrongs() == []


def test_the_child_of_a_filtered_parent_says_so() -> None:
    """A parent outside the filters never comes: the child is set aside at once, and follows when it passes them."""
    history = forest(("account", 0, "A", "b", None), ("contact", 0, "C", "a", 0), filtered=frozenset({"account"}))
    history.drain()
    (letter,) = history.workflow.dead_letters
    assert (letter.reason, letter.parent) == (DeadReason.PARENT, RecordKey(table="account", id=record_id(0)))
    assert "filters of account" in letter.message
    history.grow_all([("account", 0, "A", "a", None)])
    history.drain()
    assert history.wrongs() == []


def test_a_parent_that_campaign_has_anyway_will_do() -> None:
    """Somebody else's record with the same key is there, whatever the filters say."""
    history = forest(("account", 0, "A", "b", None), ("contact", 0, "C", "a", 0), filtered=frozenset({"account"}))
    history.world.stored["cusAccount"].append({"accountId": record_id(0), "lastName": "of others"})
    history.drain()
    assert letters(history) == {}
    assert len(history.world.stored["profile"]) == 1


def test_a_lookup_that_leads_nowhere_is_told() -> None:
    """Dynamics does not show the record: the child is read once more, and then set aside."""
    history = forest(("contact", 0, "C", "a", None))
    history.world.rows["contact", record_id(0)]["accountid"] = record_id(9)
    history.drain()
    (letter,) = history.workflow.dead_letters
    assert named("account", 9) in letter.message
    assert "does not show that record" in letter.message


def test_records_that_wait_for_each_other_end() -> None:
    """A circle of rows is set aside and says who is in it; when it is opened, all of them are written."""
    history = forest(*(("account", number, "A", "a", None) for number in range(3)))
    for number in range(3):
        history.world.rows["account", record_id(number)]["parentid"] = record_id((number + 1) % 3)
    history.drain()
    messages = [letter.message for letter in history.workflow.dead_letters]
    assert len(messages) == 3
    assert any("wait for each other" in message and message.count("account(") >= 4 for message in messages)
    history.grow_all([("account", 0, "A", "a", None)])
    history.drain()
    assert history.wrongs() == []
    assert len(history.world.stored["cusAccount"]) == 3


def test_a_record_that_points_to_itself_ends() -> None:
    """It would wait for itself."""
    history = forest(("account", 0, "A", "a", None))
    history.world.rows["account", record_id(0)]["parentid"] = record_id(0)
    history.drain()
    assert "wait for each other" in next(iter(history.workflow.dead_letters)).message


@pytest.mark.parametrize("length", [1, 2, 3])
def test_records_that_campaign_has_may_point_at_each_other(length: int) -> None:
    """Nothing is missing that they could wait for, although all of the circle changes at once."""
    history = forest(*(("account", number, "A", "a", None) for number in range(length)))
    history.drain()
    for number in range(length):
        history.grow_all([("account", number, "B", "a", None)])
        history.world.rows["account", record_id(number)]["parentid"] = record_id((number + 1) % length)
    history.drain()
    assert (letters(history), history.workflow.backlog.size) == ({}, 0)
    for row in history.world.stored["cusAccount"]:
        assert row["lastName"] == "B"
    assert history.wrongs() == []


@pytest.mark.parametrize("length", [2, 3])
def test_workers_that_have_a_circle_in_hand_between_them_wait_for_nothing(length: int) -> None:
    """Each decides at the same moment that its record waits for one of another worker: no time has to pass."""
    history = forest(*(("account", number, "A", "a", None) for number in range(length)))
    for number in range(length):
        history.world.rows["account", record_id(number)]["parentid"] = record_id((number + 1) % length)
        history.world.stored["cusAccount"].append({"accountId": record_id(number), "lastName": "of others"})
    history.drain()
    storage, name, minute = history.storage, history.workflow.id, timedelta(minutes=1)
    crew = [storage.acquire(name, this_owner(), minute, workers=length) for _ in range(length)]
    workers = [worker for worker in crew if worker is not None]
    keys = [RecordKey(table="account", id=record_id(number)) for number in range(length)]
    seq = storage.next_read(workers[0])
    storage.put(workers[0], [Entry(key=key, seq=seq, payload=None, refresh=True) for key in keys])
    waits = [
        Settlement(
            item=storage.lease(worker, 1)[0],
            settling=Settling.WAITING,
            parent=keys[(number + 1) % length],
            parent_queued=True,
            retry_at=storage.now() + minute,
        )
        for number, worker in enumerate(workers)
    ]
    for worker, wait in zip(workers, waits, strict=True):
        storage.settle(worker, [wait])
        storage.release(worker)

    history.cycle()

    assert (history.workflow.backlog.size, letters(history), history.wrongs()) == (0, {}, [])


@pytest.mark.parametrize("length", [1, 2, 3])
def test_records_of_a_circle_that_syncline_did_not_write_are_looked_up(length: int) -> None:
    """What Campaign has is not waited for, whoever wrote it: the records are updated."""
    history = forest(*(("account", number, "A", "a", None) for number in range(length)))
    for number in range(length):
        history.world.rows["account", record_id(number)]["parentid"] = record_id((number + 1) % length)
        history.world.stored["cusAccount"].append({"accountId": record_id(number), "lastName": "of others"})
    history.drain()
    assert (letters(history), history.wrongs()) == ({}, [])


@pytest.mark.parametrize("length", [1, 2, 3])
def test_records_of_a_circle_that_were_changed_in_campaign_are_mended(length: int) -> None:
    """A comparison leaves nothing of what the ledger believed: whether Campaign has them is asked, and not assumed."""
    history = forest(*(("account", number, "A", "a", None) for number in range(length)))
    history.drain()
    for number in range(length):
        history.grow_all([("account", number, "B", "a", None)])
        history.world.rows["account", record_id(number)]["parentid"] = record_id((number + 1) % length)
    history.drain()
    for row in history.world.stored["cusAccount"]:
        row["lastName"] = "changed by hand"
    assert history.workflow.reconcile("account", queue=True).queued == length
    history.drain()
    assert (letters(history), history.wrongs()) == ({}, [])


def test_a_record_that_is_as_it_was_is_no_dead_letter_any_more() -> None:
    """It was set aside over a change that was taken back: in step again, whether its page or a retry shows it."""
    history = forest(("account", 0, "A", "a", None), ("account", 1, "A", "a", None))
    history.drain()
    history.grow_all([("account", 0, REFUSED, "a", None), ("account", 1, REFUSED, "a", None)])
    history.cycle()
    assert len(history.workflow.dead_letters) == 2
    history.grow_all([("account", 0, "A", "a", None)])
    history.advance(4_000)
    history.cycle()
    assert [letter.key.id for letter in history.workflow.dead_letters] == [record_id(1)]
    history.world.pages.append("contradictory")  # so that the record is read by key
    history.grow_all([("account", 1, "A", "a", None)])
    history.advance(4_000)
    history.cycle()
    assert len(history.workflow.dead_letters) == 0
    assert history.storage.audit(history.workflow.id) == []


def test_a_wait_has_an_end() -> None:
    """A parent that gets nowhere for a day: its child is set aside with its name, and follows when it lands."""
    history = forest(("account", 0, "A", "a", None), ("contact", 0, "C", "a", 0))
    history.target_faults(["lost before"] * 60)
    for _ in range(8):
        history.cycle(records=3)
        assert not letters(history)
        history.advance(150)
    for _ in range(4):
        history.advance(30_000)
        history.cycle()
    assert letters(history) == {named("contact", 0): "parent"}
    (letter,) = history.workflow.dead_letters
    assert _LATE.partition("{")[0] in letter.message
    assert "24 hours" in letter.message
    history.target.faults.clear()
    history.drain()
    assert letters(history) == {}
    assert history.wrongs() == []


class _Witness(ForestTarget):
    """Notes the order of deletions."""

    deleted: list[str]

    def delete(self, resource: TableSchema, ref: str) -> None:
        super().delete(resource, ref)
        self.deleted.append(resource.name)


def test_children_are_deleted_first() -> None:
    """A parent's deletion waits until the deletions below it were read and made, whichever was told first."""
    history = ForestHistory(planting=Planting(tables=("account", "contact", "visit")), cascades=True)
    history.grow_all([("account", 0, "A", "a", None), ("contact", 0, "C", "a", 0), ("visit", 0, "V", "a", 0)])
    history.drain()
    witness = _Witness(history.world, history.target, refuses_duplicates=True)
    witness.deleted = []
    history.workflow._campaign = witness
    history.grow_all([("account", 0, None, "a", None)])
    for _ in range(6):
        history.cycle()
        history.advance(20)
    assert witness.deleted == ["cusVisit", "profile", "cusAccount"]
    assert not any(history.world.stored[resource] for resource in FOREST_KEYS)


@pytest.mark.parametrize("sweep", [False, True])
def test_a_link_by_pkey_that_campaign_emptied_is_mended(sweep: bool) -> None:
    """A parent that left and came back has another PKey: its child, which did not change, is found by comparing."""
    history = forest(
        ("account", 0, "A", "a", None),
        *(("contact", number, "C", "a", 0) for number in range(2)),
        by_pkey=frozenset({"contact"}),
        filtered=frozenset({"account"}),
        delete_filtered_out=True,
    )
    history.drain()
    if sweep:
        history.advance(7 * 86_400)
        history.drain()
    for kind in "ba":
        history.grow_all([("account", 0, "A", kind, None)])
        history.drain()
    assert [row["account"] for row in history.world.stored["profile"]] == [None, None]
    if sweep:
        history.advance(7 * 86_400)
        history.drain()
        assert history.workflow.sweeps["contact"].mended_ever == 2
    else:
        report = history.workflow.reconcile("contact", queue=True)
        assert [record.fields for record in report] == [("account",), ("account",)]
        assert report.calls == 3, "a look at each child, and one at the parent"
    history.drain()
    assert history.wrongs() == []
    assert history.workflow.reconcile("contact").in_step


def test_an_empty_link_by_pkey_to_what_campaign_does_not_have_is_in_step() -> None:
    """Nothing could be written there: the child stays as it is until its parent comes back."""
    history = forest(("account", 0, "A", "a", None), ("contact", 0, "C", "a", 0), by_pkey=frozenset({"contact"}))
    history.drain()
    history.world.remove("cusAccount", record_id(0))
    assert history.workflow.reconcile("contact").in_step
    assert not history.workflow.reconcile("account", queue=True).in_step
    history.drain()
    assert history.workflow.reconcile("contact").counts[ReconcileKind.DIFFERENT] == 1
