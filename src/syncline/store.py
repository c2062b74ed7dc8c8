"""What a storage must do: the backlog and everything that must be in one database with it.

What lives here: the abstract base `Storage` and its frozen values; `consent_store`, `holds`, `sweeps` and `upkeep` have
parts of it. A host that brings its own storage implements this once. No SQL.

Facts a storage keeps per workflow: what is wished and what is (two fields), the generation, the definition and the
snapshot that runs, who holds the grant, how far each table was read, the ledger, the dead letters, the action
history, and samples of depth and rate; and, for all workflows, the throttle gates.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import field, frozen

from syncline.backlog import BacklogCounts, DeadReason, Entry, Grant, Item, PutReport, Settlement, SettleReport
from syncline.consent_store import ConsentStore
from syncline.exported_files import FileMark
from syncline.history import ActionEntry
from syncline.holds import HoldStore
from syncline.parents import Parent
from syncline.records import ReadPosition, RecordKey
from syncline.state_machine import WorkflowState
from syncline.sweeps import SweepStore
from syncline.upkeep import Upkeep

__all__ = [
    "ActionEntry",
    "DeadLetter",
    "DeadLetterStatus",
    "FileCommit",
    "Owner",
    "PageCommit",
    "Refusal",
    "Sample",
    "StateChange",
    "Storage",
    "WorkflowError",
    "WorkflowRow",
]


@frozen(kw_only=True)
class Owner:
    """One process start. `id` is a fresh UUID; the rest tells on the same host whether the process still lives."""

    id: str
    host: str
    #: Changes with every boot of the host; empty where the platform has none.
    boot_id: str
    pid: int
    #: When the process started, in the kernel's own ticks, so that a reused pid is not taken for it; empty if unknown.
    started: str = ""


@frozen(kw_only=True)
class WorkflowError:
    """Why a workflow is FAILED."""

    #: The error class's name, such as `SchemaChangedError`.
    kind: str
    message: str
    remedy: str
    at: datetime
    #: The table or record it is about, where known.
    about: str = ""


@frozen(kw_only=True)
class WorkflowRow:
    """One workflow as the storage has it."""

    workflow: str
    #: What was asked for last: True after start, False after stop or failure.
    wanted: bool
    state: WorkflowState
    generation: int
    #: The definition as last edited, as JSON.
    definition: str = field(repr=False)
    #: The snapshot that this generation runs, as JSON text of the engine's own; None before the first start.
    snapshot: str | None = field(repr=False)
    #: Hash of the definition inside the snapshot, as reported by the process that runs it.
    running_hash: str | None
    error: WorkflowError | None
    #: Owner id of the reader's grant while it is live, or None.
    owner: str | None
    #: How often in a row a worker vanished without progress.
    crashes: int
    #: Grants that are live, the reader's included; and those that were not given back and are not live any more.
    workers: int = 0
    vanished: int = 0

    @property
    def stopping(self) -> bool:
        """A stop was asked for and has not come true yet."""
        return not self.wanted and self.state in (WorkflowState.STARTING, WorkflowState.RUNNING)


@frozen(kw_only=True)
class StateChange:
    """One guarded step of a workflow. Happens only if state and generation are still as expected."""

    expected_state: WorkflowState
    expected_generation: int
    state: WorkflowState
    generation: int
    #: None leaves the wish as it is, so that a stop asked for meanwhile is not overwritten.
    wanted: bool | None = None
    #: None leaves the stored error as it is; `clear_error` removes it.
    error: WorkflowError | None = None
    clear_error: bool = False
    #: None leaves them as they are.
    snapshot: str | None = field(default=None, repr=False)
    running_hash: str | None = None
    #: Only if nobody holds a live grant, but for `grant`.
    require_unowned: bool = False
    #: Only if this grant still holds.
    grant: Grant | None = None
    #: Set to 0 when progress was made; None leaves it.
    crashes: int | None = None


@frozen(kw_only=True)
class Refusal:
    """A record that could not even be queued, because the rules refuse it."""

    entry: Entry
    reason: DeadReason
    field: str
    message: str


@frozen(kw_only=True)
class PageCommit:
    """A page and the position behind it: stored together or not at all."""

    table: str
    position: ReadPosition
    entries: Sequence[Entry]
    refusals: Sequence[Refusal] = ()
    #: Keys that the source has shown; kept only while `position.compares` is set.
    seen: Sequence[str] = ()
    #: Rows the rules found nothing to do for; they count as put and skipped.
    skipped: int = 0
    #: The read sequence taken before the page was asked for, which grows from page to page; 0 where nobody was asked.
    seq: int = 0


@frozen(kw_only=True)
class FileCommit:
    """Rows of an exported file and the mark behind them: stored together or not at all."""

    mark: FileMark
    entries: Sequence[Entry]
    refusals: Sequence[Refusal] = ()
    #: Rows the rules found nothing to do for; they count as put and skipped.
    skipped: int = 0


class DeadLetterStatus(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    #: Put back into the backlog, to be read again from the source.
    RETRIED = "retried"
    DISCARDED = "discarded"
    #: A later change of the same record was written, or the record turned out to need no write any more.
    RESOLVED = "resolved"


@frozen(kw_only=True)
class DeadLetter:
    """A record that was set aside, with the reason and what was read."""

    id: int
    workflow: str
    key: RecordKey
    seq: int
    payload: bytes | None = field(repr=False)
    reason: DeadReason
    field: str
    message: str
    at: datetime
    generation: int
    attempts: int
    status: DeadLetterStatus
    #: The record that would have to be at the target first, where that is why.
    parent: RecordKey | None = None


@frozen(kw_only=True)
class Sample:
    """Depth and rate at one moment, for the trend."""

    at: datetime
    size: int
    #: `Totals.written` at that moment.
    written: int


class Storage(ConsentStore, HoldStore, SweepStore, Upkeep):
    """One database that holds the backlog and all that belongs to it.

    Implements the `Backlog` protocol (its methods and conditions hold here word for word) and the rest below. Every
    method is one transaction and may be called from any thread. Each may raise StorageBusyError or StorageFullError
    (nothing happened) and the StorageErrors. Time is the storage's own, so that several hosts agree.
    """

    # -- opening ------------------------------------------------------------------------------------------------

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections. A closed storage opens again when it is used again."""

    @abstractmethod
    def now(self) -> datetime:
        """The one clock that leases, delays and stamps of this storage go by. UTC."""

    # -- workflows ----------------------------------------------------------------------------------------------

    @abstractmethod
    def register(self, workflow: str, definition: str) -> WorkflowRow:
        """The workflow's row; created STOPPED with this definition when there is none."""

    @abstractmethod
    def workflow(self, workflow: str) -> WorkflowRow:
        """The row of a registered workflow. Raises KeyError when it was never registered."""

    @abstractmethod
    def change_state(self, workflow: str, change: StateChange, action: ActionEntry | None = None) -> bool:
        """Take one guarded step and note it in the history; False, and nothing happened, when a guard does not hold."""

    @abstractmethod
    def save_definition(self, workflow: str, definition: str, action: ActionEntry) -> None:
        """Replace the definition; the running snapshot stays."""

    @abstractmethod
    def want_stop(self, workflow: str, action: ActionEntry) -> WorkflowRow:
        """Note the wish to stop; the row afterwards."""

    @abstractmethod
    def record(self, workflow: str, action: ActionEntry) -> None:
        """Append to the history."""

    @abstractmethod
    def history(self, workflow: str, limit: int = 100) -> Sequence[ActionEntry]:
        """The newest entries first. Raises ValueError for a limit below 0."""

    # -- grants -------------------------------------------------------------------------------------------------

    @abstractmethod
    def acquire(self, workflow: str, owner: Owner, ttl: timedelta, *, workers: int = 1) -> Grant | None:
        """A grant to work on the workflow, or None while so many workers, or one of an older generation, have theirs.

        - A grant is live until it is released or runs out; on the same host and boot it ends with its process.
        - Whoever finds no live grant of a reader becomes the reader, the others are writers.
        - Unreleased grants that are not live end first, whatever the answer: their leased rows return to the queue,
          those marked as being sent ambiguous and one crash richer, the others as before the claim. `taken_over` is set
          and the row's `crashes` grows by one, however many vanished since somebody looked.
        - An owner that asks again gives its grant back with that.
        - The new epoch is larger than any before.
        """

    @abstractmethod
    def reap(self, grant: Grant) -> int:
        """End the unreleased grants of other workers that are not live, as `acquire` does; how many they were.

        Any worker may. Raises LeaseLostError.
        """

    @abstractmethod
    def release(self, grant: Grant) -> None:
        """Give the grant back, with whatever is still leased under it as RELEASED (marked rows become ambiguous).

        Other workers' grants stay. Harmless when it was lost.
        """

    @abstractmethod
    def extend(self, grant: Grant, ttl: timedelta) -> Grant:
        """See `Backlog.extend`."""

    @abstractmethod
    def progress(self, grant: Grant) -> None:
        """Note that work was done: the row's `crashes` goes back to 0."""

    # -- reading: what commits pages, moves positions or begins and ends full reads is for the reader's grant ---------

    @abstractmethod
    def next_read(self, grant: Grant) -> int:
        """A new read sequence, larger than any given before for this workflow. Taken before the read begins."""

    @abstractmethod
    def positions(self, workflow: str) -> Mapping[str, ReadPosition]:
        """How far each table has been read. Tables that were never read are missing."""

    @abstractmethod
    def commit_page(self, grant: Grant, page: PageCommit) -> PutReport:
        """Queue a page's entries, set aside its refusals and move the position, in one transaction.

        Entries follow the conditions of `put`; one that is `only_if_queued` also resolves the dead letters of its key
        that are not newer, since the record is in step again. A refusal supersedes what is queued for its key (a leased
        row stays), becomes a dead letter and counts as put and dead. If what it supersedes may have been applied, the
        ledger remembers the key with an empty fingerprint.

        What it says of a record that `read_by_key` was told of with a larger sequence is queued to be read by key.
        """

    @abstractmethod
    def read_by_key(self, grant: Grant, items: Sequence[Item]) -> None:
        """Note that these leased records were read by key, and that this has just ended; before any of it is written.

        A page that another process asked for before this may show an older state of them: what it says, or has said
        already and waits behind the leased row, is to be read by key in its turn. Any worker may.
        """

    @abstractmethod
    def unseen(self, workflow: str, table: str, limit: int) -> Sequence[str]:
        """Ids of the table in the ledger or in the queue that the running full read did not see, in order.

        What is queued counts too: it was read before, and nobody tells that it was deleted since.
        """

    @abstractmethod
    def forget_seen(self, grant: Grant, table: str, position: ReadPosition) -> None:
        """Forget what the running full read saw and move the position, in one transaction."""

    @abstractmethod
    def drop_position(self, workflow: str, table: str) -> None:
        """Forget how far a table was read (it left the definition). Its ledger stays."""

    @abstractmethod
    def want_replay(self, workflow: str, table: str, action: ActionEntry) -> None:
        """Note that all records of the table shall be sent again from the next start, and the row's generation."""

    @abstractmethod
    def wanted_replays(self, workflow: str) -> Mapping[str, int]:
        """Tables with such a note, and the generation the workflow had when it was made last."""

    @abstractmethod
    def begin_replay(self, grant: Grant, table: str, position: ReadPosition) -> None:
        """Move the table's position, forget the note and what an earlier resync saw, in one transaction."""

    # -- exported files and what is pushed ----------------------------------------------------------------------

    @abstractmethod
    def file_marks(self, workflow: str) -> Mapping[str, FileMark]:
        """How far each file was read, by its name. Files that were never read are missing."""

    @abstractmethod
    def commit_file(self, grant: Grant, commit: FileCommit) -> PutReport:
        """Queue rows of a file, set aside its refusals and move its mark, in one transaction.

        Entries and refusals follow the conditions of `commit_page`.
        """

    @abstractmethod
    def forget_files(self, workflow: str, action: ActionEntry) -> int:
        """Forget how far files were read, so that those that still lie there are read again; how many that were."""

    @abstractmethod
    def accept(self, workflow: str, entries: Sequence[Entry]) -> PutReport:
        """Queue what is pushed from outside, without a grant, under the conditions of `put`.

        Each entry gets a new read sequence, whatever its own says. Possible in every state of the workflow.
        """

    @abstractmethod
    def forget_oldest(self, grant: Grant, table: str, keep: int, limit: int) -> int:
        """Let the ledger of a table forget those it met first, down to `keep`, at most `limit` of them; how many."""

    # -- set aside ----------------------------------------------------------------------------------------------

    @abstractmethod
    def strangers_known(self, workflow: str, before: datetime, limit: int, *, ledger: str, table: str) -> Sequence[str]:
        """Those of `strangers` whom the ledger of the workflow `ledger` has in `table`: it is worth looking for them.

        Of the 10,000 that were asked for last, so that the question is cheap however many wait. Empty where there is
        no such workflow or table.
        """

    @abstractmethod
    def strangers(self, workflow: str, before: datetime, limit: int) -> Sequence[str]:
        """People of whom something is set aside and whom nobody looked up since `before`, the longest ago first."""

    @abstractmethod
    def next_stranger(self, workflow: str) -> datetime | None:
        """When the one was looked up whose turn is next; None when nothing is set aside."""

    @abstractmethod
    def looked_up(self, grant: Grant, people: Sequence[str], known: Collection[str]) -> int:
        """Note that these people were looked up at the target just now; how many changes went back into the queue.

        What is set aside of the `known` ones is queued again, in the live lane, each with a new read sequence, under
        the conditions of `put`; it is not counted as put once more.
        """

    @abstractmethod
    def drop_set_aside(self, grant: Grant, before: datetime, limit: int) -> int:
        """Discard what was set aside before a time, at most `limit`, the oldest first; how many. It counts so."""

    # -- backlog ------------------------------------------------------------------------------------------------

    @abstractmethod
    def put(self, grant: Grant, entries: Sequence[Entry]) -> PutReport:
        """See `Backlog.put`."""

    @abstractmethod
    def lease(self, grant: Grant, limit: int, before: Mapping[str, Collection[str]] | None = None) -> Sequence[Item]:
        """See `Backlog.lease`."""

    @abstractmethod
    def mark_sending(self, grant: Grant, items: Sequence[Item]) -> Sequence[Item]:
        """See `Backlog.mark_sending`."""

    @abstractmethod
    def settle(self, grant: Grant, settlements: Sequence[Settlement]) -> SettleReport:
        """See `Backlog.settle`."""

    @abstractmethod
    def counts(self, workflow: str) -> BacklogCounts:
        """See `Backlog.counts`."""

    @abstractmethod
    def next_due(self, workflow: str) -> datetime | None:
        """When the next delayed or waiting row becomes ready at the latest; None when there is none."""

    @abstractmethod
    def audit(self, workflow: str) -> Sequence[str]:
        """Recompute every counter from the rows; one sentence per difference. Empty when all is exact."""

    # -- parents ------------------------------------------------------------------------------------------------

    @abstractmethod
    def parents(self, workflow: str, keys: Collection[RecordKey]) -> Mapping[RecordKey, Parent]:
        """What is known of these records, each of them, that others point to."""

    @abstractmethod
    def waits_for(self, workflow: str, record: RecordKey) -> Sequence[RecordKey]:
        """The record that this one waits for, the one that that one waits for, and so on.

        Ends with one that does not wait, or before one that was named already; empty when the record does not wait.
        """

    # -- ledger -------------------------------------------------------------------------------------------------

    @abstractmethod
    def ledger(self, workflow: str, table: str, ids: Sequence[str]) -> Mapping[str, bytes]:
        """The fingerprints of these records as last written; ids the target is not known to have are missing."""

    @abstractmethod
    def ledger_size(self, workflow: str, table: str) -> int:
        """How many records of the table the target is known to have."""

    # -- dead letters -------------------------------------------------------------------------------------------

    @abstractmethod
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
        """Dead letters in the order they were set aside, from the one after id `after`.

        Raises ValueError for a limit below 0.
        """

    @abstractmethod
    def retry_dead_letters(
        self, workflow: str, ids: Sequence[int], action: ActionEntry, *, as_read: bool = False
    ) -> int:
        """Queue the records of these open letters again, to be read anew by key; how many that were.

        With `as_read` they are queued as they were read, for sources that cannot be asked by key; a letter without a
        payload is to be read anew all the same.
        """

    @abstractmethod
    def discard_dead_letters(self, workflow: str, ids: Sequence[int], action: ActionEntry) -> int:
        """Close these open letters for good; how many that were."""

    # -- gates and samples --------------------------------------------------------------------------------------

    @abstractmethod
    def gate(self, principal: str) -> datetime | None:
        """Until when nothing may be sent for this principal; None when the gate is open."""

    @abstractmethod
    def close_gate(self, principal: str, until: datetime) -> None:
        """Keep the gate closed at least until then. Never shortens a wait."""

    @abstractmethod
    def add_sample(self, workflow: str, sample: Sample) -> None:
        """Remember depth and rate; samples older than a day are thinned to one per ten minutes, then dropped."""

    @abstractmethod
    def samples(self, workflow: str, since: datetime) -> Sequence[Sample]:
        """Oldest first."""
