"""Checks of comparing: the walk through the ledger, adoption, and what is queued whatever the ledger thinks of it."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from syncline.backlog import Lane, Settling
from syncline.errors import LeaseLostError
from syncline.sweeps import KnownRecord, Sweep
from syncline.testing.storage_checks.subject import NOON, WORKFLOW, Subject, entry, ids, settlements

_PRINT = b"0123456789abcdef"
_OTHER = b"fedcba9876543210"


def check_the_ledger_is_walked_in_order(subject: Subject) -> None:
    """Every known record of the table comes once, behind the place it is asked for; unknown ones never."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, *[entry(f"r{number}") for number in range(7)], entry("x", table="account"))
    storage.settle(grant, settlements(items[:6], fingerprint=_PRINT))
    storage.put(grant, [entry("r2", 2), entry("new")])
    walked: list[KnownRecord] = []
    after = 0
    while page := storage.known_records(WORKFLOW, "contact", after=after, limit=2):
        walked += page
        after = page[-1].place
    assert sorted(record.id for record in walked) == sorted(item.key.id for item in items[:6] if item.key.id != "x")
    assert [record.id for record in walked if record.queued] == ["r2"]
    assert [record.place for record in walked] == sorted(record.place for record in walked)
    assert storage.known_records(WORKFLOW, "nothing of it") == []
    assert storage.known_records(WORKFLOW, "contact", limit=0) == []
    subject.exact()


def check_adoption_fills_the_ledger_only_where_it_knows_nothing(subject: Subject) -> None:
    """New records and those with unknown content get the fingerprint; known and queued ones stay as they are."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, entry("known"), entry("doubted"))
    storage.settle(grant, settlements(items[:1], fingerprint=_PRINT) + settlements(items[1:], fingerprint=b""))
    storage.put(grant, [entry("queued", 2)])
    prints = dict.fromkeys(["new", "known", "doubted", "queued"], _OTHER)
    assert storage.adopt(WORKFLOW, "contact", prints) == 2
    assert storage.adopt(WORKFLOW, "contact", prints) == 0
    assert storage.adopt(WORKFLOW, "contact", {}) == 0
    assert storage.ledger(WORKFLOW, "contact", list(prints)) == {"new": _OTHER, "known": _PRINT, "doubted": _OTHER}
    assert storage.ledger_size(WORKFLOW, "contact") == 3
    assert subject.size() == 1
    subject.exact()


def check_what_is_queued_anew_is_read_and_written_again(subject: Subject) -> None:
    """It waits in the bulk lane to be read by key; the ledger knows its values no more, and what is there is known."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, entry("known"))
    storage.settle(grant, settlements(items, fingerprint=_PRINT))
    report = storage.queue_anew(WORKFLOW, "contact", ["known", "unknown", "known"], there=False)
    assert report.queued == 2
    assert storage.ledger(WORKFLOW, "contact", ["known", "unknown"]) == {"known": b""}
    assert storage.queue_anew(WORKFLOW, "contact", ["found"], there=True).queued == 1
    assert storage.queue_anew(WORKFLOW, "contact", ["unknown"], there=True).superseded == 1
    assert storage.ledger(WORKFLOW, "contact", ["known", "unknown", "found"]) == dict.fromkeys(
        ["known", "unknown", "found"], b""
    )
    assert storage.ledger_size(WORKFLOW, "contact") == 3
    leased = subject.lease(grant)
    assert ids(leased) == ["known", "unknown", "found"]
    assert {(item.lane, item.refresh, item.payload) for item in leased} == {(Lane.BULK, True, None)}
    storage.queue_anew(WORKFLOW, "contact", ["known"], there=False)
    subject.end(grant, leased[0], Settling.RELEASED)
    subject.exact()


def check_a_sweep_moves_with_what_it_found(subject: Subject) -> None:
    """Position, figures and what is queued are one transaction, and only the holder of the grant can make it."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, entry("a"), entry("b"))
    storage.settle(grant, settlements(items, fingerprint=_PRINT))
    assert storage.sweeps(WORKFLOW) == {}
    began = Sweep(since=NOON, began_at=NOON, after=3, checked=2, mended=1, checked_ever=9, mended_ever=4, calls=7)
    assert storage.commit_sweep(grant, "contact", began, ["b"]).queued == 1
    assert storage.sweeps(WORKFLOW) == {"contact": began}
    assert storage.ledger(WORKFLOW, "contact", ["a", "b"]) == {"a": _PRINT, "b": b""}
    done = evolve(began, began_at=NOON + timedelta(days=7), after=0, done=True, rounds=1)
    storage.commit_sweep(grant, "contact", done, [])
    subject.takeover()
    try:
        storage.commit_sweep(grant, "contact", began, ["a"])
    except LeaseLostError:
        assert storage.sweeps(WORKFLOW) == {"contact": done}
        subject.exact()
        return
    raise AssertionError("a sweep moved under a grant that another one followed")
