"""A host in a process of its own: egress until it is killed, or until everything is written."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from syncline import Integration
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.connectors.file_drop import FileDrop
from syncline.storage.sqlite import SQLiteStorage
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.settings import EngineSettings


def main() -> None:
    """The first line of standard input says where everything is; what was done is told cycle by cycle."""
    told = json.loads(sys.stdin.readline())
    secret = ClientSecret(
        told["tenant_id"], told["client_id"], told["client_secret"], authority_url=told["authority_url"]
    )
    key = OAuthServerToServer(told["campaign_client_id"], told["campaign_client_secret"], ims_url=told["ims_url"])
    with Integration(
        dynamics=Dataverse(told["dynamics_url"], secret, allow_loopback_http=True),
        campaign=CampaignStandard(told["campaign_url"], key, allow_loopback_http=True),
        storage=SQLiteStorage(Path(told["database"])),
        events=FileDrop(told["folder"], quiet=timedelta(0)),
        settings=EngineSettings(file_page=told["file_page"], poll_interval=timedelta(milliseconds=100)),
    ) as integration:
        if not integration.egress.status.started:
            integration.egress.start()
        say("working")
        while True:
            report = integration.egress.run_cycle(seconds=0.5)
            told_now = {"written": report.written, "idle": report.end is CycleEnd.IDLE, "status": report.status}
            say(json.dumps(told_now))


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
