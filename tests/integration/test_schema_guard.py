"""Schemas that change while ingress runs: what stops it, what it learns, and that nothing is lost over either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve, frozen
from tests.ingress_room import DEFINITION, FIELDS, MAPPING, dataverse, differences, drain, ids, join

from syncline import FieldMapping, Filter, IngressDefinition, Integration, MemoryStorage, TableMapping
from syncline.definitions import Comparison
from syncline.sandbox import Sandbox, people
from syncline.schema_changes import ChangeEffect, SchemaChangeKind
from syncline.state_machine import WorkflowState

CROWD = 30
COLOURS = [(1, "Red"), (2, "Green")]


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """A crowd in Dynamics, and columns and fields that tests may take away."""
    dynamics, campaign = sandbox.dynamics, sandbox.campaign
    dynamics.add_column("contact", "new_code", "String", max_length=40)
    dynamics.add_column("contact", "new_colour", "Picklist", options=COLOURS)
    campaign.add_field(resource="profile", name="cusCode", kind="string", length=40)
    campaign.add_field(resource="profile", name="cusColour", kind="string", length=40)
    rows = [
        {**row, "new_code": f"{number}", "new_colour": 1 + number % 2}
        for number, row in enumerate(people(CROWD, 5, clean=True))
    ]
    dynamics.load("contact", rows)
    return sandbox


CODE = FieldMapping(source="new_code", target="cusCode")
COLOUR = FieldMapping(source="new_colour", target="cusColour")
WITH_CODE = IngressDefinition(mappings=[evolve(MAPPING, fields=[*MAPPING.fields, CODE])])
LABELLED = IngressDefinition(
    mappings=[
        TableMapping(
            table="contact",
            resource="profile",
            fields=[FieldMapping(source="lastname", target="lastName"), COLOUR],
            labels=True,
        )
    ]
)


def running(sandbox: Sandbox, definition: IngressDefinition = WITH_CODE) -> Integration:
    """Joined, started and caught up."""
    integration = join(sandbox, MemoryStorage(), definition=definition)
    integration.ingress.start()
    assert drain(integration).status is WorkflowState.RUNNING
    return integration


def profile(sandbox: Sandbox, record: str) -> dict[str, Any]:
    found = sandbox.campaign.get("profile", record)
    assert found is not None
    return found


def touch_all(sandbox: Sandbox, **values: Any) -> None:
    """Everybody changes at once."""
    for number, record in enumerate(ids(sandbox)):
        sandbox.dynamics.update("contact", record, lastname=f"Changed{number}", **values)


@frozen
class Publishing:
    """A change of a schema, its undoing, and what the error must name."""

    change: Callable[[Sandbox], object]
    undo: Callable[[Sandbox], object]
    named: str


def retyped_target(kind: str) -> Callable[[Sandbox], None]:
    def change(sandbox: Sandbox) -> None:
        sandbox.campaign.drop_field(resource="profile", field="cusCode")
        sandbox.campaign.add_field(resource="profile", name="cusCode", kind=kind)

    return change


def restored_target(sandbox: Sandbox) -> None:
    sandbox.campaign.drop_field(resource="profile", field="cusCode")
    sandbox.campaign.add_field(resource="profile", name="cusCode", kind="string", length=40)


def restored_column(sandbox: Sandbox) -> None:
    sandbox.dynamics.add_column("contact", "new_code", "String", max_length=40)


STOPPING = {
    "Dynamics drops a column": Publishing(
        lambda sandbox: sandbox.dynamics.drop_column(table="contact", name="new_code"),
        restored_column,
        "contact.new_code",
    ),
    "Dynamics renames a column": Publishing(
        lambda sandbox: sandbox.dynamics.rename_column(table="contact", name="new_code", to="new_number"),
        lambda sandbox: sandbox.dynamics.rename_column(table="contact", name="new_number", to="new_code"),
        "contact.new_code",
    ),
    "Dynamics retypes a column": Publishing(
        lambda sandbox: sandbox.dynamics.retype_column("contact", "new_code", "Integer"),
        lambda sandbox: sandbox.dynamics.retype_column("contact", "new_code", "String", max_length=40),
        "contact.new_code",
    ),
    "Dynamics switches change tracking off": Publishing(
        lambda sandbox: sandbox.dynamics.set_change_tracking(table="contact", on=False),
        lambda sandbox: sandbox.dynamics.set_change_tracking(table="contact", on=True),
        "contact",
    ),
    "Campaign drops a field": Publishing(
        lambda sandbox: sandbox.campaign.drop_field(resource="profile", field="cusCode"),
        lambda sandbox: sandbox.campaign.add_field(resource="profile", name="cusCode", kind="string", length=40),
        "profile.cusCode",
    ),
    "Campaign retypes a field": Publishing(retyped_target("date"), restored_target, "profile.cusCode"),
}


@pytest.mark.parametrize("publishing", STOPPING.values(), ids=STOPPING.keys())
def test_a_change_that_breaks_the_mapping_stops_and_loses_nothing(sandbox: Sandbox, publishing: Publishing) -> None:
    """W10: FAILED names the field, the position stands, nobody is set aside; mended and started, all arrives."""
    integration = running(sandbox)
    workflow, storage = integration.ingress, integration.storage
    before = storage.positions(workflow.id)["contact"]
    publishing.change(sandbox)
    touch_all(sandbox)

    report = drain(integration)

    assert report.status is WorkflowState.FAILED
    assert workflow.error is not None
    assert workflow.error.kind == "SchemaChangedError"
    assert publishing.named in workflow.error.message
    assert workflow.error.remedy
    assert len(workflow.dead_letters) == 0
    left = storage.counts(workflow.id)
    after = storage.positions(workflow.id)["contact"]
    assert (after.stage, after.link) == (before.stage, before.link) or left.size == CROWD
    assert storage.audit(workflow.id) == []

    publishing.undo(sandbox)
    for number, record in enumerate(ids(sandbox)):
        sandbox.dynamics.update("contact", record, new_code=f"again{number}")
    workflow.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert len(workflow.dead_letters) == 0
    assert differences(sandbox, {**FIELDS, "new_code": "cusCode"}) == []
    integration.close()


@pytest.mark.parametrize("name", ["Dynamics drops a column", "Dynamics renames a column", "Campaign drops a field"])
def test_a_definition_without_the_lost_field_goes_on_from_there(sandbox: Sandbox, name: str) -> None:
    """The other way to mend it: the field leaves the mapping, and what was queued and changed meanwhile arrives."""
    integration = running(sandbox)
    workflow = integration.ingress
    STOPPING[name].change(sandbox)
    touch_all(sandbox)
    gone = ids(sandbox)[0]
    sandbox.dynamics.delete("contact", gone)
    assert drain(integration).status is WorkflowState.FAILED

    workflow.edit(DEFINITION)
    workflow.start()

    assert drain(integration).status is WorkflowState.RUNNING
    assert differences(sandbox) == []
    assert len(workflow.dead_letters) == 0
    assert workflow.backlog.size == 0
    integration.close()


def test_a_column_that_only_a_filter_needs_stops_as_well(sandbox: Sandbox) -> None:
    """A filter that cannot be asked must not let everybody through, nor nobody."""
    only = Filter(field="new_code", comparison=Comparison.IS_NOT_NULL)
    integration = running(sandbox, IngressDefinition(mappings=[evolve(MAPPING, filters=[only])]))
    sandbox.dynamics.drop_column(table="contact", name="new_code")
    touch_all(sandbox)

    assert drain(integration).status is WorkflowState.FAILED
    assert integration.ingress.error is not None
    assert "contact.new_code" in integration.ingress.error.message
    integration.close()


def test_a_change_in_the_middle_of_a_first_load_stops_it_where_it_is(sandbox: Sandbox) -> None:
    """A page that was asked for under the old schema is not taken for one of the new."""
    integration = join(sandbox, MemoryStorage(), definition=WITH_CODE, dynamics=dataverse(sandbox, page_size=10))
    integration.ingress.start()
    integration.ingress.run_cycle(records=5)
    sandbox.dynamics.retype_column("contact", "new_code", "Integer")

    assert drain(integration).status is WorkflowState.FAILED
    assert len(integration.ingress.dead_letters) == 0
    sandbox.dynamics.retype_column("contact", "new_code", "String", max_length=40)
    integration.ingress.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert differences(sandbox, {**FIELDS, "new_code": "cusCode"}) == []
    integration.close()


def test_a_key_that_goes_is_noticed_without_any_hint(sandbox: Sandbox) -> None:
    """No answer tells that a second create would make a duplicate: the look at the schemas every while does."""
    storage = MemoryStorage()
    integration = join(sandbox, storage, definition=DEFINITION)
    integration.ingress.start()
    drain(integration)
    sandbox.campaign.drop_key(resource="profile", filtered=True)
    storage.set_time_offset(3600)

    assert drain(integration).status is WorkflowState.FAILED
    assert integration.ingress.error is not None
    assert "profile.externalId cannot serve as the key" in integration.ingress.error.message
    sandbox.campaign.add_key(resource="profile", field="externalId")
    integration.ingress.start()
    assert drain(integration).status is WorkflowState.RUNNING
    integration.close()


def test_without_any_change_the_look_costs_no_engine_call_and_no_stop(sandbox: Sandbox) -> None:
    """Looking again is metadata and a look at the key; and it is not done more often than it is set."""
    storage = MemoryStorage()
    integration = join(sandbox, storage, definition=DEFINITION)
    integration.ingress.start()
    drain(integration)

    def looks() -> int:
        counts = sandbox.dynamics.requests()["counts"]
        return sum(number for request, number in counts.items() if "Attributes" in request)

    sandbox.dynamics.clear_requests()
    sandbox.campaign.reset_counters()
    drain(integration)
    assert looks() == 0
    storage.set_time_offset(3600)
    drain(integration)
    seen = looks()
    assert seen > 0
    drain(integration)
    assert looks() == seen
    assert sandbox.campaign.engine_calls()["total"] <= 2
    integration.close()


# -- what is learnt ---------------------------------------------------------------------------------------------------


def colours(sandbox: Sandbox) -> dict[str, str]:
    return {
        row["externalId"]: row["cusColour"] for row in sandbox.campaign.rows("profile", ["externalId", "cusColour"])
    }


def test_a_new_value_of_a_picklist_arrives_with_its_label(sandbox: Sandbox) -> None:
    """A value nobody told of yet is looked up before its record is written; no stop, no dead letter."""
    integration = running(sandbox, LABELLED)
    sandbox.dynamics.add_option(table="contact", column="new_colour", value=7, label="Violet")
    first, second, *_ = ids(sandbox)
    sandbox.dynamics.update("contact", first, new_colour=7)

    assert drain(integration).status is WorkflowState.RUNNING
    assert colours(sandbox)[first] == "Violet"
    assert len(integration.ingress.dead_letters) == 0

    sandbox.dynamics.clear_requests()
    sandbox.dynamics.update("contact", second, new_colour=7)
    drain(integration)
    assert colours(sandbox)[second] == "Violet"
    counts = sandbox.dynamics.requests()["counts"]
    assert not any("Attributes" in request for request in counts), "learnt once, for every later cycle"
    integration.close()


def test_a_new_column_and_a_new_field_disturb_nobody_and_can_be_mapped(sandbox: Sandbox) -> None:
    """What is published beside the mapping needs nothing but an edit to be used."""
    integration = running(sandbox)
    sandbox.dynamics.add_column("contact", "new_motto", "String", max_length=20)
    sandbox.campaign.add_field(resource="profile", name="cusMotto", kind="string", length=20)
    record = ids(sandbox)[0]
    sandbox.dynamics.update("contact", record, new_motto="carpe diem")
    drain(integration)

    motto = FieldMapping(source="new_motto", target="cusMotto")
    integration.ingress.edit(IngressDefinition(mappings=[evolve(MAPPING, fields=[*MAPPING.fields, CODE, motto])]))
    integration.ingress.stop()
    integration.ingress.replay("contact")
    integration.ingress.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert profile(sandbox, record)["cusMotto"] == "carpe diem"
    integration.close()


def test_a_shorter_field_sets_aside_who_does_not_fit_and_nobody_else(sandbox: Sandbox) -> None:
    """Campaign's refusal leads to a look; afterwards a text that is too long is told before it is sent."""
    integration = running(sandbox)
    sandbox.campaign.drop_field(resource="profile", field="cusCode")
    sandbox.campaign.add_field(resource="profile", name="cusCode", kind="string", length=4)
    long, short = ids(sandbox)[:2]
    sandbox.dynamics.update("contact", long, new_code="much too long")
    sandbox.dynamics.update("contact", short, new_code="tiny")

    assert drain(integration).status is WorkflowState.RUNNING
    assert profile(sandbox, short)["cusCode"] == "tiny"
    (letter,) = integration.ingress.dead_letters
    assert letter.key.id == long
    assert letter.field in ("new_code", "cusCode")
    integration.close()


# -- asking before publishing -----------------------------------------------------------------------------------------


def test_the_guard_says_when_publishing_is_safe(sandbox: Sandbox) -> None:
    """Stopped and nothing in flight: safe. Running: only additions are, and it says why, as text, HTML and data."""
    integration = running(sandbox)
    workflow = integration.ingress

    report = workflow.schema_guard()
    assert not report
    assert (report.changes, report.in_flight) == ((), 0)
    assert "The status is RUNNING" in report.reasons[0]
    workflow.stop()
    report = workflow.schema_guard()
    assert report.safe
    assert "Safe to publish now" in str(report)
    assert report.as_data()["safe"] is True
    integration.close()


def test_the_guard_tells_each_difference_and_what_it_means(sandbox: Sandbox) -> None:
    """Differences on both sides, the ones that stop first; whatever is named is escaped in HTML."""
    integration = running(sandbox)
    workflow = integration.ingress
    workflow.stop()
    sandbox.dynamics.rename_column(table="contact", name="new_code", to="new_number")
    sandbox.dynamics.add_column("contact", "new_motto", "String")
    sandbox.campaign.drop_field(resource="profile", field="cusCode")
    sandbox.campaign.drop_key(resource="profile", filtered=True)

    report = workflow.schema_guard()

    assert not report.safe
    assert [change.place for change in report.stops] == ["contact.new_code", "profile.cusCode", "profile.externalId"]
    told = {change.place: change for change in report}
    assert "new_number" in told["contact.new_code"].meaning
    assert (told["contact.new_motto"].kind, told["contact.new_motto"].effect) == (
        SchemaChangeKind.FIELD_ADDED,
        ChangeEffect.LEARNT,
    )
    assert "contact.new_code" in report.to_html()
    assert len(report.as_data()["changes"]) == len(report)
    assert workflow.schema_guard() is not report
    integration.close()


def test_before_the_first_start_there_is_nothing_to_compare_with(sandbox: Sandbox) -> None:
    """Nothing was read under any schema yet."""
    integration = join(sandbox, MemoryStorage())
    report = integration.ingress.schema_guard()
    assert (report.safe, report.changes, report.checked_at) == (True, (), None)
    integration.close()


# -- tables, keys and links -------------------------------------------------------------------------------------------

TOOL = "c0c0c0c0-1111-4111-8111-c0c0c0c0c0c0"
TOOLS = TableMapping(
    table="new_tool",
    resource="cusTool",
    fields=[
        FieldMapping(source="new_name", target="toolName"),
        FieldMapping(source="new_owner", target="toolOwner"),
    ],
)
WITH_TOOLS = IngressDefinition(mappings=[MAPPING, TOOLS])


def with_tools(sandbox: Sandbox) -> None:
    """A custom table on both sides, with one record."""
    owner = {"name": "new_owner", "type": "Lookup", "targets": ["contact"]}
    sandbox.dynamics.add_table("new_tool", [owner])
    fields = [{"name": name, "kind": "string"} for name in ("externalId", "toolName", "toolOwner")]
    sandbox.campaign.add_resource("cusTool", fields, key="externalId")
    sandbox.dynamics.load("new_tool", [{"new_toolid": TOOL, "new_name": "Hammer", "new_owner": ids(sandbox)[0]}])


def retarget(sandbox: Sandbox) -> None:
    sandbox.dynamics.retype_column("new_tool", "new_owner", "Lookup", targets=["account"])


TABLES: dict[str, tuple[Callable[[Sandbox], object], str]] = {
    "a table goes": (lambda sandbox: sandbox.dynamics.drop_table("new_tool"), "new_tool"),
    "a resource goes": (lambda sandbox: sandbox.campaign.drop_resource("cusTool"), "cusTool"),
    "a lookup points elsewhere": (retarget, "new_tool.new_owner"),
    "a key goes with its filter": (lambda sandbox: sandbox.campaign.drop_key("cusTool"), "cusTool"),
}


@pytest.mark.parametrize(("change", "named"), TABLES.values(), ids=TABLES.keys())
def test_what_goes_of_one_table_loses_nothing_of_another(
    sandbox: Sandbox, change: Callable[[Sandbox], object], named: str
) -> None:
    """FAILED names it; without that table in the definition the contacts go on, with all that changed meanwhile."""
    with_tools(sandbox)
    integration = running(sandbox, WITH_TOOLS)
    workflow, storage = integration.ingress, integration.storage
    assert sandbox.campaign.get("cusTool", TOOL) is not None
    change(sandbox)
    touch_all(sandbox)
    if named != "new_tool":
        sandbox.dynamics.update("new_tool", TOOL, new_name="Saw")

    assert drain(integration).status is WorkflowState.FAILED
    assert workflow.error is not None
    assert workflow.error.kind == "SchemaChangedError"
    assert named in workflow.error.message
    assert len(workflow.dead_letters) == 0
    assert storage.audit(workflow.id) == []

    workflow.edit(DEFINITION)
    workflow.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert differences(sandbox) == []
    assert workflow.backlog.size == 0
    integration.close()


@pytest.mark.parametrize(
    ("name", "stopped"),
    [("Campaign drops a field", False), ("Campaign drops a field", True), ("Campaign retypes a field", False)],
)
def test_what_campaign_lost_and_got_back_is_filled_again(sandbox: Sandbox, name: str, stopped: bool) -> None:
    """A field that is published anew is empty, also of records that never change again: all are compared, once."""
    integration = running(sandbox)
    workflow = integration.ingress
    if stopped:
        workflow.stop()
    STOPPING[name].change(sandbox)
    if stopped:
        workflow.start()
    else:
        sandbox.dynamics.update("contact", ids(sandbox)[0], new_code="new")
    assert drain(integration).status is WorkflowState.FAILED
    if not stopped:
        assert workflow.error is not None
        assert "compares every record of the table" in workflow.error.remedy
    STOPPING[name].undo(sandbox)

    workflow.start(by="ann")
    assert drain(integration).status is WorkflowState.RUNNING

    assert differences(sandbox, {**FIELDS, "new_code": "cusCode"}) == []
    told = [entry.detail for entry in workflow.history if entry.action == "read in full"]
    assert told == ["contact: Campaign had lost profile.cusCode"]
    workflow.stop()
    sandbox.campaign.reset_counters()
    workflow.start()
    drain(integration)
    assert sandbox.campaign.engine_calls()["PATCH"] == 0
    assert len([entry for entry in workflow.history if entry.action == "read in full"]) == 1
    integration.close()


def test_a_lost_field_that_leaves_the_mapping_costs_no_comparison(sandbox: Sandbox) -> None:
    """Nothing of the table writes it any more: only what changed is read."""
    integration = running(sandbox)
    STOPPING["Campaign drops a field"].change(sandbox)
    sandbox.dynamics.update("contact", ids(sandbox)[0], lastname="Changed")
    assert drain(integration).status is WorkflowState.FAILED
    integration.ingress.edit(DEFINITION)
    integration.ingress.start()
    sandbox.campaign.reset_counters()
    assert drain(integration).status is WorkflowState.RUNNING
    assert differences(sandbox) == []
    calls = sandbox.campaign.engine_calls()
    assert (calls["GET"] < CROWD, calls["PATCH"]) == (True, 1)
    integration.close()


@pytest.mark.parametrize("stopped", [False, True], ids=["while it ran", "while it was stopped"])
def test_a_resource_that_was_unpublished_is_filled_again(sandbox: Sandbox, stopped: bool) -> None:
    """Its records went with it: every one is written anew."""
    fields = [{"name": name, "kind": "string", "length": 100} for name in ("firmId", "label")]
    sandbox.campaign.add_resource("cusFirm", fields, key="firmId")
    sandbox.dynamics.load("account", [{"name": f"Account {number}"} for number in range(5)])
    name = FieldMapping(source="name", target="label")
    firms = TableMapping(table="account", resource="cusFirm", key="firmId", fields=[name])
    integration = running(sandbox, IngressDefinition(mappings=[firms]))
    workflow = integration.ingress
    assert sandbox.campaign.count("cusFirm") == 5
    if stopped:
        workflow.stop()
    sandbox.campaign.drop_resource("cusFirm")
    if stopped:
        workflow.start()
    else:
        first = next(iter(sandbox.dynamics.rows("account", ["accountid"])))
        sandbox.dynamics.update("account", first["accountid"], name="Changed")
    assert drain(integration).status is WorkflowState.FAILED
    sandbox.campaign.add_resource("cusFirm", fields, key="firmId")
    workflow.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert sandbox.campaign.count("cusFirm") == 5
    integration.close()
