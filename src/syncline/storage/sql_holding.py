"""Deletions that are held, over SQL.

What lives here: how held rows are told, let go, confirmed, discarded and judged anew. A row comes to be held in
`sql_settling`, and leaves the hold for a newer change in `sql_putting`. How many are too many is for the caller.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from syncline.backlog import SUSPECT_AFTER, Lane, suspicion
from syncline.holds import Hold, Judgement
from syncline.storage import sql_workflows
from syncline.storage.columns import as_datetime, as_microseconds, key_to_id
from syncline.storage.sql_transaction import DELETE, GROUPS, HELD, READY, UPSERT, Held, Transaction
from syncline.store import ActionEntry

__all__ = ["confirm_held", "discard_held", "held_records", "holds", "judge_held", "unhold"]


def holds(tx: Transaction, workflow: str) -> dict[str, Hold]:
    """See `Storage.holds`."""
    workflow_id = tx.workflow_id(workflow)
    held: dict[int, int] = {}
    for table_id, _, name, number in tx.session.rows("queued", (workflow_id,)):
        if GROUPS[name][2] == HELD:
            held[table_id] = held.get(table_id, 0) + number
    return {
        name: Hold(
            held=held.get(table_id, 0),
            asked=bool(asked),
            let_go=let_go,
            let_go_from=None if since is None else as_datetime(since),
        )
        for table_id, name, asked, let_go, since in tx.session.rows("holds", (workflow_id,))
        if table_id in held or asked or let_go
    }


def held_records(tx: Transaction, workflow: str, table: str, limit: int) -> list[str]:
    """See `Storage.held_records`."""
    table_id = tx.find_table(tx.workflow_id(workflow), table)
    if table_id is None or limit < 1:
        return []
    return [key_to_id(key) for (key,) in tx.session.rows("held_records", (table_id, limit))]


def judge_held(tx: Transaction, held: Held, table: str, *, most: int, window: timedelta) -> Judgement:
    """See `Storage.judge_held`."""
    table_id = tx.table_id(held.workflow_id, table)
    hold = holds(tx, held.grant.workflow).get(table)
    if hold is None or not hold.held:
        tx.expect(1, tx.session.run("set_asked", (0, table_id)))
        return Judgement(released=0, held=0, newly_asked=False)
    if hold.asked:
        return Judgement(released=0, held=hold.held, newly_asked=False)
    now = as_datetime(tx.now)
    let_go, since = hold.let_go, hold.let_go_from
    if since is None or now - since >= window:
        let_go, since = 0, now
    if let_go + hold.held > most:
        tx.expect(1, tx.session.run("set_asked", (1, table_id)))
        note = ActionEntry(at=now, action="hold deletes", detail=_numbered(table, hold.held))
        sql_workflows.note(tx, held.workflow_id, note)
        return Judgement(released=0, held=hold.held, newly_asked=True)
    released = _let_go(tx, table_id)
    tx.expect(1, tx.session.run("set_let_go", (let_go + released, as_microseconds(since), table_id)))
    return Judgement(released=released, held=0, newly_asked=False)


def unhold(tx: Transaction, held: Held) -> int:
    """See `Storage.unhold`."""
    found = tx.session.rows("held_before", (held.workflow_id, held.grant.generation))
    if not found:
        return 0
    bulk = int(Lane.BULK)
    for table_id, _, lane, _, is_delete in found:
        tx.count(table_id, DELETE, lane, HELD, -1)
        tx.count(table_id, DELETE if is_delete else UPSERT, bulk, READY)
    rows = [(DELETE if is_delete else UPSERT, bulk, item_id) for _, item_id, _, _, is_delete in found]
    tx.expect(len(found), tx.session.run_many("requeue_item", rows))
    tx.expect(len(found), tx.session.run_many("remove_held", [(table_id, item_id) for table_id, item_id, *_ in found]))
    ready = [(table_id, bulk, suspicion(crashes), item_id) for table_id, item_id, _, crashes, _ in found]
    tx.expect(len(found), tx.session.run_many("add_ready", ready))
    return len(found)


def confirm_held(tx: Transaction, workflow: str, table: str, action: ActionEntry) -> int:
    """See `Storage.confirm_held`."""
    workflow_id = tx.workflow_id(workflow)
    table_id = tx.find_table(workflow_id, table)
    if table_id is None:
        return 0
    confirmed = _let_go(tx, table_id)
    _close(tx, workflow_id, table_id, action, table, confirmed)
    return confirmed


def discard_held(tx: Transaction, workflow: str, table: str, action: ActionEntry) -> int:
    """See `Storage.discard_held`."""
    workflow_id = tx.workflow_id(workflow)
    table_id = tx.find_table(workflow_id, table)
    if table_id is None:
        return 0
    found = tx.session.rows("held_items", (table_id,))
    tx.expect(len(found), tx.session.run("empty_held", (table_id,)))
    for _, _, lane, _, _ in found:
        tx.count(table_id, DELETE, lane, HELD, -1)
    if found:
        tx.expect(len(found), tx.session.run_among("finish_items_among", (), [item_id for item_id, *_ in found]))
    # Nobody knows what the target has of a record whose write got no answer: an empty fingerprint says it may be there.
    doubted = [(b"", None, record_id) for _, record_id, _, ambiguous, _ in found if ambiguous]
    tx.expect(len(doubted), tx.session.run_many("remember", doubted) if doubted else 0)
    tx.count_known(table_id, sum(1 for *_, ambiguous, known in found if ambiguous and not known))
    left = [(None, record_id) for _, record_id, _, ambiguous, _ in found if not ambiguous]
    tx.expect(len(left), tx.session.run_many("leave_queue", left) if left else 0)
    forgotten = [(record_id,) for _, record_id, _, ambiguous, known in found if not (ambiguous or known)]
    if forgotten:
        tx.session.run_many("drop_record", forgotten)
    tx.total(workflow_id, discarded=len(found))
    _close(tx, workflow_id, table_id, action, table, len(found))
    return len(found)


def _let_go(tx: Transaction, table_id: int) -> int:
    """Make all that is held of a table ready, confirmed."""
    lanes = tx.session.rows("held_lanes", (table_id,))
    number: int = sum(one for _, one in lanes)
    if not number:
        return 0
    for lane, one in lanes:
        tx.count(table_id, DELETE, lane, HELD, -one)
        tx.count(table_id, DELETE, lane, READY, one)
    tx.expect(number, tx.session.run("confirm_items", (table_id,)))
    tx.expect(number, tx.session.run("ready_held", (SUSPECT_AFTER, table_id)))
    tx.expect(number, tx.session.run("empty_held", (table_id,)))
    return number


def _close(tx: Transaction, workflow_id: int, table_id: int, action: ActionEntry, table: str, number: int) -> None:
    tx.expect(1, tx.session.run("set_asked", (0, table_id)))
    sql_workflows.note(tx, workflow_id, evolve(action, detail=_numbered(table, number)))


def _numbered(table: str, number: int) -> str:
    return f"{table}: {number:,}"
