"""Workflows over SQL.

What lives here: what is wished and what is, and the history. Who may work is in `sql_grants`. Nothing about which step
may follow which: that is the state machine's table.
"""

from __future__ import annotations

from syncline.backlog import Role
from syncline.state_machine import INITIAL_STATE, WorkflowState
from syncline.storage import sql_grants
from syncline.storage.columns import as_datetime, as_microseconds, at_most, error_from_json, error_to_json, printable
from syncline.storage.sql_transaction import Transaction
from syncline.store import ActionEntry, StateChange, WorkflowRow

__all__ = ["change_state", "history", "note", "register", "save_definition", "want_stop", "workflow_row"]

#: Columns of a workflow, before those of one of its grants.
_COLUMNS = 9


def register(tx: Transaction, workflow: str, definition: str) -> WorkflowRow:
    """See `Storage.register`."""
    tx.adds_names()
    if tx.session.run("add_workflow", (workflow, INITIAL_STATE.value, definition)):
        tx.start_totals(tx.workflow_id(workflow))
    return workflow_row(tx, workflow)


def workflow_row(tx: Transaction, workflow: str) -> WorkflowRow:
    """See `Storage.workflow`."""
    rows = tx.session.rows("workflow", (workflow,))
    if not rows:
        raise KeyError(workflow)
    name, wanted, state, generation, definition, snapshot, running_hash, error, crashes = rows[0][:_COLUMNS]
    grants = [sql_grants.StoredGrant.of(row[_COLUMNS:]) for row in rows if row[_COLUMNS] is not None]
    live = [grant for grant in grants if grant.is_live(tx)]
    return WorkflowRow(
        workflow=name,
        wanted=bool(wanted),
        state=WorkflowState(state),
        generation=generation,
        definition=definition,
        snapshot=snapshot,
        running_hash=running_hash,
        error=None if error is None else error_from_json(error),
        owner=next((grant.owner.id for grant in live if grant.role is Role.READER), None),
        crashes=crashes,
        workers=len(live),
        vanished=len(grants) - len(live),
    )


def change_state(tx: Transaction, workflow: str, change: StateChange, action: ActionEntry | None) -> bool:
    """See `Storage.change_state`."""
    workflow_id = tx.workflow_id(workflow)
    if change.generation < change.expected_generation:
        raise ValueError("a generation never goes back")
    if change.grant is not None and (change.grant.workflow != workflow or tx.held(change.grant) is None):
        return False
    if change.require_unowned and sql_grants.others(tx, workflow_id, change.grant):
        return False
    changed = tx.session.run(
        "change_state",
        {
            "workflow": workflow,
            "expected_state": change.expected_state.value,
            "expected_generation": change.expected_generation,
            "wanted": change.wanted,
            "state": change.state.value,
            "generation": change.generation,
            "clear_error": change.clear_error,
            "error": None if change.error is None else error_to_json(change.error),
            "snapshot": change.snapshot,
            "running_hash": change.running_hash,
            "crashes": change.crashes,
        },
    )
    if changed and action is not None:
        note(tx, workflow_id, action)
    return bool(changed)


def save_definition(tx: Transaction, workflow: str, definition: str, action: ActionEntry) -> None:
    """See `Storage.save_definition`."""
    workflow_id = tx.workflow_id(workflow)
    tx.expect(1, tx.session.run("save_definition", (definition, workflow_id)))
    note(tx, workflow_id, action)


def want_stop(tx: Transaction, workflow: str, action: ActionEntry) -> WorkflowRow:
    """See `Storage.want_stop`."""
    workflow_id = tx.workflow_id(workflow)
    tx.expect(1, tx.session.run("want_stop", (workflow_id,)))
    note(tx, workflow_id, action)
    return workflow_row(tx, workflow)


# -- history ----------------------------------------------------------------------------------------------------


def note(tx: Transaction, workflow_id: int, action: ActionEntry) -> None:
    """Append to the history."""
    words = [printable(text) for text in (action.action, action.by, action.detail)]
    tx.session.run("add_history", (workflow_id, as_microseconds(action.at), *words))


def history(tx: Transaction, workflow: str, limit: int) -> list[ActionEntry]:
    """See `Storage.history`."""
    rows = tx.session.rows("history", (tx.workflow_id(workflow), at_most(limit)))
    return [ActionEntry(at=as_datetime(at), action=action, by=by, detail=detail) for at, action, by, detail in rows]
