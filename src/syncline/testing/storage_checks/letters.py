"""Checks of dead letters: how they are found, retried, discarded and resolved."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncline.backlog import DeadReason, Grant, Lane, Settlement, Settling
from syncline.store import DeadLetter, DeadLetterStatus, PageCommit, Refusal
from syncline.testing.storage_checks.subject import ACTION, WORKFLOW, Subject, entry, position, settlements


def _bury(
    subject: Subject, grant: Grant, *records: str, table: str = "contact", first: bool = False
) -> list[DeadLetter]:
    """Make dead letters of these records; all that are open."""
    items = subject.put_and_lease(grant, *[entry(record, 1, table=table, first=first) for record in records])
    dead = [
        Settlement(item=item, settling=Settling.DEAD, reason=DeadReason.EXHAUSTED, ambiguous=True, message="no answer")
        for item in items
    ]
    subject.storage.settle(grant, dead)
    return list(subject.storage.dead_letters(WORKFLOW, limit=1000))


def check_what_dies_in_doubt_may_be_at_the_target(subject: Subject) -> None:
    """After an attempt that may have been applied the ledger has the record, with an empty fingerprint."""
    grant, storage = subject.grant(), subject.storage
    _bury(subject, grant, "a")
    assert storage.ledger(WORKFLOW, "contact", ["a"]) == {"a": b""}
    assert storage.ledger_size(WORKFLOW, "contact") == 1
    (item,) = subject.put_and_lease(grant, entry("b", 1))
    storage.settle(grant, [Settlement(item=item, settling=Settling.RETRY, retry_at=storage.now(), ambiguous=True)])
    refusal = Refusal(entry=entry("b", 2), reason=DeadReason.CONVERSION, field="f", message="m")
    storage.commit_page(grant, PageCommit(table="contact", position=position(), entries=[], refusals=[refusal]))
    (item,) = subject.put_and_lease(grant, entry("c", 1))
    storage.settle(grant, [Settlement(item=item, settling=Settling.DEAD, reason=DeadReason.REFUSED, message="m")])
    assert storage.ledger(WORKFLOW, "contact", ["a", "b", "c"]) == {"a": b"", "b": b""}
    assert storage.ledger_size(WORKFLOW, "contact") == 2
    subject.exact()


def check_letters_are_found(subject: Subject) -> None:
    """Letters come in the order they were set aside, page by page, by status, table and record."""
    grant, storage = subject.grant(), subject.storage
    _bury(subject, grant, "a", "b", "c")
    every = _bury(subject, grant, "a", table="account")
    assert [(letter.key.table, letter.key.id) for letter in every] == [
        ("contact", "a"), ("contact", "b"), ("contact", "c"), ("account", "a"),
    ]  # fmt: skip
    page = storage.dead_letters(WORKFLOW, limit=2)
    assert [*page, *storage.dead_letters(WORKFLOW, after=page[-1].id)] == every
    assert list(storage.dead_letters(WORKFLOW, table="account")) == every[3:]
    assert list(storage.dead_letters(WORKFLOW, record="a")) == [every[0], every[3]]
    assert list(storage.dead_letters(WORKFLOW, table="contact", record="a")) == every[:1]
    assert list(storage.dead_letters(WORKFLOW, status=DeadLetterStatus.RETRIED)) == []
    assert list(storage.dead_letters(WORKFLOW, status=None)) == every
    assert storage.dead_letters(WORKFLOW, record="'; DROP TABLE items; --") == []


def check_a_limit_below_zero_is_refused(subject: Subject) -> None:
    """Nobody means it, and databases take it for anything from none to all; 0 is none."""
    grant, storage = subject.grant(), subject.storage
    _bury(subject, grant, "a")
    asks: tuple[Callable[[int], Sequence[object]], ...] = (
        lambda limit: storage.dead_letters(WORKFLOW, limit=limit),
        lambda limit: storage.history(WORKFLOW, limit),
        lambda limit: storage.decisions("acme", limit=limit),
        lambda limit: storage.consent_troubles("acme", limit),
    )
    for ask in asks:
        assert list(ask(0)) == []
        try:
            ask(-1)
        except ValueError:
            continue
        raise AssertionError("a limit below 0 was accepted")


def check_a_retried_letter_is_read_anew(subject: Subject) -> None:
    """A retry queues the record to be read by key, as a live change of a new read, and counts as put."""
    grant, storage = subject.grant(), subject.storage
    (letter,) = _bury(subject, grant, "a", first=True)
    last = storage.next_read(grant)
    assert storage.retry_dead_letters(WORKFLOW, [letter.id], ACTION) == 1
    assert storage.retry_dead_letters(WORKFLOW, [letter.id, 999], ACTION) == 0
    counts = storage.counts(WORKFLOW)
    assert (counts.dead_letters, counts.totals.dead, counts.totals.put, counts.size) == (0, 1, 2, 1)
    item = subject.one(grant)
    assert (item.refresh, item.payload, item.lane) == (True, None, Lane.LIVE)
    assert (item.first, item.ambiguous) == (True, True)
    assert item.seq > last
    assert storage.next_read(grant) > item.seq
    subject.exact()


def check_a_retry_meets_what_is_queued(subject: Subject) -> None:
    """A retry of a record that is queued or leased meanwhile follows the conditions of put."""
    grant, storage = subject.grant(), subject.storage
    a, b = _bury(subject, grant, "a", "b")
    read = storage.next_read(grant)
    item = subject.put_and_lease(grant, entry("a", read))[0]
    storage.put(grant, [entry("b", read)])
    assert storage.retry_dead_letters(WORKFLOW, [a.id, b.id], ACTION) == 2
    assert subject.size() == 3
    subject.exact()
    subject.end(grant, item)
    assert [(one.refresh, one.seq > read) for one in subject.lease(grant)] == [(True, True)] * 2
    subject.exact()


def check_a_discarded_letter_moves_in_the_totals(subject: Subject) -> None:
    """A discarded letter is closed for good and counts as discarded instead of dead."""
    grant, storage = subject.grant(), subject.storage
    a, b = _bury(subject, grant, "a", "b")
    assert storage.discard_dead_letters(WORKFLOW, [a.id], ACTION) == 1
    assert storage.discard_dead_letters(WORKFLOW, [a.id], ACTION) == 0
    counts = storage.counts(WORKFLOW)
    assert (counts.dead_letters, counts.totals.dead, counts.totals.discarded) == (1, 1, 1)
    assert list(storage.dead_letters(WORKFLOW)) == [b]
    (discarded,) = storage.dead_letters(WORKFLOW, status=DeadLetterStatus.DISCARDED)
    assert discarded.id == a.id
    subject.exact()


def check_a_written_change_resolves_letters(subject: Subject) -> None:
    """A later change that is written resolves the letters of its record; one that is skipped does if it is in step."""
    grant, storage = subject.grant(), subject.storage
    _bury(subject, grant, "a", "b", "c", "d")
    a, b, c, d = subject.put_and_lease(grant, *[entry(record, 2) for record in "abcd"])
    storage.put(grant, [entry("d", 3)])
    in_step = [Settlement(item=item, settling=Settling.SKIPPED, in_step=True) for item in (c, d)]
    storage.settle(grant, [*settlements([a]), *settlements([b], Settling.SKIPPED), *in_step])
    assert [letter.key.id for letter in storage.dead_letters(WORKFLOW)] == ["b"]
    assert storage.counts(WORKFLOW).dead_letters == 1
    subject.end(grant, subject.one(grant))
    item = subject.put_and_lease(grant, entry("b", 3))[0]
    storage.put(grant, [entry("b", 4)])
    storage.settle(grant, settlements([item]))
    assert list(storage.dead_letters(WORKFLOW)) == []
    subject.exact()


def check_an_unchanged_record_resolves_letters(subject: Subject) -> None:
    """A page that shows a record unchanged resolves its letters that are not newer, and no others."""
    grant, storage = subject.grant(), subject.storage
    _bury(subject, grant, "a", "b", "c")
    _bury(subject, grant, "a", table="account")
    same = [entry(one, seq, only_if_queued=True, decided_on=b"") for one, seq in (("a", 2), ("b", 0))]
    entries = [*same, entry("c", 2)]
    storage.commit_page(grant, PageCommit(table="contact", position=position(), entries=entries))
    left = [(letter.key.table, letter.key.id) for letter in storage.dead_letters(WORKFLOW)]
    assert left == [("contact", "b"), ("contact", "c"), ("account", "a")]
    (resolved,) = storage.dead_letters(WORKFLOW, status=DeadLetterStatus.RESOLVED)
    assert resolved.key.id == "a"
    counts = storage.counts(WORKFLOW)
    assert (counts.dead_letters, counts.totals.dead, counts.totals.skipped) == (3, 4, 2)
    subject.exact()


def check_letters_belong_to_their_workflow(subject: Subject) -> None:
    """The letters of one workflow cannot be seen, retried or discarded through another."""
    grant, storage = subject.grant(), subject.storage
    (letter,) = _bury(subject, grant, "a")
    other = "acme/egress"
    subject.grant(other)
    assert list(storage.dead_letters(other)) == []
    assert storage.retry_dead_letters(other, [letter.id], ACTION) == 0
    assert storage.discard_dead_letters(other, [letter.id], ACTION) == 0
    assert storage.counts(WORKFLOW).dead_letters == 1
