# /// script
# dependencies = ["syncline[sandbox]", "starlette>=0.40"]
# ///
"""Contacts of Dynamics 365 on a mailing list: a first load, a wait on the way, changes, deletions and a refusal."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started as a file: make the folder the package that it is
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from runpy import run_module

    run_module("postbox.run", run_name="__main__", alter_sys=True)
    sys.exit()

from typing import Any

from syncline import FieldMapping, IngressDefinition, Integration, MemoryStorage, TableMapping, Workflow
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.sandbox import Loopback, Sandbox, people

from .connector import KEY, PostboxConnector
from .server import Postbox

FIELDS = {
    "emailaddress1": "email",
    "firstname": "given_name",
    "lastname": "family_name",
    "birthdate": "born",
    "creditlimit": "credit",
}
MEMBERS = TableMapping(
    table="contact",
    resource="members",
    key=KEY,
    fields=[FieldMapping(source=source, target=target) for source, target in FIELDS.items()],
)


def main() -> int:
    postbox = Postbox(key="made up")
    crowd = list(people(300, 7, clean=True))
    with Sandbox() as sandbox, Loopback(postbox.app) as service:
        sandbox.dynamics.load("contact", crowd)
        service.control.add_fault("throttle", method="PUT", skip=100, count=1, retry_after=1)
        with connect(sandbox, service.url, postbox.key) as integration:
            ingress = integration.ingress
            print(ingress.check())
            ingress.start()
            drain(ingress)
            for person in crowd[:20]:
                sandbox.dynamics.update("contact", person["contactid"], lastname="Changed")
            for person in crowd[20:30]:
                sandbox.dynamics.delete("contact", person["contactid"])
            postbox.refuses.add(crowd[0]["contactid"])
            drain(ingress)
            print(ingress.dead_letters)
            postbox.refuses.clear()
            ingress.dead_letters.retry()
            drain(ingress)
            print(integration.workflows)
            print(f"Postbox asked to wait {service.control.requests()['throttled']} times.")
            print(ingress.reconcile("contact"))
        contacts = sandbox.dynamics.rows("contact", ["contactid", "lastname"])
        wanted = {row["contactid"]: row["lastname"] for row in contacts}
    there = {key: member["family_name"] for key, member in postbox.members["members"].items()}
    print(f"{len(there)} members, {'in step' if there == wanted else 'NOT in step'} with {len(wanted)} contacts.")
    return 0 if there == wanted and len(there) == 290 else 1


def drain(ingress: Workflow[Any]) -> None:
    """What a scheduler does: one cycle after the other until everything is in step."""
    while (report := ingress.run_cycle(seconds=5)).end.name != "IDLE":
        if not report.status.started:
            raise SystemExit(str(ingress.error))


def connect(sandbox: Sandbox, url: str, key: str) -> Integration:
    entra = ClientSecret(
        sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
    )
    return Integration(
        dynamics=Dataverse(sandbox.dynamics_url, entra, allow_loopback_http=True),
        campaign=PostboxConnector(url, key, allow_loopback_http=True),
        storage=MemoryStorage(),
        ingress=IngressDefinition(mappings=[MEMBERS]),
    )


if __name__ == "__main__":
    sys.exit(main())
