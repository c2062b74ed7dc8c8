"""The checks of egress find what they are there for: a connector with one defect fails those about it, and no other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import ModuleType

import pytest
from attrs import evolve
from tests.connector_room import DataverseSubject, failed

from syncline.connectors.base import DynamicsConnector
from syncline.connectors.creation import CreateAnswer
from syncline.connectors.dynamics import Dataverse
from syncline.errors import AmbiguousWriteError, RecordRefusedError, SchemaChangedError, ThrottledError
from syncline.records import Change, NewRow, Outcome, OutcomeKind
from syncline.sandbox import Sandbox
from syncline.testing.connector_checks import dynamics_events, dynamics_events_workflow

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


class Subject(DataverseSubject):
    """With calls that are quicker to fill."""

    bulk_rows = 30


class Trusting(Dataverse):
    """Takes what nobody answered for done."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        answers = super().create(table, rows, still_ours=still_ours)
        done = Outcome(kind=OutcomeKind.CREATED)
        return [done if isinstance(answer, AmbiguousWriteError) else answer for answer in answers]


class Impatient(Dataverse):
    """Takes what is to wait for what is refused."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        answers = super().create(table, rows, still_ours=still_ours)
        no = RecordRefusedError("refused")
        return [no if isinstance(answer, ThrottledError) else answer for answer in answers]


class Forgetful(Dataverse):
    """Brings the event of an unknown person without saying whose it is."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        answers = list(super().create(table, rows, still_ours=still_ours))
        for number, answer in enumerate(answers):
            if isinstance(answer, Outcome) and answer.kind is OutcomeKind.PARENT_UNKNOWN:
                answers[number] = super().create(table, [evolve(rows[number], links={})], still_ours=still_ours)[0]
        return answers


class Narrow(Dataverse):
    """Leaves out what does not fit into one message."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        return super().create(table, rows[:20], still_ours=still_ours)


class Shared(Dataverse):
    """Gives every row the answer of the worst."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        answers = super().create(table, rows, still_ours=still_ours)
        refused = [answer for answer in answers if isinstance(answer, RecordRefusedError)]
        return refused * len(answers) if len(refused) == 1 else answers


class Unfenced(Dataverse):
    """Does not ask whether it may still write."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        return super().create(table, rows, still_ours=lambda: None)


class Midnight(Dataverse):
    """Cuts moments down to days."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        days = [
            evolve(row, values={name: str(value).replace("T10:", "T00:") for name, value in row.values.items()})
            for row in rows
        ]
        return super().create(table, days, still_ours=still_ours)


class Blaming(Dataverse):
    """Finds that a row is at fault for a table that is gone."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        try:
            return super().create(table, rows, still_ours=still_ours)
        except SchemaChangedError:
            return [RecordRefusedError("refused")] * len(rows)


class Bracing(Dataverse):
    """Spells ids in its own way where there are many."""

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        found = super().fetch(table, columns, ids)
        return found if len(ids) < 500 else {f"{{{record}}}": change for record, change in found.items()}


class Silent(Dataverse):
    """Does not say what its lookups point to."""

    def links(self, table: str) -> Mapping[str, Collection[str]]:
        return dict.fromkeys(super().links(table), ())


BROKEN: list[tuple[type[Dataverse], ModuleType, set[str]]] = [
    (Trusting, dynamics_events, {"trouble_with_a_call_is_told_of_each_row"}),
    (Trusting, dynamics_events_workflow, {"events_get_through_every_trouble"}),
    (Impatient, dynamics_events_workflow, {"events_get_through_every_trouble"}),
    (Forgetful, dynamics_events, {"each_row_of_a_call_gets_its_own_answer", "many_unknown_people_hold_up_nobody"}),
    (Narrow, dynamics_events, {"a_full_call_is_taken"}),
    (Shared, dynamics_events, {"each_row_of_a_call_gets_its_own_answer", "a_lease_that_ends_within_a_call_ends_it"}),
    (Shared, dynamics_events_workflow, {"a_refused_event_becomes_a_dead_letter"}),
    (Unfenced, dynamics_events, {"a_lease_that_ends_within_a_call_ends_it"}),
    (Midnight, dynamics_events, {"an_event_arrives_as_it_was", "each_row_of_a_call_gets_its_own_answer"}),
    (Blaming, dynamics_events, {"a_table_that_is_gone_stops_the_workflow"}),
    (Bracing, dynamics_events, {"people_are_looked_up_by_id"}),
    (Silent, dynamics_events, {"a_timeline_can_be_written_to"}),
]


@pytest.mark.parametrize(("kind", "room", "expected"), BROKEN)
def test_a_connector_with_a_defect(
    kind: type[Dataverse], room: ModuleType, expected: set[str], sandbox: Sandbox
) -> None:
    """Exactly the checks about the defect fail."""
    assert failed(room, lambda: Subject(sandbox, kind), sandbox) == expected


class ForIngressAlone(Dataverse):
    """Creates no rows, as a connector that was not written for egress."""

    links = DynamicsConnector.links
    create = DynamicsConnector.create


def test_what_is_not_declared_is_not_asked_for_and_refused_clearly(sandbox: Sandbox) -> None:
    """With `creates` off every check passes on a connector that has none of it; with it on, they all but one fail."""

    def subject(creates: bool) -> Subject:
        made = Subject(sandbox, ForIngressAlone)
        made.creates = creates
        return made

    for room in (dynamics_events, dynamics_events_workflow):
        assert failed(room, lambda: subject(creates=False), sandbox) == set()
    promised = {name.removeprefix("check_") for name in vars(dynamics_events) if name.startswith("check_")}
    assert promised - failed(dynamics_events, lambda: subject(creates=True), sandbox) == {"people_are_looked_up_by_id"}
