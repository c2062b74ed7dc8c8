"""Checks of suspects: rows on which processes died again and again are leased apart, with fewer and fewer others."""

from __future__ import annotations

from datetime import timedelta

from syncline.backlog import ALONE_AFTER, SUSPECT_AFTER, Grant, ItemState, Lane, Settlement, Settling, suspects_together
from syncline.testing.storage_checks.subject import Subject, entry, ids, settlements

_MINUTE = timedelta(seconds=60)


def _crash_with(subject: Subject, grant: Grant, records: int, times: int = 1) -> Grant:
    """Processes die so often while they send so many of what they have leased; the grant of the next one."""
    for _ in range(times):
        subject.storage.mark_sending(grant, subject.lease(grant)[:records])
        grant = subject.takeover()
    return grant


def check_suspects_are_leased_apart(subject: Subject) -> None:
    """Rows that processes died on twice are returned together and without others, when nothing else is leased."""
    storage, grant = subject.storage, subject.grant()
    storage.put(grant, [entry(f"r{number}") for number in range(4)])
    grant = _crash_with(subject, grant, 2, SUSPECT_AFTER)
    suspects = storage.lease(grant, 100)
    assert [(item.key.id, item.crashes) for item in suspects] == [("r0", SUSPECT_AFTER), ("r1", SUSPECT_AFTER)]
    assert subject.lease(grant) == []
    subject.end(grant, suspects[0])
    assert subject.lease(grant) == []
    storage.settle(grant, settlements([suspects[1]], Settling.RETRY, None))
    assert subject.one(grant).key.id == "r1"
    subject.exact()


def check_suspects_are_leased_with_ever_fewer(subject: Subject) -> None:
    """Poisonous rows among hundreds are alone after few crashes in a row, one after the other, and nobody else is."""
    storage, grant = subject.storage, subject.grant()
    storage.put(grant, [entry(f"r{number}") for number in range(800)])
    poisonous = {"r300", "r301", "r700"}
    dead: list[str] = []
    crashes, ended = 0, 0
    while items := storage.lease(grant, 1_000):
        suspected = items[0].crashes
        assert {item.crashes for item in items} == {suspected}
        if suspected >= SUSPECT_AFTER:
            assert len(items) <= suspects_together(suspected)
        if items[0].crashes_alone == 3:
            dead += ids(items)
            subject.end(grant, items[0])
            crashes = 0
        elif poisonous.isdisjoint(ids(items)):
            assert not any(item.crashes_alone for item in items)
            assert storage.settle(grant, settlements(items)).settled == len(items)
            ended += len(items)
        else:
            crashes += 1
            assert crashes <= ALONE_AFTER + 3
            storage.mark_sending(grant, items)
            grant = subject.takeover()
    assert (set(dead), len(dead), ended) == (poisonous, 3, 797)
    subject.exact()


def check_the_most_suspected_go_first(subject: Subject) -> None:
    """Of a lane those with the most crashes go first, and only those of one table together."""
    storage, grant = subject.storage, subject.grant()
    storage.put(grant, [entry("worse")])
    grant = _crash_with(subject, grant, 1, SUSPECT_AFTER + 1)
    later = storage.now() + timedelta(hours=1)
    worse = Settlement(item=subject.one(grant), settling=Settling.RETRY, retry_at=later)
    storage.settle(grant, [worse])
    storage.put(grant, [entry("bad"), entry("other", table="account")])
    grant = _crash_with(subject, grant, 2, SUSPECT_AFTER)
    subject.wait(3_600)
    grant = subject.takeover()
    for record in ("worse", "bad", "other"):
        item = subject.one(grant)
        assert item.key.id == record
        subject.end(grant, item)
    subject.exact()


def check_the_turn_of_suspects_comes(subject: Subject) -> None:
    """While other rows are leased suspects wait, and with them whatever is not more urgent."""
    storage, grant = subject.storage, subject.grant()
    storage.put(grant, [entry(f"r{number}") for number in range(4)])
    grant = _crash_with(subject, grant, 1, SUSPECT_AFTER)
    suspect = subject.one(grant)
    storage.settle(grant, settlements([suspect], Settling.RELEASED, None))
    storage.put(grant, [entry("urgent", lane=Lane.CONSENT), entry("idle", lane=Lane.BULK)])
    urgent = subject.lease(grant)
    assert ids(urgent) == ["urgent"]
    storage.put(grant, [entry("more urgent", lane=Lane.CONSENT)])
    more = subject.lease(grant)
    assert ids(more) == ["more urgent"]
    assert subject.lease(grant) == []
    storage.settle(grant, settlements([*urgent, *more]))
    assert subject.one(grant).key.id == "r0"
    assert subject.lease(grant) == []
    subject.end(grant, suspect)
    assert ids(subject.lease(grant)) == ["r1", "r2", "r3", "idle"]


def check_a_suspect_is_forgiven_what_was_written(subject: Subject) -> None:
    """A newer change of a record that was written is no suspect, one that takes the place of a suspect stays one."""
    storage, grant = subject.storage, subject.grant()
    storage.put(grant, [entry("a"), entry("b")])
    grant = _crash_with(subject, grant, 2, SUSPECT_AFTER)
    a, b = storage.lease(grant, 2)
    storage.put(grant, [entry("a", 2), entry("b", 2)])
    storage.settle(grant, [*settlements([a]), *settlements([b], Settling.RELEASED, None)])
    assert (subject.one(grant).key.id, subject.in_state(ItemState.READY)) == ("b", 1)
    subject.exact()


def check_while_a_suspect_is_leased_nobody_leases(subject: Subject) -> None:
    """A suspect is alone over all workers: whoever asks meanwhile gets nothing."""
    storage = subject.storage
    reader = subject.grant()
    storage.put(reader, [entry("a")])
    reader = _crash_with(subject, reader, 1, SUSPECT_AFTER)
    writer = subject.worker()
    suspect = subject.one(writer)
    storage.put(reader, [entry("b"), entry("c")])
    assert storage.lease(reader, 10) == []
    assert storage.lease(writer, 10) == []
    subject.end(writer, suspect)
    assert len(storage.lease(reader, 10)) == 2
    subject.exact()


def check_a_suspect_waits_for_the_other_workers(subject: Subject) -> None:
    """While any worker holds a row a suspect stays where it is, and what is more urgent goes on."""
    storage = subject.storage
    busy = subject.worker()
    (long_one,) = subject.put_and_lease(busy, entry("long"))
    storage.put(busy, [entry("a")])
    for _ in range(SUSPECT_AFTER):
        gone = subject.worker()
        storage.mark_sending(gone, storage.lease(gone, 1))
        subject.wait(35)
        busy = storage.extend(busy, _MINUTE)
        subject.wait(35)
        assert storage.reap(busy) == 1
    other = subject.worker()
    storage.put(busy, [entry("b"), entry("urgent", lane=Lane.CONSENT)])
    urgent = subject.one(other)
    assert urgent.key.id == "urgent"
    subject.end(other, urgent)
    assert storage.lease(other, 10) == []
    subject.end(busy, long_one)
    suspect = subject.one(other)
    assert suspect.crashes == SUSPECT_AFTER
    subject.end(other, suspect)
    assert subject.one(other).key.id == "b"
    subject.exact()
