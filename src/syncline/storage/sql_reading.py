"""How far the source was read, over SQL: pages, positions, resyncs and the ledger.

What lives here: the transaction that stores a page together with the position behind it. Nothing about leases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve

from syncline.backlog import Entry, Item, PutReport
from syncline.records import ReadPosition
from syncline.storage import sql_children, sql_letters, sql_putting
from syncline.storage.columns import key_to_column, key_to_id, position_from_json, position_to_json
from syncline.storage.sql_transaction import READY, UPSERT, Held, Transaction
from syncline.store import PageCommit, Refusal

__all__ = [
    "begin_replay",
    "commit_page",
    "drop_position",
    "forget_seen",
    "ledger",
    "ledger_size",
    "positions",
    "read_by_key",
    "refuse",
    "remove_past_seen",
    "unseen",
    "want_replay",
    "wanted_replays",
]


def positions(tx: Transaction, workflow: str) -> dict[str, ReadPosition]:
    """See `Storage.positions`."""
    rows = tx.session.rows("positions", (tx.workflow_id(workflow),))
    return {table: position_from_json(text) for table, text in rows}


def commit_page(tx: Transaction, held: Held, page: PageCommit) -> PutReport:
    """See `Storage.commit_page`."""
    table_id = tx.table_id(held.workflow_id, page.table)
    page = _without_doubt(tx, held, table_id, page)
    report = sql_putting.put(tx, held.workflow_id, page.entries)
    for refusal in page.refusals:
        refuse(tx, held, refusal)
    in_step = [entry for entry in page.entries if entry.only_if_queued]
    if in_step:
        sql_letters.resolve(tx, held.workflow_id, ((table_id, key_to_column(one.key.id), one.seq) for one in in_step))
    # Of these nothing follows: whoever waits for them has to look again.
    over = in_step + [refusal.entry for refusal in page.refusals]
    if over:
        sql_children.ended(tx, held.workflow_id, ((table_id, key_to_column(one.key.id), False) for one in over))
    if page.position.compares and page.seen:
        _note_seen(tx, table_id, [key_to_column(record_id) for record_id in page.seen])
    if page.skipped:
        tx.total(held.workflow_id, put=page.skipped, skipped=page.skipped)
    _set_position(tx, table_id, page.position)
    return report


def _without_doubt(tx: Transaction, held: Held, table_id: int, page: PageCommit) -> PageCommit:
    """The page with what may be older than what was read by key meanwhile to be read by key itself.

    What another worker has leased and was queued after the page was asked for may have been read by key already, before
    the source answered the page: nobody knows which of the two is the older.
    """
    if not page.seq:
        return page
    leased = (held.workflow_id, held.epoch, table_id, page.seq)
    noted = tx.session.rows("read_by_key_since", (table_id, page.seq))
    doubted = {key_to_id(key) for (key,) in (*noted, *tx.session.rows("leased_since", leased))}
    tx.session.run("forget_read_by_key", (table_id, page.seq))
    if not doubted:
        return page
    # Newer than what is leased, since it is read from now on: else it would be taken for superseded.
    seq = tx.next_read(held.workflow_id)
    refused = [refusal.entry for refusal in page.refusals if refusal.entry.key.id in doubted]
    return evolve(
        page,
        entries=[_anew(entry, seq) if entry.key.id in doubted else entry for entry in [*page.entries, *refused]],
        refusals=[refusal for refusal in page.refusals if refusal.entry.key.id not in doubted],
    )


def _anew(entry: Entry, seq: int) -> Entry:
    return evolve(entry, seq=seq, payload=None, refresh=True, only_if_queued=False)


def read_by_key(tx: Transaction, held: Held, items: Sequence[Item]) -> None:
    """See `Storage.read_by_key`."""
    leased = [item.id for item in items]
    tx.session.run_among("note_read_by_key", (tx.next_read(held.workflow_id), held.epoch), leased)
    for item_id, table_id, op, lane, refresh in tx.session.rows_among("waiting_among", (held.epoch,), leased):
        if not refresh:
            tx.expect(1, tx.session.run("read_waiting_anew", (item_id,)))
            tx.count(table_id, op, lane, READY, -1)
            tx.count(table_id, UPSERT, lane, READY)


def _note_seen(tx: Transaction, table_id: int, keys: Sequence[bytes]) -> None:
    """Mark records as seen; also unknown ones, which may become known before the full read ends."""
    known = {key: record_id for key, (record_id, *_) in sql_putting.find_records(tx, table_id, keys).items()}
    new = [key for key in dict.fromkeys(keys) if key not in known]
    if new:
        known.update({key: record_id for record_id, key in enumerate(new, tx.next_ids(len(new)))})
        added = [(known[key], table_id, key, None) for key in new]
        tx.expect(len(new), tx.session.run_many("add_record", added))
    now = _round(tx, table_id)
    tx.session.run_many("add_seen", [(table_id, now, record_id) for record_id in known.values()])


def _round(tx: Transaction, table_id: int) -> int:
    row = tx.session.row("round", (table_id,))
    return 0 if row is None else int(row[0])


def refuse(tx: Transaction, held: Held, refusal: Refusal) -> None:
    """Make a dead letter of a record that was not queued, under the conditions of `Storage.commit_page`."""
    entry = refusal.entry
    first, ambiguous = sql_putting.cancel_queued(tx, held.workflow_id, entry)
    tx.total(held.workflow_id, put=1)
    sql_letters.set_aside(
        tx,
        held,
        sql_letters.Letter(
            table_id=tx.table_id(held.workflow_id, entry.key.table),
            key=key_to_column(entry.key.id),
            seq=entry.seq,
            payload=entry.payload,
            reason=refusal.reason,
            field=refusal.field,
            message=refusal.message,
            attempts=0,
            first=entry.first or first,
            ambiguous=ambiguous,
        ),
    )


def _set_position(tx: Transaction, table_id: int, position: ReadPosition) -> None:
    tx.expect(1, tx.session.run("set_position", (position_to_json(position), table_id)))


def unseen(tx: Transaction, workflow: str, table: str, limit: int) -> list[str]:
    """See `Storage.unseen`."""
    table_id = tx.find_table(tx.workflow_id(workflow), table)
    if table_id is None or limit < 1:
        return []
    return [key_to_id(key) for (key,) in tx.session.rows("unseen", (table_id, _round(tx, table_id), limit))]


def forget_seen(tx: Transaction, held: Held, table: str, position: ReadPosition) -> None:
    """See `Storage.forget_seen`."""
    table_id = tx.table_id(held.workflow_id, table)
    _forget_seen(tx, table_id)
    _set_position(tx, table_id, position)


def _forget_seen(tx: Transaction, table_id: int) -> None:
    """From now on it does not count. The rows themselves may be millions: `remove_past_seen` takes some at a time."""
    tx.expect(1, tx.session.run("forget_seen", (table_id,)))


def remove_past_seen(tx: Transaction, workflow: str, limit: int) -> int:
    """Remove some of what was forgotten, and the records of it that are neither queued nor known; how many there were.

    Where a process dies before all of it is gone, whoever forgets or tidies up next comes past it.
    """
    rows = tx.session.rows("past_seen", (tx.workflow_id(workflow), limit))
    if rows:
        tx.expect(len(rows), tx.session.run_many("remove_past_seen", rows))
        tx.session.run_many("drop_record", [(record_id,) for _, _, record_id in rows])
    return len(rows)


def drop_position(tx: Transaction, workflow: str, table: str) -> None:
    """See `Storage.drop_position`."""
    table_id = tx.find_table(tx.workflow_id(workflow), table)
    if table_id is not None:
        _forget_seen(tx, table_id)
        tx.expect(1, tx.session.run("set_position", (None, table_id)))


def want_replay(tx: Transaction, workflow: str, table: str) -> None:
    """See `Storage.want_replay`."""
    tx.expect(1, tx.session.run("want_replay", (tx.table_id(tx.workflow_id(workflow), table),)))


def wanted_replays(tx: Transaction, workflow: str) -> dict[str, int]:
    """See `Storage.wanted_replays`."""
    return dict(tx.session.rows("wanted_replays", (tx.workflow_id(workflow),)))


def begin_replay(tx: Transaction, held: Held, table: str, position: ReadPosition) -> None:
    """See `Storage.begin_replay`."""
    table_id = tx.table_id(held.workflow_id, table)
    tx.expect(1, tx.session.run("forget_replay", (table_id,)))
    _forget_seen(tx, table_id)
    _set_position(tx, table_id, position)


def ledger(tx: Transaction, workflow: str, table: str, ids: Sequence[str]) -> Mapping[str, bytes]:
    """See `Storage.ledger`."""
    table_id = tx.find_table(tx.workflow_id(workflow), table)
    if table_id is None:
        return {}
    keys = [key_to_column(record_id) for record_id in ids]
    return {
        key_to_id(key): fingerprint for key, fingerprint in tx.session.rows_among("ledger_among", (table_id,), keys)
    }


def ledger_size(tx: Transaction, workflow: str, table: str) -> int:
    """See `Storage.ledger_size`."""
    table_id = tx.find_table(tx.workflow_id(workflow), table)
    return 0 if table_id is None else tx.known(table_id)
