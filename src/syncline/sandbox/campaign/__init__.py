"""Adobe Campaign Standard as a server on loopback: profiles, custom resources, and the identity service before them."""

from __future__ import annotations

from .asgi import CampaignSandbox

__all__ = ["CampaignSandbox"]
