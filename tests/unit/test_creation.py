"""Creating many rows in calls that take all or nothing: whatever is wrong with some, the others are created."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.creation import create_rows
from syncline.errors import (
    ConflictError,
    LeaseLostError,
    RecordRefusedError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)
from syncline.records import NewRow, Outcome, OutcomeKind, RecordKey


@define
class Target:
    """A table that takes all rows of a call or none."""

    there: set[str] = field(factory=set)
    people: set[str] = field(factory=set)
    refused: set[str] = field(factory=set)
    calls: int = 0
    questions: int = 0
    #: The call in which something else goes wrong.
    trouble: dict[int, SynclineError] = field(factory=dict)

    def together(self, rows: Sequence[NewRow]) -> None:
        self.calls += 1
        if error := self.trouble.get(self.calls):
            raise error
        for row in rows:  # the first thing wrong is all that is told
            if row.id in self.refused:
                raise RecordRefusedError("no", field="x")
            if row.links["whom"].id not in self.people or row.id in self.there:
                raise ConflictError("no")
        self.there.update(row.id for row in rows)

    def existing(self, table: str, ids: Sequence[str]) -> set[str]:
        self.questions += 1
        return (self.there if table == "events" else self.people) & set(ids)

    def create(self, rows: Sequence[NewRow]) -> list[Outcome | SynclineError]:
        return create_rows("events", rows, together=self.together, existing=self.existing, still_ours=lambda: None)


def row(number: int, person: str = "ann") -> NewRow:
    return NewRow(id=str(number), values={}, links={"whom": RecordKey(table="contact", id=person)})


def kinds(answers: Sequence[Outcome | SynclineError]) -> list[object]:
    return [answer.kind if isinstance(answer, Outcome) else type(answer) for answer in answers]


def test_when_all_is_well_one_call_is_all() -> None:
    """A thousand rows are one request and no question."""
    target = Target(people={"ann"})
    assert kinds(target.create([row(number) for number in range(1_000)])) == [OutcomeKind.CREATED] * 1_000
    assert (target.calls, target.questions) == (1, 0)


def test_one_refused_row_costs_a_few_calls() -> None:
    """The row at fault is found by halving."""
    target = Target(people={"ann"}, refused={"700"})
    answers = kinds(target.create([row(number) for number in range(1_000)]))
    assert [index for index, kind in enumerate(answers) if kind is not OutcomeKind.CREATED] == [700]
    assert target.calls <= 21


def test_rows_that_are_there_cost_one_question() -> None:
    """However many of them: a duplicate is a success."""
    target = Target(people={"ann"}, there={str(number) for number in range(0, 1_000, 3)})
    answers = kinds(target.create([row(number) for number in range(1_000)]))
    assert answers[:4] == [OutcomeKind.IDENTICAL, OutcomeKind.CREATED, OutcomeKind.CREATED, OutcomeKind.IDENTICAL]
    assert (target.calls, target.questions) == (2, 1)


ROWS = st.lists(
    st.tuples(st.sampled_from(["ann", "bo"]), st.sampled_from(["new", "there", "refused"])), min_size=1, max_size=20
)


@given(ROWS)
def test_every_row_gets_the_answer_it_would_get_alone(made: list[tuple[str, str]]) -> None:
    """Company changes nothing; and what is not created stays as it was."""
    rows = [row(number, person) for number, (person, _) in enumerate(made)]
    target = Target(people={"ann"})
    for number, (_, state) in enumerate(made):
        (target.there if state == "there" else target.refused if state == "refused" else set()).add(str(number))
    before = set(target.there)
    expected = {
        ("ann", "new"): OutcomeKind.CREATED,
        ("ann", "there"): OutcomeKind.IDENTICAL,
        ("bo", "there"): OutcomeKind.IDENTICAL,
        ("bo", "new"): OutcomeKind.PARENT_UNKNOWN,
        ("ann", "refused"): RecordRefusedError,
    }
    answers = kinds(target.create(rows))
    for answer, one in zip(answers, made, strict=True):
        # Of two things wrong with one row, either may be told.
        assert answer in ([expected[one]] if one in expected else [RecordRefusedError, OutcomeKind.PARENT_UNKNOWN])
    created = {str(number) for number, answer in enumerate(answers) if answer is OutcomeKind.CREATED}
    assert target.there == before | created
    again = kinds(target.create(rows))
    assert OutcomeKind.CREATED not in again


@pytest.mark.parametrize(
    "error", [UnavailableError("away"), ThrottledError("slow", retry_after=1.0, principal="p"), LeaseLostError("gone")]
)
@given(ROWS, st.integers(1, 6))
def test_what_is_done_counts_when_the_rest_must_wait(
    error: SynclineError, made: list[tuple[str, str]], call: int
) -> None:
    """Rows that were created before something went wrong are told as created, and nothing is tried after it."""
    rows = [row(number, person) for number, (person, _) in enumerate(made)]
    target = Target(people={"ann"}, trouble={call: error})
    for number, (_, state) in enumerate(made):
        (target.there if state == "there" else target.refused if state == "refused" else set()).add(str(number))
    before = set(target.there)
    answers = target.create(rows)
    assert target.calls <= max(call, target.calls)
    created = {str(n) for n, a in enumerate(answers) if isinstance(a, Outcome) and a.kind is OutcomeKind.CREATED}
    assert target.there == before | created
    if target.calls >= call:
        assert target.calls == call
        assert error in answers
