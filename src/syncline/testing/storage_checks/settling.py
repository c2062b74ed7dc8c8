"""Checks of ending: how leased rows leave, what the ledger remembers, and that only the holder can do it."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from syncline.backlog import DeadReason, ItemState, Lane, Settlement, Settling
from syncline.store import DeadLetterStatus
from syncline.testing.storage_checks.subject import WORKFLOW, Subject, entry, ids, key, settlements

_PRINT = b"0123456789abcdef"


def check_written_rows_are_gone_and_remembered(subject: Subject) -> None:
    """A written row leaves the queue; the ledger has its fingerprint, or keeps what it had, or forgets."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, entry("a"), entry("b"))
    report = storage.settle(grant, settlements(items, fingerprint=_PRINT))
    assert (report.settled, report.refused) == (2, 0)
    assert storage.ledger(WORKFLOW, "contact", ["a", "b", "c"]) == {"a": _PRINT, "b": _PRINT}
    assert storage.ledger(WORKFLOW, "account", ["a"]) == {}
    assert storage.ledger_size(WORKFLOW, "contact") == 2
    a, b = subject.put_and_lease(grant, entry("a", 2), entry("b", 2, None))
    storage.settle(
        grant,
        [
            Settlement(item=a, settling=Settling.SKIPPED),
            Settlement(item=b, settling=Settling.WRITTEN, forget=True),
        ],
    )
    assert storage.ledger(WORKFLOW, "contact", ["a", "b"]) == {"a": _PRINT}
    assert storage.ledger_size(WORKFLOW, "contact") == 1
    totals = storage.counts(WORKFLOW).totals
    assert (totals.put, totals.written, totals.skipped) == (4, 3, 1)
    assert subject.size() == 0
    subject.exact()


def check_a_settlement_counts_once(subject: Subject) -> None:
    """Settling a row again, or twice in one call, changes nothing and is counted as refused."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a"))[0]
    twice = storage.settle(grant, settlements([item, item]))
    assert (twice.settled, twice.refused) == (1, 1)
    again = storage.settle(grant, settlements([item], Settling.RETRY))
    assert (again.settled, again.refused) == (0, 1)
    totals = storage.counts(WORKFLOW).totals
    assert (totals.written, totals.refused) == (1, 2)
    subject.exact()


def check_only_leased_rows_can_be_settled(subject: Subject) -> None:
    """A row that went back to the queue, or that another owner leased since, is not settled by the old claim."""
    first, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(first, entry("a"), entry("b"))[0]
    second = subject.takeover()
    assert storage.settle(first, settlements([item])).refused == 1
    mixed = storage.settle(second, settlements([*subject.storage.lease(second, 1), item]))
    assert (mixed.settled, mixed.refused) == (1, 1)
    assert subject.size() == 1
    subject.exact()


def check_a_stale_claim_is_found_among_good_ones(subject: Subject) -> None:
    """In a large settle the few that were lost are refused and all others count."""
    grant, storage = subject.grant(), subject.storage
    items = subject.put_and_lease(grant, *[entry(f"r{number}") for number in range(50)])
    storage.settle(grant, settlements(items[10:20], Settling.RELEASED))
    report = storage.settle(grant, settlements(items))
    assert (report.settled, report.refused) == (40, 10)
    assert ids(subject.lease(grant)) == ids(items[10:20])
    subject.exact()


def check_retry_puts_back(subject: Subject) -> None:
    """RETRY returns the row with what the attempt left behind: when, whether it may have been applied, to be reread."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a", first=True))[0]
    due = storage.now() + timedelta(seconds=5)
    storage.settle(grant, [Settlement(item=item, settling=Settling.RETRY, retry_at=due, ambiguous=True, refresh=True)])
    assert subject.in_state(ItemState.DELAYED) == 1
    subject.wait(6)
    item = subject.one(grant)
    assert (item.ambiguous, item.refresh, item.first, item.payload is not None) == (True, True, True, True)
    storage.settle(grant, [Settlement(item=item, settling=Settling.RETRY, retry_at=storage.now())])
    assert subject.in_state(ItemState.READY) == 1
    assert subject.one(grant).ambiguous
    subject.exact()


def check_what_waits_behind_survives_every_end(subject: Subject) -> None:
    """However the leased version ends, the newer change stays, ready; flags are kept unless it was written."""
    grant, storage = subject.grant(), subject.storage
    for settling in Settling:
        before = storage.counts(WORKFLOW).totals
        item = subject.put_and_lease(grant, entry("a", 1, b"1", first=True, lane=Lane.CONSENT))[0]
        storage.put(grant, [entry("a", 2, b"2")])
        end = Settlement(item=item, settling=settling, ambiguous=True, reason=DeadReason.REFUSED, message="no")
        if settling is Settling.WAITING:
            end = evolve(end, parent=key("parent", "account"), retry_at=storage.now() + timedelta(hours=1))
        storage.settle(grant, [end])
        assert subject.in_state(ItemState.READY) == 1
        subject.exact()
        newer = subject.one(grant)
        kept = settling is not Settling.WRITTEN
        assert (newer.seq, newer.payload, newer.attempts) == (2, b"2", 1)
        assert (newer.first, newer.ambiguous) == (kept, kept)
        back = settling in (Settling.RETRY, Settling.RELEASED, Settling.HELD, Settling.WAITING)
        assert newer.lane is (Lane.CONSENT if back else Lane.LIVE)
        after = storage.counts(WORKFLOW).totals
        assert after.superseded - before.superseded == (back or settling is Settling.SET_ASIDE)
        assert after.written - before.written == (settling is Settling.WRITTEN)
        assert after.skipped - before.skipped == (settling is Settling.SKIPPED)
        assert after.dead - before.dead == (settling is Settling.DEAD)
        subject.end(grant, newer)


def check_dead_rows_become_letters(subject: Subject) -> None:
    """A dead row leaves the queue and becomes a letter that says why."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a", 3, b"data"))[0]
    storage.settle(
        grant,
        [
            Settlement(
                item=item,
                settling=Settling.DEAD,
                reason=DeadReason.REFUSED,
                field="email",
                message="email is \ud83d odd",
            )
        ],
    )
    assert subject.size() == 0
    assert storage.counts(WORKFLOW).dead_letters == 1
    (letter,) = storage.dead_letters(WORKFLOW)
    assert (letter.key, letter.seq, letter.payload, letter.attempts) == (key("a"), 3, b"data", 1)
    assert (letter.reason, letter.field, letter.status) == (DeadReason.REFUSED, "email", DeadLetterStatus.OPEN)
    assert letter.message.startswith("email is ")
    subject.exact()


def check_death_needs_a_reason(subject: Subject) -> None:
    """DEAD without a reason raises ValueError and settles nothing of the whole call."""
    grant, storage = subject.grant(), subject.storage
    a, b = subject.put_and_lease(grant, entry("a"), entry("b"))
    try:
        storage.settle(grant, [*settlements([a]), Settlement(item=b, settling=Settling.DEAD)])
    except ValueError:
        assert subject.in_state(ItemState.LEASED) == 2
        subject.exact()
        return
    raise AssertionError("a dead letter without a reason was accepted")
