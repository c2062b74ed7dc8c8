"""Checks of queueing: one row per record, and what becomes of two changes of one record."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from syncline.backlog import Entry, Group, ItemState, Lane, Operation, PutReport, Settlement, Settling
from syncline.records import encode_values
from syncline.testing.storage_checks.subject import WORKFLOW, Subject, entry, ids

_GUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


def _report(queued: int = 0, superseded: int = 0, skipped: int = 0) -> PutReport:
    return PutReport(queued=queued, superseded=superseded, skipped=skipped)


def check_a_change_comes_back_as_it_was_put(subject: Subject) -> None:
    """Key, sequence, payload, lane and flags of a leased row are those of the change."""
    grant = subject.grant()
    payload = encode_values({"name": "Zoë \ud83d", "amount": Decimal("1.10")})
    given = entry(_GUID, 7, payload, lane=Lane.BULK, first=True, refresh=True)
    assert subject.storage.put(grant, [given]) == _report(queued=1)
    item = subject.one(grant)
    assert (item.key, item.seq, item.payload, item.lane) == (given.key, 7, payload, Lane.BULK)
    assert (item.first, item.refresh, item.ambiguous, item.attempts, item.crashes) == (True, True, False, 1, 0)
    assert abs(item.queued_at - subject.storage.now()) < timedelta(seconds=30)


def check_any_id_is_kept(subject: Subject) -> None:
    """Ids come back to the letter: GUIDs, GUIDs in capitals, any text, and what is not even text."""
    grant = subject.grant()
    records = [
        _GUID, _GUID.upper(), "",
        "'", "a\0b", "ü" * 200, "\ud800", "x" * 16, "x" * 36, _GUID.replace("-", ""), " " + _GUID,
    ]  # fmt: skip
    assert subject.storage.put(grant, [entry(record) for record in records]) == _report(queued=len(records))
    assert ids(subject.lease(grant)) == records


def check_payloads_of_any_size_are_kept(subject: Subject) -> None:
    """From nothing to megabytes, to the byte."""
    grant = subject.grant()
    payloads = [b"", b"\0", bytes(range(256)) * 40, b"x" * 3_000_000, None]
    subject.storage.put(grant, [entry(str(number), 1, payload) for number, payload in enumerate(payloads)])
    assert [item.payload for item in subject.lease(grant)] == payloads


def check_nothing_put_changes_nothing(subject: Subject) -> None:
    """An empty put is no error."""
    assert subject.storage.put(subject.grant(), []) == _report()


def check_a_newer_change_takes_the_place(subject: Subject) -> None:
    """A key that waits keeps its place; the change with the larger sequence stays, the given one when equal."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry("a", 5, b"old"), entry("b", 5)])
    assert storage.put(grant, [entry("a", 6, b"new")]) == _report(superseded=1)
    assert storage.put(grant, [entry("a", 6, b"equal")]) == _report(superseded=1)
    assert storage.put(grant, [entry("a", 4, b"late")]) == _report(superseded=1)
    first, second = subject.lease(grant)
    assert (first.key.id, first.seq, first.payload) == ("a", 6, b"equal")
    assert second.key.id == "b"
    assert storage.counts(WORKFLOW).totals.superseded == 3
    subject.exact()


def check_one_put_can_hold_a_key_twice(subject: Subject) -> None:
    """Changes of one put meet as if they had come one after the other."""
    grant = subject.grant()
    report = subject.storage.put(
        grant,
        [entry("a", 2, b"2"), entry("a", 1, b"1"), entry("a", 3, only_if_queued=True), entry("b", only_if_queued=True)],
    )
    assert report == _report(queued=1, superseded=2, skipped=1)
    item = subject.one(grant)
    assert (item.key.id, item.seq) == ("a", 3)
    subject.exact()


def check_flags_are_gathered(subject: Subject) -> None:
    """`first` is or-ed and the more urgent lane wins, whichever of the two changes stays."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry("a", 1, lane=Lane.BULK, first=True)])
    storage.put(grant, [entry("a", 2, lane=Lane.LIVE)])
    storage.put(grant, [entry("a", 1, lane=Lane.CONSENT)])
    item = subject.one(grant)
    assert (item.seq, item.lane, item.first) == (2, Lane.CONSENT, True)
    subject.exact()


def check_refresh_belongs_to_the_change(subject: Subject) -> None:
    """A newer change that is reliable needs no reading again; one that is not does."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry("a", 1, None, refresh=True), entry("b", 1)])
    storage.put(grant, [entry("a", 2, b"sure"), entry("b", 2, None, refresh=True)])
    a, b = subject.lease(grant)
    assert (a.refresh, a.payload) == (False, b"sure")
    assert (b.refresh, b.payload) == (True, None)


def check_a_deletion_is_counted_as_one(subject: Subject) -> None:
    """No payload means deleted, unless it is to be read anew; the counts tell both apart."""
    grant, storage = subject.grant(), subject.storage
    storage.put(grant, [entry("a", 1, None), entry("b", 1), entry("c", 1, None, refresh=True)])
    storage.put(grant, [entry("b", 2, None, lane=Lane.BULK)])
    assert storage.counts(WORKFLOW).groups == {
        _group(Operation.DELETE): 2,
        _group(Operation.UPSERT): 1,
    }
    subject.exact()


def _group(operation: Operation, state: ItemState = ItemState.READY) -> Group:
    return Group(table="contact", operation=operation, lane=Lane.LIVE, state=state)


def check_only_if_queued(subject: Subject) -> None:
    """What the target has already is skipped, unless an older change for the key is queued or being sent."""
    grant, storage = subject.grant(), subject.storage
    same = entry("a", 9, b"same", only_if_queued=True)
    assert storage.put(grant, [same]) == _report(skipped=1)
    assert subject.size() == 0
    storage.put(grant, [entry("a", 1)])
    assert storage.put(grant, [same]) == _report(superseded=1)
    item = subject.one(grant)
    assert item.payload == b"same"
    assert storage.put(grant, [same]) == _report(queued=1)
    subject.end(grant, item)
    assert subject.one(grant).payload == b"same"
    assert storage.counts(WORKFLOW).totals.skipped == 1
    subject.exact()


def check_a_change_waits_behind_a_leased_one(subject: Subject) -> None:
    """What is being sent is never changed: the newer change waits behind it, and is leased after it."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a", 1, b"1"))[0]
    assert storage.put(grant, [entry("a", 2, b"2")]) == _report(queued=1)
    assert storage.put(grant, [entry("a", 3, b"3", first=True)]) == _report(superseded=1)
    assert storage.put(grant, [entry("a", 2, b"late", lane=Lane.CONSENT)]) == _report(superseded=1)
    assert subject.size() == 2
    assert subject.lease(grant) == []
    subject.exact()
    subject.end(grant, item)
    newer = subject.one(grant)
    assert (newer.seq, newer.payload, newer.first, newer.lane, newer.attempts) == (3, b"3", True, Lane.CONSENT, 1)
    subject.exact()


def check_an_older_change_does_not_wait_behind_a_newer_one(subject: Subject) -> None:
    """V8: nothing from an older read follows what is being sent."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a", 5, None))[0]
    assert storage.put(grant, [entry("a", 4, b"older")]) == _report(superseded=1)
    subject.end(grant, item)
    assert subject.size() == 0
    subject.exact()


def check_a_first_load_is_not_lost_behind_a_newer_change(subject: Subject) -> None:
    """An older first load that meets a newer change being sent has the record read and written anew."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a", 5, b"live"))[0]
    assert storage.put(grant, [entry("a", 4, b"bulk", lane=Lane.BULK, first=True)]) == _report(queued=1)
    subject.end(grant, item)
    again = subject.one(grant)
    assert (again.first, again.refresh, again.payload) == (True, True, None)
    assert again.seq >= 5
    subject.exact()


def check_a_delay_ends_with_a_new_change(subject: Subject) -> None:
    """A row that waits for a later time is ready as soon as something new is known, and its attempts start anew."""
    grant, storage = subject.grant(), subject.storage
    item = subject.put_and_lease(grant, entry("a", 1))[0]
    later = storage.now() + timedelta(hours=1)
    storage.settle(grant, [Settlement(item=item, settling=Settling.RETRY, retry_at=later, ambiguous=True)])
    assert subject.lease(grant) == []
    storage.put(grant, [entry("a", 2)])
    again = subject.one(grant)
    assert (again.seq, again.attempts, again.ambiguous) == (2, 1, True)
    subject.exact()


def check_many_tables_at_once(subject: Subject) -> None:
    """One put may speak of several tables; the same id in two of them is two records."""
    grant = subject.grant()
    entries: list[Entry] = [entry(_GUID, table=table) for table in ("contact", "account", "lead")]
    assert subject.storage.put(grant, entries) == _report(queued=3)
    assert sorted(item.key.table for item in subject.lease(grant)) == ["account", "contact", "lead"]


def check_large_puts(subject: Subject) -> None:
    """Thousands of changes in one put, half of them known: all are counted and none is lost."""
    grant, storage = subject.grant(), subject.storage
    records = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(3000)]
    storage.put(grant, [entry(record, 1) for record in records[::2]])
    assert storage.put(grant, [entry(record, 2) for record in records]) == _report(queued=1500, superseded=1500)
    assert sorted(ids(subject.lease(grant, 5000))) == records
    subject.exact()
