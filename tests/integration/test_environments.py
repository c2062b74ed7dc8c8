"""A storage that meets another environment than the one it was filled from: nothing is sent until somebody says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.ingress_room import campaign, differences, drain, join

from syncline import ActionNotAvailableError, DefinitionError, MemoryStorage
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState

CROWD = 25


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Sandbox, Sandbox]]:
    """Two of everything, started once."""
    with Sandbox() as one, Sandbox() as other:
        yield one, other


@pytest.fixture
def environments(both: tuple[Sandbox, Sandbox]) -> tuple[Sandbox, Sandbox]:
    """The first with a crowd, the second a copy of it with one person less and one changed."""
    crowd = list(people(CROWD, 5, clean=True))
    for sandbox in both:
        sandbox.dynamics.reset()
        sandbox.campaign.reset()
        sandbox.dynamics.load("contact", crowd)
    copy = both[1]
    copy.dynamics.delete("contact", crowd[0]["contactid"])
    copy.dynamics.update("contact", crowd[1]["contactid"], lastname="Copied")
    return both


def test_a_copied_environment_is_refused_until_it_is_adopted(environments: tuple[Sandbox, Sandbox]) -> None:
    """FAILED with both names and a remedy; adopted, a full read finds what differs and what is gone."""
    original, copy = environments
    storage = MemoryStorage()
    with join(original, storage) as integration:
        integration.ingress.start()
        drain(integration)
        assert integration.ingress.adopt_environment() == ()

    moved = join(copy, storage, campaign=campaign(original))
    workflow = moved.ingress
    report = drain(moved)
    assert report.status is WorkflowState.FAILED, "also where the workflow was running"
    assert workflow.error is not None
    assert workflow.error.kind == "EnvironmentChangedError"
    assert moved.dynamics.identity in workflow.error.message
    assert "adopt_environment()" in workflow.error.remedy
    workflow.start()
    assert drain(moved).status is WorkflowState.FAILED

    (told,) = workflow.adopt_environment(by="ann")
    assert told.startswith("Dynamics 365 was dynamics:")
    entry = workflow.history[0]
    assert (entry.action, entry.by, entry.detail) == ("adopt environment", "ann", told)
    workflow.start()
    assert drain(moved).status is WorkflowState.RUNNING
    assert differences_between(copy, original) == []
    with pytest.raises(ActionNotAvailableError, match="rebuild ledger"):
        workflow.rebuild_ledger("contact")
    assert storage.audit(workflow.id) == []
    moved.close()


def differences_between(source: Sandbox, target: Sandbox) -> list[str]:
    """As `differences`, for the Dynamics of one and the Campaign of another sandbox."""

    class Joined:
        dynamics, campaign = source.dynamics, target.campaign

    return differences(Joined())  # type: ignore[arg-type]


def test_another_campaign_gets_everything_that_it_lacks(environments: tuple[Sandbox, Sandbox]) -> None:
    """What the ledger says holds for the old instance only: every record is compared before it is written."""
    original, other = environments
    storage = MemoryStorage()
    with join(original, storage) as integration:
        integration.ingress.start()
        drain(integration)
        integration.ingress.stop()

    moved = join(original, storage, campaign=campaign(other))
    moved.ingress.adopt_environment()
    moved.ingress.start()
    assert drain(moved).status is WorkflowState.RUNNING
    assert differences_between(original, other) == []
    moved.close()


def test_a_ledger_can_be_rebuilt(environments: tuple[Sandbox, Sandbox]) -> None:
    """Campaign lost somebody and another one was changed there: rebuilt, all is as in Dynamics again."""
    sandbox = environments[0]
    integration = join(sandbox, MemoryStorage())
    workflow = integration.ingress
    workflow.start()
    drain(integration)
    first, second, *_ = [row["externalId"] for row in sandbox.campaign.rows("profile", ["externalId"])]
    sandbox.campaign.delete("profile", first)
    sandbox.campaign.update("profile", second, lastName="Tampered")
    drain(integration)
    assert differences(sandbox) != [], "nothing in Dynamics changed, so nobody looked"
    workflow.stop()
    sandbox.campaign.reset_counters()

    workflow.rebuild_ledger("contact", by="ann")
    workflow.start()
    drain(integration)

    assert differences(sandbox) == []
    calls = sandbox.campaign.engine_calls()
    assert (calls["POST"], calls["PATCH"], calls["DELETE"]) == (1, 1, 0)
    with pytest.raises(DefinitionError, match="not mapped"):
        workflow.rebuild_ledger("account")
    integration.close()
