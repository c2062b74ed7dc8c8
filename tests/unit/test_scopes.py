"""The name of an integration: what tells in a storage whose a workflow is."""

from __future__ import annotations

import pytest
from tests.scripted import ScriptedCampaign, ScriptedDynamics

from syncline import Integration, MemoryStorage
from syncline.errors import DefinitionError
from syncline.scopes import scope_of
from syncline.workflows.egress import EgressWorkflow
from syncline.workflows.ingress import IngressWorkflow
from syncline.workflows.opt_out import OptOutWorkflow

BAD = pytest.mark.parametrize("name", ["", "a/b", "/", "a\nb", "a\u202eb"])
REFUSED = "name: must be printable, not empty, and without a slash"


@BAD
def test_an_integrations_name_is_printable_not_empty_and_without_a_slash(name: str) -> None:
    """What would mix it up with another one, or could not be shown, is refused before anything is stored."""
    with pytest.raises(DefinitionError, match=REFUSED):
        Integration(dynamics=ScriptedDynamics(), campaign=ScriptedCampaign(), storage=MemoryStorage(), name=name)


@BAD
def test_the_same_holds_for_a_workflow_that_is_used_alone(name: str) -> None:
    """Opt-outs and erasure find the workflows of an integration by its name: a slash in it would split them."""
    storage, dynamics, campaign = MemoryStorage(), ScriptedDynamics(), ScriptedCampaign()
    with pytest.raises(DefinitionError, match=REFUSED):
        IngressWorkflow(storage=storage, dynamics=dynamics, campaign=campaign, integration=name)
    with pytest.raises(DefinitionError, match=REFUSED):
        OptOutWorkflow(storage=storage, dynamics=dynamics, campaign=campaign, integration=name)
    with pytest.raises(DefinitionError, match=REFUSED):
        EgressWorkflow(storage=storage, dynamics=dynamics, integration=name)


@pytest.mark.parametrize("name", ["default", "acme 2", "Ünïcode", "a:b"])
def test_a_workflows_name_tells_whose_it_is(name: str) -> None:
    """Of whatever kind it is."""
    made = Integration(dynamics=ScriptedDynamics(), campaign=ScriptedCampaign(), storage=MemoryStorage(), name=name)
    assert {scope_of(one.id) for one in (made.ingress, made.egress, made.opt_out)} == {name}
