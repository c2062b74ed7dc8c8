"""Checks of forgetting: a person leaves every place, the numbers stay exact, and an opt-out outlives it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from syncline.backlog import DeadReason, ItemState, Lane, Settlement, Settling
from syncline.state_machine import WorkflowState
from syncline.store import ActionEntry, DeadLetterStatus, PageCommit, StateChange, WorkflowError
from syncline.testing.storage_checks.subject import (
    ACTION,
    NOON,
    WORKFLOW,
    Subject,
    entry,
    ids,
    key,
    position,
    settlements,
)

_EGRESS: Final = "acme/egress"
_OTHERS: Final = "acme2/ingress"
_ANN: Final = "11111111-1111-4111-8111-111111111111"
_BOB: Final = "22222222-2222-4222-8222-222222222222"


def check_a_forgotten_person_leaves_every_place(subject: Subject) -> None:
    """Queue, ledger and dead letters of all workflows of the scope lose the person; others and all counts stay."""
    storage = subject.storage
    for workflow in (WORKFLOW, _EGRESS, _OTHERS):
        grant = subject.grant(workflow)
        items = subject.put_and_lease(grant, entry(_ANN), entry(_BOB))
        storage.settle(grant, settlements(items))
        items = subject.put_and_lease(grant, entry(_ANN, 2), entry(_BOB, 2))
        dead = [Settlement(item=item, settling=Settling.DEAD, reason=DeadReason.REFUSED, message="m") for item in items]
        storage.settle(grant, dead)
        storage.put(grant, [entry(_ANN, 3), entry(_ANN, 3, table="other"), entry(_BOB, 3)])
    erased = storage.forget("acme", _ANN, ACTION)
    assert (erased.queued, erased.in_flight, erased.dead_letters, erased.known) == (4, 0, 2, 2)
    for workflow, left in ((WORKFLOW, 1), (_EGRESS, 1), (_OTHERS, 3)):
        subject.exact(workflow)
        assert subject.size(workflow) == left
        assert len(storage.dead_letters(workflow, record=_ANN, status=None)) == (left - 1) // 2
        assert set(storage.ledger(workflow, "contact", [_ANN, _BOB])) == ({_BOB} if left == 1 else {_ANN, _BOB})
    assert storage.history(WORKFLOW)[0] == storage.history(_EGRESS)[0] == ACTION
    assert list(storage.history(_OTHERS)) == []
    assert storage.counts(WORKFLOW).totals.discarded == 3
    again = storage.forget("acme", _ANN, ACTION)
    assert (again.queued, again.dead_letters, again.known, again.mentions) == (0, 0, 0, 0)


def check_a_delayed_row_is_forgotten(subject: Subject) -> None:
    """A row that waits for a retry goes like one that is ready, and one that nobody knows is no matter."""
    grant, storage = subject.grant(), subject.storage
    (item,) = subject.put_and_lease(grant, entry(_ANN))
    assert storage.forget("acme", "nobody", ACTION).queued == 0
    retry = Settlement(item=item, settling=Settling.RETRY, retry_at=storage.now() + timedelta(days=1))
    storage.settle(grant, [retry])
    assert subject.in_state(ItemState.DELAYED) == 1
    assert storage.forget("acme", _ANN, ACTION).queued == 1
    assert subject.size() == 0
    assert storage.next_due(WORKFLOW) is None
    subject.exact()


def check_what_is_leased_is_forgotten_at_once(subject: Subject) -> None:
    """A claimed row is not sent any more, what was being sent is told, and neither settles into the ledger."""
    grant, storage = subject.grant(), subject.storage
    claimed, sent = subject.put_and_lease(grant, entry(_ANN), entry(_BOB))
    storage.mark_sending(grant, [sent])
    storage.put(grant, [entry(_BOB, 2, lane=Lane.BULK)])
    erased = [storage.forget("acme", person, ACTION) for person in (_ANN, _BOB)]
    assert [(one.queued, one.in_flight) for one in erased] == [(1, 0), (2, 1)]
    subject.exact()
    assert list(storage.mark_sending(grant, [claimed])) == []
    assert storage.settle(grant, settlements([claimed, sent])).refused == 2
    assert storage.ledger(WORKFLOW, "contact", [_ANN, _BOB]) == {}
    assert subject.size() == 0
    assert subject.lease(grant) == []
    storage.put(grant, [entry(_ANN, 3)])
    assert ids(subject.lease(grant)) == [_ANN]
    storage.release(grant)
    subject.exact()


def check_what_names_a_forgotten_person_is_read_again(subject: Subject) -> None:
    """Other records that name the person keep their place without their payload, also while they are leased."""
    grant, storage = subject.grant(), subject.storage
    named = b'{"owner":"' + _ANN.upper().encode() + b'"}'
    (leased,) = subject.put_and_lease(grant, entry("held", 1, named))
    storage.put(grant, [entry("held", 2, named), entry("one", 1, named), entry("two", 1)])
    assert storage.forget("acme", _ANN, ACTION).mentions == 3
    subject.exact()
    one, two = sorted(subject.lease(grant), key=lambda item: item.key)
    assert (one.key, one.payload, one.refresh) == (key("one"), None, True)
    assert two.payload is not None
    storage.settle(grant, settlements([leased], Settling.RELEASED))
    held = subject.one(grant)
    assert (held.payload, held.refresh) == (None, True)
    subject.exact()


def check_a_letter_that_names_a_forgotten_person_loses_what_was_read(subject: Subject) -> None:
    """A dead letter of another record stays, without its payload, where that names the person."""
    grant, storage = subject.grant(), subject.storage
    named = b'{"owner":"' + _ANN.encode() + b'"}'
    items = subject.put_and_lease(grant, entry("one", 1, named), entry("two", 1))
    dead = [Settlement(item=item, settling=Settling.DEAD, reason=DeadReason.REFUSED, message="m") for item in items]
    storage.settle(grant, dead)
    assert storage.forget("acme", _ANN, ACTION).mentions == 1
    one, two = storage.dead_letters(WORKFLOW, status=DeadLetterStatus.OPEN)
    assert (one.payload, two.payload is None) == (None, False)
    subject.exact()


def check_an_id_that_is_no_guid_is_found_as_a_whole_value(subject: Subject) -> None:
    """Such an id could be part of any word: only what names exactly it loses its payload."""
    grant, storage = subject.grant(), subject.storage
    subject.put_and_lease(grant, entry("one", 1, b'{"name":"Ann"}'), entry("two", 1, b'{"name":"Anna"}'))
    assert storage.forget("acme", "Ann", ACTION).mentions == 1
    subject.exact()


def check_what_cannot_be_read_again_goes_with_the_person(subject: Subject) -> None:
    """Where a source cannot be asked again, what names the person is removed, and counts as discarded."""
    grant, storage = subject.grant(_EGRESS), subject.storage
    named = b'{"externalId":"' + _ANN.encode() + b'"}'
    items = subject.put_and_lease(grant, entry("1", 1, named), entry("2", 1, named), entry("3", 1, named))
    dead = Settlement(item=items[0], settling=Settling.DEAD, reason=DeadReason.REFUSED, message="m")
    storage.settle(grant, [dead])
    storage.put(grant, [entry("2", 2, named), entry("4", 1, named), entry("5", 1)])
    erased = storage.forget("acme", _ANN, ACTION, cannot_read_again=[_EGRESS])
    assert (erased.queued, erased.dead_letters, erased.mentions) == (4, 1, 0)
    assert ids(subject.lease(grant)) == ["5"]
    assert storage.counts(_EGRESS).totals.discarded == 5
    subject.exact(_EGRESS)


def check_a_resync_does_not_bring_a_forgotten_person_back(subject: Subject) -> None:
    """What a resync saw or did not see of the person is forgotten too."""
    grant, storage = subject.grant(), subject.storage
    storage.settle(grant, settlements(subject.put_and_lease(grant, entry(_ANN), entry(_BOB))))
    page = PageCommit(table="contact", position=position(compares=True), entries=[], seen=[_ANN])
    storage.commit_page(grant, page)
    storage.forget("acme", _ANN, ACTION)
    storage.forget("acme", _BOB, ACTION)
    assert list(storage.unseen(WORKFLOW, "contact", 10)) == []
    storage.forget_seen(grant, "contact", position())
    subject.exact()


def check_what_was_said_about_a_person_names_nobody(subject: Subject) -> None:
    """History and error of the scope's workflows lose the id and keep the rest."""
    storage = subject.storage
    for workflow in (WORKFLOW, _OTHERS):
        storage.register(workflow, "{}")
        storage.record(workflow, ActionEntry(at=NOON, action="FAILED", detail=f"contact({_ANN}) was refused"))
        error = WorkflowError(kind="E", message=f"about {_ANN}", remedy="r", at=NOON, about=f"contact({_ANN})")
        failed = StateChange(
            expected_state=WorkflowState.STOPPED,
            expected_generation=0,
            state=WorkflowState.FAILED,
            generation=0,
            error=error,
        )
        assert storage.change_state(workflow, failed)
    storage.forget("acme", _ANN, ACTION)
    assert [entry.detail for entry in storage.history(WORKFLOW)] == [ACTION.detail, "contact(forgotten) was refused"]
    told = storage.workflow(WORKFLOW).error
    assert told is not None
    assert (told.about, told.message) == ("contact(forgotten)", "about forgotten")
    other = storage.workflow(_OTHERS).error
    assert other is not None
    assert _ANN in other.about


def check_an_opt_out_outlives_its_person(subject: Subject) -> None:
    """A keyed hash keeps the channels, adds to them, tells scopes apart, and tells nothing to who has no id."""
    storage = subject.storage
    storage.register(WORKFLOW, "{}")
    assert storage.suppressed("acme", [_ANN]) == {}
    assert storage.forget("acme", _ANN, ACTION, opted_out=["blackListEmail"]).opted_out == {"blackListEmail"}
    assert storage.forget("acme", _ANN, ACTION, opted_out=["ccpaOptOut"]).opted_out == {"blackListEmail", "ccpaOptOut"}
    assert storage.forget("acme", _BOB, ACTION).opted_out == frozenset()
    assert storage.suppressed("acme", [_ANN, _BOB, "nobody"]) == {
        _ANN: {"blackListEmail", "ccpaOptOut"},
        _BOB: frozenset(),
    }
    assert storage.suppressed("acme2", [_ANN]) == {}
    assert storage.suppressed("acme", []) == {}
