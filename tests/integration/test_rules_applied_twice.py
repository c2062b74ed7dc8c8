"""Rules are applied when a record is read and again when it is written: today's count, and reading again is rare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from attrs import evolve
from tests.ingress_room import DEFINITION, FIELDS, MAPPING, differences, drain, join

from syncline import FieldMapping, FieldReplacement, Filter, IngressDefinition, Integration, MemoryStorage
from syncline.definitions import Comparison, Guardrails
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState
from syncline.workflows.checks import CheckResult

CROWD = 30
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.keep_requests(2_000)
    sandbox.campaign.keep_requests(2_000)
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


@pytest.fixture
def queued(sandbox: Sandbox) -> Iterator[Integration]:
    """Everybody was read under the first definition and waits, because Campaign is away; stopped."""
    integration = join(sandbox, MemoryStorage(), definition=DEFINITION)
    workflow = integration.ingress
    workflow.start()
    assert workflow.check().ok
    workflow.run_cycle(records=0, seconds=0)
    sandbox.campaign.add_fault("fail", status=503, path="profile")
    for _ in range(50):
        workflow.run_cycle(seconds=0.3)
        if workflow.backlog.size == CROWD and len(by_key(sandbox)) == 0 and caught_up(integration):
            break
    workflow.stop()
    sandbox.campaign.clear_faults()
    sandbox.dynamics.clear_requests()
    assert workflow.backlog.size == CROWD
    yield integration
    assert integration.storage.audit(workflow.id) == []
    integration.close()


def caught_up(integration: Integration) -> bool:
    position = integration.storage.positions(integration.ingress.id).get("contact")
    return position is not None and position.stage.value == "delta"


def by_key(sandbox: Sandbox) -> list[str]:
    """Questions for records by key that Dynamics was asked."""
    kept = sandbox.dynamics.requests()["kept"]
    asked = (unquote(request["query"]) for request in kept if request["path"].endswith("/contacts"))
    return [query for query in asked if "Microsoft.Dynamics.CRM.In(" in query]


def restarted(integration: Integration, definition: IngressDefinition) -> None:
    workflow = integration.ingress
    workflow.edit(definition)
    if workflow.status.started:
        workflow.stop()
    workflow.start()
    assert drain(integration).status is WorkflowState.RUNNING


def test_what_was_queued_leaves_under_the_new_rules_without_being_read_again(
    queued: Integration, sandbox: Sandbox
) -> None:
    """Another replacement and another target for a column that was read: no record is asked for by key."""
    names = {**FIELDS, "mobilephone": "phone"}
    fields = [FieldMapping(source=source, target=target) for source, target in names.items()]
    replacement = FieldReplacement(field="lastname", value="Nobody is called this", replacement="x")
    replaced = [*MAPPING.replacements, replacement]
    restarted(queued, IngressDefinition(mappings=[evolve(MAPPING, fields=fields, replacements=replaced)]))

    assert differences(sandbox, names) == []
    assert by_key(sandbox) == []


def test_a_record_is_read_again_when_the_new_rules_need_a_column_it_lacks(
    queued: Integration, sandbox: Sandbox
) -> None:
    """Each record once, whatever share of them comes due at a time."""
    names = {**FIELDS, "middlename": "middleName"}
    restarted(queued, IngressDefinition(mappings=[evolve(MAPPING, fields=[
        FieldMapping(source=source, target=target) for source, target in names.items()
    ])]))  # fmt: skip

    assert differences(sandbox, names) == []
    asked = [record for query in by_key(sandbox) for record in GUID.findall(query)]
    assert len(asked) == len(set(asked)) == CROWD


def test_a_new_filter_keeps_back_what_was_queued(queued: Integration, sandbox: Sandbox) -> None:
    """What passes no longer is skipped, by the values that were read already."""
    nobody = Filter(field="lastname", comparison=Comparison.EQUALS, value="Nobody is called this")
    restarted(queued, IngressDefinition(mappings=[evolve(MAPPING, filters=[nobody])]))

    assert sandbox.campaign.count("profile") == 0
    assert queued.ingress.backlog.size == 0
    assert by_key(sandbox) == []


def test_a_dead_letter_leaves_under_the_new_rules_with_todays_value(sandbox: Sandbox) -> None:
    """It is read again when it is retried, and mapped by the definition of the day."""
    integration = join(sandbox, MemoryStorage(), definition=DEFINITION)
    workflow = integration.ingress
    first, *others = [row["contactid"] for row in sandbox.dynamics.rows("contact", ["contactid"])]
    sandbox.dynamics.update("contact", first, firstname="F" * 40)
    workflow.start()
    drain(integration)
    assert len(workflow.dead_letters) == 1
    sandbox.dynamics.clear_requests()

    sandbox.dynamics.update("contact", first, lastname="Today")
    too_long = FieldReplacement(field="firstname", value="F" * 40, replacement="Short")
    replaced = evolve(MAPPING, replacements=[*MAPPING.replacements, too_long])
    restarted(integration, IngressDefinition(mappings=[replaced]))
    workflow.dead_letters.retry()
    drain(integration)

    profile = sandbox.campaign.get("profile", first)
    assert profile is not None
    assert (profile["firstName"], profile["lastName"]) == ("Short", "Today")
    assert len(workflow.dead_letters) == 0
    assert sandbox.campaign.count("profile") == 1 + len(others)
    integration.close()


def test_what_the_new_rules_refuse_is_looked_at_once_more_before_it_is_set_aside(
    queued: Integration, sandbox: Sandbox
) -> None:
    """What waited may have been corrected meanwhile: only what is refused as it is today becomes a dead letter."""
    shorter = evolve(DEFINITION, max_lengths={"profile.lastName": 3})
    for row in sandbox.dynamics.rows("contact", ["contactid"]):
        sandbox.dynamics.update("contact", row["contactid"], lastname="Li")
    restarted(queued, shorter)

    assert len(queued.ingress.dead_letters) == 0
    assert differences(sandbox) == []


# -- how large things are ---------------------------------------------------------------------------------------------


def test_pending_changes_say_how_many_records_a_replay_has(sandbox: Sandbox) -> None:
    """W8: what changed, what it needs, and about how many records, with the word that the count can be old."""
    integration = join(sandbox, MemoryStorage(), definition=DEFINITION)
    workflow = integration.ingress
    workflow.start()
    drain(integration)
    fields = [*MAPPING.fields, FieldMapping(source="middlename", target="middleName")]
    changes = workflow.edit(IngressDefinition(mappings=[evolve(MAPPING, fields=fields)]))

    (change,) = workflow.pending_changes
    assert change.records == {"contact": CROWD}
    assert f"about {CROWD} records; the count can be a day old" in str(change)
    assert str(changes) == str(workflow.pending_changes)
    assert str(change) in str(integration.workflows.to_text(400))
    integration.close()


def test_guardrails_are_told_with_their_numbers(sandbox: Sandbox) -> None:
    """I14: each is in the report, as a warning where it is passed."""
    integration = join(sandbox, MemoryStorage(), definition=DEFINITION)
    workflow = integration.ingress
    told = {check.name: check for check in workflow.check() if check.name.startswith("guardrails")}
    assert {check.result for check in told.values()} == {CheckResult.PASSED}
    assert told["guardrails: first load"].detail.startswith(f"about {CROWD} records, 15,000,000 are recommended")
    assert {name.removeprefix("guardrails: ") for name in told} == {
        "custom tables",
        "linked columns",
        "depth of links",
        "first load",
    }

    workflow.edit(evolve(DEFINITION, guardrails=Guardrails(first_load_records=10, replay_records=CROWD)))
    warned = {check.name: check for check in workflow.check().warnings}
    assert set(warned) == {"guardrails: first load", "guardrails: replay of contact"}
    assert all(check.remedy and "30" in check.detail for check in warned.values())
    integration.close()
