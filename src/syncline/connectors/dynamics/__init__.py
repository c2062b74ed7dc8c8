"""Microsoft Dynamics 365: the source side over the Dataverse Web API."""

from __future__ import annotations

from syncline.connectors.dynamics.authentication import ClientSecret, GivesTokens
from syncline.connectors.dynamics.certificate import ClientCertificate
from syncline.connectors.dynamics.dataverse import Dataverse
from syncline.connectors.dynamics.metadata import Lookup

__all__ = ["ClientCertificate", "ClientSecret", "Dataverse", "GivesTokens", "Lookup"]
