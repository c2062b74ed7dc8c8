"""A Campaign sandbox with a connector in front of it, for the tests that need both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.records import RecordKey, Value, Write
from syncline.sandbox import Sandbox
from syncline.schemas import TableSchema
from syncline.testing.clocks import JumpingClock

__all__ = ["JumpingClock", "connect", "credential", "described", "person", "wanted"]

ID = "8d2cfd61-0a3f-4f6c-9d6e-2f1f7b1f0001"


def credential(sandbox: Sandbox, **changes: Any) -> OAuthServerToServer:
    chosen = {"client_id": sandbox.campaign_client_id, "client_secret": sandbox.campaign_client_secret, **changes}
    return OAuthServerToServer(chosen.pop("client_id"), chosen.pop("client_secret"), ims_url=sandbox.ims_url, **chosen)


@contextmanager
def connect(sandbox: Sandbox, url: str = "", **options: Any) -> Iterator[CampaignStandard]:
    """A connector to the sandbox, or to another address of it."""
    auth = options.pop("auth", None) or credential(sandbox)
    options = {"allow_loopback_http": True, "clock": JumpingClock(), **options}
    campaign = CampaignStandard(url or sandbox.campaign_url, auth, **options)
    try:
        yield campaign
    finally:
        campaign.close()


def described(campaign: CampaignStandard, resource: str = "profile") -> TableSchema:
    schema = campaign.describe(resource)
    assert schema is not None
    return schema


def person(key: Value = ID, **values: Value) -> dict[str, Value]:
    return {"externalId": key, "firstName": "Ada", "lastName": "Byron", "email": "ada@example.org", **values}


def wanted(values: dict[str, Value], **more: Any) -> Write:
    """A write of a contact to a profile."""
    key = RecordKey(table="contact", id=str(values["externalId"]))
    return Write(
        key=key, resource="profile", key_field="externalId", create_values=values, update_values=values, **more
    )
