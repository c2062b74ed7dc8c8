"""Checks of upkeep: what is old goes in small batches with every count exact, and a workflow can start over."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from syncline.backlog import DeadReason, Settlement, Settling
from syncline.state_machine import WorkflowState
from syncline.store import DeadLetterStatus, PageCommit, Sample, StateChange
from syncline.testing.storage_checks.subject import (
    ACTION,
    WORKFLOW,
    Subject,
    entry,
    position,
    settlements,
)
from syncline.upkeep import Purged, Retention

_DAY: Final = timedelta(days=1)
_NOTHING: Final = Retention(closed_letters=None, open_letters=None, history=None, samples=None, decisions=None)


def _bury(subject: Subject, *records: str) -> None:
    grant = subject.grant()
    items = subject.put_and_lease(grant, *[entry(record) for record in records])
    dead = [Settlement(item=item, settling=Settling.DEAD, reason=DeadReason.REFUSED, message="m") for item in items]
    subject.storage.settle(grant, dead)
    subject.storage.release(grant)


def check_what_is_old_is_purged_and_counted(subject: Subject) -> None:
    """Letters, history and samples past their age go, exactly those; what is younger or has no age stays."""
    storage = subject.storage
    _bury(subject, "a", "b", "c")
    letters = storage.dead_letters(WORKFLOW)
    storage.discard_dead_letters(WORKFLOW, [letters[0].id], ACTION)
    storage.add_sample(WORKFLOW, Sample(at=storage.now(), size=1, written=1))
    subject.wait(2 * 86_400)
    _bury(subject, "d")
    assert storage.purge(WORKFLOW, _NOTHING, 100) == Purged()
    keep_open = Retention(closed_letters=_DAY, open_letters=None, history=None, samples=_DAY)
    assert storage.purge(WORKFLOW, keep_open, 100) == Purged(closed_letters=1, samples=1)
    assert len(storage.dead_letters(WORKFLOW, status=None)) == 3
    subject.exact()
    assert storage.purge(WORKFLOW, Retention(open_letters=_DAY, history=None), 1) == Purged(open_letters=1)
    assert storage.purge(WORKFLOW, Retention(open_letters=_DAY, history=None), 100) == Purged(open_letters=1)
    assert [letter.key.id for letter in storage.dead_letters(WORKFLOW, status=None)] == ["d"]
    totals = storage.counts(WORKFLOW).totals
    assert (totals.dead, totals.discarded, storage.counts(WORKFLOW).dead_letters) == (1, 3, 1)
    subject.exact()
    assert storage.purge(WORKFLOW, Retention(history=timedelta(0)), 100).history >= 1
    assert list(storage.history(WORKFLOW)) == []


def check_a_purge_never_touches_the_queue_or_the_ledger(subject: Subject) -> None:
    """What waits to be written, and what the target is known to have, does not grow old."""
    grant, storage = subject.grant(), subject.storage
    storage.settle(grant, settlements(subject.put_and_lease(grant, entry("known"))))
    storage.put(grant, [entry("queued")])
    subject.wait(10_000 * 86_400)
    none = timedelta(0)
    storage.purge(
        WORKFLOW, Retention(closed_letters=none, open_letters=none, history=none, samples=none, decisions=none), 100
    )
    assert subject.size() == 1
    assert storage.ledger_size(WORKFLOW, "contact") == 1
    subject.exact()


def check_a_workflow_can_start_over(subject: Subject) -> None:
    """Positions of the tables named go; with doubt their fingerprints become empty, and nothing is forgotten."""
    grant, storage = subject.grant(), subject.storage
    for table in ("contact", "account"):
        storage.settle(grant, settlements(subject.put_and_lease(grant, entry("a", table=table))))
        storage.commit_page(grant, PageCommit(table=table, position=position(compares=True), entries=[], seen=["a"]))
    storage.release(grant)
    assert storage.start_over(WORKFLOW, ["contact", "never"], ACTION, doubt=True)
    assert set(storage.positions(WORKFLOW)) == {"account"}
    assert storage.ledger(WORKFLOW, "contact", ["a"]) == {"a": b""}
    assert storage.ledger(WORKFLOW, "account", ["a"]) != {"a": b""}
    assert storage.ledger_size(WORKFLOW, "contact") == 1
    assert list(storage.unseen(WORKFLOW, "contact", 10)) == ["a"]
    assert storage.history(WORKFLOW)[0] == ACTION
    assert storage.start_over(WORKFLOW, ["account"], ACTION, doubt=False, snapshot="new")
    assert storage.workflow(WORKFLOW).snapshot == "new"
    assert storage.ledger(WORKFLOW, "account", ["a"]) != {"a": b""}
    subject.exact()


def check_what_is_started_does_not_start_over(subject: Subject) -> None:
    """Whoever works has positions in hand: nothing happens, and it is not noted."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    change = StateChange(
        expected_state=WorkflowState.STOPPED,
        expected_generation=0,
        state=WorkflowState.STARTING,
        generation=1,
        wanted=True,
    )
    assert storage.change_state(WORKFLOW, change)
    assert not storage.start_over(WORKFLOW, ["contact"], ACTION, doubt=True, snapshot="new")
    assert storage.workflow(WORKFLOW).snapshot is None
    assert list(storage.history(WORKFLOW)) == []
    assert list(storage.dead_letters(WORKFLOW, status=DeadLetterStatus.OPEN)) == []
