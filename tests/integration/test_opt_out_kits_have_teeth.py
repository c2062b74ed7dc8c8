"""The checks of Opt-In/Out find what they are there for: a connector with one defect fails those about it, no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType

import pytest
from attrs import evolve
from tests.connector_room import DataverseSubject, failed

from syncline.connectors.base import DynamicsConnector
from syncline.connectors.dynamics import Dataverse
from syncline.errors import AmbiguousWriteError, ConflictError, RecordRefusedError
from syncline.records import Change, Page, ReadRequest, ReadStage, Value, Values
from syncline.sandbox import Sandbox
from syncline.testing.connector_checks import access, dynamics_opt_outs, dynamics_opt_outs_workflow


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


# -- Dynamics ---------------------------------------------------------------------------------------------------------


class Told(Dataverse):
    """Tells every row in its own way."""

    def read(self, request: ReadRequest) -> Page:
        page = super().read(request)
        return evolve(page, changes=tuple(self.tell(change) for change in page.changes))

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        found = super().fetch(table, columns, ids)
        return {record: self.tell(change) for record, change in found.items()}

    def tell(self, change: Change) -> Change:
        if change.values is None:
            return change
        return evolve(change, values={name: self.spelled(name, value) for name, value in change.values.items()})

    def spelled(self, name: str, value: Value) -> Value:
        raise NotImplementedError


class Wordy(Told):
    """Says yes and no."""

    def spelled(self, name: str, value: Value) -> Value:
        return ("No", "Yes")[value] if isinstance(value, bool) else value


class Timeless(Told):
    """Does not say when a row was changed."""

    def spelled(self, name: str, value: Value) -> Value:
        return None if name == "modifiedon" else value


class Reborn(Told):
    """Takes the moment of a change for the one of creation, to be exact."""

    number = 0

    def spelled(self, name: str, value: Value) -> Value:
        self.number += 1
        return f"{self.number}" if name == "createdon" else value


class Loyal(Told):
    """Hides who survived a merge."""

    def spelled(self, name: str, value: Value) -> Value:
        return None if name == "_masterid_value" else value


class Deaf(Dataverse):
    """Does not hear of who opts out."""

    def read(self, request: ReadRequest) -> Page:
        page = super().read(request)
        heard = (one for one in page.changes if not (one.values or {}).get("donotbulkemail"))
        return evolve(page, changes=tuple(heard))


class Fickle(Dataverse):
    """Spells versions in change tracking in another way."""

    def read(self, request: ReadRequest) -> Page:
        page = super().read(request)
        if request.stage is not ReadStage.DELTA:
            return page
        return evolve(page, changes=tuple(evolve(change, etag=f"{change.etag} ") for change in page.changes))


class Overwriting(Dataverse):
    """Changes a row whatever somebody else did to it."""

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        return super().update_over(table, record, values, etag="*")


class Trusting(Dataverse):
    """Takes what nobody answered for done."""

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        try:
            return super().update_over(table, record, values, etag=etag)
        except AmbiguousWriteError:
            return ""


class Outdated(Dataverse):
    """Answers the version before a change."""

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        super().update_over(table, record, values, etag=etag)
        return etag


class Stubborn(Dataverse):
    """Takes what is refused for what is to be tried again."""

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        try:
            return super().update_over(table, record, values, etag=etag)
        except RecordRefusedError:
            raise ConflictError("it changed") from None


class Thorough(Dataverse):
    """Empties what is not mentioned."""

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        return super().update_over(table, record, {"lastname": None, **values}, etag=etag)


class Backward(Dataverse):
    """Tells our clock minus the service's."""

    @property
    def clock_offset(self) -> float | None:
        offset = super().clock_offset
        return None if offset is None else -offset


DYNAMICS: list[tuple[type[Dataverse], ModuleType, set[str]]] = [
    (Wordy, dynamics_opt_outs, {"an_opt_out_is_told", "an_opt_out_is_written", "our_own_change_is_known_again"}),
    (
        Deaf,
        dynamics_opt_outs_workflow,
        {"opt_outs_of_contacts_reach_campaign", "opt_outs_get_through_every_trouble"},
    ),
    (Timeless, dynamics_opt_outs, {"an_opt_out_is_told", "the_moment_of_a_change_is_the_services"}),
    (Reborn, dynamics_opt_outs, {"the_moment_of_a_change_is_the_services"}),
    (Loyal, dynamics_opt_outs, {"a_merged_contact_names_its_survivor"}),
    (Fickle, dynamics_opt_outs, {"a_version_is_the_same_wherever_it_is_told", "our_own_change_is_known_again"}),
    (Overwriting, dynamics_opt_outs, {"of_two_writers_one_is_told_no"}),
    (Trusting, dynamics_opt_outs, {"trouble_with_an_opt_out_is_told"}),
    (Outdated, dynamics_opt_outs, {"our_own_change_is_known_again"}),
    (Stubborn, dynamics_opt_outs, {"a_refused_opt_out_is_said"}),
    (Thorough, dynamics_opt_outs, {"an_opt_out_is_written"}),
    (Backward, dynamics_opt_outs, {"the_moment_of_a_change_is_the_services"}),
    (Backward, access, {"a_clock_that_is_wrong_is_seen"}),
]


@pytest.mark.parametrize(("kind", "room", "expected"), DYNAMICS)
def test_a_dynamics_connector_with_a_defect(
    kind: type[Dataverse], room: ModuleType, expected: set[str], sandbox: Sandbox
) -> None:
    """Exactly the checks about the defect fail."""
    assert failed(room, lambda: DataverseSubject(sandbox, kind), sandbox) == expected


class OneWay(Dataverse):
    """Cannot write under a condition, as a connector for opt-outs that go to Campaign only."""

    update_over = DynamicsConnector.update_over


def _subject(sandbox: Sandbox, **more: object) -> Callable[[], DataverseSubject]:
    def make() -> DataverseSubject:
        made = DataverseSubject(sandbox, OneWay)
        for name, value in more.items():
            setattr(made, name, value)
        return made

    return make


def test_what_is_not_declared_is_not_asked_for_and_refused_clearly(sandbox: Sandbox) -> None:
    """With `updates_over` off, or without opt-outs, every check passes; with it on, all about writes fail."""
    for room in (dynamics_opt_outs, dynamics_opt_outs_workflow):
        assert failed(room, _subject(sandbox, updates_over=False), sandbox) == set()
    assert failed(dynamics_opt_outs_workflow, _subject(sandbox, opt_out=""), sandbox) == set()
    assert failed(dynamics_opt_outs, _subject(sandbox, updates_over=True), sandbox) == {
        "an_opt_out_is_written",
        "our_own_change_is_known_again",
        "of_two_writers_one_is_told_no",
        "a_refused_opt_out_is_said",
        "trouble_with_an_opt_out_is_told",
    }
