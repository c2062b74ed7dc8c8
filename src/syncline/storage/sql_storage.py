"""The storage over SQL, written once for every dialect.

What lives here: which transaction each method of `Storage` is. The rules live in the rooms beside it: putting,
leasing, settling, letters, reading, workflows, counts, gates. What differs between databases lives in a dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar, final

from syncline.backlog import BacklogCounts, Entry, Grant, Item, PutReport, Settlement, SettleReport
from syncline.consent import ConsentNote, ConsentTrouble, Decision, RecordEntry, Seal, Standing
from syncline.erasure import Erased
from syncline.exported_files import FileMark
from syncline.holds import Hold, Judgement
from syncline.parents import Parent
from syncline.records import ReadPosition, RecordKey
from syncline.storage import (
    sql_children,
    sql_comparing,
    sql_consent,
    sql_counts,
    sql_decisions,
    sql_erasure,
    sql_files,
    sql_gates,
    sql_grants,
    sql_holding,
    sql_leasing,
    sql_letters,
    sql_putting,
    sql_reading,
    sql_set_aside,
    sql_settling,
    sql_upkeep,
    sql_workflows,
)
from syncline.storage.columns import as_datetime
from syncline.storage.dialect import Database, Session
from syncline.storage.sql_transaction import Names, Transaction
from syncline.store import (
    ActionEntry,
    DeadLetter,
    DeadLetterStatus,
    FileCommit,
    Owner,
    PageCommit,
    Sample,
    StateChange,
    Storage,
    WorkflowRow,
)
from syncline.sweeps import KnownRecord, Sweep
from syncline.upkeep import Purged, Retention

__all__ = ["SQLStorage"]

_Result = TypeVar("_Result")

#: What a full read saw is removed so many rows at a time, and so many times after each other at most.
_SLICE: Final = 10_000
_SLICES: Final = 300


class SQLStorage(Storage):
    """A `Storage` over any database that has a dialect."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._time_offset = 0
        self._names = Names()

    def _write(
        self,
        workflow: str | None,
        work: Callable[[Transaction], _Result],
        *,
        durable: bool = True,
        erase: bool = False,
        shared: bool = False,
    ) -> _Result:
        """One transaction, and the only one that works on this workflow meanwhile: see `Database.write`."""

        def run(session: Session) -> _Result:
            tx = Transaction(session, self._names, self._time_offset)
            result = work(tx)
            tx.flush()
            return result

        return self._database.write(workflow, run, durable=durable, erase=erase, shared=shared)

    def _read(self, work: Callable[[Transaction], _Result]) -> _Result:
        return self._database.read(lambda session: work(Transaction(session, self._names, self._time_offset)))

    # -- opening ------------------------------------------------------------------------------------------------

    @final
    def close(self) -> None:
        self._database.close()

    def now(self) -> datetime:
        return self._read(lambda tx: as_datetime(tx.now))

    def set_time_offset(self, seconds: float) -> None:
        """Let the time of this object run ahead of the database's by so much, for tests of what expires."""
        self._time_offset = round(seconds * 1_000_000)

    # -- workflows ----------------------------------------------------------------------------------------------

    def register(self, workflow: str, definition: str) -> WorkflowRow:
        return self._write(workflow, lambda tx: sql_workflows.register(tx, workflow, definition))

    def workflow(self, workflow: str) -> WorkflowRow:
        return self._read(lambda tx: sql_workflows.workflow_row(tx, workflow))

    def change_state(self, workflow: str, change: StateChange, action: ActionEntry | None = None) -> bool:
        return self._write(workflow, lambda tx: sql_workflows.change_state(tx, workflow, change, action))

    def save_definition(self, workflow: str, definition: str, action: ActionEntry) -> None:
        self._write(workflow, lambda tx: sql_workflows.save_definition(tx, workflow, definition, action))

    def want_stop(self, workflow: str, action: ActionEntry) -> WorkflowRow:
        return self._write(workflow, lambda tx: sql_workflows.want_stop(tx, workflow, action))

    def record(self, workflow: str, action: ActionEntry) -> None:
        self._write(workflow, lambda tx: sql_workflows.note(tx, tx.workflow_id(workflow), action))

    def history(self, workflow: str, limit: int = 100) -> Sequence[ActionEntry]:
        return self._read(lambda tx: sql_workflows.history(tx, workflow, limit))

    # -- grants -------------------------------------------------------------------------------------------------

    def acquire(self, workflow: str, owner: Owner, ttl: timedelta, *, workers: int = 1) -> Grant | None:
        return self._write(workflow, lambda tx: sql_grants.acquire(tx, workflow, owner, ttl, workers))

    def reap(self, grant: Grant) -> int:
        return self._write(grant.workflow, lambda tx: sql_grants.reap(tx, tx.hold(grant)))

    def release(self, grant: Grant) -> None:
        self._write(grant.workflow, lambda tx: sql_grants.release(tx, grant))

    def extend(self, grant: Grant, ttl: timedelta) -> Grant:
        return self._write(grant.workflow, lambda tx: sql_grants.extend(tx, grant, ttl))

    def progress(self, grant: Grant) -> None:
        self._write(grant.workflow, lambda tx: sql_grants.progress(tx, grant))

    # -- reading ------------------------------------------------------------------------------------------------

    def next_read(self, grant: Grant) -> int:
        # Whatever is kept with this number is durable, and makes the number durable too.
        return self._write(grant.workflow, lambda tx: tx.next_read(tx.hold(grant).workflow_id), durable=False)

    def positions(self, workflow: str) -> Mapping[str, ReadPosition]:
        return self._read(lambda tx: sql_reading.positions(tx, workflow))

    def commit_page(self, grant: Grant, page: PageCommit) -> PutReport:
        return self._write(grant.workflow, lambda tx: sql_reading.commit_page(tx, tx.hold_reader(grant), page))

    def read_by_key(self, grant: Grant, items: Sequence[Item]) -> None:
        # Whatever is written after this is durable, and makes this durable too.
        self._write(grant.workflow, lambda tx: sql_reading.read_by_key(tx, tx.hold(grant), items), durable=False)

    def unseen(self, workflow: str, table: str, limit: int) -> Sequence[str]:
        return self._read(lambda tx: sql_reading.unseen(tx, workflow, table, limit))

    def forget_seen(self, grant: Grant, table: str, position: ReadPosition) -> None:
        self._write(grant.workflow, lambda tx: sql_reading.forget_seen(tx, tx.hold_reader(grant), table, position))
        self._remove_past_seen(grant.workflow)

    def _remove_past_seen(self, workflow: str) -> None:
        """A little at a time, so that nobody waits long, and not without end: its process has a lease to keep."""
        for _ in range(_SLICES):
            removed = self._write(
                workflow, lambda tx: sql_reading.remove_past_seen(tx, workflow, _SLICE), durable=False
            )
            if removed < _SLICE:
                return

    def drop_position(self, workflow: str, table: str) -> None:
        self._write(workflow, lambda tx: sql_reading.drop_position(tx, workflow, table))
        self._remove_past_seen(workflow)

    def want_replay(self, workflow: str, table: str, action: ActionEntry) -> None:
        def work(tx: Transaction) -> None:
            sql_workflows.note(tx, tx.workflow_id(workflow), action)
            sql_reading.want_replay(tx, workflow, table)

        self._write(workflow, work)

    def wanted_replays(self, workflow: str) -> Mapping[str, int]:
        return self._read(lambda tx: sql_reading.wanted_replays(tx, workflow))

    def begin_replay(self, grant: Grant, table: str, position: ReadPosition) -> None:
        self._write(grant.workflow, lambda tx: sql_reading.begin_replay(tx, tx.hold_reader(grant), table, position))
        self._remove_past_seen(grant.workflow)

    # -- exported files and what is pushed ----------------------------------------------------------------------

    def file_marks(self, workflow: str) -> Mapping[str, FileMark]:
        return self._read(lambda tx: sql_files.file_marks(tx, workflow))

    def commit_file(self, grant: Grant, commit: FileCommit) -> PutReport:
        return self._write(grant.workflow, lambda tx: sql_files.commit_file(tx, tx.hold_reader(grant), commit))

    def forget_files(self, workflow: str, action: ActionEntry) -> int:
        def work(tx: Transaction) -> int:
            sql_workflows.note(tx, tx.workflow_id(workflow), action)
            return sql_files.forget_files(tx, workflow)

        return self._write(workflow, work)

    def accept(self, workflow: str, entries: Sequence[Entry]) -> PutReport:
        return self._write(workflow, lambda tx: sql_files.accept(tx, workflow, entries))

    def forget_oldest(self, grant: Grant, table: str, keep: int, limit: int) -> int:
        return self._write(
            grant.workflow, lambda tx: sql_files.forget_oldest(tx, tx.hold_reader(grant), table, keep, limit)
        )

    # -- set aside ----------------------------------------------------------------------------------------------

    def strangers_known(self, workflow: str, before: datetime, limit: int, *, ledger: str, table: str) -> Sequence[str]:
        return self._read(
            lambda tx: sql_set_aside.strangers_known(tx, workflow, before, limit, ledger=ledger, table=table)
        )

    def strangers(self, workflow: str, before: datetime, limit: int) -> Sequence[str]:
        return self._read(lambda tx: sql_set_aside.strangers(tx, workflow, before, limit))

    def next_stranger(self, workflow: str) -> datetime | None:
        return self._read(lambda tx: sql_set_aside.next_stranger(tx, workflow))

    def looked_up(self, grant: Grant, people: Sequence[str], known: Collection[str]) -> int:
        return self._write(grant.workflow, lambda tx: sql_set_aside.looked_up(tx, tx.hold_reader(grant), people, known))

    def drop_set_aside(self, grant: Grant, before: datetime, limit: int) -> int:
        return self._write(grant.workflow, lambda tx: sql_set_aside.drop(tx, tx.hold_reader(grant), before, limit))

    # -- backlog ------------------------------------------------------------------------------------------------

    def put(self, grant: Grant, entries: Sequence[Entry]) -> PutReport:
        return self._write(grant.workflow, lambda tx: sql_putting.put(tx, tx.hold(grant).workflow_id, entries))

    def lease(self, grant: Grant, limit: int, before: Mapping[str, Collection[str]] | None = None) -> Sequence[Item]:
        def work(tx: Transaction) -> Sequence[Item] | None:
            return sql_leasing.lease(tx, tx.hold(grant), limit, before or {})

        # A claim that a failure of power undoes was no claim: whatever is sent was marked before, durably.
        claim = partial(self._write, grant.workflow, work, durable=False)
        items = claim(shared=True)
        return items if items is not None else claim() or []

    def mark_sending(self, grant: Grant, items: Sequence[Item]) -> Sequence[Item]:
        return self._write(grant.workflow, lambda tx: sql_leasing.mark_sending(tx, tx.hold(grant), items))

    def settle(self, grant: Grant, settlements: Sequence[Settlement]) -> SettleReport:
        return self._write(grant.workflow, lambda tx: sql_settling.settle(tx, grant, settlements))

    def counts(self, workflow: str) -> BacklogCounts:
        return self._read(lambda tx: sql_counts.counts(tx, workflow))

    def next_due(self, workflow: str) -> datetime | None:
        return self._read(lambda tx: sql_counts.next_due(tx, workflow))

    def audit(self, workflow: str) -> Sequence[str]:
        return self._read(lambda tx: sql_counts.audit(tx, workflow))

    # -- parents ------------------------------------------------------------------------------------------------

    def parents(self, workflow: str, keys: Collection[RecordKey]) -> Mapping[RecordKey, Parent]:
        return self._read(lambda tx: sql_children.parents(tx, workflow, keys))

    def waits_for(self, workflow: str, record: RecordKey) -> Sequence[RecordKey]:
        return self._read(lambda tx: sql_children.waits_for(tx, workflow, record))

    # -- ledger -------------------------------------------------------------------------------------------------

    def ledger(self, workflow: str, table: str, ids: Sequence[str]) -> Mapping[str, bytes]:
        return self._read(lambda tx: sql_reading.ledger(tx, workflow, table, ids))

    def ledger_size(self, workflow: str, table: str) -> int:
        return self._read(lambda tx: sql_reading.ledger_size(tx, workflow, table))

    # -- held deletions -----------------------------------------------------------------------------------------

    def holds(self, workflow: str) -> Mapping[str, Hold]:
        return self._read(lambda tx: sql_holding.holds(tx, workflow))

    def held_records(self, workflow: str, table: str, limit: int) -> Sequence[str]:
        return self._read(lambda tx: sql_holding.held_records(tx, workflow, table, limit))

    def judge_held(self, grant: Grant, table: str, *, most: int, window: timedelta) -> Judgement:
        return self._write(
            grant.workflow,
            lambda tx: sql_holding.judge_held(tx, tx.hold_reader(grant), table, most=most, window=window),
        )

    def unhold(self, grant: Grant) -> int:
        return self._write(grant.workflow, lambda tx: sql_holding.unhold(tx, tx.hold_reader(grant)))

    def confirm_held(self, workflow: str, table: str, action: ActionEntry) -> int:
        return self._write(workflow, lambda tx: sql_holding.confirm_held(tx, workflow, table, action))

    def discard_held(self, workflow: str, table: str, action: ActionEntry) -> int:
        return self._write(workflow, lambda tx: sql_holding.discard_held(tx, workflow, table, action))

    # -- comparing ----------------------------------------------------------------------------------------------

    def known_records(self, workflow: str, table: str, *, after: int = 0, limit: int = 1_000) -> Sequence[KnownRecord]:
        return self._read(lambda tx: sql_comparing.known_records(tx, workflow, table, after, limit))

    def adopt(self, workflow: str, table: str, fingerprints: Mapping[str, bytes]) -> int:
        return self._write(workflow, lambda tx: sql_comparing.adopt(tx, workflow, table, fingerprints))

    def queue_anew(self, workflow: str, table: str, records: Sequence[str], *, there: bool) -> PutReport:
        return self._write(workflow, lambda tx: sql_comparing.queue_anew(tx, workflow, table, records, there=there))

    def sweeps(self, workflow: str) -> Mapping[str, Sweep]:
        return self._read(lambda tx: sql_comparing.sweeps(tx, workflow))

    def commit_sweep(self, grant: Grant, table: str, sweep: Sweep, records: Sequence[str]) -> PutReport:
        return self._write(
            grant.workflow, lambda tx: sql_comparing.commit_sweep(tx, tx.hold_reader(grant), table, sweep, records)
        )

    # -- dead letters -------------------------------------------------------------------------------------------

    def dead_letters(
        self,
        workflow: str,
        *,
        status: DeadLetterStatus | None = DeadLetterStatus.OPEN,
        table: str | None = None,
        record: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> Sequence[DeadLetter]:
        return self._read(
            lambda tx: sql_letters.letters(
                tx, workflow, status=status, table=table, record=record, after=after, limit=limit
            )
        )

    def retry_dead_letters(
        self, workflow: str, ids: Sequence[int], action: ActionEntry, *, as_read: bool = False
    ) -> int:
        def work(tx: Transaction) -> int:
            sql_workflows.note(tx, tx.workflow_id(workflow), action)
            return sql_letters.retry(tx, workflow, ids, as_read=as_read)

        return self._write(workflow, work)

    def discard_dead_letters(self, workflow: str, ids: Sequence[int], action: ActionEntry) -> int:
        def work(tx: Transaction) -> int:
            sql_workflows.note(tx, tx.workflow_id(workflow), action)
            return sql_letters.discard(tx, workflow, ids)

        return self._write(workflow, work)

    # -- consent ------------------------------------------------------------------------------------------------

    def note_consent(self, grant: Grant, note: ConsentNote) -> None:
        self._write(grant.workflow, lambda tx: sql_consent.note(tx, grant, note))

    def standings(self, scope: str, people: Sequence[str]) -> Mapping[tuple[str, str], Standing]:
        return self._read(lambda tx: sql_consent.standings(tx, scope, people))

    def decisions(
        self, scope: str, *, person: str | None = None, after: int = 0, limit: int = 100
    ) -> Sequence[Decision]:
        return self._read(lambda tx: sql_decisions.decisions(tx, scope, person, after, limit))

    def record_entries(self, scope: str, *, after: int = 0, limit: int = 1_000) -> Sequence[RecordEntry]:
        return self._read(lambda tx: sql_decisions.entries(tx, scope, after, limit))

    def record_seal(self, scope: str) -> Seal:
        return self._read(lambda tx: sql_decisions.seal(tx, scope))

    def consent_troubles(self, scope: str, limit: int = 100) -> Sequence[ConsentTrouble]:
        return self._read(lambda tx: sql_consent.troubles(tx, scope, limit))

    def consent_numbers(self, scope: str) -> tuple[int, int, int]:
        return self._read(lambda tx: sql_consent.numbers(tx, scope))

    def arrived(self, scope: str, workflow: str, table: str, *, patience: timedelta, limit: int) -> Sequence[str]:
        return self._read(lambda tx: sql_consent.arrived(tx, scope, workflow, table, patience=patience, limit=limit))

    def pull_forward(self, workflow: str, keys: Sequence[RecordKey]) -> int:
        return self._write(workflow, lambda tx: sql_consent.pull_forward(tx, workflow, keys))

    # -- upkeep -------------------------------------------------------------------------------------------------

    def forget(
        self,
        scope: str,
        person: str,
        action: ActionEntry,
        *,
        opted_out: Collection[str] = (),
        cannot_read_again: Collection[str] = (),
    ) -> Erased:
        def work(tx: Transaction) -> Erased:
            erased, workflows = sql_erasure.forget(
                tx, scope, person, opted_out=opted_out, cannot_read_again=cannot_read_again
            )
            for workflow_id in workflows:
                sql_workflows.note(tx, workflow_id, action)
            return erased

        return self._write(f"{scope}/", work, erase=True)

    def suppressed(self, scope: str, people: Collection[str]) -> Mapping[str, frozenset[str]]:
        return self._read(lambda tx: sql_erasure.suppressed(tx, scope, people))

    def purge(self, workflow: str, retention: Retention, limit: int) -> Purged:
        gone = self._write(workflow, lambda tx: sql_upkeep.purge(tx, workflow, retention, limit))
        self._remove_past_seen(workflow)
        return gone

    def start_over(
        self, workflow: str, tables: Collection[str], action: ActionEntry, *, doubt: bool, snapshot: str | None = None
    ) -> bool:
        def work(tx: Transaction) -> bool:
            if not sql_upkeep.start_over(tx, workflow, tables, doubt=doubt, snapshot=snapshot):
                return False
            sql_workflows.note(tx, tx.workflow_id(workflow), action)
            return True

        return self._write(workflow, work)

    # -- gates and samples --------------------------------------------------------------------------------------

    def gate(self, principal: str) -> datetime | None:
        return self._read(lambda tx: sql_gates.gate(tx, principal))

    def close_gate(self, principal: str, until: datetime) -> None:
        self._write(None, lambda tx: sql_gates.close_gate(tx, principal, until))

    def add_sample(self, workflow: str, sample: Sample) -> None:
        self._write(workflow, lambda tx: sql_gates.add_sample(tx, workflow, sample))

    def samples(self, workflow: str, since: datetime) -> Sequence[Sample]:
        return self._read(lambda tx: sql_gates.samples(tx, workflow, since))
