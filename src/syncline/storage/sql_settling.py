"""Ending leases: `Backlog.settle`, and what happens to the leased rows of a grant that ends.

What lives here: how a leased row leaves the queue or returns to it. Every such write names the grant's epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from syncline.backlog import SUSPECT_AFTER, Settlement, SettleReport, Settling
from syncline.storage import sql_letters
from syncline.storage.columns import as_microseconds, key_to_column, read_payload
from syncline.storage.dialect import Row
from syncline.storage.sql_putting import doubt
from syncline.storage.sql_transaction import DELAYED, LEASED, READY, Held, Transaction

__all__ = ["return_after_crash", "return_unsettled", "settle"]

_BACK_IN_QUEUE = (Settling.RETRY, Settling.RELEASED)
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


def settle(tx: Transaction, held: Held, settlements: Sequence[Settlement]) -> SettleReport:
    """End leased rows under the conditions of `Backlog.settle`."""
    ended: dict[int, Settlement] = {}
    others: dict[int, Settlement] = {}
    for settlement in settlements:
        item_id, settling = settlement.item.id, settlement.settling
        if item_id in others:
            continue
        if settling in _FOR_GOOD:
            ended.setdefault(item_id, settlement)
        elif item_id not in ended:
            if settling is Settling.DEAD and settlement.reason is None:
                raise ValueError(f"{settlement.item.key} cannot become a dead letter without a reason")
            others[item_id] = settlement
    for item_id in _with_waiting(tx, list(ended)):
        others[item_id] = ended.pop(item_id)
    settled = _finish(tx, held, ended) + sum(_settle_one(tx, held, settlement) for settlement in others.values())
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


def _finish(tx: Transaction, held: Held, ended: dict[int, Settlement]) -> int:
    """Take out rows that are WRITTEN or SKIPPED and that nothing waits behind; how many were still leased."""
    if not ended:
        return 0
    leases = _end_leases(tx, held, ended)
    if not leases:
        return 0
    ids = [lease[0] for lease in leases]
    if ids[-1] - ids[0] + 1 == len(ids):
        removed = tx.session.run("finish_items_between", (ids[0], ids[-1]))
    else:
        removed = tx.session.run_among("finish_items_among", (), ids)
    tx.expect(len(ids), removed)
    tx.count_all(((table_id, op, lane) for _, _, table_id, op, lane in leases), LEASED, -1)
    settled = [(record_id, table_id, ended[item_id]) for item_id, record_id, table_id, _, _ in leases]
    written = [(table_id, one.item) for _, table_id, one in settled if one.settling is Settling.WRITTEN]
    tx.total(held.workflow_id, written=len(written), skipped=len(leases) - len(written))
    if written and tx.open_letters(held.workflow_id):
        resolvable = [(table_id, key_to_column(item.key.id), item.seq) for table_id, item in written]
        sql_letters.resolve(tx, held.workflow_id, resolvable)
    _note_effects(tx, settled)
    return len(leases)


def _end_leases(tx: Transaction, held: Held, ended: dict[int, Settlement]) -> list[Row]:
    """End the leases of those that are still leased under this grant; returns them in the order of the queue."""
    between = (held.epoch, min(ended), max(ended))
    leases = tx.session.rows("leased_between", between)
    if len(leases) == len(ended) and all(lease[0] in ended for lease in leases):
        tx.expect(len(leases), tx.session.run("end_leases_between", between))
        return leases
    leases = [lease for lease in leases if lease[0] in ended]
    ids = [lease[0] for lease in leases]
    tx.expect(len(ids), tx.session.run_among("end_leases_among", (held.epoch,), ids))
    return leases


def _note_effects(tx: Transaction, settled: Sequence[tuple[int, int, Settlement]]) -> None:
    """What the ledger remembers of (record, table, settlement) from now on."""
    known = [(one.fingerprint, record_id) for record_id, _, one in settled if one.fingerprint is not None]
    if known:
        records = [record_id for _, record_id in known]
        for table_id, count in tx.session.rows_among("unknown_among", (), records):
            tx.count_known(table_id, count)
        tx.expect(len(known), tx.session.run_many("remember", known))
    for record_id, table_id, one in settled:
        if one.forget:
            tx.count_known(table_id, -tx.session.run("forget", (record_id,)))
    if len(known) < len(settled):
        unknown = [(record_id,) for record_id, _, one in settled if one.fingerprint is None]
        tx.session.run_many("drop_record", unknown)


def _find(tx: Transaction, item_id: int, epoch: int) -> _Leased | None:
    row = tx.session.row("find_leased", (epoch, item_id))
    return None if row is None else _Leased(item_id, *row)


def _settle_one(tx: Transaction, held: Held, settlement: Settlement) -> bool:
    """End one row of any kind; False when it is no longer leased under this grant."""
    leased = _find(tx, settlement.item.id, held.epoch)
    if leased is None:
        return False
    tx.expect(1, tx.session.run("end_lease", (held.epoch, leased.id)))
    tx.count(leased.table_id, leased.op, leased.lane, LEASED, -1)
    followed = _follow(tx, held, leased, settlement.settling, ambiguous=settlement.ambiguous)
    if settlement.settling in _BACK_IN_QUEUE:
        if not followed:
            _give_back(tx, leased, settlement)
        return True
    if not followed:
        tx.expect(1, tx.session.run("remove_item", (leased.id,)))
    _end(tx, held, leased, settlement)
    return True


def _end(tx: Transaction, held: Held, leased: _Leased, settlement: Settlement) -> None:
    """What is written down about a row that ended."""
    row = tx.session.row("record_key", (leased.record_id,))
    key: bytes = row[0] if row is not None else key_to_column(settlement.item.key.id)
    match settlement.settling:
        case Settling.WRITTEN:
            tx.total(held.workflow_id, written=1)
            sql_letters.resolve(tx, held.workflow_id, [(leased.table_id, key, leased.seq)])
        case Settling.SKIPPED:
            tx.total(held.workflow_id, skipped=1)
        case Settling.DEAD:
            _set_aside(tx, held, leased, key, settlement)
    if settlement.settling is Settling.DEAD and (leased.ambiguous or settlement.ambiguous):
        doubt(tx, leased.table_id, leased.record_id)
    elif settlement.settling in _FOR_GOOD:
        _note_effects(tx, [(leased.record_id, leased.table_id, settlement)])
    else:
        tx.session.run("drop_record", (leased.record_id,))


def _set_aside(tx: Transaction, held: Held, leased: _Leased, key: bytes, settlement: Settlement) -> None:
    if settlement.reason is None:
        raise ValueError("a dead letter needs a reason")
    payload, _ = read_payload(leased.payload, leased.checksum)
    sql_letters.set_aside(
        tx,
        held,
        sql_letters.Letter(
            table_id=leased.table_id,
            key=key,
            seq=leased.seq,
            payload=payload,
            reason=settlement.reason,
            field=settlement.field,
            message=settlement.message,
            attempts=leased.attempts + 1,
            first=bool(leased.first),
            ambiguous=leased.ambiguous or settlement.ambiguous,
        ),
    )


def _give_back(tx: Transaction, leased: _Leased, settlement: Settlement) -> None:
    """Back into the queue, at the place it had."""
    retry = settlement.settling is Settling.RETRY
    attempts = leased.attempts + (retry and settlement.counts)
    refresh = leased.refresh or (retry and settlement.refresh)
    ambiguous = leased.ambiguous or (retry and settlement.ambiguous)
    tx.expect(1, tx.session.run("return_item", (attempts, refresh, ambiguous, leased.id)))
    due = as_microseconds(settlement.retry_at) if retry and settlement.retry_at is not None else 0
    if due > tx.now:
        tx.session.run("add_delayed", (leased.table_id, leased.id, due))
        tx.count(leased.table_id, leased.op, leased.lane, DELAYED)
    else:
        tx.session.run("add_ready", (leased.table_id, leased.lane, leased.crashes >= SUSPECT_AFTER, leased.id))
        tx.count(leased.table_id, leased.op, leased.lane, READY)


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
        new_id, seq, op, lane, first, refresh, waiting_ambiguous, queued_at, expected, payload, crashes, leased.id,
    )  # fmt: skip
    tx.expect(1, tx.session.run("remove_waiting", (leased.id,)))
    tx.expect(1, tx.session.run("follow_item", values))
    tx.expect(1, tx.session.run("add_ready", (leased.table_id, lane, crashes >= SUSPECT_AFTER, new_id)))
    tx.count(leased.table_id, op, lane, READY)
    return True


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
            _follow(tx, held, leased, Settling.RELEASED, ambiguous=sending, crashed=crashed and sending)


def _return_rest(tx: Transaction, held: Held) -> None:
    groups = [row[1:] for row in tx.session.rows("leased_of", (held.epoch,))]
    tx.count_all(groups, LEASED, -1)
    tx.count_all(groups, READY)
    tx.expect(len(groups), tx.session.run("return_leased", (SUSPECT_AFTER, held.epoch)))
    tx.expect(len(groups), tx.session.run("end_leases", (held.epoch,)))
