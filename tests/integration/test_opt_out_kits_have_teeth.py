"""The checks of Opt-In/Out find what they are there for: a connector with one defect fails those about it, no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve
from tests.connector_room import CampaignStandardSubject, DataverseSubject, failed

from syncline.connectors.base import CampaignConnector, ChangedPage, DynamicsConnector
from syncline.connectors.campaign import CampaignStandard
from syncline.connectors.dynamics import Dataverse
from syncline.errors import AmbiguousWriteError, ConflictError, RecordRefusedError, UnavailableError
from syncline.records import Change, Page, ReadRequest, ReadStage, TargetRecord, Value, Values
from syncline.sandbox import Sandbox
from syncline.schemas import FieldSchema, TableSchema
from syncline.testing.connector_checks import (
    access,
    campaign_changes,
    campaign_opt_outs,
    campaign_opt_outs_workflow,
    dynamics_opt_outs,
    dynamics_opt_outs_workflow,
)

pytestmark = pytest.mark.once


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


# -- Campaign ---------------------------------------------------------------------------------------------------------


class Eternal(CampaignStandard):
    """Tells everybody, whenever they changed."""

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        return super().changed_since(resource, None, link)


class FirstPage(CampaignStandard):
    """Takes the first page for all of them."""

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        return evolve(super().changed_since(resource, since, link), next_link=None)


class Homebound(CampaignStandard):
    """Gives links that mean something in this process only."""

    def __init__(self, *told: Any, **more: Any) -> None:
        super().__init__(*told, **more)
        self._links: dict[str, str] = {}

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        page = super().changed_since(resource, since, None if link is None else self._links[link])
        if page.next_link is None:
            return page
        name = str(len(self._links))
        self._links[name] = page.next_link
        return evolve(page, next_link=name)


class Counting(CampaignStandard):
    """Goes on behind so many records, whoever left meanwhile."""

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        if link is not None and "://" in link:
            return super().changed_since(resource, since, link)
        page = super().changed_since(resource, since, None)
        records = list(page.records)
        while page.next_link is not None:
            page = super().changed_since(resource, since, page.next_link)
            records += page.records
        start = int(link or 0)
        more = str(start + 5) if len(records) > start + 5 else None
        return ChangedPage(records=tuple(records[start : start + 5]), next_link=more)


class Calm(CampaignStandard):
    """Takes trouble for the news that nothing changed."""

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        try:
            return super().changed_since(resource, since, link)
        except UnavailableError:
            return ChangedPage(records=())


class Brief(CampaignStandard):
    """Tells who changed and nothing else."""

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        page = super().changed_since(resource, since, link)
        return evolve(page, records=tuple({"externalId": one["externalId"]} for one in page.records))


class HardOfHearing(CampaignStandard):
    """Leaves out who opted out."""

    def changed_since(self, resource: TableSchema, since: datetime | None, link: str | None) -> ChangedPage:
        page = super().changed_since(resource, since, link)
        return evolve(page, records=tuple(one for one in page.records if one["blackListEmail"] is not True))


class Spelling(CampaignStandard):
    """Says yes and no."""

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        found = super().find(resource, key_field, key)
        if found is None:
            return None
        said = {name: ("no", "yes")[one] if isinstance(one, bool) else one for name, one in found.values.items()}
        return evolve(found, values=said)


class Restamping(CampaignStandard):
    """Says of an opt-out that it changed just now."""

    def find(self, resource: TableSchema, key_field: str, key: str) -> TargetRecord | None:
        found = super().find(resource, key_field, key)
        if found is None:
            return None
        self.number = getattr(self, "number", 0) + 1
        moment = datetime.now(UTC) + timedelta(milliseconds=self.number)
        return evolve(found, values={**found.values, "blackListEmailLastModified": moment.isoformat()})


class Sweeping(CampaignStandard):
    """Empties whatever is not mentioned."""

    def update(self, resource: TableSchema, ref: str, values: Values) -> None:
        super().update(resource, ref, {"lastName": None, **values})


class Indifferent(CampaignStandard):
    """Finds that yes and no are the same."""

    def same(self, schema: FieldSchema | None, stored: Value, wanted: Value) -> bool:
        return isinstance(wanted, bool) or super().same(schema, stored, wanted)


class Reversed(CampaignStandard):
    """Tells our clock minus the service's."""

    @property
    def clock_offset(self) -> float | None:
        offset = super().clock_offset
        return None if offset is None else -offset


CAMPAIGN: list[tuple[type[CampaignStandard], ModuleType, set[str]]] = [
    (Eternal, campaign_changes, {"changes_are_told_or_refused"}),
    (
        FirstPage,
        campaign_changes,
        {
            "everybody_is_told_without_a_moment",
            "another_process_goes_on",
            "nobody_is_missed_while_pages_are_read",
            "pages_of_changes_are_the_services_own",
        },
    ),
    (Homebound, campaign_changes, {"another_process_goes_on"}),
    (Counting, campaign_changes, {"nobody_is_missed_while_pages_are_read"}),
    (Calm, campaign_changes, {"trouble_with_changes_is_told"}),
    (
        Brief,
        campaign_changes,
        {"a_change_says_what_a_look_up_says", "nobody_is_missed_while_pages_are_read"},
    ),
    (
        HardOfHearing,
        campaign_opt_outs_workflow,
        {"opt_outs_of_profiles_are_heard", "opt_outs_get_through_every_trouble"},
    ),
    (Spelling, campaign_opt_outs, {"an_opt_out_is_told", "an_opt_out_is_written"}),
    (Restamping, campaign_opt_outs, {"an_opt_out_is_told", "an_opt_out_has_a_moment_of_its_own"}),
    (Sweeping, campaign_opt_outs, {"an_opt_out_is_written"}),
    (Indifferent, campaign_opt_outs, {"an_opt_out_is_written"}),
    (Reversed, campaign_opt_outs, {"an_opt_out_has_a_moment_of_its_own"}),
]


@pytest.mark.parametrize(("kind", "room", "expected"), CAMPAIGN)
def test_a_campaign_connector_with_a_defect(
    kind: type[CampaignStandard], room: ModuleType, expected: set[str], sandbox: Sandbox
) -> None:
    """Exactly the checks about the defect fail."""
    assert failed(room, lambda: CampaignStandardSubject(sandbox, kind), sandbox) == expected


class Unknowing(CampaignStandard):
    """Cannot tell who changed, as a connector whose target exports opt-outs in files."""

    changed_since = CampaignConnector.changed_since


class WithoutOptOuts(CampaignStandardSubject):
    """A target that is not asked about opt-outs, and has none."""

    opt_out = ""


class Plain(CampaignStandard):
    """Has no opt-outs."""

    def describe(self, table: str) -> TableSchema | None:
        found = super().describe(table)
        if found is None:
            return None
        return evolve(found, fields={name: one for name, one in found.fields.items() if "blackList" not in name})


@pytest.mark.parametrize("room", [campaign_changes, campaign_opt_outs, campaign_opt_outs_workflow])
def test_what_a_target_does_not_have_is_not_asked_for_and_refused_clearly(room: ModuleType, sandbox: Sandbox) -> None:
    """Every check passes on a connector that cannot tell changes and says so, and on one without opt-outs."""
    assert failed(room, lambda: CampaignStandardSubject(sandbox, Unknowing), sandbox) == set()
    assert failed(room, lambda: WithoutOptOuts(sandbox, Plain), sandbox) == set()
