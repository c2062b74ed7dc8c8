"""Checks of a Dynamics connector: rows fetched by id, rows created under ids of our own, and conditional changes."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.connectors.creation import CreateAnswer
from syncline.errors import (
    AmbiguousWriteError,
    ConflictError,
    DefinitionError,
    LeaseLostError,
    RecordRefusedError,
    SynclineError,
    ThrottledError,
)
from syncline.records import Outcome, OutcomeKind, RecordKey
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id
from syncline.testing.connector_checks.subject import lost, ours
from syncline.testing.connector_checks.trouble import Trouble

_MANY = 230


def _kinds(subject: DynamicsSubject, answers: Sequence[CreateAnswer]) -> list[object]:
    """What became of each row: the kind of the outcome, or the class of the error."""
    for answer in answers:
        subject.tells_nothing(answer)
    return [answer.kind if isinstance(answer, Outcome) else type(answer) for answer in answers]


# -- by id ------------------------------------------------------------------------------------------------------------


def check_rows_are_fetched_by_id(subject: DynamicsSubject) -> None:
    """Those that exist, as they are now; what does not exist, and what can be no id, is not in the answer."""
    subject.fill(2)
    found = subject.fetch(row_id(0), row_id(5), row_id(1), "", "no id's id")
    assert found.keys() == {row_id(0), row_id(1)}
    assert {name: (found[row_id(1)].values or {})[name] for name in subject.columns} == subject.texts("Person 1")
    assert found[row_id(1)].key == RecordKey(table=subject.table, id=row_id(1))
    assert subject.fetch() == {}


def check_many_rows_are_fetched_at_once(subject: DynamicsSubject) -> None:
    """More ids than fit into one request, and every second of them there."""
    ids = [row_id(number) for number in range(_MANY)]
    subject.load({record: subject.texts("Person") for record in ids[::2]})
    assert subject.fetch(*ids).keys() == {*ids[::2]}


def check_a_version_changes_with_the_row(subject: DynamicsSubject) -> None:
    """The version of a row stays while the row does, and is another one after a change."""
    subject.fill(2)
    before = subject.etag(row_id(0))
    subject.load({row_id(1): subject.texts("Changed")})
    assert subject.etag(row_id(0)) == before
    subject.load({row_id(0): subject.texts("Changed")})
    assert subject.etag(row_id(0)) != before


# -- conditional changes ----------------------------------------------------------------------------------------------


def _update(subject: DynamicsSubject, record: str, text: str, etag: str) -> str:
    return subject.connector.update_over(subject.table, record, {subject.columns[0]: text}, etag=etag)


def check_a_row_is_changed_over_the_version_that_was_seen(subject: DynamicsSubject) -> None:
    """Only the columns given; the answer is the new version. A connector that cannot says so and changes nothing."""
    subject.fill(2)
    etag = subject.etag(row_id(0))
    if not subject.updates_over:
        subject.refused(DefinitionError, lambda: _update(subject, row_id(0), "Changed", etag))
        assert subject.get(row_id(0)) == subject.texts("Person 0")
        return
    after = _update(subject, row_id(0), "Changed", etag)
    assert subject.get(row_id(0)) == subject.texts("Changed")
    assert subject.get(row_id(1)) == subject.texts("Person 1")
    assert after in ("", subject.etag(row_id(0)))


def check_a_row_that_somebody_changed_is_left_alone(subject: DynamicsSubject) -> None:
    """O4: over an older version, and over a row that is gone: ConflictError, and theirs stays."""
    if not subject.updates_over:
        return
    subject.fill(2)
    etag, gone = subject.etag(row_id(0)), subject.etag(row_id(1))
    subject.load({row_id(0): subject.texts("Theirs")})
    subject.delete(row_id(1))
    subject.refused(ConflictError, lambda: _update(subject, row_id(0), "Ours", etag))
    subject.refused(ConflictError, lambda: _update(subject, row_id(1), "Ours", gone))
    assert subject.get(row_id(0)) == subject.texts("Theirs")
    assert subject.get(row_id(1)) is None


def check_a_change_without_an_answer_is_ambiguous(subject: DynamicsSubject) -> None:
    """AmbiguousWriteError; and to repeat it is safe, since the version is another one if it happened."""
    if not subject.updates_over:
        return
    subject.fill(1)
    etag = subject.etag(row_id(0))
    with subject.meeting(Trouble.NO_ANSWER):
        subject.refused(AmbiguousWriteError, lambda: _update(subject, row_id(0), "Ours", etag))
    subject.refused(ConflictError, lambda: _update(subject, row_id(0), "Again", etag))
    assert subject.get(row_id(0)) == subject.texts("Ours")


# -- new rows ---------------------------------------------------------------------------------------------------------


def check_rows_are_created_once(subject: DynamicsSubject) -> None:
    """One answer for each, in their order; a row that is there is left alone, however often it comes."""
    if not subject.creates:
        subject.refused(DefinitionError, lambda: subject.create(subject.new(row_id(0))))
        return
    subject.load({row_id(1): subject.texts("Theirs")})
    rows = [subject.new(row_id(number)) for number in range(3)]
    created, identical = OutcomeKind.CREATED, OutcomeKind.IDENTICAL
    assert _kinds(subject, subject.create(*rows)) == [created, identical, created]
    assert _kinds(subject, subject.create(*rows)) == [identical] * 3
    assert subject.get(row_id(0)) == subject.texts()
    assert subject.get(row_id(1)) == subject.texts("Theirs")
    assert subject.create() == []


def check_one_refused_row_holds_up_nobody(subject: DynamicsSubject) -> None:
    """A partial failure: RecordRefusedError is the answer of the row at fault, and all others are created."""
    if not subject.creates:
        return
    subject.refuse(row_id(2))
    answers = subject.create(*(subject.new(row_id(number)) for number in range(5)))
    expected: list[object] = [OutcomeKind.CREATED] * 5
    expected[2] = RecordRefusedError
    assert _kinds(subject, answers) == expected
    assert subject.get(row_id(2)) is None
    assert subject.get(row_id(4)) == subject.texts()


def check_a_row_without_its_parent_is_not_created(subject: DynamicsSubject) -> None:
    """PARENT_UNKNOWN for the row that points to what does not exist; the others are created."""
    if not subject.creates:
        return
    column, table = subject.lookup
    assert table in subject.connector.links(subject.table)[column]
    nowhere = {column: RecordKey(table=table, id=row_id(4711))}
    answers = subject.create(subject.new(row_id(0)), subject.new(row_id(1), links=nowhere))
    assert _kinds(subject, answers) == [OutcomeKind.CREATED, OutcomeKind.PARENT_UNKNOWN]
    assert subject.get(row_id(1)) is None


def check_a_creation_without_an_answer_can_be_repeated(subject: DynamicsSubject) -> None:
    """AmbiguousWriteError for each row; the same call again makes none of them twice, and tells which are there."""
    if not subject.creates:
        return
    rows = [subject.new(row_id(number)) for number in range(3)]
    subject.create(subject.new(row_id(9)))
    with subject.meeting(Trouble.NO_ANSWER):
        assert _kinds(subject, subject.create(*rows)) == [AmbiguousWriteError] * 3
    assert _kinds(subject, subject.create(*rows)) == [OutcomeKind.IDENTICAL] * 3


def check_a_creation_inside_a_wait_is_not_sent(subject: DynamicsSubject) -> None:
    """ThrottledError for every row whose turn did not come, and none of them is there."""
    if not subject.creates:
        return
    rows = [subject.new(row_id(number)) for number in range(3)]
    subject.create(subject.new(row_id(9)))
    with subject.meeting(Trouble.WAIT_SECONDS):
        assert _kinds(subject, subject.create(*rows)) == [ThrottledError] * 3
    sent = subject.requests()
    assert _kinds(subject, subject.create(*rows)) == [ThrottledError] * 3
    assert subject.requests() == sent
    assert all(subject.get(row.id) is None for row in rows)


def check_a_stolen_lease_creates_nothing(subject: DynamicsSubject) -> None:
    """V5: `still_ours` is asked before anything is created, and what it raises is raised, or every row's answer."""
    if not subject.creates:
        return
    subject.create(subject.new(row_id(9)))
    rows = [subject.new(row_id(number)) for number in range(3)]
    try:
        answers: Sequence[CreateAnswer] = subject.connector.create(subject.table, rows, still_ours=lost)
    except LeaseLostError:
        answers = [LeaseLostError("")] * 3
    assert _kinds(subject, answers) == [LeaseLostError] * 3
    assert all(subject.get(row.id) is None for row in rows)
    assert all(
        not isinstance(one, SynclineError) for one in subject.connector.create(subject.table, rows, still_ours=ours)
    )
