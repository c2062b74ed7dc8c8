"""Checks of waiting for parents: what ends a wait, in which transaction, and that nothing waits unseen."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from syncline.backlog import DeadReason, Grant, Group, Item, ItemState, Lane, Operation, Settlement, Settling
from syncline.parents import Parent
from syncline.scopes import scope_of
from syncline.store import DeadLetterStatus, PageCommit, Refusal
from syncline.testing.storage_checks.subject import ACTION, WORKFLOW, Subject, entry, ids, key, position, settlements

_HOUR = 3_600


def _waits(subject: Subject, item: Item, parent: str, *, seconds: float = _HOUR) -> Settlement:
    look_again = subject.storage.now() + timedelta(seconds=seconds)
    return Settlement(item=item, settling=Settling.WAITING, parent=key(parent, "account"), retry_at=look_again)


def _waiting(subject: Subject, grant: Grant, child: str = "c", parent: str = "p") -> None:
    """A child that waits for a parent that nothing is known of."""
    (item,) = subject.put_and_lease(grant, entry(child))
    report = subject.storage.settle(grant, [_waits(subject, item, parent)])
    assert (report.settled, report.refused) == (1, 0)


def check_a_waiting_row_is_seen(subject: Subject) -> None:
    """It is counted as waiting, with its table, is part of the size, is the oldest, and nobody leases it."""
    grant, storage = subject.grant(), subject.storage
    _waiting(subject, grant)
    counts = storage.counts(WORKFLOW)
    group = Group(table="contact", operation=Operation.UPSERT, lane=Lane.LIVE, state=ItemState.WAITING)
    assert counts.groups == {group: 1}
    assert (counts.size, counts.waiting) == (1, 1)
    assert counts.oldest is not None
    assert subject.lease(grant) == []
    due = storage.next_due(WORKFLOW)
    assert due is not None
    assert due > storage.now()
    subject.exact()


def check_a_parent_that_lands_frees_its_children(subject: Subject) -> None:
    """All of them, at once, at their old places, whether the parent was written or found there; nobody else's."""
    for settling in (Settling.WRITTEN, Settling.SKIPPED):
        grant, storage = subject.grant(), subject.storage
        for child in ("c1", "c2"):
            _waiting(subject, grant, child, settling.value)
        _waiting(subject, grant, "other", "another")
        (parent,) = subject.put_and_lease(grant, entry(settling.value, table="account"))
        storage.settle(grant, settlements([parent], settling))
        assert subject.in_state(ItemState.WAITING) == 1
        children = subject.lease(grant)
        assert ids(children) == ["c1", "c2"]
        assert all(child.waits_from is not None for child in children)
        subject.exact()
        storage.settle(grant, settlements(children))
        subject.wait(_HOUR + 1)
        storage.settle(grant, settlements(subject.lease(grant)))
        storage.release(grant)


def check_every_end_of_a_parent_wakes_its_children(subject: Subject) -> None:
    """Dead, skipped without a trace, deleted: somebody has to look again. A retry is no end."""
    grant, storage = subject.grant(), subject.storage
    for settling in (
        Settling.RETRY,
        Settling.RELEASED,
        Settling.HELD,
        Settling.DEAD,
        Settling.SKIPPED,
        Settling.WRITTEN,
    ):
        _waiting(subject, grant)
        (parent,) = subject.put_and_lease(grant, entry("p", table="account"))
        end = Settlement(item=parent, settling=settling, reason=DeadReason.REFUSED, message="no", forget=True)
        storage.settle(grant, [end])
        back = settling in (Settling.RETRY, Settling.RELEASED)
        assert subject.in_state(ItemState.WAITING) == back
        subject.exact()
        subject.wait(_HOUR + 1)
        if settling is Settling.HELD:
            storage.confirm_held(WORKFLOW, "account", ACTION)
        storage.settle(grant, settlements(subject.lease(grant), Settling.SKIPPED, None))
        assert subject.size() == 0
        grant = subject.takeover()


def check_a_parent_of_the_same_batch_frees_its_child(subject: Subject) -> None:
    """Whatever the order of the settlements: a wait that begins when its reason ends never begins."""
    grant, storage = subject.grant(), subject.storage
    ends = (Settling.WRITTEN, Settling.SKIPPED, Settling.DEAD)
    for number, settling in enumerate([*ends, *ends]):
        parent, child = subject.put_and_lease(grant, entry("p", table="account"), entry("c"))
        if parent.key.table == "contact":
            parent, child = child, parent
        end = Settlement(item=parent, settling=settling, reason=DeadReason.REFUSED, message="no")
        batch = [end, _waits(subject, child, "p")]
        storage.settle(grant, batch if number < len(ends) else batch[::-1])
        assert subject.in_state(ItemState.WAITING) == 0
        subject.exact()
        storage.settle(grant, settlements(subject.lease(grant), Settling.SKIPPED, None))


def check_no_circle_of_waits_is_closed(subject: Subject) -> None:
    """Workers that had records in hand which point to each other: the last one is decided on again, and at once."""
    reader, storage = subject.grant(), subject.storage
    records = ("c1", "c2", "c3")
    items = subject.put_and_lease(reader, *(entry(record) for record in records))
    for item, parent in zip(items, ("c2", "c3", "c1"), strict=True):
        wait = evolve(_waits(subject, item, parent), parent=key(parent), parent_queued=True)
        assert storage.settle(reader, [wait]).settled == 1
        subject.exact()
    last = subject.one(reader)
    assert (last.key.id, last.attempts, last.waits_from) == ("c3", 1, None)
    assert storage.waits_for(WORKFLOW, key("c1")) == [key("c2"), key("c3")]
    for record in ("c3", "c2", "c1"):  # each frees the one that waits for it
        subject.end(reader, last)
        assert last.key.id == record
        last = next(iter(subject.lease(reader)), last)
    assert subject.size() == 0
    subject.exact()


def check_a_parent_that_ended_meanwhile_is_not_waited_for(subject: Subject) -> None:
    """Another worker has ended it since that was decided: nobody would wake the child, so it is decided on again."""
    for settling in (Settling.DEAD, Settling.SKIPPED, Settling.WRITTEN):
        reader, storage = subject.worker(), subject.storage
        writer = subject.worker()
        (parent,) = subject.put_and_lease(writer, entry("p", table="account"))
        (child,) = subject.put_and_lease(reader, entry("c"))
        end = Settlement(item=parent, settling=settling, reason=DeadReason.REFUSED, message="no", forget=True)
        storage.settle(writer, [end])
        storage.settle(reader, [evolve(_waits(subject, child, "p"), parent_queued=True)])
        again = subject.one(reader)
        # One that is still to be read is waited for.
        storage.settle(reader, [_waits(subject, again, "p")])
        assert subject.in_state(ItemState.WAITING) == 1
        subject.exact()
        subject.wait(_HOUR + 1)
        reader = subject.grant()
        storage.settle(reader, settlements(subject.lease(reader)))
        storage.release(reader)


def check_a_known_parent_that_is_tried_again_frees_its_children(subject: Subject) -> None:
    """The target has it: nobody waits until another attempt succeeds. One that it does not have is waited for."""
    grant, storage = subject.grant(), subject.storage
    for known in (False, True):
        (parent,) = subject.put_and_lease(grant, entry("p", table="account"))
        _waiting(subject, grant)
        later = storage.now() + timedelta(seconds=_HOUR)
        storage.settle(grant, [Settlement(item=parent, settling=Settling.RETRY, retry_at=later)])
        assert subject.in_state(ItemState.WAITING) == (not known)
        subject.exact()
        subject.wait(_HOUR + 1)
        grant = subject.takeover()
        storage.settle(grant, settlements(subject.lease(grant)))
        assert subject.size() == 0


def check_a_known_parent_is_not_waited_for(subject: Subject) -> None:
    """What the ledger knows by now is there; what it only suspects is not. A child is not set aside for it either."""
    grant, storage = subject.grant(), subject.storage
    (parent,) = subject.put_and_lease(grant, entry("p", table="account"))
    storage.settle(grant, settlements([parent]))
    (child,) = subject.put_and_lease(grant, entry("c"))
    storage.settle(grant, [_waits(subject, child, "p")])
    child = subject.one(grant)
    assert child.waits_from is None
    dead = Settlement(
        item=child, settling=Settling.DEAD, reason=DeadReason.PARENT, parent=key("p", "account"), message="no"
    )
    storage.settle(grant, [dead])
    assert storage.counts(WORKFLOW).dead_letters == 0
    child = subject.one(grant)
    (update,) = subject.put_and_lease(grant, entry("p", 2, table="account"))
    storage.settle(grant, [_waits(subject, child, "p")])
    assert subject.in_state(ItemState.WAITING) == 1  # the ledger knows it, and what is being sent may take it away
    storage.settle(grant, settlements([update]))
    child = subject.one(grant)
    (doubted,) = subject.put_and_lease(grant, entry("q", table="account"))
    storage.settle(grant, settlements([doubted], Settling.SKIPPED, b""))
    storage.settle(grant, [_waits(subject, child, "q")])
    assert subject.in_state(ItemState.WAITING) == 1
    subject.exact()


def check_a_wait_ends_in_time(subject: Subject) -> None:
    """At `retry_at` somebody looks again, and can tell since when the same change has waited."""
    grant, storage = subject.grant(), subject.storage
    _waiting(subject, grant)
    began = storage.now()
    for _ in range(2):
        subject.wait(_HOUR + 1)
        item = subject.one(grant)
        assert item.waits_from is not None
        assert abs(item.waits_from - began) < timedelta(seconds=60)
        assert item.attempts == 1
        storage.settle(grant, [_waits(subject, item, "p")])
    subject.exact()


def check_a_newer_change_waits_no_more(subject: Subject) -> None:
    """It may point elsewhere. It takes the place of the one that waited and counts its own wait from its beginning."""
    grant, storage = subject.grant(), subject.storage
    _waiting(subject, grant)
    storage.put(grant, [entry("c", 2, b'{"name":"Bea"}')])
    item = subject.one(grant)
    assert (item.payload, item.waits_from) == (b'{"name":"Bea"}', None)
    subject.exact()
    storage.settle(grant, [_waits(subject, item, "p")])
    storage.put(grant, [entry("c", 1, lane=Lane.CONSENT)])
    item = subject.one(grant)
    assert (item.seq, item.lane) == (2, Lane.CONSENT)
    assert item.waits_from is not None
    subject.exact()


def check_a_page_that_ends_a_parent_wakes_its_children(subject: Subject) -> None:
    """A parent that is read and needs no write, or is refused, will not come: its children are looked at again."""
    grant, storage = subject.grant(), subject.storage
    nothing = entry("p", 2, table="account", only_if_queued=True)
    refusal = Refusal(entry=entry("q", 2, table="account"), reason=DeadReason.CONVERSION, field="name", message="no")
    for parent, page in (
        ("p", PageCommit(table="account", position=position(), entries=[nothing])),
        ("q", PageCommit(table="account", position=position(), entries=[], refusals=[refusal])),
    ):
        _waiting(subject, grant, "c", parent)
        storage.commit_page(grant, page)
        subject.end(grant, subject.one(grant), Settling.SKIPPED)
    subject.exact()


def check_waits_survive_a_takeover(subject: Subject) -> None:
    """Who waits for whom is stored: the next process finds it, and what ends it there ends it."""
    grant, storage = subject.grant(), subject.storage
    _waiting(subject, grant)
    grant = subject.takeover()
    assert subject.in_state(ItemState.WAITING) == 1
    (parent,) = subject.put_and_lease(grant, entry("p", table="account"))
    storage.settle(grant, settlements([parent]))
    assert ids(subject.lease(grant)) == ["c"]
    subject.exact()


def check_the_dead_children_of_a_parent_come_back(subject: Subject) -> None:
    """When the parent lands after all: read anew, and their letters are closed. A letter says whom it waited for."""
    grant, storage = subject.grant(), subject.storage
    children = subject.put_and_lease(grant, entry("c"), entry("d"))
    for child in children:
        dead = Settlement(item=child, settling=Settling.DEAD, reason=DeadReason.PARENT, message="no")
        storage.settle(grant, [evolve(dead, parent=key("p", "account")) if child.key.id == "c" else dead])
    assert {one.key.id: one.parent for one in storage.dead_letters(WORKFLOW)} == {"c": key("p", "account"), "d": None}
    (parent,) = subject.put_and_lease(grant, entry("p", table="account"))
    storage.settle(grant, settlements([parent]))
    child = subject.one(grant)
    assert (child.key.id, child.refresh) == ("c", True)
    (retried,) = storage.dead_letters(WORKFLOW, status=DeadLetterStatus.RETRIED)
    assert retried.key.id == "c"
    assert storage.counts(WORKFLOW).dead_letters == 1
    subject.exact()


def check_what_is_known_of_parents(subject: Subject) -> None:
    """The ledger, the place in the queue and an open letter, for each record asked for, known or not."""
    grant, storage = subject.grant(), subject.storage
    asked = [key(record) for record in ("known", "queued", "leaving", "doubted", "dead", "waiting", "nowhere")]
    items = {item.key.id: item for item in subject.put_and_lease(grant, *(entry(one.id) for one in asked[:-1]))}
    storage.settle(grant, settlements([items["known"], items["leaving"]]))
    storage.settle(grant, settlements([items["doubted"]], Settling.SKIPPED, b""))
    storage.settle(grant, settlements([items["queued"]], Settling.RELEASED, None))
    dead = Settlement(item=items["dead"], settling=Settling.DEAD, reason=DeadReason.REFUSED, message="no")
    storage.settle(grant, [dead, _waits(subject, items["waiting"], "p")])
    storage.put(grant, [entry("leaving", 2, None)])
    found = storage.parents(WORKFLOW, asked)
    assert found == {
        one.key: one
        for one in (
            Parent(key=key("known"), known=True),
            Parent(key=key("queued"), state=ItemState.READY),
            Parent(key=key("leaving"), known=True, state=ItemState.READY, deleting=True),
            Parent(key=key("doubted"), doubted=True),
            Parent(key=key("dead"), dead=True),
            Parent(key=key("waiting"), state=ItemState.WAITING),
            Parent(key=key("nowhere")),
        )
    }
    (queued, *_) = subject.lease(grant)
    assert storage.parents(WORKFLOW, [queued.key])[queued.key].state is ItemState.LEASED
    later = storage.now() + timedelta(seconds=_HOUR)
    storage.settle(grant, [Settlement(item=queued, settling=Settling.RETRY, retry_at=later)])
    assert storage.parents(WORKFLOW, [queued.key])[queued.key].state is ItemState.DELAYED


def check_who_waits_for_whom(subject: Subject) -> None:
    """Told from one record to the next, in order, up to one that does not wait."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, *(entry(record) for record in "abc"))
    a, b, c = (item.key for item in items)
    look_again = storage.now() + timedelta(seconds=_HOUR)
    for item, parent in zip(items[:2], (b, c), strict=True):
        storage.settle(grant, [Settlement(item=item, settling=Settling.WAITING, parent=parent, retry_at=look_again)])
    assert list(storage.waits_for(WORKFLOW, a)) == [b, c]
    assert list(storage.waits_for(WORKFLOW, c)) == []
    assert list(storage.waits_for(WORKFLOW, key("nowhere", "lead"))) == []


def check_parents_leave_before_children(subject: Subject) -> None:
    """Within a lane a table has no turn while one of those before it has ready rows; lanes still go first."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry(f"c{number}") for number in range(3)])
    storage.put(grant, [entry(f"l{number}", table="lead") for number in range(3)])
    storage.put(grant, [entry("first"), entry("urgent", lane=Lane.CONSENT)])
    storage.put(grant, [entry(f"a{number}", table="account") for number in range(3)])
    before = {"contact": ["account"], "account": ["region"]}
    assert ids(storage.lease(grant, 1, before)) == ["urgent"]
    taken = storage.lease(grant, 6, before)
    assert {item.key.table for item in taken} == {"account", "lead"}
    assert ids(storage.lease(grant, 100, before)) == ["c0", "c1", "c2", "first"]
    storage.release(grant)
    grant = subject.grant()
    everything = storage.lease(grant, 100, {"contact": ["account"], "account": ["contact"]})
    assert len(everything) == 11
    subject.exact()


def check_a_forgotten_parent_is_named_nowhere(subject: Subject) -> None:
    """Whoever waited for it looks again, and letters that named it name it no more."""
    grant, storage = subject.grant(), subject.storage
    (child,) = subject.put_and_lease(grant, entry("d"))
    dead = Settlement(item=child, settling=Settling.DEAD, reason=DeadReason.PARENT, message="p is not there")
    storage.settle(grant, [evolve(dead, parent=key("p", "account"))])
    _waiting(subject, grant)
    storage.put(grant, [entry("p", table="account")])
    storage.forget(scope_of(WORKFLOW), "p", ACTION)
    assert subject.in_state(ItemState.WAITING) == 0
    (letter,) = storage.dead_letters(WORKFLOW)
    assert letter.parent is None
    assert "p is" not in letter.message
    subject.exact()
