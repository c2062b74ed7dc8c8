"""What the tests of the Dataverse connector share: people to read, a connector, and ways to read all there is."""

from __future__ import annotations

from typing import Any

from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.records import Change, Page, ReadRequest, ReadStage
from syncline.sandbox import Sandbox

COLUMNS = ("creditlimit", "emailaddress1", "firstname")
PEOPLE = 25


def person(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def fill(sandbox: Sandbox, count: int = PEOPLE) -> None:
    rows = [{"contactid": person(n), "firstname": f"Person {n}", "creditlimit": n} for n in range(count)]
    sandbox.dynamics.load("contact", rows)


def secret(sandbox: Sandbox) -> ClientSecret:
    return ClientSecret(
        sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
    )


def connector(sandbox: Sandbox, **options: Any) -> Dataverse:
    return Dataverse(sandbox.dynamics_url, secret(sandbox), allow_loopback_http=True, **{"page_size": 10, **options})


def ask(stage: ReadStage, link: str | None = None, **more: Any) -> ReadRequest:
    return ReadRequest(**{"table": "contact", "columns": COLUMNS, "stage": stage, "link": link, **more})


def walk(dataverse: Dataverse, stage: ReadStage, link: str | None = None, **more: Any) -> tuple[list[Change], Page]:
    """All changes of a stage, and its last page."""
    changes: list[Change] = []
    while True:
        page = dataverse.read(ask(stage, link, **more))
        changes += page.changes
        link = page.next_link
        if link is None:
            return changes, page
