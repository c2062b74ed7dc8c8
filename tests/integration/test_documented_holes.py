"""The holes that Adobe documents in its own integration, each shown closed.

One test per hole. Its docstring says what the documentation of the original says, and what is so here.
"""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.ingress_room import FIELDS, MAPPING, differences, drain, join

from syncline import FieldMapping, Filter, IngressDefinition, Integration, MemoryStorage
from syncline.definitions import Comparison, Guardrails
from syncline.errors import ActionNotAvailableError
from syncline.instrumentation import Notice, WritesSettled
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState

CROWD = 40


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


def test_publishing_a_schema_change_while_running_loses_nothing(sandbox: Sandbox) -> None:
    """The original: publishing while the workflow runs "could lead to data loss", so stop it first.

    Here it runs on while columns come and go on both sides. What does not concern the mapping does not disturb it; what
    does stops it with the field's name; and once that is mended, everything that changed meanwhile is in Campaign.
    """
    sandbox.dynamics.add_column("contact", "new_code", "String", max_length=40)
    sandbox.campaign.add_field("profile", "cusCode", "string", length=40)
    code = FieldMapping(source="new_code", target="cusCode")
    fields = {**FIELDS, "new_code": "cusCode"}
    definition = IngressDefinition(mappings=[evolve(MAPPING, fields=[*MAPPING.fields, code])])
    integration = join(sandbox, MemoryStorage(), definition=definition)
    workflow = integration.ingress
    workflow.start()
    drain(integration)
    people_of = [str(row["contactid"]) for row in sandbox.dynamics.rows("contact", ["contactid"])]

    sandbox.dynamics.add_column("contact", "new_unrelated", "Integer")
    sandbox.campaign.add_field("profile", "cusUnrelated", "integer")
    sandbox.dynamics.update("contact", people_of[0], new_code="before", lastname="Before")
    assert drain(integration).status is WorkflowState.RUNNING
    assert differences(sandbox, fields) == []

    sandbox.campaign.drop_field("profile", "cusCode")
    for number, record in enumerate(people_of):
        sandbox.dynamics.update("contact", record, new_code=f"code {number}", lastname=f"During {number}")
    sandbox.dynamics.delete("contact", people_of[-1])
    assert drain(integration).status is WorkflowState.FAILED
    assert workflow.error is not None
    assert "profile.cusCode" in workflow.error.message
    assert len(workflow.dead_letters) == 0

    sandbox.campaign.add_field("profile", "cusCode", "string", length=40)
    workflow.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert differences(sandbox, fields) == []
    assert len(workflow.dead_letters) == 0
    assert integration.storage.audit(workflow.id) == []
    integration.close()


def test_an_edit_is_told_with_what_it_needs_before_it_counts(sandbox: Sandbox) -> None:
    """The original: edits take effect after a stop and a start, and a warning on the button is all that tells of them.

    Here the warning says what changed, and which of it needs a replay of how many records to show in what was written.
    """
    integration = join(sandbox, MemoryStorage())
    workflow = integration.ingress
    workflow.start()
    drain(integration)
    middle = FieldMapping(source="middlename", target="middleName")
    workflow.edit(IngressDefinition(mappings=[evolve(MAPPING, fields=[*MAPPING.fields, middle])]))

    (change,) = workflow.pending_changes
    assert change.replay_tables == ("contact",)
    assert change.records == {"contact": CROWD}
    view = integration.workflows.to_text(300)
    assert "field middlename -> middleName added" in view
    assert f"about {CROWD} records" in view

    workflow.replay("contact")
    workflow.stop()
    workflow.start()
    drain(integration)
    assert differences(sandbox, {**FIELDS, "middlename": "middleName"}) == []
    assert not workflow.pending_changes
    integration.close()


def test_what_is_stored_of_a_person_can_be_forgotten(sandbox: Sandbox) -> None:
    """The original: privacy deletes are not handled, and what its backlog holds of a person is nobody's business.

    Here it is one call over all that is stored, and an opt-out outlives it.
    """
    integration = join(sandbox, MemoryStorage())
    workflow = integration.ingress
    person = str(next(iter(sandbox.dynamics.rows("contact", ["contactid"])))["contactid"])
    sandbox.campaign.refuse("profile", person)
    workflow.start()
    drain(integration)
    assert len(workflow.dead_letters) == 1

    sandbox.dynamics.delete("contact", person)
    erased = integration.forget(person, opted_out=["denyList"], by="privacy officer")
    drain(integration)

    assert erased.dead_letters >= 1
    assert list(workflow.dead_letters.list(record=person, status=None)) == []
    assert integration.storage.suppressed(integration.name, [person]) == {person: {"blackList"}}
    assert differences(sandbox) == []
    integration.close()


def restart(integration: Integration) -> None:
    if integration.ingress.status.started:
        integration.ingress.stop()
    integration.ingress.start()
    drain(integration)


def test_what_did_not_change_costs_no_call(sandbox: Sandbox) -> None:
    """The original: an update is two engine calls, one if the record is identical, for everything that is sent again.

    Here a replay of what is in step costs nothing, and the forecast says so beforehand, beside the original's price.
    """
    integration = join(sandbox, MemoryStorage())
    restart(integration)
    checks = sandbox.campaign.engine_calls()["GET"]
    told = integration.ingress.forecast(replay=["contact"], exact=True)
    sandbox.campaign.reset_counters()
    integration.ingress.replay("contact")
    restart(integration)
    assert sandbox.campaign.engine_calls()["total"] == checks <= 2
    assert (told.calls.value, told.original_calls.value) == (0, CROWD)
    integration.close()


def test_a_replay_has_no_fixed_limit_delays_nothing_and_is_of_one_table(sandbox: Sandbox) -> None:
    """The original: a replay is refused at two million records, and then there is no other way.

    Here the limit is a setting, the refusal names the numbers, and a change that comes meanwhile is written first.
    """
    small = IngressDefinition(mappings=[MAPPING], guardrails=Guardrails(replay_records=CROWD))
    integration = join(sandbox, MemoryStorage(), definition=small)
    workflow = integration.ingress
    restart(integration)
    with pytest.raises(ActionNotAvailableError, match=f"{CROWD} records in contact, the limit is {CROWD}"):
        workflow.replay("contact")
    twice = FieldMapping(source="lastname", target="middleName")
    workflow.edit(IngressDefinition(mappings=[evolve(MAPPING, fields=[*MAPPING.fields, twice])]))
    workflow.replay("contact")
    workflow.stop()
    workflow.start()
    while workflow.reading:
        workflow.run_cycle(records=1)
    waiting = workflow.backlog.size
    assert waiting > CROWD / 2
    last = str(list(sandbox.dynamics.rows("contact", ["contactid"]))[-1]["contactid"])
    sandbox.dynamics.update("contact", last, lastname="Urgent")
    workflow.run_cycle(records=1)
    workflow.run_cycle(records=1)
    profile = sandbox.campaign.get("profile", last)
    assert profile is not None
    assert profile["lastName"] == "Urgent"
    assert workflow.backlog.size >= waiting - 2
    drain(integration)
    integration.close()


def test_who_leaves_the_filter_is_shown_before_and_many_are_asked_about(sandbox: Sandbox) -> None:
    """The original deletes what leaves a filter, without a preview and however many they are.

    Here the preview names them, more than the cap wait for a word, and a mistaken filter deletes nobody.
    """
    integration = join(sandbox, MemoryStorage())
    workflow = integration.ingress
    restart(integration)
    nobody = Filter(field="lastname", comparison=Comparison.EQUALS, value="No such name")
    workflow.edit(IngressDefinition(mappings=[evolve(MAPPING, filters=[nobody], delete_filtered_out=True)]))
    assert workflow.filtered_out("contact").number == CROWD
    workflow.replay("contact")
    restart(integration)
    assert sandbox.campaign.count("profile") == CROWD
    assert workflow.view.warnings == (f"{CROWD} deletions of contact wait for a confirmation",)
    workflow.edit(IngressDefinition(mappings=[MAPPING]))
    restart(integration)
    assert (workflow.backlog.size, differences(sandbox)) == (0, [])
    integration.close()


def test_a_stop_shows_as_such_until_nothing_is_in_flight(sandbox: Sandbox) -> None:
    """The original has no word for stopping: a page says stopped while data may still be on its way.

    Here a workflow that was asked to stop says so, is RUNNING until the last answer is in, and writes nothing more.
    """
    seen: list[tuple[WorkflowState, bool]] = []

    def stop_at_the_first_write(notice: Notice) -> None:
        if isinstance(notice, WritesSettled) and not seen:
            workflow.stop()
            seen.append((workflow.status, workflow.stopping))

    integration = join(sandbox, MemoryStorage(), hooks=[stop_at_the_first_write])
    workflow = integration.ingress
    workflow.start()
    report = drain(integration)
    assert seen == [(WorkflowState.RUNNING, True)]
    assert (report.status, workflow.stopping, workflow.backlog.leased) == (WorkflowState.STOPPED, False, 0)
    arrived = sandbox.campaign.count("profile")
    workflow.run_cycle()
    assert sandbox.campaign.count("profile") == arrived
    assert arrived + workflow.backlog.size >= CROWD, "each is there, or waits, or was read once more and waits as well"
    integration.close()


def test_one_bad_record_is_named_and_the_others_flow(sandbox: Sandbox) -> None:
    """The original tells of no single record; what could not be written has to be found and redone by hand.

    Here it is a dead letter with the field and the reason, and one call sends what the source says by then.
    """
    integration = join(sandbox, MemoryStorage())
    workflow = integration.ingress
    odd = str(next(iter(sandbox.dynamics.rows("contact", ["contactid"])))["contactid"])
    sandbox.dynamics.update("contact", odd, firstname="x" * 50)
    restart(integration)
    (letter,) = workflow.dead_letters
    assert (letter.key.id, letter.field) == (odd, "firstname")
    assert sandbox.campaign.count("profile") == CROWD - 1
    sandbox.dynamics.update("contact", odd, firstname="Short")
    drain(integration)
    assert (len(workflow.dead_letters), differences(sandbox)) == (0, [])
    integration.close()
