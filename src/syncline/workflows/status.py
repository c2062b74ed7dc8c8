"""The status of a workflow and the steps from one to the next, each of them one guarded change of what is stored.

What lives here: `Status`, which takes the steps and tells of them. When one is due is for the workflow; which there are
is in `syncline.state_machine`.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, field, frozen

from syncline.backlog import Grant
from syncline.errors import LeaseLostError, SchemaChangedError, SynclineError
from syncline.instrumentation import Instrumentation, StateChanged
from syncline.state_machine import WorkflowEvent, next_state
from syncline.store import ActionEntry, StateChange, Storage, WorkflowError, WorkflowRow
from syncline.workflows.owner import this_owner
from syncline.workflows.snapshot import Snapshot

__all__ = ["Status"]


@frozen(kw_only=True)
class Status:
    """What a workflow does to its own status."""

    workflow: str
    storage: Storage
    tell: Instrumentation = field(repr=False)

    def start(self, row: WorkflowRow, *, by: str) -> bool:
        """STOPPED or FAILED to STARTING; False when somebody else was faster with a step of theirs."""
        state = next_state(row.state, WorkflowEvent.START_REQUESTED)
        change = StateChange(
            expected_state=row.state,
            expected_generation=row.generation,
            state=state,
            generation=row.generation + 1,
            wanted=True,
            clear_error=True,
            crashes=0,
        )
        return self._take(change, WorkflowEvent.START_REQUESTED, self._entry("start", by))

    def begin(self, row: WorkflowRow, grant: Grant, snapshot: Snapshot, definition_hash: str) -> None:
        """STARTING to RUNNING. Raises LeaseLostError when the workflow was taken over meanwhile."""
        change = StateChange(
            expected_state=row.state,
            expected_generation=row.generation,
            state=next_state(row.state, WorkflowEvent.CHECKS_PASSED),
            generation=row.generation,
            snapshot=snapshot.to_json(),
            running_hash=definition_hash,
            crashes=0,
            grant=grant,
        )
        if not self._take(change, WorkflowEvent.CHECKS_PASSED, self._entry(change.state.value)):
            raise LeaseLostError("The workflow was taken over while it was starting.")

    def settle_stop(self, lease: timedelta) -> None:
        """STARTING or RUNNING to STOPPED, once nobody is at work; whoever still is does it when it notices."""
        grant = self.storage.acquire(self.workflow, this_owner(), lease)
        if grant is None:
            return
        try:
            row = self.storage.workflow(self.workflow)
            if row.stopping:
                self._end(row, grant, WorkflowEvent.DRAINED)
        finally:
            self.storage.release(grant)

    def fail(self, grant: Grant, error: SynclineError, event: WorkflowEvent, about: str = "") -> None:
        """To FAILED, with the error for people to read. Raises LeaseLostError when another process was faster."""
        row = self.storage.workflow(self.workflow)
        if not row.state.started:
            raise LeaseLostError("Another process took the workflow over and stopped it.")
        if isinstance(error, SchemaChangedError) and not about:
            about = f"{error.table}.{error.field}" if error.field else error.table
        told = WorkflowError(
            kind=type(error).__name__, message=error.message, remedy=error.remedy, at=self.storage.now(), about=about
        )
        if row.snapshot is not None:
            row = evolve(row, snapshot=Snapshot.from_json(row.snapshot).after(error).to_json())
        if not self._end(row, grant, event, told):
            raise LeaseLostError("Another process took the workflow over before it could become FAILED.")

    def _end(self, row: WorkflowRow, grant: Grant, event: WorkflowEvent, error: WorkflowError | None = None) -> bool:
        """To a status in which nothing is wanted."""
        state = next_state(row.state, event)
        change = StateChange(
            expected_state=row.state,
            expected_generation=row.generation,
            state=state,
            generation=row.generation,
            wanted=False,
            error=error,
            snapshot=row.snapshot,
            require_unowned=error is None,
            grant=grant,
        )
        kept, told = ("", "") if error is None else (f"{error.kind}: {error.message}", f"{error.kind} {error.about}")
        return self._take(change, event, self._entry(state.value, detail=kept), told.strip())

    def _take(self, change: StateChange, event: WorkflowEvent, entry: ActionEntry, detail: str = "") -> bool:
        """Take a step and tell of it; False when the status was not any more what it was expected to be."""
        if not self.storage.change_state(self.workflow, change, entry):
            return False
        self.tell(
            StateChanged(
                workflow=self.workflow,
                before=change.expected_state,
                after=change.state,
                cause=event,
                generation=change.generation,
                detail=detail,
            )
        )
        return True

    def _entry(self, action: str, by: str = "", detail: str = "") -> ActionEntry:
        return ActionEntry(at=self.storage.now(), action=action, by=by, detail=detail)
