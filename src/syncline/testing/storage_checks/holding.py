"""Checks of held deletions: nobody leases them, they are counted, and only a word or a newer change lets them go."""

from __future__ import annotations

from datetime import timedelta

from syncline.backlog import DeadReason, Grant, Group, ItemState, Lane, Operation, Settlement, Settling
from syncline.records import ReadPosition
from syncline.store import PageCommit, Refusal
from syncline.testing.storage_checks.subject import (
    ACTION,
    WORKFLOW,
    Subject,
    entry,
    ids,
    position,
    settlements,
)

_PRINT = b"0123456789abcdef"
_DAY = timedelta(days=1)


def _write(subject: Subject, grant: Grant, *records: str) -> None:
    """The target has these, as far as the ledger knows."""
    items = subject.put_and_lease(grant, *[entry(record) for record in records])
    subject.storage.settle(grant, settlements(items, fingerprint=_PRINT))


def _hold(subject: Subject, grant: Grant, *records: str, seq: int = 2, table: str = "contact") -> None:
    """These are found to be deletions that must wait."""
    items = subject.put_and_lease(grant, *[entry(record, seq, table=table) for record in records])
    report = subject.storage.settle(grant, settlements(items, Settling.HELD, None))
    assert (report.settled, report.refused) == (len(records), 0)


def check_held_rows_wait_as_deletions(subject: Subject) -> None:
    """A held row stays queued and is counted as a held deletion; nobody leases it, and it is not due at any time."""
    grant, storage = subject.grant(), subject.storage
    _write(subject, grant, "a", "b", "c")
    _hold(subject, grant, "a", "b")
    group = Group(table="contact", operation=Operation.DELETE, lane=Lane.LIVE, state=ItemState.HELD)
    counts = storage.counts(WORKFLOW)
    assert {one: number for one, number in counts.groups.items() if number} == {group: 2}
    assert (counts.size, counts.moving, dict(counts.held)) == (2, 0, {"contact": 2})
    assert counts.oldest is not None
    assert subject.lease(grant) == []
    assert storage.next_due(WORKFLOW) is None
    assert storage.held_records(WORKFLOW, "contact", 10) == ["a", "b"]
    assert storage.held_records(WORKFLOW, "contact", 1) == ["a"]
    assert storage.held_records(WORKFLOW, "account", 1) == []
    hold = storage.holds(WORKFLOW)["contact"]
    assert (hold.held, hold.asked, hold.let_go) == (2, False, 0)
    assert storage.ledger_size(WORKFLOW, "contact") == 3
    subject.exact()


def check_few_are_let_go(subject: Subject) -> None:
    """No more than the most there may be: all become ready, marked, with payload and place as they were."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a", "b")
    judgement = storage.judge_held(grant, "contact", most=2, window=_DAY)
    assert (judgement.released, judgement.held, judgement.newly_asked) == (2, 0, False)
    assert storage.counts(WORKFLOW).held.total() == 0
    items = subject.lease(grant)
    assert [(item.key.id, item.confirmed, item.attempts, item.payload is None) for item in items] == [
        ("a", True, 1, False),
        ("b", True, 1, False),
    ]
    hold = storage.holds(WORKFLOW)["contact"]
    assert (hold.held, hold.asked, hold.let_go) == (0, False, 2)
    subject.end(grant, items[0])
    subject.end(grant, items[1], Settling.RELEASED)
    assert subject.one(grant).confirmed
    subject.exact()


def check_many_wait_for_a_word(subject: Subject) -> None:
    """More than the most there may be: nothing goes, the history says so once, and fewer later do not go either."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a", "b", "c")
    first = storage.judge_held(grant, "contact", most=2, window=_DAY)
    assert (first.released, first.held, first.newly_asked) == (0, 3, True)
    storage.put(grant, [entry("c", 3)])
    subject.end(grant, subject.one(grant))
    again = storage.judge_held(grant, "contact", most=2, window=_DAY)
    assert (again.released, again.held, again.newly_asked) == (0, 2, False)
    notes = [note for note in storage.history(WORKFLOW) if note.action == "hold deletes"]
    assert [note.detail for note in notes] == ["contact: 3"]
    assert storage.holds(WORKFLOW)["contact"].asked
    subject.exact()


def check_a_slow_trickle_is_summed_up(subject: Subject) -> None:
    """What was let go of late counts against the most there may be, until the window ends."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a", "b")
    assert storage.judge_held(grant, "contact", most=3, window=_DAY).released == 2
    for item in subject.lease(grant):
        subject.end(grant, item)
    _hold(subject, grant, "c", "d")
    assert storage.judge_held(grant, "contact", most=3, window=_DAY).newly_asked
    storage.confirm_held(WORKFLOW, "contact", ACTION)
    for item in subject.lease(grant):
        subject.end(grant, item)
    _hold(subject, grant, "e")
    assert storage.judge_held(grant, "contact", most=3, window=_DAY).released == 1
    for item in subject.lease(grant):
        subject.end(grant, item)
    subject.wait(_DAY.total_seconds())
    grant = subject.grant()
    _hold(subject, grant, "f", "g", "h")
    assert storage.judge_held(grant, "contact", most=3, window=_DAY).released == 3
    assert storage.holds(WORKFLOW)["contact"].let_go == 3
    subject.exact()


def check_confirmed_deletions_go(subject: Subject) -> None:
    """A confirmation makes all of the table ready, marked, notes how many, and asks nothing more; others stay held."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a", "b")
    _hold(subject, grant, "x", table="account")
    storage.judge_held(grant, "contact", most=1, window=_DAY)
    assert storage.confirm_held(WORKFLOW, "contact", ACTION) == 2
    assert storage.confirm_held(WORKFLOW, "contact", ACTION) == 0
    assert storage.confirm_held(WORKFLOW, "nothing of it", ACTION) == 0
    newest = storage.history(WORKFLOW)[1]
    assert (newest.action, newest.by, newest.detail) == (ACTION.action, ACTION.by, "contact: 2")
    hold = storage.holds(WORKFLOW)
    assert "contact" not in hold
    assert hold["account"].held == 1
    items = subject.lease(grant)
    assert (ids(items), {item.confirmed for item in items}) == (["a", "b"], {True})
    subject.exact()


def check_discarded_deletions_are_forgotten_and_their_records_are_not(subject: Subject) -> None:
    """Discarding takes them out of the queue and counts them; the ledger goes on knowing the records."""
    grant, storage = subject.grant(), subject.storage
    _write(subject, grant, "a", "b")
    _hold(subject, grant, "a", "b", "unknown")
    item = subject.put_and_lease(grant, entry("doubtful", 2))[0]
    storage.settle(grant, [Settlement(item=item, settling=Settling.RETRY, retry_at=storage.now(), ambiguous=True)])
    storage.settle(grant, settlements([subject.one(grant)], Settling.HELD, None))
    storage.judge_held(grant, "contact", most=1, window=_DAY)
    assert storage.discard_held(WORKFLOW, "contact", ACTION) == 4
    assert storage.discard_held(WORKFLOW, "contact", ACTION) == 0
    assert storage.discard_held(WORKFLOW, "nothing of it", ACTION) == 0
    assert (subject.size(), storage.counts(WORKFLOW).totals.discarded) == (0, 4)
    assert storage.ledger(WORKFLOW, "contact", ["a", "b", "unknown", "doubtful"]) == {
        "a": _PRINT,
        "b": _PRINT,
        "doubtful": b"",
    }
    assert storage.holds(WORKFLOW) == {}
    _hold(subject, grant, "a", seq=3)
    assert storage.held_records(WORKFLOW, "contact", 9) == ["a"]
    subject.exact()


def check_a_record_that_comes_back_leaves_the_hold(subject: Subject) -> None:
    """A newer change takes the place of a held deletion and is ready, unmarked; an older one leaves it held."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a", "b", seq=5)
    report = storage.put(
        grant,
        [entry("a", 6, b"back", lane=Lane.BULK, only_if_queued=True), entry("b", 4, b"old", lane=Lane.CONSENT)],
    )
    assert (report.queued, report.superseded, report.skipped) == (0, 2, 0)
    item = subject.one(grant)
    assert (item.key.id, item.payload, item.confirmed, item.lane) == ("a", b"back", False, Lane.LIVE)
    subject.end(grant, item)
    assert storage.held_records(WORKFLOW, "contact", 9) == ["b"]
    assert storage.confirm_held(WORKFLOW, "contact", ACTION) == 1
    urged = subject.one(grant)
    assert (urged.lane, urged.payload) == (Lane.CONSENT, b'{"name":"Ann"}')
    storage.put(grant, [entry("b", 7)])
    subject.end(grant, urged, Settling.RELEASED)
    assert not subject.one(grant).confirmed
    subject.exact()


def check_a_confirmed_row_that_changes_is_judged_anew(subject: Subject) -> None:
    """The word was about the state that was held: a newer one is not confirmed by it."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a")
    storage.confirm_held(WORKFLOW, "contact", ACTION)
    storage.put(grant, [entry("a", 3)])
    assert not subject.one(grant).confirmed
    subject.exact()


def check_a_refused_page_takes_a_held_row_out(subject: Subject) -> None:
    """A record that is refused when it is read again is a dead letter, and held no more."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a")
    where: ReadPosition = position()
    refusal = Refusal(entry=entry("a", 3), reason=DeadReason.CONVERSION, field="name", message="no")
    storage.commit_page(grant, PageCommit(table="contact", position=where, entries=[], refusals=[refusal]))
    assert (subject.size(), storage.counts(WORKFLOW).dead_letters) == (0, 1)
    subject.exact()


def check_holds_outlive_their_process(subject: Subject) -> None:
    """A takeover, and what the process before had leased, change nothing in what is held."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a", "b")
    storage.judge_held(grant, "contact", most=1, window=_DAY)
    storage.put(grant, [entry("c")])
    storage.mark_sending(grant, subject.lease(grant))
    after = subject.takeover()
    assert ids(subject.lease(after)) == ["c"]
    assert storage.holds(WORKFLOW)["contact"].held == 2
    assert storage.unhold(after) == 0, "it is the same generation"
    assert storage.holds(WORKFLOW)["contact"].asked
    subject.exact()


def check_a_later_generation_judges_anew(subject: Subject) -> None:
    """After a start, what was held before is ready in the bulk lane, unmarked; what was asked about still is."""
    grant, storage = subject.grant(), subject.storage
    _hold(subject, grant, "a", "b")
    storage.judge_held(grant, "contact", most=1, window=_DAY)
    storage.release(grant)
    subject.restart()
    after = subject.grant()
    _hold(subject, after, "c")
    assert storage.unhold(after) == 2
    assert storage.unhold(after) == 0
    items = subject.lease(after)
    assert [(item.key.id, item.lane, item.confirmed) for item in items] == [
        ("a", Lane.BULK, False),
        ("b", Lane.BULK, False),
    ]
    hold = storage.holds(WORKFLOW)["contact"]
    assert (hold.held, hold.asked) == (1, True)
    storage.settle(after, settlements(items, Settling.SKIPPED, None))
    storage.discard_held(WORKFLOW, "contact", ACTION)
    assert storage.judge_held(after, "contact", most=1, window=_DAY).held == 0
    subject.exact()
