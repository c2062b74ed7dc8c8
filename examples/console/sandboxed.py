"""The console's world when nobody has accounts: sandboxes in processes of their own, and integrations that join them.

What lives here: what a host replaces by its own addresses and credentials. Nothing here is needed with real systems.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from syncline import (
    FieldMapping,
    FieldReplacement,
    IngressDefinition,
    Integration,
    SQLiteStorage,
    Storage,
    TableMapping,
)
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.connectors.file_drop import FileDrop
from syncline.sandbox import Sandbox, people

from .estate import Estate, Instance

__all__ = ["World", "world"]

_FIELDS = {
    "firstname": "firstName",
    "lastname": "lastName",
    "emailaddress1": "email",
    "mobilephone": "mobilePhone",
    "birthdate": "birthDate",
    "gendercode": "gender",
}
_GENDERS = {1: "male", 2: "female", None: "unknown"}
_MAPPING = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source=source, target=target) for source, target in _FIELDS.items()],
    replacements=[
        FieldReplacement(field="gendercode", value=code, replacement=name) for code, name in _GENDERS.items()
    ],
)
_DELIVERIES = "logId,externalId,campaignId,deliveryId,status,failureType,failureReason,eventDate,lastModified"
_TRACKING = "logId,externalId,campaignId,deliveryId,urlType,urlSource,logDate"


@frozen
class World:
    """The estate, and the sandboxes behind its instances, in the same order."""

    estate: Estate
    sandboxes: tuple[Sandbox, ...]


@contextmanager
def world(database: Path, *, contacts: int = 3_000, places_wanted: int = 3, clean: bool = False) -> Iterator[World]:
    """Two organisations over one storage; the first instance has `contacts` people.

    Unless they are `clean`, some of these people are such as Campaign does not take.
    """
    places = (
        ("contoso", "Contoso", "Production", contacts, clean),
        ("contoso-stage", "Contoso", "Stage", min(contacts, 200), True),
        ("fabrikam", "Fabrikam", "Production", min(contacts, 500), True),
    )[:places_wanted]
    storage = SQLiteStorage(database)
    with ExitStack() as stack:
        instances, sandboxes = [], []
        for number, (slug, organisation, name, many, tidy) in enumerate(places):
            sandbox = stack.enter_context(Sandbox(process=True, seed=number + 1))
            crowd = list(people(many, number + 1, clean=tidy))
            sandbox.dynamics.load("contact", crowd)
            exports = _exported(database.parent / f"{slug}-exports", [one["contactid"] for one in crowd[:30]])
            sandboxes.append(sandbox)
            instances.append(
                Instance(
                    slug=slug,
                    organisation=organisation,
                    name=name,
                    integration=_joined(sandbox, storage, slug, exports),
                )
            )
        with Estate(instances) as estate:
            yield World(estate, tuple(sandboxes))


def _joined(sandbox: Sandbox, storage: Storage, name: str, exports: Path) -> Integration:
    """What a host writes, with the sandbox's addresses in place of the real ones."""
    return Integration(
        name=name,
        dynamics=Dataverse(
            sandbox.dynamics_url,
            ClientSecret(
                sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
            ),
            allow_loopback_http=True,
        ),
        campaign=CampaignStandard(
            sandbox.campaign_url,
            OAuthServerToServer(sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url),
            allow_loopback_http=True,
        ),
        storage=storage,
        ingress=IngressDefinition(mappings=[_MAPPING]),
        events=FileDrop(exports),
    )


def _exported(folder: Path, people_known: Sequence[str]) -> Path:
    """A folder with the logs of a delivery to these people: all were sent, every third opened, every ninth clicked."""
    folder.mkdir()
    sent = [
        f"{number},{person},CMP1,DM1,1,0,0,2026-03-01 10:00:00.000Z,2026-03-01 10:00:00.000Z"
        for number, person in enumerate(people_known, 1)
    ]
    opened = [
        f"{number},{person},CMP1,DM1,{2 if number % 3 else 1},https://shop.example/spring,2026-03-01 11:00:00.000Z"
        for number, person in enumerate(people_known[::3], 1)
    ]
    for name, head, rows in (("delivery_log_1.csv", _DELIVERIES, sent), ("tracking_log_1.csv", _TRACKING, opened)):
        (folder / name).write_text("\n".join([head, *rows, ""]), encoding="utf-8")
        # A file that was changed this minute may still be written: it would be left alone.
        os.utime(folder / name, (1_770_000_000, 1_770_000_000))
    return folder
