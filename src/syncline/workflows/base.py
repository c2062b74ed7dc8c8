"""What every workflow is: its status, its definition, its actions, and the slice of work a host's scheduler calls.

What lives here: `Workflow`, which decides when a step of its status is due and runs cycles in between. The steps
themselves are in `syncline.workflows.status`, what a cycle does inside is in `syncline.workflows.cycle`; what is read
and written is for the concrete workflow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import ClassVar, Generic, TypeVar, cast

from attrs import evolve

from syncline.backlog import Grant, Role
from syncline.clock import Clock, SystemClock
from syncline.connectors.base import Gate
from syncline.definition_changes import DefinitionChanges, difference, validate_edit
from syncline.definition_json import definition_from_json, definition_hash, definition_to_json
from syncline.definitions import Definition
from syncline.erasure import Erased
from syncline.errors import (
    CheckFailedError,
    LeaseLostError,
    RetryLaterError,
    StopWorkflowError,
    StorageBusyError,
    StorageFullError,
    SynclineError,
    ThrottledError,
)
from syncline.instrumentation import (
    CycleFinished,
    CycleStarted,
    Edited,
    Instrumentation,
    LeaseLost,
)
from syncline.scopes import workflow_name
from syncline.state_machine import Action, WorkflowEvent, WorkflowState, available_actions, require_action
from syncline.store import ActionEntry, Storage, WorkflowError, WorkflowRow
from syncline.upkeep import Purged
from syncline.views.backlog import BacklogView
from syncline.views.history import History
from syncline.views.reading import ReadProgress, progress_of
from syncline.views.workflow_list import WorkflowView
from syncline.workflows import forgetting
from syncline.workflows.budget import Budget, never, rest
from syncline.workflows.checks import CheckReport
from syncline.workflows.concurrency import ConcurrencyLimit
from syncline.workflows.cycle import Cycle
from syncline.workflows.cycle_report import CycleEnd, CycleReport
from syncline.workflows.dead_letters import DeadLetters
from syncline.workflows.depth import SAMPLES_SINCE, view_of
from syncline.workflows.holding import warnings_of
from syncline.workflows.housekeeping import Housekeeping
from syncline.workflows.owner import note_takeover, this_owner
from syncline.workflows.settings import EngineSettings
from syncline.workflows.snapshot import Snapshot
from syncline.workflows.status import Status
from syncline.workflows.work import Work

__all__ = ["CycleReport", "Workflow"]

D = TypeVar("D", bound=Definition)

_BUSY = "As many processes as may are working on this workflow."
_STANDS_BY = (
    "Another process works on this workflow. What carries opt-outs has one at a time, whatever EngineSettings.workers "
    "says: this one stands by, and the first to call after the other one has ended goes on in its place."
)


class Workflow(ABC, Generic[D]):
    """One of the workflows of an integration: a definition, a durable backlog and a status.

    Everything it knows is in the storage: any number of `Workflow` objects in any number of processes may stand for
    the same workflow. As many of them work at a time as `EngineSettings.workers` says: one reads, all write. Methods
    may be called from any thread.
    """

    #: What people call it.
    title: ClassVar[str]
    #: The last part of its name in the storage.
    kind: ClassVar[str]

    def __init__(
        self,
        storage: Storage,
        definition: D,
        *,
        integration: str = "default",
        clock: Clock | None = None,
        settings: EngineSettings | None = None,
        tell: Instrumentation | None = None,
    ) -> None:
        """`definition` is the first default: once the storage has one, that one counts until `edit`.

        Raises DefinitionError for the name of an integration that is empty, has a slash in it, or cannot be printed.
        """
        self.id = workflow_name(integration, self.kind)
        #: The integration, by which the storage knows what its workflows have in common.
        self._scope = integration
        self._storage = storage
        self._first_definition = definition_to_json(definition)
        self._clock = clock or SystemClock()
        self._settings = settings or EngineSettings()
        self._tell = tell or Instrumentation()
        self._status = Status(workflow=self.id, storage=storage, tell=self._tell)
        self._housekeeping = Housekeeping(storage, self.id, self._settings.retention, self._clock)
        #: What was found out about the target's pace; the next cycle goes on from there.
        self._limit = ConcurrencyLimit(self._settings.writers)

    # -- what a concrete workflow says ---------------------------------------------------------------------------------

    @abstractmethod
    def _preflight(self, definition: D, previous: Snapshot | None) -> tuple[CheckReport, Snapshot | None]:
        """Look at everything a start needs; the snapshot is None when a check failed.

        Raises RetryLaterError when a service cannot be asked just now.
        """

    @abstractmethod
    def _work(self, snapshot: Snapshot) -> Work:
        """What this snapshot does in a cycle."""

    @abstractmethod
    def _gates(self) -> Sequence[Gate]:
        """The gates of every service this workflow talks to."""

    @property
    def _most_workers(self) -> int:
        """How many processes may work on it at a time."""
        return self._settings.workers

    @property
    def _busy(self) -> str:
        return _STANDS_BY if self._most_workers < self._settings.workers else _BUSY

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.title

    @property
    def status(self) -> WorkflowState:
        """STOPPED, STARTING, RUNNING or FAILED."""
        return self._row().state

    @property
    def stopping(self) -> bool:
        """A stop was asked for, and what is in flight is being finished."""
        return self._row().stopping

    @property
    def error(self) -> WorkflowError | None:
        """Why the workflow is FAILED; None otherwise."""
        row = self._row()
        return row.error if row.state is WorkflowState.FAILED else None

    @property
    def definition(self) -> D:
        """The definition as last edited. What runs is the one of the last start; see `pending_changes`."""
        return self._parse(self._row().definition)

    @property
    def running_definition(self) -> D | None:
        """The definition that the running generation uses; None while none runs."""
        row = self._row()
        if row.state is not WorkflowState.RUNNING or row.snapshot is None:
            return None
        return self._parse(Snapshot.from_json(row.snapshot).definition)

    @property
    def pending_changes(self) -> DefinitionChanges:
        """What was edited and does not run yet; falsy when nothing waits.

        Compares with what the running process reported that it runs, not with what was last asked for.
        """
        row = self._row()
        return self._pending(row)

    @property
    def available_actions(self) -> tuple[Action, ...]:
        return available_actions(self._row().state)

    @property
    def throttled_until(self) -> datetime | None:
        """Until when a service asked for silence, whichever process it told."""
        now = self._storage.now()
        closed = (self._storage.gate(gate.principal) for gate in self._gates())
        return max((until for until in closed if until is not None and until > now), default=None)

    @property
    def backlog(self) -> BacklogView:
        """How many records wait to be written, and how that is going."""
        workers, now = self._row().workers, self._storage.now()
        samples = self._storage.samples(self.id, now - SAMPLES_SINCE)
        return view_of(self._storage.counts(self.id), samples, now, self.throttled_until, workers)

    @property
    def dead_letters(self) -> DeadLetters:
        """Records that were set aside."""
        self._row()
        return DeadLetters(self._storage, self.id)

    @property
    def reading(self) -> tuple[ReadProgress, ...]:
        """Full reads that are under way, with how far they have come, and replays that begin with the next start."""
        self._row()
        return progress_of(self._storage.positions(self.id), self._storage.wanted_replays(self.id))

    @property
    def history(self) -> History:
        """Who did what and what became of it: the last hundred entries, newest first. Prints as a table."""
        self._row()
        return History(self._storage.history(self.id))

    @property
    def view(self) -> WorkflowView:
        """One line of the Workflows page."""
        row = self._row()
        return WorkflowView(
            name=self.title,
            backlog=self.backlog,
            status=row.state,
            stopping=row.stopping,
            actions=available_actions(row.state),
            pending_changes=tuple(str(change) for change in self._pending(row)),
            error=row.error if row.state is WorkflowState.FAILED else None,
            throttled_until=self.throttled_until,
            reading=self.reading,
            warnings=self._warnings(),
        )

    def _warnings(self) -> tuple[str, ...]:
        """What a person must see although the workflow goes on."""
        return warnings_of(self._storage.holds(self.id))

    def check(self) -> CheckReport:
        """The pre-flight for the definition as last edited. Writes nothing.

        Raises RetryLaterError when a service cannot be asked just now.
        """
        row = self._row()
        return self._preflight(self._parse(row.definition), self._snapshot(row))[0]

    # -- acting --------------------------------------------------------------------------------------------------------

    def edit(self, definition: D, *, by: str = "") -> DefinitionChanges:
        """Store a new definition; what runs goes on with the old one until it is stopped and started.

        Returns what changed. Raises DefinitionError when tables, resources or keys of a kept mapping change.
        """
        row = self._row()
        old, snapshot = self._parse(row.definition), self._snapshot(row)
        validate_edit(old, definition)
        changes = difference(old, definition).counted({} if snapshot is None else snapshot.counts)
        if changes:
            told = "; ".join(str(change) for change in changes)
            self._storage.save_definition(self.id, definition_to_json(definition), self._action("edit", by, told))
            self._tell(Edited(workflow=self.id, changes=len(tuple(changes))))
        return changes

    def start(self, *, by: str = "") -> None:
        """Ask for a start: STOPPED or FAILED becomes STARTING, and the next cycle checks and runs.

        Raises ActionNotAvailableError in any other status.
        """
        row = self._row()
        require_action(Action.START, row.state)
        if not self._status.start(row, by=by):
            require_action(Action.START, self._row().state)  # somebody was faster: say what the status is now
            self.start(by=by)

    def stop(self, *, by: str = "") -> None:
        """Ask for a stop. What is in flight is finished first; the status is STOPPED once nothing is.

        Always possible once started, whatever the definition looks like. Where no process is at work the workflow is
        STOPPED on return. Raises ActionNotAvailableError when nothing was started.
        """
        require_action(Action.STOP, self._row().state)
        row = self._storage.want_stop(self.id, self._action("stop", by))
        if row.stopping and not row.workers:
            self._status.settle_stop(self._settings.lease)

    def forget(self, contact_id: str, *, opted_out: Collection[str] = (), by: str = "") -> Erased:
        """See `Integration.forget`: the other workflows of the integration forget the person as well."""
        return forgetting.forget(self._storage, self._scope, contact_id, opted_out=opted_out, by=by)

    def purge(self, *, by: str = "") -> Purged:
        """Remove now what `EngineSettings.retention` does not keep; idle cycles do it by themselves, bit by bit."""
        self._row()
        return self._housekeeping.all(by)

    # -- working -------------------------------------------------------------------------------------------------------

    def run_cycle(
        self, *, seconds: float | None = None, records: int | None = None, until: Callable[[], bool] = never
    ) -> CycleReport:
        """Do one bounded slice of work and say what it came to; a host's scheduler calls this again and again.

        - Ends when `seconds` are over or about `records` records were taken on, and in any case when caught up.
        - Ends early when `until` says True: nothing new begins, what is in flight is finished and kept, and the status
          stays what it is. It is asked several times a second in this thread: let it be quick.
        - Safe from several processes at once: as many work as `EngineSettings.workers` says, the others return at once
          and say so. The first one reads and writes, the next ones write what it queues; one of them goes on in its
          place when it ends or vanishes.
        - Trouble that passes by itself never changes the status. Trouble that does not makes it FAILED.

        Raises StorageErrors, StorageBusyError and StorageFullError, since without a storage no status can be told.
        """
        row = self._row()
        if not row.state.started:
            return self._report(CycleEnd.NOT_STARTED, message=f"The status is {row.state.value}: start it first.")
        budget = Budget(seconds=seconds, records=records, until=until)
        report, claimed = self._work_once(budget)
        while report.end is CycleEnd.NO_READER:
            budget = budget.less(report.seconds, claimed)
            later, claimed = self._work_once(budget)
            report = report.followed_by(later)
        return report

    def _work_once(self, budget: Budget) -> tuple[CycleReport, int]:
        """A cycle in one role, and how many rows it took on."""
        grant = self._storage.acquire(self.id, this_owner(), self._settings.lease, workers=self._most_workers)
        if grant is None:
            return self._report(CycleEnd.BUSY, message=self._busy), 0
        claimed = 0
        try:
            report, claimed = self._with_grant(grant, budget)
            if report.end is CycleEnd.IDLE and grant.role is Role.READER:
                self._housekeeping.step()
        except LeaseLostError as error:
            self._tell(LeaseLost(workflow=self.id, generation=grant.generation, epoch=grant.epoch))
            report = self._report(CycleEnd.LEASE_LOST, message=str(error))
        except RetryLaterError as error:
            report = self._report(CycleEnd.UNAVAILABLE, message=str(error))
        finally:
            self._storage.release(grant)
        report = evolve(report, role=grant.role)
        if self._row().stopping:
            self._status.settle_stop(self._settings.lease)
            return self._report(report.end, like=report), claimed
        return report, claimed

    def run(
        self,
        *,
        until: Callable[[], bool] = never,
        on_cycle: Callable[[CycleReport], None] = lambda _: None,
    ) -> CycleReport:
        """Cycle after cycle, for hosts without a scheduler; returns when the workflow is STOPPED or FAILED.

        `until` ends the loop as soon as it says True, as it does in `run_cycle`; the workflow stays RUNNING then.
        A storage that is busy or full is tried again; if that is how it is when `until` says True, its error is raised.
        """
        look, pause = (one.total_seconds() for one in (self._settings.attention, self._settings.idle_wait))
        while True:
            try:
                report = self.run_cycle(seconds=self._settings.heartbeat.total_seconds(), until=until)
            except (StorageBusyError, StorageFullError):
                if until():
                    raise
                rest(self._clock, pause, until, look)
                continue
            on_cycle(report)
            if not report.status.started or until():
                return report
            if report.end is not CycleEnd.BUDGET:
                rest(self._clock, pause, until, look)

    def _with_grant(self, grant: Grant, budget: Budget) -> tuple[CycleReport, int]:
        row = self._storage.workflow(self.id)
        if row.stopping:
            return self._report(CycleEnd.STOP), 0
        if not row.state.started or row.generation != grant.generation:
            return self._report(CycleEnd.NOT_STARTED, message="It was stopped or started anew meanwhile."), 0
        if grant.taken_over:
            note_takeover(self._storage, self._tell, grant, row.crashes)
        if row.crashes >= self._settings.crash_loop_limit:
            return self._fail_of_crashes(grant, row.crashes), 0
        if grant.role is Role.WRITER and (row.state is WorkflowState.STARTING or self._most_workers == 1):
            return self._report(CycleEnd.BUSY, message=self._busy), 0
        self._heed_gates()
        if row.state is WorkflowState.STARTING and not budget.until():
            if (waiting := self._begin(row, grant)) is not None:
                return waiting, 0
            # The checks may have used up most of the lease.
            grant, row = self._storage.extend(grant, self._settings.lease), self._storage.workflow(self.id)
        if row.state is WorkflowState.STARTING or budget.until():
            return self._report(CycleEnd.ASKED), 0
        return self._cycle(row, grant, budget)

    def _begin(self, row: WorkflowRow, grant: Grant) -> CycleReport | None:
        """STARTING to RUNNING, or to FAILED; a report when the cycle ends here."""
        definition = self._parse(row.definition)
        try:
            report, snapshot = self._preflight(definition, self._snapshot(row))
        except RetryLaterError as error:
            return self._wait_to_begin(row, grant, error)
        if snapshot is None:
            failed = CheckFailedError("\n".join(str(check) for check in report.failed), lost=report.lost)
            return self._fail(grant, failed, WorkflowEvent.CHECKS_FAILED)
        snapshot = evolve(snapshot, checked_at=self._storage.now())
        self._status.begin(row, grant, snapshot, definition_hash(definition))
        return self._report(CycleEnd.STOP) if self._storage.workflow(self.id).stopping else None

    def _wait_to_begin(self, row: WorkflowRow, grant: Grant, error: RetryLaterError) -> CycleReport:
        """The services cannot be asked just now: stay STARTING, but not for ever."""
        asked = next((entry.at for entry in self._storage.history(self.id) if entry.action == "start"), None)
        if asked is not None and self._storage.now() - asked > self._settings.start_timeout:
            return self._fail(grant, error, WorkflowEvent.CHECKS_FAILED)
        self._storage.progress(grant)
        if isinstance(error, ThrottledError):
            for gate in self._gates():
                if gate.principal == error.principal and gate.closed_until is not None:
                    self._storage.close_gate(gate.principal, gate.closed_until)
            return self._report(CycleEnd.THROTTLED, message=str(error))
        return self._report(CycleEnd.UNAVAILABLE, message=str(error))

    def _cycle(self, row: WorkflowRow, grant: Grant, budget: Budget) -> tuple[CycleReport, int]:
        if row.snapshot is None:
            raise LeaseLostError("The workflow has no snapshot to run: it was changed by another process.")
        began = self._clock.monotonic()
        self._tell(CycleStarted(workflow=self.id, generation=grant.generation))
        try:
            work = self._work(Snapshot.from_json(row.snapshot))
        except SynclineError as error:
            return self._fail(grant, error, WorkflowEvent.UNRECOVERABLE), 0
        cycle = Cycle(
            storage=self._storage,
            grant=grant,
            work=work,
            settings=self._settings,
            clock=self._clock,
            budget=budget,
            tell=self._tell,
            limit=self._limit,
        )
        end = cycle.run()
        if end is CycleEnd.FAILED and cycle.error is not None:
            self._fail(grant, cycle.error, WorkflowEvent.UNRECOVERABLE, cycle.about)
        if end is CycleEnd.LEASE_LOST:
            self._tell(LeaseLost(workflow=self.id, generation=grant.generation, epoch=grant.epoch))
        tally, seconds = cycle.tally, self._clock.monotonic() - began
        size = self._storage.counts(self.id).size
        self._tell(
            CycleFinished(
                workflow=self.id,
                generation=grant.generation,
                seconds=seconds,
                read=tally.read,
                written=tally.written,
                dead=tally.dead,
                backlog=size,
            )
        )
        row = self._row()
        failed = row.error.message if end is CycleEnd.FAILED and row.error is not None else ""
        report = CycleReport(
            end=end,
            status=row.state,
            read=tally.read,
            written=tally.written,
            skipped=tally.skipped,
            dead=tally.dead,
            delayed=tally.delayed,
            held=tally.held,
            refused=tally.refused,
            calls=tally.calls,
            seconds=seconds,
            resume_at=cycle.resume_at,
            message=failed if cycle.error is None else str(cycle.error),
        )
        return report, cycle.claimed

    def _fail(self, grant: Grant, error: SynclineError, event: WorkflowEvent, about: str = "") -> CycleReport:
        self._status.fail(grant, error, event, about)
        return self._report(CycleEnd.FAILED, message=str(error))

    def _fail_of_crashes(self, grant: Grant, crashes: int) -> CycleReport:
        error = StopWorkflowError(
            f"The process that worked on this vanished {crashes} times in a row without getting anything done.",
            remedy="See why it dies (memory, a signal, the host's own time limit), then start again.",
        )
        return self._fail(grant, error, WorkflowEvent.CRASH_LOOP)

    # -- small things --------------------------------------------------------------------------------------------------

    def _heed_gates(self) -> None:
        """Wait where a service asked for silence, whichever process it told."""
        for gate in self._gates():
            until = self._storage.gate(gate.principal)
            if until is not None:
                gate.close_until(until)

    def _row(self) -> WorkflowRow:
        return self._storage.register(self.id, self._first_definition)

    def _parse(self, text: str) -> D:
        return cast(D, definition_from_json(text))

    def _pending(self, row: WorkflowRow) -> DefinitionChanges:
        edited = self._parse(row.definition)
        if row.state is not WorkflowState.RUNNING or row.snapshot is None:
            return difference(edited, edited)
        if row.running_hash == definition_hash(edited):
            return difference(edited, edited)
        snapshot = Snapshot.from_json(row.snapshot)
        return difference(self._parse(snapshot.definition), edited).counted(snapshot.counts)

    def _snapshot(self, row: WorkflowRow) -> Snapshot | None:
        return None if row.snapshot is None else Snapshot.from_json(row.snapshot)

    def _action(self, action: str, by: str, detail: str = "") -> ActionEntry:
        return ActionEntry(at=self._storage.now(), action=action, by=by, detail=detail)

    def _report(self, end: CycleEnd, *, message: str = "", like: CycleReport | None = None) -> CycleReport:
        if like is None:
            return CycleReport(end=end, status=self._row().state, message=message)
        return evolve(like, status=self._row().state)

    def _repr_html_(self) -> str:
        """Its line of the Workflows page, for a notebook."""
        return self.view.to_html()

    def __repr__(self) -> str:
        row = self._row()
        stopping = ", stopping" if row.stopping else ""
        return f"<{type(self).__name__} {self.id} {row.state}{stopping}>"
