"""Who works on a workflow, over SQL: one reader and any number of writers.

What lives here: giving, extending and ending grants, and what becomes of what a vanished worker had leased. Nothing
about what a grant permits: `Transaction.hold` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from attrs import frozen

from syncline.backlog import Grant, Role
from syncline.errors import LeaseLostError
from syncline.storage import sql_settling
from syncline.storage.columns import as_datetime
from syncline.storage.dialect import Row
from syncline.storage.processes import is_known_dead
from syncline.storage.sql_transaction import Held, Transaction
from syncline.store import Owner

__all__ = ["StoredGrant", "acquire", "extend", "others", "progress", "reap", "release"]


@frozen
class StoredGrant:
    """A grant that was neither given back nor taken."""

    epoch: int
    role: Role
    generation: int
    expires_at: int
    owner: Owner

    @classmethod
    def of(cls, row: Row) -> StoredGrant:
        """From the columns of the query `grants_of`."""
        epoch, reader, generation, expires_at, owner, host, boot_id, pid, started = row
        role = Role.READER if reader else Role.WRITER
        process = Owner(id=owner, host=host, boot_id=boot_id, pid=pid, started=started)
        return cls(epoch, role, generation, expires_at, process)

    def is_live(self, tx: Transaction) -> bool:
        """Whether its worker may still be at work."""
        return self.expires_at > tx.now and not is_known_dead(self.owner)

    def as_grant(self, workflow: str) -> Grant:
        """As its owner has it."""
        return Grant(
            workflow=workflow,
            owner=self.owner.id,
            epoch=self.epoch,
            generation=self.generation,
            expires_at=as_datetime(self.expires_at),
            role=self.role,
        )


def acquire(tx: Transaction, workflow: str, owner: Owner, ttl: timedelta, workers: int) -> Grant | None:
    """See `Storage.acquire`."""
    workflow_id = tx.workflow_id(workflow)
    row = tx.session.row("generation", (workflow_id,))
    if row is None:
        raise KeyError(workflow)
    grants = _grants(tx, workflow_id)
    for mine in [grant for grant in grants if grant.owner.id == owner.id]:
        _end(tx, workflow, workflow_id, mine, crashed=False)
        grants.remove(mine)
    live = [grant for grant in grants if grant.is_live(tx)]
    _take_over(tx, workflow, workflow_id, [grant for grant in grants if grant not in live])
    generation = row[0]
    # What an older generation has in flight ends first: one write of a record at a time.
    if len(live) >= workers or any(grant.generation != generation for grant in live):
        return None
    role = Role.WRITER if any(grant.role is Role.READER for grant in live) else Role.READER
    epoch = tx.next_epoch()
    expires_at = tx.now + ttl // timedelta(microseconds=1)
    process = (owner.id, owner.host, owner.boot_id, owner.pid, owner.started)
    values = (workflow_id, epoch, int(role is Role.READER), generation, *process, expires_at)
    tx.expect(1, tx.session.run("give_grant", values))
    return Grant(
        workflow=workflow,
        owner=owner.id,
        epoch=epoch,
        generation=generation,
        expires_at=as_datetime(expires_at),
        role=role,
        taken_over=len(live) < len(grants),
    )


def _grants(tx: Transaction, workflow_id: int) -> list[StoredGrant]:
    return [StoredGrant.of(row) for row in tx.session.rows("grants_of", (workflow_id,))]


def others(tx: Transaction, workflow_id: int, grant: Grant | None) -> list[StoredGrant]:
    """The live grants of a workflow but for this one."""
    mine = None if grant is None else grant.epoch
    return [one for one in _grants(tx, workflow_id) if one.epoch != mine and one.is_live(tx)]


def reap(tx: Transaction, held: Held) -> int:
    """See `Storage.reap`."""
    grants = _grants(tx, held.workflow_id)
    vanished = [one for one in grants if one.epoch != held.epoch and not one.is_live(tx)]
    _take_over(tx, held.grant.workflow, held.workflow_id, vanished)
    return len(vanished)


def _take_over(tx: Transaction, workflow: str, workflow_id: int, vanished: Sequence[StoredGrant]) -> None:
    for grant in vanished:
        _end(tx, workflow, workflow_id, grant, crashed=True)
    if vanished:
        # Who vanished together had one cause: a host that was switched off is no loop of crashes.
        tx.expect(1, tx.session.run("add_crash", (workflow_id,)))


def _end(tx: Transaction, workflow: str, workflow_id: int, stored: StoredGrant, *, crashed: bool) -> None:
    """Return what a grant has leased, and forget it."""
    held = Held(stored.as_grant(workflow), workflow_id, stored.role is Role.READER)
    if crashed:
        sql_settling.return_after_crash(tx, held)
    else:
        sql_settling.return_unsettled(tx, held)
    tx.expect(1, tx.session.run("end_grant", (workflow_id, stored.epoch, stored.owner.id)))


def release(tx: Transaction, grant: Grant) -> None:
    """See `Storage.release`. The generation does not matter: what was leased under an older one returns as well."""
    workflow_id = tx.workflow_id(grant.workflow)
    for stored in _grants(tx, workflow_id):
        if (stored.owner.id, stored.epoch) == (grant.owner, grant.epoch):
            _end(tx, grant.workflow, workflow_id, stored, crashed=False)


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
        role=grant.role,
        taken_over=grant.taken_over,
    )


def progress(tx: Transaction, grant: Grant) -> None:
    """See `Storage.progress`."""
    tx.session.run("forget_crashes", (tx.hold(grant).workflow_id,))
