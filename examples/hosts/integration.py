"""What every host has: its integration, made from the environment.

What lives here: addresses, credentials, mappings and the storage. When cycles run is for the other modules.
"""

from __future__ import annotations

import os
from typing import Any

from syncline import (
    EgressDefinition,
    FieldMapping,
    IngressDefinition,
    Integration,
    OptOutDefinition,
    OptOutDirection,
    OptOutPair,
    SQLiteStorage,
    Storage,
    TableMapping,
    Workflow,
)
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.workflows.settings import EngineSettings

__all__ = ["FIELDS", "OPT_OUTS", "connect", "workflows"]

#: Dynamics column to Campaign field.
FIELDS = {"firstname": "firstName", "lastname": "lastName", "emailaddress1": "email"}
OPT_OUTS = {"donotbulkemail": "blackListEmail"}


def connect(settings: EngineSettings | None = None) -> Integration:
    """Both systems and the storage. Nothing is contacted, opened or started yet; close it when the process ends."""
    told = os.environ
    # With real accounts there are no `authority_url`, no `ims_url` and no `allow_loopback_http`.
    dynamics = ClientSecret(
        told["DYNAMICS_TENANT"],
        told["DYNAMICS_CLIENT_ID"],
        told["DYNAMICS_CLIENT_SECRET"],
        authority_url=told["DYNAMICS_AUTHORITY"],
    )
    campaign = OAuthServerToServer(
        told["CAMPAIGN_CLIENT_ID"], told["CAMPAIGN_CLIENT_SECRET"], ims_url=told["CAMPAIGN_IMS"]
    )
    return Integration(
        dynamics=Dataverse(told["DYNAMICS_URL"], dynamics, allow_loopback_http=True),
        campaign=CampaignStandard(told["CAMPAIGN_URL"], campaign, allow_loopback_http=True),
        storage=_storage(told["SYNCLINE_STORAGE"]),
        ingress=IngressDefinition(
            mappings=[
                TableMapping(
                    table="contact",
                    resource="profile",
                    fields=[FieldMapping(source=source, target=target) for source, target in FIELDS.items()],
                )
            ]
        ),
        egress=EgressDefinition(),
        opt_out=OptOutDefinition(
            direction=OptOutDirection.BIDIRECTIONAL,
            pairs=[OptOutPair(dynamics=source, campaign=target) for source, target in OPT_OUTS.items()],
        ),
        settings=settings,
    )


def workflows(integration: Integration) -> tuple[Workflow[Any], ...]:
    """All three. A cycle of one that nobody started returns at once, so a host may simply call them all."""
    return integration.ingress, integration.egress, integration.opt_out


def _storage(place: str) -> Storage:
    """A file for one host, PostgreSQL for several."""
    if not place.startswith("postgresql://"):
        return SQLiteStorage(place)
    from syncline.storage.postgres import PostgresStorage

    return PostgresStorage(place)
