"""Creating many rows in Dataverse under our own ids: in bulk where a table takes it, else in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID, uuid5

import pytest
from tests.ingress_room import dataverse

from syncline.connectors.dynamics import Dataverse
from syncline.errors import DefinitionError, LeaseLostError, RecordRefusedError, SynclineError
from syncline.records import NewRow, Outcome, OutcomeKind, RecordKey
from syncline.sandbox import Sandbox

NAMES = UUID("00000000-0000-4000-8000-000000000001")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Ten contacts, and two tables of activities of which one takes no bulk messages."""
    with Sandbox(contacts=10) as running:
        running.dynamics.add_table("new_plainevent", [], activity=True, bulk=False)
        yield running


@pytest.fixture(params=["adobe_emailsend", "new_plainevent"])
def table(request: pytest.FixtureRequest) -> str:
    """A table that takes CreateMultiple, and one that does not."""
    return str(request.param)


@pytest.fixture
def dynamics(sandbox: Sandbox) -> Iterator[Dataverse]:
    connector = dataverse(sandbox)
    yield connector
    connector.close()


def people(sandbox: Sandbox) -> list[str]:
    return [row["contactid"] for row in sandbox.dynamics.rows("contact", ["contactid"])]


def row(name: str, person: str, **values: str) -> NewRow:
    contact = RecordKey(table="contact", id=person)
    return NewRow(id=str(uuid5(NAMES, name)), values={"subject": name, **values}, links={"regardingobjectid": contact})


def kinds(answers: Sequence[Outcome | SynclineError]) -> list[object]:
    return [answer.kind if isinstance(answer, Outcome) else type(answer) for answer in answers]


def test_only_the_second_table_goes_in_batches(sandbox: Sandbox, dynamics: Dataverse) -> None:
    """What a table takes is asked of the environment's metadata."""
    assert dynamics.creates_in_bulk("adobe_emailsend")
    assert not dynamics.creates_in_bulk("new_plainevent")
    assert "adobe_emailsend" in dynamics.activities()
    assert "contact" in dynamics.links("adobe_emailsend")["regardingobjectid"]


def test_every_row_gets_an_answer_of_its_own(sandbox: Sandbox, dynamics: Dataverse, table: str) -> None:
    """Created, there already, of nobody, or refused: each for itself, and again the same for a repeated call."""
    ann, bo, *_ = people(sandbox)
    rows = [
        row(f"{table} 1", ann),
        row(f"{table} 2", "11111111-2222-4333-8444-555555555555"),
        row(f"{table} 3", "no id at all"),
        row(f"{table} 4", bo),
        row(f"{table} 5", bo, subject="x" * 500),
    ]
    first = kinds(dynamics.create(table, rows, still_ours=lambda: None))
    unknown, refused = OutcomeKind.PARENT_UNKNOWN, RecordRefusedError
    assert first == [OutcomeKind.CREATED, unknown, unknown, OutcomeKind.CREATED, refused]
    again = kinds(dynamics.create(table, rows, still_ours=lambda: None))
    assert again == [OutcomeKind.IDENTICAL, unknown, unknown, OutcomeKind.IDENTICAL, refused]


def test_a_row_that_somebody_edited_stays_as_edited(sandbox: Sandbox, dynamics: Dataverse, table: str) -> None:
    """A repeated create changes nothing: it is no upsert."""
    ann = people(sandbox)[0]
    one = row(f"{table} edited", ann)
    dynamics.create(table, [one], still_ours=lambda: None)
    sandbox.dynamics.update(table, one.id, subject="by hand")
    assert kinds(dynamics.create(table, [one], still_ours=lambda: None)) == [OutcomeKind.IDENTICAL]
    subjects = {found["activityid"]: found["subject"] for found in sandbox.dynamics.rows(table)}
    assert subjects[one.id] == "by hand"


def test_many_rows_go_in_few_requests(sandbox: Sandbox, dynamics: Dataverse, table: str) -> None:
    """A hundred in a batch, a thousand in a bulk message."""
    ann = people(sandbox)[0]
    rows = [row(f"{table} many {number}", ann) for number in range(250)]
    assert set(kinds(dynamics.create(table, rows, still_ours=lambda: None))) == {OutcomeKind.CREATED}


def test_nothing_is_sent_once_the_workflow_is_another_ones(sandbox: Sandbox, dynamics: Dataverse, table: str) -> None:
    """Right before each request it is asked whether this process may still write."""

    def lost() -> None:
        raise LeaseLostError("taken over")

    before = sandbox.dynamics.count(table)
    answers = dynamics.create(table, [row(f"{table} late", people(sandbox)[0])], still_ours=lost)
    assert kinds(answers) == [LeaseLostError]
    assert sandbox.dynamics.count(table) == before


def test_a_bulk_size_that_makes_no_sense_is_refused(sandbox: Sandbox) -> None:
    """Microsoft advises a thousand at most."""
    with pytest.raises(DefinitionError):
        dataverse(sandbox, bulk_rows=0)
