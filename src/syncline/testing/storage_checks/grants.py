"""Checks of the right to work: one owner at a time, and what happens when it vanishes."""

from __future__ import annotations

from datetime import timedelta

from syncline.backlog import Grant, ItemState
from syncline.errors import LeaseLostError
from syncline.records import ReadStage
from syncline.state_machine import WorkflowState
from syncline.store import PageCommit, StateChange
from syncline.testing.storage_checks.subject import WORKFLOW, Subject, entry, owner, position, settlements

_MINUTE = timedelta(seconds=60)


def check_one_owner_at_a_time(subject: Subject) -> None:
    """While a grant is live nobody else gets one; released, it goes to the next with a larger epoch."""
    first = subject.grant()
    assert subject.storage.acquire(WORKFLOW, owner(), _MINUTE) is None
    subject.storage.release(first)
    second = subject.grant()
    assert second.epoch > first.epoch
    assert not second.taken_over
    assert subject.storage.workflow(WORKFLOW).crashes == 0


def check_a_grant_runs_out(subject: Subject) -> None:
    """A grant nobody extended is taken over, which counts as a crash until progress was made."""
    first = subject.grant()
    subject.wait(59)
    assert subject.storage.acquire(WORKFLOW, owner(), _MINUTE) is None
    subject.wait(2)
    assert subject.storage.workflow(WORKFLOW).owner is None
    second = subject.grant()
    assert second.taken_over
    assert second.epoch > first.epoch
    assert subject.storage.workflow(WORKFLOW).crashes == 1
    subject.storage.progress(second)
    assert subject.storage.workflow(WORKFLOW).crashes == 0


def check_a_heartbeat_keeps_a_grant(subject: Subject) -> None:
    """An extended grant is live until then; extending one that another followed raises LeaseLostError."""
    first = subject.grant()
    subject.wait(50)
    extended = subject.storage.extend(first, _MINUTE)
    assert extended.epoch == first.epoch
    assert extended.expires_at > first.expires_at
    subject.wait(50)
    assert subject.storage.acquire(WORKFLOW, owner(), _MINUTE) is None
    subject.takeover()
    assert _loses(lambda grant: subject.storage.extend(grant, _MINUTE), extended)


def check_an_owner_can_ask_again(subject: Subject) -> None:
    """The owner of a live grant gets a new one in its place; what it had leased returns, and it is no crash."""
    me = owner()
    subject.storage.register(WORKFLOW, "{}")
    first = subject.storage.acquire(WORKFLOW, me, _MINUTE)
    assert first is not None
    subject.put_and_lease(first, entry("a"))
    second = subject.storage.acquire(WORKFLOW, me, _MINUTE)
    assert second is not None
    assert second.epoch > first.epoch
    assert not second.taken_over
    assert subject.in_state(ItemState.READY) == 1
    assert _loses(lambda grant: subject.storage.put(grant, []), first)


def _loses(act: object, grant: Grant) -> bool:
    assert callable(act)
    try:
        act(grant)
    except LeaseLostError:
        return True
    return False


def check_a_lost_grant_changes_nothing(subject: Subject) -> None:
    """V5: every write under a lost grant raises LeaseLostError, or is counted as refused, and nothing changes."""
    storage = subject.storage
    lost = subject.grant()
    (item,) = subject.put_and_lease(lost, entry("a"))
    subject.takeover()
    before = storage.counts(WORKFLOW)
    page = PageCommit(table="contact", position=position(), entries=[entry("b")])
    for act in (
        lambda grant: storage.put(grant, [entry("b")]),
        lambda grant: storage.lease(grant, 1),
        lambda grant: storage.mark_sending(grant, [item]),
        lambda grant: storage.commit_page(grant, page),
        lambda grant: storage.next_read(grant),
        lambda grant: storage.forget_seen(grant, "contact", position(ReadStage.DELTA)),
        lambda grant: storage.begin_replay(grant, "contact", position()),
        lambda grant: storage.progress(grant),
    ):
        assert _loses(act, lost)
    storage.release(lost)
    report = storage.settle(lost, settlements([item]))
    assert (report.settled, report.refused) == (0, 1)
    after = storage.counts(WORKFLOW)
    assert after.groups == before.groups
    assert after.totals.refused == before.totals.refused + 1
    assert storage.ledger(WORKFLOW, "contact", ["a"]) == {}
    assert storage.positions(WORKFLOW) == {}
    subject.exact()


def check_a_new_generation_ends_a_grant(subject: Subject) -> None:
    """V5: once a start raised the generation, a grant of the older one changes nothing more."""
    storage = subject.storage
    old = subject.grant()
    (item,) = subject.put_and_lease(old, entry("a"))
    start = StateChange(
        expected_state=WorkflowState.STOPPED, expected_generation=0, state=WorkflowState.STARTING, generation=1
    )
    assert storage.change_state(WORKFLOW, start)
    assert _loses(lambda grant: storage.put(grant, [entry("b")]), old)
    assert storage.settle(old, settlements([item])).refused == 1
    storage.release(old)
    new = subject.grant()
    assert new.generation == 1
    assert subject.one(new).attempts == 1
    subject.exact()


def check_released_rows_are_as_before_the_claim(subject: Subject) -> None:
    """Releasing a grant returns its rows at once, the claim uncounted; those being sent are ambiguous."""
    first = subject.grant()
    items = subject.put_and_lease(first, entry("a"), entry("b"))
    subject.storage.mark_sending(first, items[:1])
    subject.storage.release(first)
    second = subject.grant()
    sent, unsent = subject.lease(second)
    assert (sent.ambiguous, sent.attempts, sent.crashes) == (True, 1, 0)
    assert (unsent.ambiguous, unsent.attempts, unsent.crashes) == (False, 1, 0)
    subject.exact()


def check_a_crash_marks_what_was_being_sent(subject: Subject) -> None:
    """After a takeover the rows being sent are ambiguous and one crash richer; the others are as before the claim."""
    first = subject.grant()
    items = subject.put_and_lease(first, entry("a"), entry("b"))
    subject.storage.mark_sending(first, items[:1])
    sent, unsent = subject.lease(subject.takeover())
    assert (sent.key.id, sent.ambiguous, sent.attempts, sent.crashes) == ("a", True, 2, 1)
    assert (unsent.key.id, unsent.ambiguous, unsent.attempts, unsent.crashes) == ("b", False, 1, 0)
    subject.exact()


def check_a_crash_keeps_the_newer_change(subject: Subject) -> None:
    """A change that waited behind a row of a dead process takes its place, ambiguous if that was being sent."""
    first = subject.grant()
    items = subject.put_and_lease(first, entry("a", first=True), entry("b"))
    subject.storage.mark_sending(first, items[:1])
    subject.storage.put(first, [entry("a", 2, b"{}"), entry("b", 2, b"{}")])
    grant = subject.takeover()
    a, b = sorted(subject.lease(grant), key=lambda item: item.key)
    assert (a.seq, a.payload, a.ambiguous, a.crashes, a.first, a.attempts) == (2, b"{}", True, 1, True, 1)
    assert (b.seq, b.payload, b.ambiguous, b.crashes, b.first, b.attempts) == (2, b"{}", False, 0, False, 1)
    assert subject.storage.counts(WORKFLOW).totals.superseded == 2
    subject.exact()


def check_epochs_grow_over_everything(subject: Subject) -> None:
    """Epochs only grow, over all workflows and through closing."""
    epochs = []
    for round_ in range(6):
        workflow = f"acme/{round_ % 3}"
        grant = subject.grant(workflow)
        epochs.append(grant.epoch)
        subject.storage.release(grant)
        subject.storage.close()
    assert epochs == sorted(set(epochs))
