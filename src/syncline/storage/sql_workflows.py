"""Workflows and their grants over SQL.

What lives here: what is wished and what is, who may work, and the history. Nothing about which step may follow which:
that is the state machine's table.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import frozen

from syncline.backlog import Grant
from syncline.errors import LeaseLostError
from syncline.state_machine import INITIAL_STATE, WorkflowState
from syncline.storage import sql_settling
from syncline.storage.columns import as_datetime, as_microseconds, error_from_json, error_to_json, printable
from syncline.storage.processes import is_known_dead
from syncline.storage.sql_transaction import Held, Transaction
from syncline.store import ActionEntry, Owner, StateChange, WorkflowRow

__all__ = [
    "acquire",
    "change_state",
    "extend",
    "history",
    "note",
    "progress",
    "register",
    "release",
    "save_definition",
    "want_stop",
    "workflow_row",
]


def register(tx: Transaction, workflow: str, definition: str) -> WorkflowRow:
    """See `Storage.register`."""
    tx.adds_names()
    if tx.session.run("add_workflow", (workflow, INITIAL_STATE.value, definition)):
        workflow_id = tx.workflow_id(workflow)
        tx.session.run("add_grant", (workflow_id,))
        tx.start_totals(workflow_id)
    return workflow_row(tx, workflow)


def workflow_row(tx: Transaction, workflow: str) -> WorkflowRow:
    """See `Storage.workflow`."""
    row = tx.session.row("workflow", (workflow,))
    if row is None:
        raise KeyError(workflow)
    name, wanted, state, generation, definition, snapshot, running_hash, error, crashes, *holder = row
    owner, expires_at = _holder(*holder)
    return WorkflowRow(
        workflow=name,
        wanted=bool(wanted),
        state=WorkflowState(state),
        generation=generation,
        definition=definition,
        snapshot=snapshot,
        running_hash=running_hash,
        error=None if error is None else error_from_json(error),
        owner=owner.id if owner is not None and _is_live(tx, owner, expires_at) else None,
        crashes=crashes,
    )


def change_state(tx: Transaction, workflow: str, change: StateChange, action: ActionEntry | None) -> bool:
    """See `Storage.change_state`."""
    workflow_id = tx.workflow_id(workflow)
    if change.generation < change.expected_generation:
        raise ValueError("a generation never goes back")
    if change.grant is not None and (change.grant.workflow != workflow or tx.held(change.grant) is None):
        return False
    if change.require_unowned and _grant(tx, workflow).is_live(tx):
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
    rows = tx.session.rows("history", (tx.workflow_id(workflow), max(0, limit)))
    return [ActionEntry(at=as_datetime(at), action=action, by=by, detail=detail) for at, action, by, detail in rows]


# -- grants -----------------------------------------------------------------------------------------------------


@frozen
class _StoredGrant:
    """A workflow's grant as it is stored; `owner` is None when it was given back."""

    workflow_id: int
    generation: int
    epoch: int
    owner: Owner | None
    expires_at: int

    def is_live(self, tx: Transaction) -> bool:
        return self.owner is not None and _is_live(tx, self.owner, self.expires_at)


def _holder(
    owner: str | None, host: str, boot_id: str, pid: int, started: str, expires_at: int
) -> tuple[Owner | None, int]:
    if owner is None:
        return None, expires_at
    return Owner(id=owner, host=host, boot_id=boot_id, pid=pid, started=started), expires_at


def _is_live(tx: Transaction, owner: Owner, expires_at: int) -> bool:
    return expires_at > tx.now and not is_known_dead(owner)


def _grant(tx: Transaction, workflow: str) -> _StoredGrant:
    row = tx.session.row("grant", (workflow,))
    if row is None:
        raise KeyError(workflow)
    workflow_id, generation, epoch, *holder = row
    return _StoredGrant(workflow_id, generation, epoch, *_holder(*holder))


def acquire(tx: Transaction, workflow: str, owner: Owner, ttl: timedelta) -> Grant | None:
    """See `Storage.acquire`."""
    before = _grant(tx, workflow)
    same = before.owner is not None and before.owner.id == owner.id
    if before.is_live(tx) and not same:
        return None
    taken_over = before.owner is not None and not same
    if before.owner is not None:
        _end(tx, workflow, before, before.owner, crashed=taken_over)
    epoch = tx.next_epoch()
    expires_at = tx.now + ttl // timedelta(microseconds=1)
    holder = (owner.id, owner.host, owner.boot_id, owner.pid, owner.started)
    tx.expect(1, tx.session.run("give_grant", (epoch, *holder, expires_at, before.workflow_id, before.epoch)))
    return Grant(
        workflow=workflow,
        owner=owner.id,
        epoch=epoch,
        generation=before.generation,
        expires_at=as_datetime(expires_at),
        taken_over=taken_over,
    )


def _end(tx: Transaction, workflow: str, before: _StoredGrant, owner: Owner, *, crashed: bool) -> None:
    """Return the leased rows of a grant that its owner never gave back."""
    grant = Grant(
        workflow=workflow,
        owner=owner.id,
        epoch=before.epoch,
        generation=before.generation,
        expires_at=as_datetime(before.expires_at),
    )
    held = Held(grant, before.workflow_id)
    if crashed:
        sql_settling.return_after_crash(tx, held)
        tx.expect(1, tx.session.run("add_crash", (before.workflow_id,)))
    else:
        sql_settling.return_unsettled(tx, held)


def release(tx: Transaction, grant: Grant) -> None:
    """See `Storage.release`. The generation does not matter: what was leased under an older one returns as well."""
    before = _grant(tx, grant.workflow)
    if before.owner is None or (before.owner.id, before.epoch) != (grant.owner, grant.epoch):
        return
    _end(tx, grant.workflow, before, before.owner, crashed=False)
    tx.expect(1, tx.session.run("end_grant", (before.workflow_id, grant.epoch, grant.owner)))


def extend(tx: Transaction, grant: Grant, ttl: timedelta) -> Grant:
    """See `Storage.extend`."""
    held = tx.hold(grant)
    expires_at = tx.now + ttl // timedelta(microseconds=1)
    if not tx.session.run("extend_grant", (expires_at, held.workflow_id, grant.epoch, grant.owner)):
        raise LeaseLostError(f"The grant with epoch {grant.epoch} to work on {grant.workflow} no longer holds.")
    return Grant(
        workflow=grant.workflow,
        owner=grant.owner,
        epoch=grant.epoch,
        generation=grant.generation,
        expires_at=as_datetime(expires_at),
        taken_over=grant.taken_over,
    )


def progress(tx: Transaction, grant: Grant) -> None:
    """See `Storage.progress`."""
    tx.session.run("forget_crashes", (tx.hold(grant).workflow_id,))
