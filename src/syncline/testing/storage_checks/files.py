"""Checks of exported files and of what is pushed: marks move with their rows, and pushes need no grant."""

from __future__ import annotations

from syncline.backlog import DeadReason, Settlement, Settling
from syncline.errors import LeaseLostError
from syncline.exported_files import FileMark
from syncline.store import FileCommit, Refusal
from syncline.testing.storage_checks.subject import ACTION, WORKFLOW, Subject, entry, ids, settlements


def _mark(name: str, offset: int, *, done: bool = False) -> FileMark:
    return FileMark(name=name, size=9, modified=1, offset=offset, line=1, header=("id", "é"), done=done)


def check_a_mark_moves_with_its_rows(subject: Subject) -> None:
    """Rows, refusals and the mark behind them are stored together; a mark replaces the one before."""
    grant, storage = subject.grant(), subject.storage
    refusal = Refusal(entry=entry("bad", 1), reason=DeadReason.CONVERSION, field="status", message="line 3")
    first = FileCommit(mark=_mark("a.csv", 5), entries=[entry("a"), entry("b")], refusals=[refusal], skipped=4)
    report = storage.commit_file(grant, first)
    assert (report.queued, report.superseded, report.skipped) == (2, 0, 0)
    storage.commit_file(grant, FileCommit(mark=_mark("b.csv", 1), entries=[]))
    storage.commit_file(grant, FileCommit(mark=_mark("a.csv", 9, done=True), entries=[entry("b")]))
    assert storage.file_marks(WORKFLOW) == {"a.csv": _mark("a.csv", 9, done=True), "b.csv": _mark("b.csv", 1)}
    counts = storage.counts(WORKFLOW)
    assert (counts.size, counts.dead_letters, counts.totals.skipped, counts.totals.superseded) == (2, 1, 4, 1)
    subject.exact()


def check_a_lost_grant_moves_no_mark(subject: Subject) -> None:
    """Who lost the workflow stores neither rows nor a mark."""
    grant, storage = subject.grant(), subject.storage
    subject.takeover()
    try:
        storage.commit_file(grant, FileCommit(mark=_mark("a.csv", 5), entries=[entry("a")]))
    except LeaseLostError:
        assert storage.file_marks(WORKFLOW) == {}
        assert subject.size() == 0
        return
    raise AssertionError("a lost grant stored something")


def check_forgotten_files_are_read_again(subject: Subject) -> None:
    """Forgetting marks leaves what is queued, and other workflows' marks."""
    grant, storage = subject.grant(), subject.storage
    other = subject.grant("acme/egress")
    storage.commit_file(grant, FileCommit(mark=_mark("a.csv", 5), entries=[entry("a")]))
    storage.commit_file(other, FileCommit(mark=_mark("a.csv", 5), entries=[]))
    assert storage.forget_files(WORKFLOW, ACTION) == 1
    assert storage.file_marks(WORKFLOW) == {}
    assert storage.file_marks("acme/egress") == {"a.csv": _mark("a.csv", 5)}
    assert subject.size() == 1
    assert storage.history(WORKFLOW)[0].action == ACTION.action


def check_pushes_need_no_grant(subject: Subject) -> None:
    """What is accepted is queued whoever works, as a newer change than all that was read before."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry("a", storage.next_read(grant))])
    report = storage.accept(WORKFLOW, [entry("a", 0, b'{"name":"Bo"}'), entry("b", 0)])
    assert (report.queued, report.superseded) == (1, 1)
    storage.release(grant)
    storage.accept(WORKFLOW, [entry("c", 0)])
    items = subject.lease(subject.grant())
    assert sorted(ids(items)) == ["a", "b", "c"]
    assert next(item.payload for item in items if item.key.id == "a") == b'{"name":"Bo"}'
    assert len({item.seq for item in items}) == 2
    subject.exact()


def check_the_ledger_forgets_the_oldest(subject: Subject) -> None:
    """The ledger of a table shrinks from its oldest end, as far as asked; what is queued is not touched."""
    grant, storage = subject.grant(), subject.storage
    for record in "abcde":
        storage.settle(grant, settlements(subject.put_and_lease(grant, entry(record))))
    storage.put(grant, [entry("a", 2)])
    assert storage.forget_oldest(grant, "contact", 3, 1) == 1
    assert storage.forget_oldest(grant, "contact", 3, 9) == 1
    assert storage.forget_oldest(grant, "contact", 3, 9) == 0
    assert storage.forget_oldest(grant, "account", 0, 9) == 0
    assert sorted(storage.ledger(WORKFLOW, "contact", list("abcde"))) == ["a", "d", "e"]
    assert storage.ledger_size(WORKFLOW, "contact") == 3
    assert subject.size() == 1
    subject.exact()


def check_a_letter_can_be_retried_as_it_was_read(subject: Subject) -> None:
    """Where the source cannot be asked by key, a retried letter brings what was read."""
    grant, storage = subject.grant(), subject.storage
    (item,) = subject.put_and_lease(grant, entry("a"))
    storage.settle(grant, [Settlement(item=item, settling=Settling.DEAD, reason=DeadReason.REFUSED, message="m")])
    (letter,) = storage.dead_letters(WORKFLOW)
    assert storage.retry_dead_letters(WORKFLOW, [letter.id], ACTION, as_read=True) == 1
    again = subject.one(grant)
    assert (again.payload, again.refresh) == (item.payload, False)
    subject.exact()
