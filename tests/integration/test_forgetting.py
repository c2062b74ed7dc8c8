"""Forgetting a person while both systems and the database are real: what is gone, what stays, what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ingress_room import campaign_of, differences, drain, join

from syncline import DefinitionError, MemoryStorage
from syncline.connectors.campaign import CampaignStandard
from syncline.erasure import Erased
from syncline.sandbox import Sandbox, people
from syncline.schemas import TableSchema
from syncline.state_machine import WorkflowState

ANN = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa"
PERSON = {
    "contactid": ANN,
    "firstname": "Annegretchen",
    "lastname": "Unforgettable",
    "emailaddress1": "annegretchen@example.com",
    "gendercode": 2,
}


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a few people and Ann in Dynamics."""
    sandbox.dynamics.load("contact", [*people(5, 5, clean=True), PERSON])
    return sandbox


def test_nothing_of_a_forgotten_person_stays_in_the_files(sandbox: Sandbox, tmp_path: Path) -> None:
    """Her words are in the backlog and in a dead letter; after `forget` no file of the database has either."""
    path = tmp_path / "syncline.db"
    integration = join(sandbox, path)
    sandbox.campaign.refuse("profile", ANN)
    integration.ingress.start()
    drain(integration)
    assert len(integration.ingress.dead_letters) == 1
    sandbox.dynamics.update("contact", ANN, lastname="Unforgettable-Twice")
    sandbox.campaign.add_fault("fail", status=503, path="profile")
    integration.ingress.run_cycle(seconds=0.2)
    assert traces(path), "else there is nothing to remove"

    sandbox.dynamics.delete("contact", ANN)
    sandbox.campaign.clear_faults()
    erased = integration.forget(f"{{{ANN.upper()}}}", by="privacy officer")

    assert erased.queued == 1
    assert erased.dead_letters >= 1, "more than one where the overlap of the first load was refused apart"
    assert traces(path) == []
    assert integration.storage.audit(integration.ingress.id) == []
    last = integration.ingress.history[0]
    assert (last.action, last.by, last.detail) == ("forget", "privacy officer", "")
    assert drain(integration).status is WorkflowState.RUNNING
    assert traces(path) == []
    assert differences(sandbox) == []
    integration.close()


def traces(path: Path) -> list[str]:
    """The words about Ann that a file of the database holds."""
    stored = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*")).lower()
    words = (b"annegretchen", b"unforgettable", ANN.encode(), bytes.fromhex(ANN.replace("-", "")))
    return [repr(word) for word in words if word in stored]


class Interrupted(CampaignStandard):
    """Somebody does something while a create is under way."""

    meanwhile: Callable[[], None]

    def create(self, resource: TableSchema, values: Any) -> None:
        super().create(resource, values)
        if values["externalId"] == ANN:
            self.meanwhile()


def test_a_write_under_way_is_told_and_leaves_no_trace_here(sandbox: Sandbox) -> None:
    """A write that was being sent may arrive, which `in_flight` says; the ledger does not learn of it any more."""
    sandbox.dynamics.delete("contact", ANN)
    slow = campaign_of(Interrupted, sandbox)
    integration = join(sandbox, MemoryStorage(), campaign=slow)
    integration.ingress.start()
    drain(integration)
    erased: list[Erased] = []

    def forget() -> None:
        sandbox.dynamics.delete("contact", ANN)
        erased.append(integration.forget(ANN))

    slow.meanwhile = forget
    sandbox.dynamics.load("contact", [PERSON])

    drain(integration)

    assert [(one.queued, one.in_flight) for one in erased] == [(1, 1)]
    assert integration.storage.ledger(integration.ingress.id, "contact", [ANN]) == {}
    assert sandbox.campaign.get("profile", ANN) is not None, "deleting it there is for the host, as it was told"
    counts = integration.storage.counts(integration.ingress.id)
    assert (counts.size, counts.totals.discarded, counts.totals.refused) == (0, 1, 1)
    assert integration.storage.audit(integration.ingress.id) == []
    integration.close()


def test_an_opt_out_survives_being_forgotten(sandbox: Sandbox) -> None:
    """What stays is a keyed hash that knows the channels again when it is asked with the same id."""
    integration = join(sandbox, MemoryStorage())
    erased = integration.ingress.forget(ANN, opted_out=["denyListEmail", "ccpaOptOut"])
    assert erased.opted_out == {"blackListEmail", "ccpaOptOut"}
    assert integration.storage.suppressed(integration.name, [ANN]) == {ANN: {"blackListEmail", "ccpaOptOut"}}
    assert "opted out of blackListEmail, ccpaOptOut" in str(erased)
    integration.close()


@pytest.mark.parametrize("wrong", [{"contact_id": " {} "}, {"contact_id": ANN, "opted_out": ["email"]}])
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    """An empty id and an unknown channel raise, and nothing was forgotten."""
    with Sandbox() as sandbox:
        integration = join(sandbox, MemoryStorage())
        with pytest.raises(DefinitionError, match=r"contact_id|opted_out"):
            integration.forget(**wrong)
        integration.close()
