"""Checks of reading: a page and its position are one, and a resync finds what is missing."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from syncline.backlog import DeadReason
from syncline.records import ReadPosition, ReadStage
from syncline.store import DeadLetterStatus, PageCommit, Refusal
from syncline.testing.storage_checks.subject import ACTION, NOON, WORKFLOW, Subject, entry, position, settlements


def check_read_sequences_only_grow(subject: Subject) -> None:
    """Every read gets a larger number, over grants and closing too."""
    grant, storage = subject.grant(), subject.storage
    seen = [storage.next_read(grant), storage.next_read(grant)]
    storage.release(grant)
    storage.close()
    seen.append(storage.next_read(subject.grant()))
    assert seen == sorted(set(seen))


def check_a_position_comes_back_as_it_was(subject: Subject) -> None:
    """Every field of a position is kept; tables that were never read are missing."""
    grant, storage = subject.grant(), subject.storage
    assert storage.positions(WORKFLOW) == {}
    given = ReadPosition(
        stage=ReadStage.OVERLAP,
        link="https://example/next?a=1&b='2'",
        delta_link="https://example/delta",
        started_at=NOON,
        pass_seq=12,
        first=True,
        resync=True,
        compares=True,
        read_at=NOON + timedelta(microseconds=1),
    )
    storage.commit_page(grant, PageCommit(table="contact", position=given, entries=[]))
    storage.put(grant, [entry("x", table="account")])
    assert storage.positions(WORKFLOW) == {"contact": given}
    storage.drop_position(WORKFLOW, "contact")
    storage.drop_position(WORKFLOW, "never")
    assert storage.positions(WORKFLOW) == {}


def check_a_page_and_its_position_are_one(subject: Subject) -> None:
    """V2: entries, refusals, skipped rows and the position are stored together."""
    grant, storage = subject.grant(), subject.storage
    page = PageCommit(
        table="contact",
        position=position(),
        entries=[entry("a"), entry("b"), entry("c", only_if_queued=True)],
        refusals=[
            Refusal(entry=entry("d", 1, b"long"), reason=DeadReason.CONVERSION, field="name", message="too long")
        ],
        skipped=5,
    )
    report = storage.commit_page(grant, page)
    assert (report.queued, report.superseded, report.skipped) == (2, 0, 1)
    totals = storage.counts(WORKFLOW).totals
    assert (totals.put, totals.skipped, totals.dead) == (9, 6, 1)
    assert storage.positions(WORKFLOW) == {"contact": position()}
    (letter,) = storage.dead_letters(WORKFLOW)
    assert (letter.key.id, letter.field, letter.payload, letter.attempts) == ("d", "name", b"long", 0)
    subject.exact()


def check_a_bad_page_moves_nothing(subject: Subject) -> None:
    """V1: when anything of a page cannot be stored, nothing of it is, and the position stands."""
    grant, storage = subject.grant(), subject.storage
    before = storage.counts(WORKFLOW)
    bad = evolve(entry("b"), seq="not a number")  # type: ignore[arg-type]
    for entries in ([entry("a"), evolve(bad, payload=object())], [entry("a"), evolve(bad, seq=1 << 80)]):  # type: ignore[arg-type]
        page = PageCommit(table="contact", position=position(), entries=entries)
        try:
            storage.commit_page(grant, page)
        except Exception:  # noqa: BLE001 - which error it is does not matter here, that nothing stays does
            assert storage.positions(WORKFLOW) == {}
            assert storage.counts(WORKFLOW) == before
            continue
        raise AssertionError("a page with a value that cannot be stored was accepted")
    storage.commit_page(grant, PageCommit(table="contact", position=position(), entries=[entry("a")]))
    subject.exact()


def check_a_refusal_takes_the_place_of_what_waits(subject: Subject) -> None:
    """A refused newer version supersedes the queued one of its key; a leased one stays, a newer one too."""
    grant, storage = subject.grant(), subject.storage

    def refuse(record: str, seq: int) -> None:
        refusal = Refusal(entry=entry(record, seq), reason=DeadReason.CONVERSION, field="f", message="m")
        page = PageCommit(table="contact", position=position(), entries=[], refusals=[refusal])
        storage.commit_page(grant, page)

    storage.put(grant, [entry("a", 1)])
    refuse("a", 2)
    assert subject.size() == 0
    assert storage.counts(WORKFLOW).totals.superseded == 1
    item = subject.put_and_lease(grant, entry("b", 1))[0]
    storage.put(grant, [entry("b", 2)])
    refuse("b", 3)
    assert subject.size() == 1
    subject.exact()
    storage.settle(grant, settlements([item]))
    assert [letter.key.id for letter in storage.dead_letters(WORKFLOW)] == ["a", "b"]
    storage.put(grant, [entry("c", 9)])
    refuse("c", 8)
    assert subject.size() == 1
    subject.exact()


def check_a_resync_finds_what_is_missing(subject: Subject) -> None:
    """Unseen are ids that the ledger or the queue has and that the full read did not see, in order."""
    grant, storage = subject.grant(), subject.storage
    records = [f"0000000{number}-0000-4000-8000-000000000000" for number in range(9)]
    items = subject.put_and_lease(grant, *[entry(record) for record in records])
    storage.settle(grant, settlements(items))
    resync = position(pass_seq=5, compares=True)
    seen = PageCommit(table="contact", position=resync, entries=[entry(records[3], 2)], seen=records[:3])
    storage.commit_page(grant, seen)
    assert list(storage.unseen(WORKFLOW, "contact", 3)) == records[3:6]
    assert list(storage.unseen(WORKFLOW, "contact", 100)) == records[3:]
    assert list(storage.unseen(WORKFLOW, "account", 100)) == []
    missing = storage.unseen(WORKFLOW, "contact", 100)
    gone = [entry(record, 3, None) for record in missing[:3]]
    storage.commit_page(grant, PageCommit(table="contact", position=resync, entries=gone, seen=missing[:3]))
    assert list(storage.unseen(WORKFLOW, "contact", 100)) == records[6:]
    storage.put(grant, [entry("queued only")])
    assert list(storage.unseen(WORKFLOW, "contact", 100)) == [*records[6:], "queued only"]
    done = position(ReadStage.DELTA, pass_seq=5)
    storage.forget_seen(grant, "contact", done)
    assert storage.positions(WORKFLOW) == {"contact": done}
    storage.settle(grant, settlements(subject.lease(grant), fingerprint=None))
    assert list(storage.unseen(WORKFLOW, "contact", 100)) == records


def check_a_full_read_that_begins_anew_has_seen_nothing(subject: Subject) -> None:
    """What an interrupted resync saw is forgotten when a replay begins: it may be gone by now."""
    grant, storage = subject.grant(), subject.storage
    storage.settle(grant, settlements(subject.put_and_lease(grant, entry("a"))))
    resync = position(compares=True)
    storage.commit_page(grant, PageCommit(table="contact", position=resync, entries=[], seen=["a"]))
    assert list(storage.unseen(WORKFLOW, "contact", 10)) == []
    storage.begin_replay(grant, "contact", resync)
    assert list(storage.unseen(WORKFLOW, "contact", 10)) == ["a"]


def check_what_was_seen_counts_only_while_keys_are_compared(subject: Subject) -> None:
    """Pages of an ordinary read leave no marks."""
    grant, storage = subject.grant(), subject.storage
    storage.settle(grant, settlements(subject.put_and_lease(grant, entry("a"))))
    storage.commit_page(grant, PageCommit(table="contact", position=position(), entries=[], seen=["a"]))
    assert list(storage.unseen(WORKFLOW, "contact", 10)) == ["a"]


def check_a_ledger_of_any_size_answers(subject: Subject) -> None:
    """The ledger answers for thousands of ids at once and leaves out what it does not know."""
    grant, storage = subject.grant(), subject.storage
    records = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(1500)]
    storage.put(grant, [entry(record) for record in records])
    storage.settle(grant, settlements(subject.lease(grant, 2000), fingerprint=b"p" * 16))
    asked = [*records, *(record.replace("4000", "4001") for record in records), "other", ""]
    assert storage.ledger(WORKFLOW, "contact", asked) == dict.fromkeys(records, b"p" * 16)
    assert storage.ledger(WORKFLOW, "contact", []) == {}


def check_replays_are_noted_and_begun(subject: Subject) -> None:
    """A wanted replay is noted with the generation, until it begins together with its position."""
    grant, storage = subject.grant(), subject.storage
    storage.want_replay(WORKFLOW, "contact", ACTION)
    assert storage.wanted_replays(WORKFLOW) == {"contact": 0}
    assert [action.action for action in storage.history(WORKFLOW)] == ["test"]
    storage.begin_replay(grant, "contact", position())
    assert storage.wanted_replays(WORKFLOW) == {}
    assert storage.positions(WORKFLOW) == {"contact": position()}


def check_a_refused_record_that_was_open_before(subject: Subject) -> None:
    """Of several letters of one record only the newest stays open."""
    grant, storage = subject.grant(), subject.storage
    for seq in (2, 1, 3):
        refusal = Refusal(entry=entry("a", seq), reason=DeadReason.CONVERSION, field="f", message="m")
        page = PageCommit(table="contact", position=position(), entries=[], refusals=[refusal])
        storage.commit_page(grant, page)
    assert [letter.seq for letter in storage.dead_letters(WORKFLOW)] == [3]
    assert [letter.seq for letter in storage.dead_letters(WORKFLOW, status=DeadLetterStatus.RESOLVED)] == [2, 1]
    assert storage.counts(WORKFLOW).dead_letters == 1
    subject.exact()
