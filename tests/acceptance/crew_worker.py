"""One of several workers of a workflow, in a process of its own over one PostgreSQL, until it is told to end or killed.

The first line of standard input says where everything is; the second one, whatever it says, ends it.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import timedelta

from syncline import Integration
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.storage.postgres import PostgresStorage
from syncline.workflows.base import CycleReport
from syncline.workflows.settings import EngineSettings

__all__ = ["settings_of"]


def settings_of(workers: int, lease: float) -> EngineSettings:
    """A crew in a hurry: who vanishes is missed within `lease` seconds."""
    return EngineSettings(
        workers=workers,
        writers=16,
        lease=timedelta(seconds=lease),
        heartbeat=timedelta(seconds=lease / 6),
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
    integration = Integration(
        dynamics=Dataverse(told["dynamics_url"], secret, allow_loopback_http=True),
        campaign=CampaignStandard(told["campaign_url"], key, allow_loopback_http=True),
        storage=PostgresStorage(told["postgres"], schema=told["schema"], busy_timeout=told["patience"]),
        settings=settings_of(told["workers"], told["lease"]),
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
    workflow = integration.egress if told["workflow"] == "egress" else integration.ingress
    workflow.run(until=ending.is_set, on_cycle=note)
    say(json.dumps({**done, "status": workflow.status}))


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
