"""Checks of several workers on one workflow: one reader, any number of writers, and what is whose."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from syncline.backlog import DeadReason, Entry, Grant, Item, ItemState, Role
from syncline.errors import LeaseLostError
from syncline.exported_files import FileMark
from syncline.state_machine import WorkflowState
from syncline.store import FileCommit, PageCommit, Refusal, StateChange
from syncline.sweeps import Sweep
from syncline.testing.storage_checks.subject import NOON, WORKFLOW, Subject, entry, ids, owner, position, settlements

_MINUTE = timedelta(seconds=60)


def _loses(act: Callable[[], object]) -> bool:
    try:
        act()
    except LeaseLostError:
        return True
    return False


def check_the_first_reads_the_others_write(subject: Subject) -> None:
    """V6: as many workers as the caller admits; the first is the reader, the next ones writers, and no more."""
    reader, first, second = (subject.worker() for _ in range(3))
    assert [one.role for one in (reader, first, second)] == [Role.READER, Role.WRITER, Role.WRITER]
    assert reader.epoch < first.epoch < second.epoch
    assert subject.storage.acquire(WORKFLOW, owner(), _MINUTE, workers=3) is None
    row = subject.storage.workflow(WORKFLOW)
    assert (row.owner, row.workers) == (reader.owner, 3)
    subject.storage.release(first)
    assert subject.storage.workflow(WORKFLOW).workers == 2
    assert subject.worker().role is Role.WRITER
    assert subject.storage.workflow(WORKFLOW).crashes == 0


def check_the_reader_may_be_followed(subject: Subject) -> None:
    """Once the reader gave its grant back the next to come reads, while writers go on."""
    reader, writer = subject.worker(), subject.worker()
    subject.storage.put(reader, [entry("a")])
    mine = subject.one(writer)
    subject.storage.release(reader)
    assert subject.storage.workflow(WORKFLOW).owner is None
    next_one = subject.worker()
    assert next_one.role is Role.READER
    assert not next_one.taken_over
    subject.end(writer, mine)
    subject.exact()


def check_a_writer_reads_nothing(subject: Subject) -> None:
    """What moves positions, judges, sweeps or forgets is refused under a writer's grant, and nothing changes."""
    storage = subject.storage
    subject.worker()
    writer = subject.worker()
    page = PageCommit(table="contact", position=position(), entries=[entry("b")])
    for act in (
        lambda: storage.commit_page(writer, page),
        lambda: storage.forget_seen(writer, "contact", position()),
        lambda: storage.begin_replay(writer, "contact", position()),
        lambda: storage.commit_file(writer, FileCommit(mark=FileMark(name="a", size=1, modified=1), entries=[])),
        lambda: storage.forget_oldest(writer, "contact", 1, 1),
        lambda: storage.looked_up(writer, ["p"], []),
        lambda: storage.drop_set_aside(writer, NOON, 1),
        lambda: storage.judge_held(writer, "contact", most=1, window=_MINUTE),
        lambda: storage.unhold(writer),
        lambda: storage.commit_sweep(writer, "contact", Sweep(since=NOON, began_at=NOON), ["a"]),
    ):
        assert _loses(act)
    assert storage.positions(WORKFLOW) == {}
    assert subject.size() == 0
    # What a writer needs for its own rows it may.
    assert storage.next_read(writer) > 0
    assert storage.put(writer, [entry("a", refresh=True)]).queued == 1
    subject.exact()


def check_each_row_is_one_workers(subject: Subject) -> None:
    """What one has leased nobody else leases, marks, settles or returns."""
    storage = subject.storage
    reader, writer = subject.worker(), subject.worker()
    storage.put(reader, [entry(record) for record in "abcd"])
    mine, theirs = storage.lease(reader, 2), storage.lease(writer, 100)
    assert (ids(mine), ids(theirs)) == (["a", "b"], ["c", "d"])
    assert storage.lease(reader, 100) == []
    assert list(storage.mark_sending(reader, [*mine, *theirs])) == list(mine)
    report = storage.settle(reader, settlements([*mine, *theirs]))
    assert (report.settled, report.refused) == (2, 2)
    assert storage.counts(WORKFLOW).totals.refused == 2
    storage.release(reader)
    assert subject.in_state(ItemState.LEASED) == 2
    subject.exact()
    assert storage.settle(writer, settlements(theirs)).settled == 2
    subject.exact()


def check_order_per_key_over_workers(subject: Subject) -> None:
    """A change of a record that another worker is writing waits behind it, and nobody leases it meanwhile."""
    storage = subject.storage
    reader, writer = subject.worker(), subject.worker()
    storage.put(reader, [entry("a", 1, b"1")])
    first = subject.one(writer)
    storage.put(reader, [entry("a", 2, b"2")])
    assert storage.lease(reader, 10) == []
    assert storage.lease(writer, 10) == []
    subject.exact()
    subject.end(writer, first)
    (second,) = storage.lease(reader, 10)
    assert second.payload == b"2"
    subject.exact()


def check_a_vanished_worker_is_reaped(subject: Subject) -> None:
    """Any worker ends the grants of those that vanished: what they were sending is ambiguous, the rest as before."""
    storage = subject.storage
    reader, gone = subject.worker(), subject.worker()
    storage.put(reader, [entry("a"), entry("b"), entry("c")])
    mine = storage.lease(reader, 1)
    theirs = list(storage.lease(gone, 2))
    storage.mark_sending(gone, theirs[:1])
    assert storage.reap(reader) == 0
    subject.wait(50)
    reader = storage.extend(reader, _MINUTE)
    subject.wait(20)
    assert storage.workflow(WORKFLOW).workers == 1
    assert storage.reap(reader) == 1
    assert storage.reap(reader) == 0
    assert storage.workflow(WORKFLOW).crashes == 1
    sent, unsent = storage.lease(reader, 10)
    assert (sent.key.id, sent.ambiguous, sent.attempts, sent.crashes) == ("b", True, 2, 1)
    assert (unsent.key.id, unsent.ambiguous, unsent.attempts, unsent.crashes) == ("c", False, 1, 0)
    assert storage.settle(gone, settlements(theirs)).refused == 2
    assert _loses(lambda: storage.extend(gone, _MINUTE))
    assert storage.settle(reader, settlements([*mine, sent, unsent])).settled == 3
    storage.progress(reader)
    assert storage.workflow(WORKFLOW).crashes == 0
    subject.exact()


def check_who_vanished_together_is_one_crash(subject: Subject) -> None:
    """A host that is switched off with all its workers is no loop of crashes."""
    storage = subject.storage
    reader, *writers = (subject.worker(workers=8) for _ in range(6))
    storage.put(reader, [entry(record) for record in "abc"])
    for worker in writers[:2]:
        storage.mark_sending(worker, storage.lease(worker, 1))
    subject.wait(61)
    assert storage.workflow(WORKFLOW).vanished == 6
    grant = subject.grant()
    row = storage.workflow(WORKFLOW)
    assert (row.crashes, row.workers, row.vanished) == (1, 1, 0)
    assert [(item.key.id, item.crashes) for item in subject.lease(grant)] == [("a", 1), ("b", 1), ("c", 0)]
    subject.exact()


def check_a_writer_takes_over_from_the_reader(subject: Subject) -> None:
    """The reader vanished: a writer that asks again becomes the reader, and what the other had leased is free."""
    storage = subject.storage
    gone, me = subject.worker(), owner()
    writer = storage.acquire(WORKFLOW, me, _MINUTE, workers=2)
    assert writer is not None
    storage.put(gone, [entry("a")])
    subject.one(gone)
    subject.wait(30)
    writer = storage.extend(writer, _MINUTE)
    subject.wait(40)
    reader = storage.acquire(WORKFLOW, me, _MINUTE, workers=2)
    assert reader is not None
    assert (reader.role, reader.taken_over) == (Role.READER, True)
    assert storage.workflow(WORKFLOW).owner == me.id
    assert _loses(lambda: storage.put(writer, []))
    assert _loses(lambda: storage.commit_page(gone, PageCommit(table="contact", position=position(), entries=[])))
    assert subject.one(reader).crashes == 0
    subject.exact()


def check_stopped_needs_no_other_worker(subject: Subject) -> None:
    """A step that requires it is refused while another worker's grant is live, and taken once none is."""
    storage = subject.storage
    reader, writer = subject.worker(), subject.worker()
    step = StateChange(
        expected_state=WorkflowState.STOPPED,
        expected_generation=0,
        state=WorkflowState.STOPPED,
        generation=0,
        require_unowned=True,
        grant=reader,
    )
    assert not storage.change_state(WORKFLOW, step)
    storage.release(writer)
    assert storage.change_state(WORKFLOW, step)


def check_an_older_generation_ends_before_the_next_begins(subject: Subject) -> None:
    """After a new start nobody gets a grant while a worker of the older generation has one; that changes nothing."""
    storage = subject.storage
    reader, writer = subject.worker(), subject.worker()
    storage.put(reader, [entry("a")])
    item = subject.one(writer)
    subject.restart()
    assert storage.acquire(WORKFLOW, owner(), _MINUTE, workers=4) is None
    assert _loses(lambda: storage.lease(writer, 1))
    assert _loses(lambda: storage.reap(writer))
    assert storage.settle(writer, settlements([item])).refused == 1
    storage.release(reader)
    assert storage.acquire(WORKFLOW, owner(), _MINUTE, workers=4) is None
    storage.release(writer)
    assert subject.one(subject.worker()).attempts == 1
    subject.exact()


def _page(entries: list[Entry], seq: int, refusals: list[Refusal] | None = None) -> PageCommit:
    return PageCommit(table="contact", position=position(), entries=entries, refusals=refusals or [], seq=seq)


def _read_meanwhile(subject: Subject) -> tuple[Grant, Grant, Item, int]:
    """The reader has asked for a page, and a writer has leased a record: both grants, the row, the page's sequence."""
    reader, writer = subject.worker(), subject.worker()
    subject.storage.put(reader, [entry("a", 1, refresh=True, payload=None)])
    item = subject.one(writer)
    return reader, writer, item, subject.storage.next_read(reader)


def check_an_older_page_does_not_outdo_a_reading_by_key(subject: Subject) -> None:
    """V8: what a page says that was asked for before a record was read by key is read by key itself, whenever it comes.

    Before the row is settled or after that; also where the page would refuse the record or find nothing to do.
    """
    storage = subject.storage
    reader, writer, item, seq = _read_meanwhile(subject)
    storage.read_by_key(writer, [item])
    storage.settle(writer, settlements([item], fingerprint=None))
    storage.commit_page(reader, _page([entry("a", seq, b"old"), entry("b", seq, b"new")], seq))
    old, new = storage.lease(reader, 2)
    assert (old.key.id, old.refresh, old.payload) == ("a", True, None)
    assert (new.key.id, new.refresh, new.payload) == ("b", False, b"new")
    storage.settle(reader, settlements([old, new]))

    refusal = Refusal(entry=entry("a", seq, b"bad"), reason=DeadReason.CONVERSION, field="f", message="m")
    storage.commit_page(reader, _page([], seq, [refusal]))
    assert storage.dead_letters(WORKFLOW) == []
    assert subject.one(reader).refresh
    subject.exact()


def check_what_waited_is_older_than_a_reading_by_key(subject: Subject) -> None:
    """A page that came before the reading by key ended is read by key in its turn, a deletion too."""
    storage = subject.storage
    reader, writer, item, seq = _read_meanwhile(subject)
    storage.commit_page(reader, _page([entry("a", seq, None)], seq))
    storage.read_by_key(writer, [item])
    subject.exact()
    subject.end(writer, item)
    again = subject.one(reader)
    assert (again.refresh, again.payload) == (True, None)
    subject.exact()


def check_a_later_page_is_believed(subject: Subject) -> None:
    """A page that was asked for after the record was read by key counts as it is, and ends the doubt for good."""
    storage = subject.storage
    reader, writer, item, early = _read_meanwhile(subject)
    storage.read_by_key(writer, [item])
    subject.end(writer, item)
    late = storage.next_read(reader)
    storage.commit_page(reader, _page([entry("a", late, b"late")], late))
    believed = subject.one(reader)
    assert (believed.refresh, believed.payload) == (False, b"late")
    subject.end(reader, believed)
    storage.commit_page(reader, _page([entry("a", early, b"odd")], early))
    assert not subject.one(reader).refresh
    subject.exact()


def check_a_decision_on_an_older_ledger_is_queued(subject: Subject) -> None:
    """A change that nothing had to be done for is queued if somebody wrote its record since that was decided."""
    storage = subject.storage
    reader, writer = subject.worker(), subject.worker()
    storage.put(reader, [entry("a", 1)])
    item = subject.one(writer)
    same = entry("a", 2, b"as before", only_if_queued=True, decided_on=None)
    storage.settle(writer, settlements([item], fingerprint=b"other"))
    assert storage.put(reader, [same]).queued == 1
    again = subject.one(reader)
    assert again.payload == b"as before"
    storage.settle(reader, settlements([again], fingerprint=b"before"))
    unchanged = entry("a", 3, b"as before", only_if_queued=True, decided_on=b"before")
    assert storage.put(reader, [unchanged]).skipped == 1
    subject.exact()


def check_a_page_is_not_lost_behind_what_was_queued_after_it_was_asked_for(subject: Subject) -> None:
    """V8: a record that was queued and leased while a page was on its way is read by key once more, whatever that says.

    The page may be the newer of the two: the other worker may have read the record before the source answered. So a
    deletion is not lost, nor a change, nor is a refusal taken back by what the other worker writes.
    """
    storage = subject.storage
    reader, writer = subject.worker(), subject.worker()
    for told, noted in ((b"newer", True), (None, True), (b"newer", False), (None, False), (b"bad", False)):
        seq = storage.next_read(reader)
        storage.put(writer, [entry("a", storage.next_read(writer), None, refresh=True)])
        item = subject.one(writer)
        if noted:
            storage.read_by_key(writer, [item])
        change = entry("a", seq, told)
        refusal = Refusal(entry=change, reason=DeadReason.CONVERSION, field="f", message="m")
        page = _page([], seq, [refusal]) if told == b"bad" else _page([change], seq)
        storage.commit_page(reader, page)
        subject.exact()
        subject.end(writer, item)
        again = subject.one(reader)
        assert (again.refresh, again.payload) == (True, None)
        subject.end(reader, again)
        assert storage.dead_letters(WORKFLOW) == []
        subject.exact()
