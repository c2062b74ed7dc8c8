"""What tests of the whole ingress share: joining the sandbox, and comparing both systems by rules of their own.

The rules are written down here a second time on purpose, so that a misreading in the mapping cannot hide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve

from syncline import FieldMapping, FieldReplacement, IngressDefinition, Integration, Storage, TableMapping
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.sandbox import Sandbox
from syncline.storage.sqlite import SQLiteStorage
from syncline.workflows.base import CycleReport
from syncline.workflows.cycle import CycleEnd
from syncline.workflows.settings import EngineSettings

_Kind = TypeVar("_Kind", bound=CampaignStandard)

FIELDS = {
    "firstname": "firstName",
    "lastname": "lastName",
    "emailaddress1": "email",
    "mobilephone": "mobilePhone",
    "birthdate": "birthDate",
    "gendercode": "gender",
    "numberofchildren": "cusChildren",
}
GENDERS = {1: "male", 2: "female", None: "unknown"}
MAPPING = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source=source, target=target) for source, target in FIELDS.items()],
    replacements=[FieldReplacement(field="gendercode", value=code, replacement=name) for code, name in GENDERS.items()],
)
DEFINITION = IngressDefinition(mappings=[MAPPING])


def dataverse(sandbox: Sandbox, **options: Any) -> Dataverse:
    secret = ClientSecret(
        sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
    )
    return Dataverse(sandbox.dynamics_url, secret, allow_loopback_http=True, **options)


def campaign(sandbox: Sandbox, **options: Any) -> CampaignStandard:
    return campaign_of(CampaignStandard, sandbox, **options)


def campaign_of(kind: type[_Kind], sandbox: Sandbox, **options: Any) -> _Kind:
    """A connector of a kind of its own, such as one to which something happens while it is at work."""
    secret = OAuthServerToServer(sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url)
    return kind(sandbox.campaign_url, secret, allow_loopback_http=True, **options)


def join(
    sandbox: Sandbox,
    storage: Storage | Path,
    *,
    definition: IngressDefinition = DEFINITION,
    settings: EngineSettings | None = None,
    **more: Any,
) -> Integration:
    """An integration of both halves of the sandbox over a storage, or a database file."""
    return Integration(
        dynamics=more.pop("dynamics", None) or dataverse(sandbox),
        campaign=more.pop("campaign", None) or campaign(sandbox),
        storage=SQLiteStorage(storage) if isinstance(storage, Path) else storage,
        ingress=definition,
        settings=settings,
        **more,
    )


def drain(integration: Integration, *, cycles: int = 200, seconds: float = 10) -> CycleReport:
    """Cycle after cycle until the workflow is caught up, FAILED or STOPPED; anything else after so many fails."""
    for _ in range(cycles):
        report = integration.ingress.run_cycle(seconds=seconds)
        if not report.status.started or (report.end is CycleEnd.IDLE and report.resume_at is None):
            return report
    raise AssertionError(f"not caught up after {cycles} cycles: {report}")


def differences(sandbox: Sandbox, fields: dict[str, str] = FIELDS) -> list[str]:
    """What is not in step, a sentence each; empty when all contacts are the same on both sides.

    Both sides are read page by page, and of a profile only a number is kept, however many there are.
    """
    found: list[str] = []
    profiles: dict[str, int] = {}
    for profile in sandbox.campaign.rows("profile", ["externalId", *fields.values()]):
        if profile["externalId"] in profiles:
            found.append(f"{profile['externalId']} is there twice")
        profiles[profile["externalId"]] = hash(tuple(_spelled(profile.get(target)) for target in fields.values()))
    for contact in sandbox.dynamics.rows("contact", ["contactid", *fields]):
        seen = profiles.pop(contact["contactid"], None)
        if seen is None:
            found.append(f"{contact['contactid']} is missing")
        elif seen != hash(tuple(_wanted(contact, source) for source in fields)):
            found += _apart(contact, sandbox.campaign.get("profile", contact["contactid"]) or {}, fields)
    return [*found, *(f"{record} is only in Campaign" for record in profiles)]


def _apart(contact: dict[str, Any], profile: dict[str, Any], fields: dict[str, str]) -> list[str]:
    told = [
        f"{contact['contactid']}: {source} is {contact.get(source)!r}, {target} is {profile.get(target)!r}"
        for source, target in fields.items()
        if _spelled(profile.get(target)) != _wanted(contact, source)
    ]
    return told or [f"{contact['contactid']} was apart and is in step by now"]


def _wanted(contact: dict[str, Any], source: str) -> str:
    value = contact.get(source)
    return GENDERS[value] if source == "gendercode" else _spelled(value)


def _spelled(value: object) -> str:
    """Campaign knows no null: an empty text, a zero and nothing are the same there."""
    if value in (None, "", 0):
        return ""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def ids(sandbox: Sandbox) -> list[str]:
    """Of every contact in Dynamics."""
    return sorted(str(row["contactid"]) for row in sandbox.dynamics.rows("contact", ["contactid"]))


def mapping_with(**changes: Any) -> IngressDefinition:
    """The usual mapping, otherwise than usual."""
    kept = {one.source for one in changes.get("fields", MAPPING.fields)}
    replacements = [one for one in MAPPING.replacements if one.field in kept]
    return IngressDefinition(mappings=[evolve(MAPPING, **{"replacements": replacements, **changes})])
