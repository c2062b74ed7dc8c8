"""The holes that Adobe documents in its own integration, each shown closed.

One test per hole. Its docstring says what the documentation of the original says, and what is so here.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve
from tests.ingress_room import FIELDS, MAPPING, differences, drain, join

from syncline import FieldMapping, IngressDefinition, MemoryStorage
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState

CROWD = 40


@pytest.fixture(scope="module")
def servers() -> Iterator[Sandbox]:
    """Both systems, started once."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(servers: Sandbox) -> Sandbox:
    """Both systems as if new, with a crowd in Dynamics."""
    for system in (servers.dynamics, servers.campaign):
        system.reset()
        system.clear_faults()
        system.clear_requests()
    servers.dynamics.load("contact", people(CROWD, 5, clean=True))
    return servers


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
