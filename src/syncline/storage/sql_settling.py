"""Ending leases: `Backlog.settle`, and what happens to the leased rows of a grant that ends.

What lives here: how a leased row leaves the queue or returns to it. Every write names the grant's epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from syncline.backlog import SUSPECT_AFTER, Settlement, SettleReport, Settling
from syncline.storage import sql_letters
from syncline.storage.columns import as_microseconds, key_to_column, read_payload
from syncline.storage.sql_transaction import DELAYED, LEASED, READY, Held, Transaction

__all__ = ["return_after_crash", "return_unsettled", "settle"]

_BACK_IN_QUEUE = (Settling.RETRY, Settling.RELEASED)


@frozen
class _Leased:
    """A leased row as it is stored."""

    id: int
    table_id: int
    key: bytes
    seq: int
    op: int
    lane: int
    first: bool
    refresh: bool
    ambiguous: bool
    suspect: bool
    crashes: int
    attempts: int
    sending: bool
    checksum: int | None
    payload: bytes | None = field(repr=False)


def settle(tx: Transaction, held: Held, settlements: Sequence[Settlement]) -> SettleReport:
    """End leased rows under the conditions of `Backlog.settle`."""
    for settlement in settlements:
        if settlement.settling is Settling.DEAD and settlement.reason is None:
            raise ValueError(f"{settlement.item.key} cannot become a dead letter without a reason")
    chosen: dict[int, Settlement] = {}
    for settlement in settlements:
        chosen.setdefault(settlement.item.id, settlement)
    followed = _with_waiting(tx, list(chosen))
    ended: list[Settlement] = []
    others: list[Settlement] = []
    for item_id, settlement in chosen.items():
        plain = settlement.settling not in _BACK_IN_QUEUE and settlement.settling is not Settling.DEAD
        (ended if plain and item_id not in followed else others).append(settlement)
    settled = _finish(tx, held, ended) + sum(_settle_one(tx, held, settlement) for settlement in others)
    refused = len(settlements) - settled
    if refused:
        tx.total(held.workflow_id, refused=refused)
    return SettleReport(settled=settled, refused=refused)


def _with_waiting(tx: Transaction, ids: Sequence[int]) -> set[int]:
    """Those behind which a newer change waits. Mostly nothing waits anywhere, and one glance is enough."""
    row = tx.session.row("any_waiting")
    if row is None or not row[0]:
        return set()
    return {found[0] for found in tx.session.rows_among("waiting_among", (), ids)}


def _finish(tx: Transaction, held: Held, ended: Sequence[Settlement]) -> int:
    """Take out rows that are WRITTEN or SKIPPED and that nothing waits behind; how many were still leased."""
    session, epoch = tx.session, held.grant.epoch
    ids = [settlement.item.id for settlement in ended]
    groups = session.rows_among("leased_groups_among", (epoch,), ids)
    if sum(count for *_, count in groups) < len(ids):
        mine = {row[0] for row in session.rows_among("still_leased", (epoch,), ids)}
        ended = [settlement for settlement in ended if settlement.item.id in mine]
        ids = [settlement.item.id for settlement in ended]
    if not ids:
        return 0
    tx.expect(len(ids), session.run_among("finish_items", (epoch,), ids))
    for table_id, op, lane, count in groups:
        tx.count(table_id, op, lane, LEASED, -count)
    keyed = [(tx.table_id(held.workflow_id, one.item.key.table), key_to_column(one.item.key.id), one) for one in ended]
    known = [(table_id, key, one.fingerprint) for table_id, key, one in keyed if one.fingerprint is not None]
    gone = [(table_id, key) for table_id, key, one in keyed if one.forget]
    if known:
        session.run_many("remember", known)
    if gone:
        session.run_many("forget", gone)
    written = [(table_id, key, one.item.seq) for table_id, key, one in keyed if one.settling is Settling.WRITTEN]
    if held.open_letters:
        sql_letters.resolve(tx, held.workflow_id, written)
    tx.total(held.workflow_id, written=len(written), skipped=len(ids) - len(written))
    return len(ids)


def _find(tx: Transaction, item_id: int, epoch: int) -> _Leased | None:
    row = tx.session.row("find_leased", (item_id, epoch))
    return None if row is None else _Leased(item_id, *row)


def _settle_one(tx: Transaction, held: Held, settlement: Settlement) -> bool:
    """End one row of any kind; False when it is no longer leased under this grant."""
    leased = _find(tx, settlement.item.id, held.grant.epoch)
    if leased is None:
        return False
    tx.count(leased.table_id, leased.op, leased.lane, LEASED, -1)
    match settlement.settling:
        case Settling.WRITTEN | Settling.SKIPPED:
            _note_effect(tx, held, leased, settlement)
        case Settling.DEAD:
            _set_aside(tx, held, leased, settlement)
    if not _follow(tx, held, leased, settlement.settling, ambiguous=settlement.ambiguous):
        if settlement.settling in _BACK_IN_QUEUE:
            _give_back(tx, held, leased, settlement)
        else:
            tx.expect(1, tx.session.run("finish_item", (leased.id, held.grant.epoch)))
    return True


def _note_effect(tx: Transaction, held: Held, leased: _Leased, settlement: Settlement) -> None:
    if settlement.fingerprint is not None:
        tx.session.run("remember", (leased.table_id, leased.key, settlement.fingerprint))
    if settlement.forget:
        tx.session.run("forget", (leased.table_id, leased.key))
    if settlement.settling is Settling.SKIPPED:
        tx.total(held.workflow_id, skipped=1)
        return
    tx.total(held.workflow_id, written=1)
    if held.open_letters:
        sql_letters.resolve(tx, held.workflow_id, [(leased.table_id, leased.key, leased.seq)])


def _set_aside(tx: Transaction, held: Held, leased: _Leased, settlement: Settlement) -> None:
    if settlement.reason is None:
        raise ValueError("a dead letter needs a reason")
    payload, _ = read_payload(leased.payload, leased.checksum)
    sql_letters.set_aside(
        tx,
        held,
        sql_letters.Letter(
            table_id=leased.table_id,
            key=leased.key,
            seq=leased.seq,
            payload=payload,
            reason=settlement.reason,
            field=settlement.field,
            message=settlement.message,
            attempts=leased.attempts,
            first=leased.first,
            ambiguous=leased.ambiguous or settlement.ambiguous,
        ),
    )


def _give_back(tx: Transaction, held: Held, leased: _Leased, settlement: Settlement) -> None:
    """Back into the queue, at the place it had."""
    retry = settlement.settling is Settling.RETRY
    due = None
    if retry and settlement.retry_at is not None:
        due = as_microseconds(settlement.retry_at)
        due = due if due > tx.now else None
    state = READY if due is None else DELAYED
    attempts = leased.attempts if retry and settlement.counts else leased.attempts - 1
    refresh = leased.refresh or (retry and settlement.refresh)
    ambiguous = leased.ambiguous or (retry and settlement.ambiguous)
    values = (state, due, attempts, refresh, ambiguous, leased.id, held.grant.epoch)
    tx.expect(1, tx.session.run("return_item", values))
    tx.count(leased.table_id, leased.op, leased.lane, state)


def _follow(
    tx: Transaction, held: Held, leased: _Leased, settling: Settling, *, ambiguous: bool, crashed: bool = False
) -> bool:
    """Let the change that waits behind a leased row take its place; False when none waits."""
    waiting = tx.session.row("find_waiting", (leased.id,))
    if waiting is None:
        return False
    new_id, seq, op, lane, first, refresh, waiting_ambiguous, queued_at, expected, payload = waiting
    tx.count(leased.table_id, op, lane, READY, -1)
    if settling in _BACK_IN_QUEUE:
        tx.total(held.workflow_id, superseded=1)
        lane = min(lane, leased.lane)
    if settling is not Settling.WRITTEN:
        first = first or leased.first
        waiting_ambiguous = waiting_ambiguous or leased.ambiguous or ambiguous
    # Nothing ended that would clear the record of a suspicion, if it goes back.
    crashes = leased.crashes + crashed if settling in _BACK_IN_QUEUE else 0
    values = (
        new_id, seq, op, lane, first, refresh, waiting_ambiguous, queued_at, expected, payload,
        crashes, crashes >= SUSPECT_AFTER, leased.id, held.grant.epoch,
    )  # fmt: skip
    tx.expect(1, tx.session.run("remove_waiting", (leased.id,)))
    tx.expect(1, tx.session.run("follow_item", values))
    tx.count(leased.table_id, op, lane, READY)
    return True


def return_after_crash(tx: Transaction, held: Held) -> None:
    """The owner of this grant vanished: what it was sending is ambiguous and a crash richer, the rest as before."""
    for leased in _leased_with_waiting(tx, held):
        _count_leased(tx, leased)
        _follow(tx, held, leased, Settling.RELEASED, ambiguous=leased.sending, crashed=leased.sending)
    _return_all(tx, held, "return_sent_after_crash", SUSPECT_AFTER)


def return_unsettled(tx: Transaction, held: Held) -> None:
    """The owner gives this grant back: what it was sending is ambiguous, and all is as if it had not been claimed."""
    for leased in _leased_with_waiting(tx, held):
        _count_leased(tx, leased)
        _follow(tx, held, leased, Settling.RELEASED, ambiguous=leased.sending)
    _return_all(tx, held, "return_sent")


def _leased_with_waiting(tx: Transaction, held: Held) -> list[_Leased]:
    epoch = held.grant.epoch
    ids = [row[0] for row in tx.session.rows("leased_with_waiting", (epoch,))]
    return [leased for item_id in ids if (leased := _find(tx, item_id, epoch)) is not None]


def _count_leased(tx: Transaction, leased: _Leased) -> None:
    tx.count(leased.table_id, leased.op, leased.lane, LEASED, -1)


def _return_all(tx: Transaction, held: Held, return_sent: str, *parameters: int) -> None:
    epoch = held.grant.epoch
    groups = tx.session.rows("leased_groups", (epoch,))
    for table_id, op, lane, count in groups:
        tx.move(table_id, op, lane, LEASED, READY, count)
    changed = tx.session.run(return_sent, (*parameters, epoch)) + tx.session.run("return_unsent", (epoch,))
    tx.expect(sum(count for *_, count in groups), changed)
