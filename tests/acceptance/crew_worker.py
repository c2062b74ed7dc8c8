"""One of several workers of a workflow, in a process of its own over one PostgreSQL, until it is told to end or killed.

The first line of standard input says where everything is; the second one, whatever it says, ends it.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import timedelta
from typing import Any

from syncline import Integration
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.storage.postgres import PostgresStorage
from syncline.workflows.base import CycleReport, Workflow
from syncline.workflows.settings import EngineSettings

__all__ = ["LEASE", "settings_of"]

#: Seconds that a grant lasts without a heartbeat where everybody is in a hurry.
LEASE = 3.0
#: Seconds that the storage then waits for the server. A process that is paused in the middle of a transaction loses it
#: after half of that.
_PATIENCE = 2.0


def settings_of(workers: int, *, hasty: bool) -> EngineSettings:
    """Those that a host gets, or those of a crew in a hurry: who vanishes is missed within `LEASE` seconds."""
    if not hasty:
        return EngineSettings(workers=workers)
    return EngineSettings(
        workers=workers,
        writers=16,
        lease=timedelta(seconds=LEASE),
        heartbeat=timedelta(seconds=LEASE / 6),
        attention=timedelta(seconds=0.1),
        poll_interval=timedelta(seconds=0.5),
        idle_wait=timedelta(seconds=0.1),
        retry_first=timedelta(seconds=0.1),
        retry_most=timedelta(seconds=2),
        # On a busy machine a lease this short also runs out where nobody did anything.
        crash_loop_limit=1_000,
        crash_limit=50,
    )


def main() -> None:
    """What was done is told once, at the end."""
    told = json.loads(sys.stdin.readline())
    secret = ClientSecret(
        told["tenant_id"], told["client_id"], told["client_secret"], authority_url=told["authority_url"]
    )
    key = OAuthServerToServer(told["campaign_client_id"], told["campaign_client_secret"], ims_url=told["ims_url"])
    patience = _PATIENCE if told["hasty"] else 10.0
    integration = Integration(
        dynamics=Dataverse(told["dynamics_url"], secret, allow_loopback_http=True),
        campaign=CampaignStandard(told["campaign_url"], key, allow_loopback_http=True),
        storage=PostgresStorage(told["postgres"], schema=told["schema"], busy_timeout=patience),
        settings=settings_of(told["workers"], hasty=told["hasty"]),
    )
    ending = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        ending.set()

    threading.Thread(target=listen, daemon=True).start()
    done = {"read": 0, "written": 0}

    def note(report: CycleReport) -> None:
        done["read"] += report.read
        done["written"] += report.written

    say("working")
    workflow: Workflow[Any] = getattr(integration, told["workflow"])
    workflow.run(until=ending.is_set, on_cycle=note)
    say(json.dumps({**done, "status": workflow.status}))


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
