"""Checks of a Dynamics connector: many activities go in one call, each of them comes to one answer that is true.

What lives here: what egress asks of a connector that creates rows. One that does not is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from syncline.connectors.creation import CreateAnswer
from syncline.errors import (
    ConflictError,
    LeaseLostError,
    RecordRefusedError,
    StopWorkflowError,
    UntrustedUrlError,
)
from syncline.records import NewRow, Outcome, OutcomeKind
from syncline.schemas import FieldType
from syncline.testing.connector_checks.dynamics_subject import DynamicsSubject, row_id
from syncline.testing.connector_checks.subject import lost
from syncline.testing.connector_checks.trouble import WAIT, WRITES_SAY, Trouble

_PEOPLE = 500
_AT_ONCE = 4
_MEANT = {**WRITES_SAY, Trouble.ELSEWHERE: (*WRITES_SAY[Trouble.ELSEWHERE], UntrustedUrlError)}


def _event_id(number: int) -> str:
    """Of an activity; no contact has it."""
    return row_id(50_000 + number)


def _events(subject: DynamicsSubject, contacts: Iterable[str]) -> list[NewRow]:
    return [subject.event(_event_id(number), contact) for number, contact in enumerate(contacts)]


def _kinds(subject: DynamicsSubject, answers: Sequence[CreateAnswer], rows: int) -> list[object]:
    assert len(answers) == rows, f"create() gave {len(answers)} answers for {rows} rows"
    for answer in answers:
        subject.tells_nothing(answer)
    return [answer.kind if isinstance(answer, Outcome) else type(answer) for answer in answers]


def check_a_timeline_can_be_written_to(subject: DynamicsSubject) -> None:
    """What egress looks at before it starts: the table's columns, that it can be regarding a contact, and how many go.

    A connector that does not create rows offers no such lookup.
    """
    connector, activity = subject.connector, subject.activity
    regarding = connector.links(activity.table).get(activity.regarding, ())
    if not subject.creates:
        assert not regarding, f"links() offers {activity.table}.{activity.regarding}, and create() is missing"
        return
    schema = connector.describe(activity.table)
    assert schema is not None, f"describe() does not know {activity.table}"
    for name, kind in ((activity.subject, FieldType.STRING), (activity.occurred_on, FieldType.DATETIME)):
        assert name in schema.fields, f"describe() leaves out {activity.table}.{name}"
        assert (schema.fields[name].type, schema.fields[name].writable) == (kind, True)
    assert "contact" in regarding, f"links() does not say that {activity.table}.{activity.regarding} takes a contact"
    named = connector.activities()
    assert not named or activity.table in named, f"activities() leaves out {activity.table}"
    assert connector.creates_in_bulk(activity.table) in (True, False, None)
    assert connector.most_new_rows >= 1, "most_new_rows is what one call of create() should have: 1 or more"


def check_an_event_arrives_as_it_was(subject: DynamicsSubject) -> None:
    """Its subject to the letter, its moment to the second, and regarding the contact that it is about."""
    if not subject.creates:
        return
    subject.fill(2)
    answers = subject.create_events(subject.event(_event_id(0), row_id(1)))
    assert _kinds(subject, answers, 1) == [OutcomeKind.CREATED]
    assert subject.timeline() == {_event_id(0): subject.shown(row_id(1))}


def check_a_full_call_is_taken(subject: DynamicsSubject) -> None:
    """As many rows as `most_new_rows` says go in one call: an answer for each, and each of them is there."""
    if not subject.creates:
        return
    people = subject.fill(3)
    most = subject.connector.most_new_rows
    rows = _events(subject, (people[number % len(people)] for number in range(most)))
    assert _kinds(subject, subject.create_events(*rows), most) == [OutcomeKind.CREATED] * most
    assert subject.timeline().keys() == {row.id for row in rows}


def check_each_row_of_a_call_gets_its_own_answer(subject: DynamicsSubject) -> None:
    """Among those that can be written: one that is there, one of an unknown person, one that is refused. In order."""
    if not subject.creates:
        return
    one, two, stranger = row_id(0), row_id(1), row_id(7)
    subject.fill(2)
    subject.refuse(_event_id(3))
    rows = _events(subject, (one, two, stranger, one, two))
    created, identical, unknown = OutcomeKind.CREATED, OutcomeKind.IDENTICAL, OutcomeKind.PARENT_UNKNOWN
    subject.create_events(rows[1])
    first = subject.create_events(*rows)
    assert _kinds(subject, first, 5) == [created, identical, unknown, RecordRefusedError, created]
    assert subject.timeline().keys() == {_event_id(number) for number in (0, 1, 4)}
    subject.load({stranger: subject.texts()})
    second = subject.create_events(*rows)
    assert _kinds(subject, second, 5) == [identical, identical, created, RecordRefusedError, identical]
    assert subject.timeline() == {
        _event_id(number): subject.shown(contact) for number, contact in ((0, one), (1, two), (2, stranger), (4, two))
    }


def check_many_unknown_people_hold_up_nobody(subject: DynamicsSubject) -> None:
    """Every second person of a call is unknown: exactly their events stay away, and the answers say whose."""
    if not subject.creates:
        return
    people = [row_id(number) for number in range(20)]
    subject.load({record: subject.texts() for record in people[::2]})
    answers = subject.create_events(*_events(subject, people))
    assert _kinds(subject, answers, 20) == [OutcomeKind.CREATED, OutcomeKind.PARENT_UNKNOWN] * 10
    assert {row[subject.activity.regarding] for row in subject.timeline().values()} == {*people[::2]}


def check_a_row_that_is_given_twice_is_made_once(subject: DynamicsSubject) -> None:
    """One event that is queued under two keys: it is there once, and no answer says that it was created twice."""
    if not subject.creates:
        return
    subject.fill(2)
    rows = _events(subject, (row_id(0), row_id(1)))
    one, other, again = _kinds(subject, subject.create_events(rows[0], rows[1], rows[0]), 3)
    told = f"a row that was given twice came to {one} and {again}"
    assert {one, again} <= {OutcomeKind.CREATED, OutcomeKind.IDENTICAL, ConflictError}, told
    assert [one, again].count(OutcomeKind.CREATED) <= 1, told
    assert [one, again].count(ConflictError) <= 1, told
    assert other is OutcomeKind.CREATED
    assert _kinds(subject, subject.create_events(*rows), 2) == [OutcomeKind.IDENTICAL] * 2
    assert len(subject.timeline()) == 2


def check_two_workers_create_a_row_once(subject: DynamicsSubject) -> None:
    """The same rows from several processes at once: one of them creates each, the others are told that it is there."""
    if not subject.creates:
        return
    subject.fill(2)
    rows = _events(subject, [row_id(0), row_id(1)] * 3)
    others = [subject.another() for _ in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        told = list(threads.map(lambda other: subject.create_events(*rows, by=other), others))
    for other in others:
        other.close()
    for answers in zip(*(_kinds(subject, one, len(rows)) for one in told), strict=True):
        assert answers.count(OutcomeKind.CREATED) == 1, f"one event came to {answers}"
        assert {*answers} <= {OutcomeKind.CREATED, OutcomeKind.IDENTICAL, ConflictError}
    assert len(subject.timeline()) == len(rows)


def check_trouble_with_a_call_is_told_of_each_row(subject: DynamicsSubject) -> None:
    """Every trouble: no row is taken for created; the same call afterwards leaves each of them there once."""
    if not subject.creates:
        return
    subject.fill(1)
    subject.create_events(subject.event(_event_id(9_000), row_id(0)))
    for number, trouble in enumerate(Trouble):
        rows = [subject.event(_event_id(100 * number + one), row_id(0)) for one in range(3)]
        with subject.meeting(trouble):
            answers = subject.create_events(*rows)
        _kinds(subject, answers, 3)
        for answer in answers:
            assert isinstance(answer, _MEANT[trouble]), f"{trouble}: {answer!r}"
        subject.clock.jump(2 * WAIT)
        kinds = _kinds(subject, subject.create_events(*rows), 3)
        assert {*kinds} <= {OutcomeKind.CREATED, OutcomeKind.IDENTICAL}, f"after {trouble}: {kinds}"
    assert len(subject.timeline()) == 1 + 3 * len(Trouble)


def check_a_lease_that_ends_within_a_call_ends_it(subject: DynamicsSubject) -> None:
    """V5: `still_ours` is asked before each request that creates: what the answers say is there, and nothing else."""
    if not subject.creates:
        return
    subject.fill(1)
    subject.refuse(_event_id(2))
    rows = _events(subject, [row_id(0)] * 5)
    for allowed in count():
        asked = 0

        def still_ours(most: int = allowed) -> None:
            nonlocal asked
            asked += 1
            if asked > most:
                lost()

        answers = subject.create_events(*rows, still_ours=still_ours)
        kinds = _kinds(subject, answers, 5)
        there = subject.timeline().keys()
        assert {row.id for row, kind in zip(rows, kinds, strict=True) if isinstance(kind, OutcomeKind)} == there
        assert {kind for kind in kinds if not isinstance(kind, OutcomeKind)} <= {LeaseLostError, RecordRefusedError}
        if allowed == 0:
            assert kinds == [LeaseLostError] * 5, "still_ours() was not asked before the first request"
        if asked <= allowed:
            return


def check_a_table_that_is_gone_stops_the_workflow(subject: DynamicsSubject) -> None:
    """SchemaChangedError and the like, raised or for every row: nobody is set aside for what is nobody's fault."""
    if not subject.creates:
        return
    row = subject.event(_event_id(0), row_id(0))
    try:
        answers: Sequence[CreateAnswer] = subject.connector.create("no_such_table", [row, row], still_ours=lambda: None)
    except StopWorkflowError as error:
        answers = [error] * 2
    assert all(isinstance(answer, StopWorkflowError) for answer in answers), f"a table that is gone: {answers}"


def check_people_are_looked_up_by_id(subject: DynamicsSubject) -> None:
    """Who of many is there, under the ids that were asked for; no columns are asked for, and none is needed."""
    people = [row_id(number) for number in range(_PEOPLE)]
    subject.load({record: subject.texts() for record in people[::50]})
    found = subject.connector.fetch(subject.table, (), people)
    assert found.keys() == {*people[::50]}, "fetch() without columns tells which ids exist, as they were spelled"
    assert not any(change.deleted for change in found.values())
