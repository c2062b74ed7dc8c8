"""Dynamics 365 (Dataverse) and Adobe Campaign Standard as real HTTP servers on loopback, no account needed.

    with Sandbox(contacts=1000) as sandbox:
        print(sandbox.dynamics_url, sandbox.campaign_url)

What lives here: the `Sandbox` a host, a test or a notebook starts, and `Loopback`, which serves an application of the
host's own in the same manner. It stands apart: nothing else of Syncline is imported, or both sides would share one
misreading. The servers themselves need `pip install 'syncline[sandbox]'`.
"""

from __future__ import annotations

from .loopback import Loopback
from .people import people
from .sandbox import Sandbox

__all__ = ["Loopback", "Sandbox", "people"]
