"""Ending leases: `Backlog.settle`, and what happens to the leased rows of a grant that ends.

What lives here: how a leased row leaves the queue or returns to it. Every such write names the grant's epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from attrs import evolve, field, frozen

from syncline.backlog import SUSPECT_AFTER, Grant, Settlement, SettleReport, Settling, suspicion
from syncline.storage import sql_children, sql_letters, sql_set_aside
from syncline.storage.columns import as_microseconds, key_to_column, read_payload
from syncline.storage.dialect import Row
from syncline.storage.sql_transaction import DELAYED, DELETE, HELD, LEASED, READY, WAITING, Held, Transaction

__all__ = ["return_after_crash", "return_unsettled", "settle"]

_BACK_IN_QUEUE = (Settling.RETRY, Settling.RELEASED, Settling.HELD, Settling.WAITING)
_FOR_GOOD = (Settling.WRITTEN, Settling.SKIPPED)


@frozen
class _Leased:
    """A leased row as it is stored."""

    id: int
    record_id: int
    table_id: int
    seq: int
    op: int
    lane: int
    first: bool
    refresh: bool
    ambiguous: bool
    attempts: int
    crashes: int
    sending: bool
    checksum: int | None
    payload: bytes | None = field(repr=False)
    key: bytes
    known: int


def settle(tx: Transaction, grant: Grant, settlements: Sequence[Settlement]) -> SettleReport:
    """End leased rows under the conditions of `Backlog.settle`."""
    held = tx.held(grant)
    if held is None:
        # The writes were made: that they could not be noted is worth a number, and is no reason to stop here.
        tx.total(tx.workflow_id(grant.workflow), refused=len(settlements))
        return SettleReport(settled=0, refused=len(settlements))
    ended: dict[int, Settlement] = {}
    others: dict[int, Settlement] = {}
    waiting: dict[int, Settlement] = {}
    for settlement in settlements:
        item_id, settling = settlement.item.id, settlement.settling
        if item_id in others or item_id in waiting:
            continue
        if settling in _FOR_GOOD:
            ended.setdefault(item_id, settlement)
        elif item_id not in ended:
            if settling is Settling.DEAD and settlement.reason is None:
                raise ValueError(f"{settlement.item.key} cannot become a dead letter without a reason")
            if settling is Settling.WAITING and (settlement.parent is None or settlement.retry_at is None):
                raise ValueError(f"{settlement.item.key} cannot wait without a parent and a time to look again")
            (waiting if settling is Settling.WAITING else others)[item_id] = settlement
    # Children first: they wait before their parents, of the same batch perhaps, wake them.
    settled = sum(_settle_one(tx, held, settlement) for settlement in waiting.values())
    leases = _leases(tx, held, ended)
    followed = [lease[0] for lease in leases if lease[6]]
    if followed:
        others.update((item_id, ended.pop(item_id)) for item_id in followed)
        leases = [lease for lease in leases if not lease[6]]
    _finish(tx, held, leases, ended)
    settled += len(leases) + sum(_settle_one(tx, held, settlement) for settlement in others.values())
    refused = len(settlements) - settled
    if refused:
        tx.total(held.workflow_id, refused=refused)
    return SettleReport(settled=settled, refused=refused)


def _leases(tx: Transaction, held: Held, ended: dict[int, Settlement]) -> list[Row]:
    """Those that are still leased under this grant, in the order of the queue; see the query for the columns."""
    if not ended:
        return []
    rows = tx.session.rows("leased_between", (held.epoch, min(ended), max(ended)))
    return [row for row in rows if row[0] in ended]


def _finish(tx: Transaction, held: Held, leases: Sequence[Row], ended: dict[int, Settlement]) -> None:
    """Take out rows that are WRITTEN or SKIPPED and that nothing waits behind."""
    if not leases:
        return
    ids = [lease[0] for lease in leases]
    tx.expect(len(ids), tx.session.finish(held.epoch, ids))
    tx.count_all((lease[2:5] for lease in leases), LEASED, -1)
    ways = [ended[lease[0]] for lease in leases]
    written = sum(one.settling is Settling.WRITTEN for one in ways)
    tx.total(held.workflow_id, written=written, skipped=len(leases) - written)
    resolvable = (
        (lease[2], key_to_column(one.item.key.id), one.item.seq)
        for lease, one in zip(leases, ways, strict=True)
        if one.settling is Settling.WRITTEN or one.in_step
    )
    sql_letters.resolve(tx, held.workflow_id, resolvable)
    ends = (
        (record_id, table_id, known, ended[item_id], None) for item_id, record_id, table_id, _, _, known, _ in leases
    )
    _leave_queue(tx, ends)
    sql_children.ended(
        tx,
        held.workflow_id,
        (
            (table_id, key_to_column((one := ended[item_id]).item.key.id), _is_there(one, known))
            for item_id, _, table_id, _, _, known, _ in leases
        ),
    )


def _is_there(settlement: Settlement, known: int) -> bool:
    """Whether the target has the record after it ended like this, as far as the ledger knows."""
    if settlement.settling not in _FOR_GOOD or settlement.forget:
        return False
    return bool(known) if settlement.fingerprint is None else bool(settlement.fingerprint)


#: Record, table, whether the ledger knows it, how its row ended, and the id of a newer row where one follows.
_End: TypeAlias = tuple[int, int, int, Settlement, int | None]


def _leave_queue(tx: Transaction, ends: Iterable[_End]) -> None:
    """What records are after their rows ended, and what the ledger has."""
    remembered: list[tuple[bytes | None, int | None, int]] = []
    left: list[tuple[int | None, int]] = []
    dropped: list[tuple[int]] = []
    for record_id, table_id, known, settlement, follower in ends:
        fingerprint = settlement.fingerprint
        if fingerprint is not None:
            remembered.append((fingerprint, follower, record_id))
            if not known:
                tx.count_known(table_id, 1)
        elif settlement.forget or not known:
            remembered.append((None, follower, record_id))
            dropped.append((record_id,))
            if known:
                tx.count_known(table_id, -1)
        else:
            left.append((follower, record_id))
    for query, rows in (("remember", remembered), ("leave_queue", left)):
        tx.expect(len(rows), tx.session.run_many(query, rows) if rows else 0)
    if dropped:
        tx.session.run_many("drop_record", dropped)


def _find(tx: Transaction, item_id: int, epoch: int) -> _Leased | None:
    row = tx.session.row("find_leased", (epoch, item_id))
    return None if row is None else _Leased(item_id, *row)


def _settle_one(tx: Transaction, held: Held, settlement: Settlement) -> bool:
    """End one row of any kind; False when it is no longer leased under this grant."""
    leased = _find(tx, settlement.item.id, held.epoch)
    if leased is None:
        return False
    if _is_outdated(tx, held, settlement):
        settlement = Settlement(item=settlement.item, settling=Settling.RELEASED)
    tx.expect(1, tx.session.run("end_lease", (held.epoch, leased.id)))
    tx.count(leased.table_id, leased.op, leased.lane, LEASED, -1)
    follower = _follow(tx, held, leased, settlement.settling, ambiguous=settlement.ambiguous)
    if settlement.settling in _BACK_IN_QUEUE:
        if follower is None:
            _give_back(tx, held, leased, settlement)
        else:
            tx.expect(1, tx.session.run("leave_queue", (follower, leased.record_id)))
        return True
    if follower is None:
        tx.expect(1, tx.session.run("remove_item", (leased.id,)))
    match settlement.settling:
        case Settling.SET_ASIDE if follower is not None:
            tx.total(held.workflow_id, superseded=1)
        case Settling.SET_ASIDE:
            _await_person(tx, held, leased, settlement)
        case Settling.WRITTEN:
            tx.total(held.workflow_id, written=1)
        case Settling.SKIPPED:
            tx.total(held.workflow_id, skipped=1)
        case Settling.DEAD:
            _set_aside(tx, held, leased, settlement)
            if leased.ambiguous or settlement.ambiguous:
                # Nobody knows what the target has of this record: an empty fingerprint says that it may be there.
                settlement = evolve(settlement, fingerprint=b"")
    if settlement.settling is Settling.WRITTEN or settlement.in_step:
        sql_letters.resolve(tx, held.workflow_id, [(leased.table_id, leased.key, leased.seq)])
    _leave_queue(tx, [(leased.record_id, leased.table_id, leased.known, settlement, follower)])
    sql_children.ended(tx, held.workflow_id, [(leased.table_id, leased.key, _is_there(settlement, leased.known))])
    return True


def _is_outdated(tx: Transaction, held: Held, settlement: Settlement) -> bool:
    """Whether another worker has done something about the parent since it was decided to wait for it or give up."""
    if settlement.settling is Settling.WAITING:
        return sql_children.waits_in_vain(tx, held.grant.workflow, held.workflow_id, settlement)
    parent = settlement.parent
    return parent is not None and sql_children.is_there(tx, held.workflow_id, parent)


def _await_person(tx: Transaction, held: Held, leased: _Leased, settlement: Settlement) -> None:
    aside = sql_set_aside.Aside(
        table_id=leased.table_id,
        key=leased.key,
        person=settlement.person,
        seq=leased.seq,
        ambiguous=leased.ambiguous or settlement.ambiguous,
        checksum=leased.checksum,
        payload=leased.payload,
    )
    sql_set_aside.put_aside(tx, held, aside)


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
            attempts=leased.attempts + 1,
            first=bool(leased.first),
            ambiguous=leased.ambiguous or settlement.ambiguous,
            parent=settlement.parent,
        ),
    )


def _give_back(tx: Transaction, held: Held, leased: _Leased, settlement: Settlement) -> None:
    """Back into the queue, at the place it had."""
    retry = settlement.settling is Settling.RETRY
    attempts = leased.attempts + (retry and settlement.counts)
    refresh = leased.refresh or (retry and settlement.refresh)
    ambiguous = leased.ambiguous or (retry and settlement.ambiguous)
    tx.expect(1, tx.session.run("return_item", (attempts, refresh, ambiguous, leased.id)))
    if settlement.settling is Settling.HELD:
        tx.expect(1, tx.session.run("hold_item", (leased.id,)))
        tx.expect(1, tx.session.run("add_held", (leased.table_id, leased.id, held.grant.generation)))
        tx.count(leased.table_id, DELETE, leased.lane, HELD)
        sql_children.ended(tx, held.workflow_id, [(leased.table_id, leased.key, False)])
        return
    if settlement.settling is Settling.WAITING and settlement.parent is not None and settlement.retry_at is not None:
        sql_children.wait(tx, held.workflow_id, leased.id, leased.table_id, settlement.parent, settlement.retry_at)
        tx.count(leased.table_id, leased.op, leased.lane, WAITING)
        return
    due = as_microseconds(settlement.retry_at) if retry and settlement.retry_at is not None else 0
    if due > tx.now:
        tx.session.run("add_delayed", (leased.table_id, leased.id, due))
        tx.count(leased.table_id, leased.op, leased.lane, DELAYED)
        if leased.known:
            # The target has it, and nobody need wait for the next attempt.
            sql_children.ended(tx, held.workflow_id, [(leased.table_id, leased.key, False)])
    else:
        tx.session.run("add_ready", (leased.table_id, leased.lane, suspicion(leased.crashes), leased.id))
        tx.count(leased.table_id, leased.op, leased.lane, READY)


def _follow(
    tx: Transaction, held: Held, leased: _Leased, settling: Settling, *, ambiguous: bool, crashed: bool = False
) -> int | None:
    """Let the change that waits behind a leased row take its place; its id, or None when none waits."""
    waiting = tx.session.row("find_waiting", (leased.id,))
    if waiting is None:
        return None
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
        new_id, seq, op, lane, first, refresh, waiting_ambiguous, queued_at, expected, payload, crashes, leased.id,
    )  # fmt: skip
    tx.expect(1, tx.session.run("remove_waiting", (leased.id,)))
    tx.expect(1, tx.session.run("follow_item", values))
    tx.expect(1, tx.session.run("add_ready", (leased.table_id, lane, suspicion(crashes), new_id)))
    tx.count(leased.table_id, op, lane, READY)
    return int(new_id)


def return_after_crash(tx: Transaction, held: Held) -> None:
    """The owner of this grant vanished: what it was sending is ambiguous and a crash richer, the rest as before."""
    _return_followed(tx, held, crashed=True)
    tx.session.run("blame_sent", (held.epoch,))
    _return_rest(tx, held)


def return_unsettled(tx: Transaction, held: Held) -> None:
    """The owner gives this grant back: what it was sending is ambiguous, and all is as if it had not been claimed."""
    _return_followed(tx, held, crashed=False)
    tx.session.run("doubt_sent", (held.epoch,))
    _return_rest(tx, held)


def _return_followed(tx: Transaction, held: Held, *, crashed: bool) -> None:
    for (item_id,) in tx.session.rows("leased_with_waiting", (held.epoch,)):
        leased = _find(tx, item_id, held.epoch)
        if leased is not None:
            tx.expect(1, tx.session.run("end_lease", (held.epoch, item_id)))
            tx.count(leased.table_id, leased.op, leased.lane, LEASED, -1)
            sending = bool(leased.sending)
            follower = _follow(tx, held, leased, Settling.RELEASED, ambiguous=sending, crashed=crashed and sending)
            tx.expect(1, tx.session.run("leave_queue", (follower, leased.record_id)))


def _return_rest(tx: Transaction, held: Held) -> None:
    groups = [row[1:] for row in tx.session.rows("leased_of", (held.epoch,))]
    tx.count_all(groups, LEASED, -1)
    tx.count_all(groups, READY)
    tx.expect(len(groups), tx.session.run("return_leased", (SUSPECT_AFTER, held.epoch)))
    tx.expect(len(groups), tx.session.run("end_leases", (held.epoch,)))
