"""A conformance kit finds what it is there for: a connector with one defect fails the checks about it, and no other.

Each defect is a connector of ours that was spoiled in one place. All checks of the rooms it concerns are run on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve
from tests.connector_room import CampaignStandardSubject, DataverseSubject, failed

from syncline.connectors.base import CampaignCapabilities
from syncline.connectors.campaign import CampaignStandard
from syncline.connectors.creation import CreateAnswer
from syncline.connectors.dynamics import Dataverse
from syncline.errors import AmbiguousWriteError, ConflictError, CursorLostError, RecordRefusedError, UnavailableError
from syncline.records import (
    Change,
    NewRow,
    Outcome,
    OutcomeKind,
    Page,
    ReadRequest,
    RecordKey,
    TargetRecord,
    Value,
    Values,
)
from syncline.sandbox import Sandbox
from syncline.schemas import FieldSchema, TableSchema
from syncline.testing.connector_checks import (
    access,
    campaign_records,
    campaign_schema,
    campaign_trouble,
    dynamics_changes,
    dynamics_reading,
    dynamics_rows,
)

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


# -- Campaign ---------------------------------------------------------------------------------------------------------


class Hopeful(CampaignStandard):
    """Takes a create without an answer for one that did not happen."""

    def create(self, resource: TableSchema, values: Values) -> None:
        try:
            super().create(resource, values)
        except AmbiguousWriteError:
            raise UnavailableError("no answer") from None


class Careless(CampaignStandard):
    """Leaves out what has a meaning in patterns."""

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        return super().find(resource, key_field, key.replace("%", ""))


class Sweeping(CampaignStandard):
    """Empties whatever is not mentioned."""

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        super().update(resource, ref, {"lastName": None, **values})


class Easygoing(CampaignStandard):
    """Finds that texts which begin alike are the same."""

    def same(self, schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
        return super().same(schema, stored, wanted) or str(stored)[:3] == str(wanted)[:3]


class Touchy(CampaignStandard):
    """Minds that a record is gone that it was to delete."""

    def delete(self, resource: TableSchema, ref: str) -> None:
        if self._http.request("GET", ref).status == 404:
            raise ConflictError("It is gone.")
        super().delete(resource, ref)


class Talkative(CampaignStandard):
    """Says what was refused."""

    def create(self, resource: TableSchema, values: Values) -> None:
        try:
            super().create(resource, values)
        except RecordRefusedError:
            raise RecordRefusedError(f"refused: {dict(values)}") from None


class Modest(CampaignStandard):
    """Can make links and denies it."""

    capabilities = CampaignCapabilities(nested_links=False)


class Constant(CampaignStandard):
    """Links to the same record whichever is meant."""

    def link_to(self, resource: TableSchema, key_field: str, key: str) -> Value:
        return {"PKey": "@1"} if super().link_to(resource, key_field, key) else None


class Miscounting(CampaignStandard):
    """Is one off."""

    def count(self, resource: TableSchema) -> int | None:
        return (super().count(resource) or 0) + 1


class Chatty(CampaignStandard):
    """Looks around as soon as it is made."""

    def __init__(self, *told: Any, **more: Any) -> None:
        super().__init__(*told, **more)
        self.check_access()


CAMPAIGN: list[tuple[type[CampaignStandard], ModuleType, set[str]]] = [
    (
        Hopeful,
        campaign_trouble,
        {
            "a_write_without_an_answer_is_ambiguous",
            "a_create_without_an_answer_is_looked_up",
            "a_create_that_never_arrived_is_made",
        },
    ),
    (Careless, campaign_records, {"odd_keys_are_found"}),
    (Sweeping, campaign_records, {"an_update_changes_what_it_names"}),
    (Easygoing, campaign_records, {"what_differs_is_not_the_same"}),
    (Touchy, campaign_records, {"a_deletion_takes_one_record"}),
    (Talkative, campaign_records, {"one_refused_record_holds_up_nobody"}),
    (Constant, campaign_schema, {"links_are_made_as_declared"}),
    (Modest, campaign_schema, {"links_are_made_as_declared"}),
    (Miscounting, campaign_schema, {"records_are_counted"}),
    (
        Chatty,
        access,
        {"making_a_connector_sends_nothing", "wrong_credentials_are_said", "the_clocks_are_compared"},
    ),
]


@pytest.mark.parametrize(("kind", "room", "expected"), CAMPAIGN)
def test_a_campaign_connector_with_a_defect(
    kind: type[CampaignStandard], room: ModuleType, expected: set[str], sandbox: Sandbox
) -> None:
    """Exactly the checks about the defect fail."""
    assert failed(room, lambda: CampaignStandardSubject(sandbox, kind), sandbox) == expected


# -- Dynamics ---------------------------------------------------------------------------------------------------------


class Forgiving(Dataverse):
    """Takes a lost position for a quiet table."""

    def read(self, request: ReadRequest) -> Page:
        try:
            return super().read(request)
        except CursorLostError:
            return Page(changes=(), delta_link=request.link)


class Hoarding(Dataverse):
    """Does not hear of deletions."""

    def read(self, request: ReadRequest) -> Page:
        page = super().read(request)
        return evolve(page, changes=tuple(change for change in page.changes if not change.deleted))


class Idle(Dataverse):
    """Recommends to send nothing, in English."""

    @property
    def recommended_parallelism(self) -> int | None:
        return 0

    def describe(self, table: str, *, language: int = 1033) -> TableSchema | None:
        return super().describe(table, language=language) if language == 1033 else None


class Hasty(Dataverse):
    """Takes the first page for all of them."""

    def read(self, request: ReadRequest) -> Page:
        page = super().read(request)
        return evolve(page, next_link=None, delta_link=page.next_link or page.delta_link)


class Inventive(Dataverse):
    """Answers for rows that do not exist."""

    def fetch(self, table: str, columns: Sequence[str], ids: Sequence[str]) -> Mapping[str, Change]:
        gone = {record: Change(key=RecordKey(table=table, id=record), values=None) for record in ids}
        return {**(gone if columns else {}), **super().fetch(table, columns, ids)}


class Overwriting(Dataverse):
    """Changes a row whatever somebody else did to it."""

    def update_over(self, table: str, record: str, values: Values, *, etag: str) -> str:
        return super().update_over(table, record, values, etag="*")


class Unfenced(Dataverse):
    """Does not ask whether it may still write."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        return super().create(table, rows, still_ours=lambda: None)


class Confused(Dataverse):
    """Answers in another order."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        return super().create(table, rows, still_ours=still_ours)[::-1]


class Upserting(Dataverse):
    """Writes over the rows that are there."""

    def create(self, table: str, rows: Sequence[NewRow], *, still_ours: Callable[[], None]) -> Sequence[CreateAnswer]:
        answers = super().create(table, rows, still_ours=still_ours)
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, Outcome) and answer.kind is OutcomeKind.IDENTICAL:
                self.update_row(table, row.id, row.values)
        return answers


DYNAMICS: list[tuple[type[Dataverse], ModuleType, set[str]]] = [
    (
        Forgiving,
        dynamics_changes,
        {"an_expired_link_is_a_lost_position", "a_link_of_another_environment_is_a_lost_position"},
    ),
    (
        Hoarding,
        dynamics_changes,
        {
            "a_delete_arrives_as_its_id_only",
            "a_row_that_came_and_went_is_gone",
            "many_changes_come_in_pages",
            "a_new_load_follows_a_lost_position",
        },
    ),
    (Inventive, dynamics_rows, {"rows_are_fetched_by_id", "many_rows_are_fetched_at_once"}),
    (
        Overwriting,
        dynamics_rows,
        {"a_row_that_somebody_changed_is_left_alone", "a_change_without_an_answer_is_ambiguous"},
    ),
    (Unfenced, dynamics_rows, {"a_stolen_lease_creates_nothing"}),
    (
        Confused,
        dynamics_rows,
        {"a_row_without_its_parent_is_not_created"},
    ),
    (Upserting, dynamics_rows, {"rows_are_created_once"}),
    (
        Idle,
        dynamics_reading,
        {"a_table_is_described", "a_recommended_number_of_requests_is_one"},
    ),
    (
        Hasty,
        dynamics_reading,
        {
            "a_load_brings_every_row",
            "a_page_that_is_read_twice_brings_the_same",
            "another_process_reads_on",
            "nothing_is_missed_between_load_and_changes",
            "rows_that_show_twice_end_with_the_newest",
        },
    ),
]


@pytest.mark.parametrize(("kind", "room", "expected"), DYNAMICS)
def test_a_dynamics_connector_with_a_defect(
    kind: type[Dataverse], room: ModuleType, expected: set[str], sandbox: Sandbox
) -> None:
    """Exactly the checks about the defect fail."""
    assert failed(room, lambda: DataverseSubject(sandbox, kind), sandbox) == expected
