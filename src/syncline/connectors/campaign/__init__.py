"""Adobe Campaign Standard: the target side over its REST API."""

from __future__ import annotations

from syncline.connectors.campaign.authentication import DEFAULT_SCOPES, OAuthServerToServer
from syncline.connectors.campaign.changes import CampaignChanges
from syncline.connectors.campaign.lookup import CampaignKey
from syncline.connectors.campaign.metadata import PROFILE_LENGTHS
from syncline.connectors.campaign.standard import CampaignStandard

__all__ = [
    "DEFAULT_SCOPES",
    "PROFILE_LENGTHS",
    "CampaignChanges",
    "CampaignKey",
    "CampaignStandard",
    "OAuthServerToServer",
]
