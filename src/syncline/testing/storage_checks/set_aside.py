"""Checks of what is set aside: it waits outside the queue for its person, is counted, and comes back."""

from __future__ import annotations

from datetime import timedelta

from syncline.backlog import Grant, Settlement, Settling
from syncline.records import RecordKey
from syncline.scopes import scope_of
from syncline.testing.storage_checks.subject import ACTION, WORKFLOW, Subject, entry, ids, settlements

_ANN, _BO = "11111111-2222-4333-8444-555555555555", "no guid"


def _aside(subject: Subject, grant: Grant, person: str, *records: str, seq: int = 1) -> None:
    items = subject.put_and_lease(grant, *[entry(record, seq) for record in records])
    report = subject.storage.settle(
        grant, [Settlement(item=item, settling=Settling.SET_ASIDE, person=person) for item in items]
    )
    assert (report.settled, report.refused) == (len(records), 0)


def check_what_is_set_aside_is_counted_outside_the_queue(subject: Subject) -> None:
    """It is neither queued nor dead, nobody leases it, and every number stays exact."""
    grant, storage = subject.grant(), subject.storage
    _aside(subject, grant, _ANN, "a", "b")
    _aside(subject, grant, _BO, "c")
    counts = storage.counts(WORKFLOW)
    assert (counts.size, counts.set_aside, counts.dead_letters) == (0, 3, 0)
    assert subject.lease(grant) == []
    assert storage.ledger_size(WORKFLOW, "contact") == 0
    subject.exact()


def check_people_are_looked_up_in_turn(subject: Subject) -> None:
    """Who was looked up longest ago is next, and not before the time asked for."""
    grant, storage = subject.grant(), subject.storage
    assert storage.next_stranger(WORKFLOW) is None
    _aside(subject, grant, _ANN, "a")
    subject.wait(60)
    _aside(subject, grant, _BO, "b")
    subject.wait(60)
    now = storage.now()
    assert storage.strangers(WORKFLOW, now, 9) == [_ANN, _BO]
    assert storage.strangers(WORKFLOW, now, 1) == [_ANN]
    assert storage.strangers(WORKFLOW, now - timedelta(seconds=90), 9) == [_ANN]
    assert storage.looked_up(grant, [_ANN], []) == 0
    subject.wait(60)
    assert storage.strangers(WORKFLOW, storage.now(), 9) == [_BO, _ANN]
    oldest = storage.next_stranger(WORKFLOW)
    assert oldest is not None
    assert oldest < now
    subject.exact()


def check_known_people_bring_their_changes_back(subject: Subject) -> None:
    """All that was set aside of a person is queued again as it was, and is not counted as put twice."""
    grant, storage = subject.grant(), subject.storage
    _aside(subject, grant, _ANN, "a", "b")
    _aside(subject, grant, _BO, "c")
    put = storage.counts(WORKFLOW).totals.put
    assert storage.looked_up(grant, [_ANN, _BO], {_ANN}) == 2
    counts = storage.counts(WORKFLOW)
    assert (counts.size, counts.set_aside, counts.totals.put) == (2, 1, put)
    assert storage.strangers(WORKFLOW, storage.now(), 9) == [_BO]
    items = subject.lease(grant)
    assert ids(items) == ["a", "b"]
    assert {item.payload for item in items} == {entry("a").payload}
    storage.settle(grant, settlements(items))
    subject.exact()


def check_strangers_that_another_ledger_has_are_found(subject: Subject) -> None:
    """Who appeared in what another workflow wrote is worth looking for, unless that was just done."""
    grant, storage = subject.grant(), subject.storage
    _aside(subject, grant, _ANN, "a")
    _aside(subject, grant, _BO, "b")
    asked = {"ledger": WORKFLOW, "table": "people"}
    assert storage.strangers_known(WORKFLOW, storage.now(), 9, **asked) == []
    storage.settle(grant, settlements(subject.put_and_lease(grant, entry(_BO, table="people"))))
    assert storage.strangers_known(WORKFLOW, storage.now(), 9, **asked) == [_BO]
    assert storage.strangers_known(WORKFLOW, storage.now(), 0, **asked) == []
    assert storage.strangers_known(WORKFLOW, storage.now() - timedelta(seconds=1), 9, **asked) == []
    assert storage.strangers_known(WORKFLOW, storage.now(), 9, ledger="acme/nobody", table="people") == []


def check_of_a_record_the_newest_is_set_aside(subject: Subject) -> None:
    """A change that comes again while it is set aside takes the place of the older one."""
    grant, storage = subject.grant(), subject.storage
    _aside(subject, grant, _ANN, "a")
    _aside(subject, grant, _BO, "a", seq=2)
    counts = storage.counts(WORKFLOW)
    assert (counts.set_aside, counts.totals.superseded) == (1, 1)
    assert storage.looked_up(grant, [_ANN], [_ANN]) == 0
    assert storage.looked_up(grant, [_BO], [_BO]) == 1
    subject.exact()


def check_a_newer_change_behind_it_takes_over(subject: Subject) -> None:
    """Nothing is set aside of a row behind which a newer change waits: that one is tried."""
    grant, storage = subject.grant(), subject.storage
    (item,) = subject.put_and_lease(grant, entry("a", 1))
    storage.put(grant, [entry("a", 2)])
    storage.settle(grant, [Settlement(item=item, settling=Settling.SET_ASIDE, person=_ANN)])
    counts = storage.counts(WORKFLOW)
    assert (counts.size, counts.set_aside, counts.totals.superseded) == (1, 0, 1)
    assert subject.one(grant).seq == 2
    subject.exact()


def check_what_comes_back_meets_what_is_queued(subject: Subject) -> None:
    """A change that is queued again meanwhile is one with what comes back."""
    grant, storage = subject.grant(), subject.storage
    _aside(subject, grant, _ANN, "a")
    storage.put(grant, [entry("a", storage.next_read(grant))])
    assert storage.looked_up(grant, [_ANN], [_ANN]) == 1
    assert (subject.size(), storage.counts(WORKFLOW).set_aside) == (1, 0)
    subject.exact()


def check_what_waited_too_long_is_discarded(subject: Subject) -> None:
    """A retention discards the oldest, a piece at a time, and counts it."""
    grant, storage = subject.grant(), subject.storage
    _aside(subject, grant, _ANN, "a", "b")
    subject.wait(100)
    later = storage.now()
    _aside(subject, grant, _BO, "c")
    assert storage.drop_set_aside(grant, later, 1) == 1
    assert storage.drop_set_aside(grant, later, 9) == 1
    assert storage.drop_set_aside(grant, later, 9) == 0
    counts = storage.counts(WORKFLOW)
    assert (counts.set_aside, counts.totals.discarded) == (1, 2)
    assert storage.strangers(WORKFLOW, storage.now(), 9) == [_BO]
    subject.exact()


def check_a_forgotten_person_leaves_nothing_aside(subject: Subject) -> None:
    """Erasure discards what waits for the person, too."""
    grant, storage = subject.grant(), subject.storage
    _aside(subject, grant, _ANN, "a", "b")
    _aside(subject, grant, _BO, "c")
    erased = storage.forget(scope_of(WORKFLOW), _ANN, ACTION)
    assert erased.queued == 2
    counts = storage.counts(WORKFLOW)
    assert (counts.set_aside, counts.totals.discarded) == (1, 2)
    subject.exact()


def check_a_crash_leaves_what_is_set_aside(subject: Subject) -> None:
    """A takeover returns what was leased and nothing else."""
    grant = subject.grant()
    _aside(subject, grant, _ANN, "a")
    subject.put_and_lease(grant, entry("b"))
    taken = subject.takeover()
    assert [item.key for item in subject.lease(taken)] == [RecordKey(table="contact", id="b")]
    subject.exact()
