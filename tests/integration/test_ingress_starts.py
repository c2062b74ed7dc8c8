"""Starts of ingress that must not happen: each is refused by a check that says what to do."""

from __future__ import annotations

import pytest
from tests.ingress_room import (
    campaign,
    drain,
    join,
    mapping_with,
)

from syncline import FieldMapping, Integration, MemoryStorage
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState

CROWD = 120


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


def failed_start(integration: Integration) -> str:
    integration.ingress.start()
    report = integration.ingress.run_cycle(seconds=5)
    assert report.status is WorkflowState.FAILED
    assert integration.ingress.error is not None
    assert integration.ingress.error.kind == "CheckFailedError"
    return integration.ingress.error.message


def test_an_unknown_field_fails_the_check_and_suggests_the_right_one(sandbox: Sandbox) -> None:
    """W9: every mistake is named with its path."""
    definition = mapping_with(fields=[FieldMapping(source="lastnam", target="lastName")])

    with join(sandbox, MemoryStorage(), definition=definition) as integration:
        message = failed_start(integration)

    assert "lastnam" in message
    assert "lastname" in message
    assert sandbox.campaign.count("profile") == 0


def test_wrong_credentials_fail_the_check_with_a_remedy(sandbox: Sandbox) -> None:
    """W9: which side, and what to do; never a secret."""
    from syncline.connectors.dynamics import ClientSecret, Dataverse

    wrong = ClientSecret(sandbox.tenant_id, sandbox.client_id, "wr0ng-s3cret", authority_url=sandbox.authority_url)
    refused = Dataverse(sandbox.dynamics_url, wrong, allow_loopback_http=True)

    with join(sandbox, MemoryStorage(), dynamics=refused) as integration:
        message = failed_start(integration)

    assert "Dynamics 365: credentials" in message
    assert "wr0ng" not in message


def test_a_wrong_organisation_fails_the_check(sandbox: Sandbox) -> None:
    """W9: the gateway's "Oops" is told as what it means."""
    from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer

    secret = OAuthServerToServer(sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url)
    elsewhere = CampaignStandard(sandbox.campaign_url.replace("contoso", "fabrikam"), secret, allow_loopback_http=True)

    with join(sandbox, MemoryStorage(), campaign=elsewhere) as integration:
        message = failed_start(integration)

    assert "Campaign: credentials" in message


def test_a_table_without_change_tracking_fails_the_check(sandbox: Sandbox) -> None:
    """W9: with where to turn it on."""
    sandbox.dynamics.call("set_change_tracking", table="contact", on=False)

    with join(sandbox, MemoryStorage()) as integration:
        message = failed_start(integration)

    assert "contact: change tracking" in message


@pytest.mark.parametrize("filtered", [True, False])
def test_a_key_that_would_make_duplicates_fails_the_check(sandbox: Sandbox, filtered: bool) -> None:
    """I2: no identification key, or no filter, no start."""
    sandbox.campaign.drop_key("profile", filtered=filtered)

    with join(sandbox, MemoryStorage()) as integration:
        message = failed_start(integration)

    assert "profile: key externalId" in message


def test_a_storage_filled_from_elsewhere_is_not_mixed_up(sandbox: Sandbox) -> None:
    """S-16: the same storage with another environment does not start."""
    storage = MemoryStorage()
    with join(sandbox, storage) as integration:
        integration.ingress.start()
        drain(integration)
        integration.ingress.stop()
        with Sandbox() as other, join(sandbox, storage, campaign=campaign(other)) as mixed:
            message = failed_start(mixed)

    assert "the same as before" in message
