"""A host in a process of its own: cycles of ingress until it is told to end, or killed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from syncline import Integration
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.definition_json import definition_from_json
from syncline.definitions import IngressDefinition
from syncline.storage.sqlite import SQLiteStorage


def main() -> None:
    """The first line of standard input says where everything is; each later line asks for one thing."""
    told = json.loads(sys.stdin.readline())
    definition = definition_from_json(told["definition"])
    assert isinstance(definition, IngressDefinition)
    integration = Integration(
        dynamics=Dataverse(
            told["dynamics_url"],
            ClientSecret(
                told["tenant_id"], told["client_id"], told["client_secret"], authority_url=told["authority_url"]
            ),
            allow_loopback_http=True,
        ),
        campaign=CampaignStandard(
            told["campaign_url"],
            OAuthServerToServer(told["campaign_client_id"], told["campaign_client_secret"], ims_url=told["ims_url"]),
            allow_loopback_http=True,
        ),
        storage=SQLiteStorage(Path(told["database"])),
        ingress=definition,
    )
    say("ready")
    for line in sys.stdin:
        match line.split():
            case ["cycle", seconds]:
                report = integration.ingress.run_cycle(seconds=float(seconds))
                say(json.dumps({"end": report.end.name, "status": report.status, "written": report.written}))
            case ["forever"]:
                say("working")
                integration.ingress.run()
                say(json.dumps({"status": integration.ingress.status}))
            case ["start"]:
                integration.ingress.start()
                say("started")
            case ["stop"]:
                integration.ingress.stop()
                say("asked")
            case _:
                raise SystemExit(f"unknown request: {line!r}")


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
