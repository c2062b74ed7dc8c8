"""The whole of ingress in under a minute: both systems on loopback, 20,000 contacts, and a comparison at the end.

Run it with `python examples/quickstart.py`. `--contacts` changes how many people there are, `--plant-difference`
changes a profile in Campaign behind Syncline's back just before the comparison, which must then find it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from attrs import evolve

from syncline import FieldMapping, FieldReplacement, IngressDefinition, Integration, SQLiteStorage, TableMapping
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.sandbox import Sandbox, people
from syncline.views import progress_bar

#: Dynamics column to Campaign field.
FIELDS = {
    "firstname": "firstName",
    "lastname": "lastName",
    "emailaddress1": "email",
    "mobilephone": "mobilePhone",
    "birthdate": "birthDate",
    "gendercode": "gender",
    "numberofchildren": "cusChildren",
    "creditlimit": "cusScore",
}
#: Added while the workflow runs.
LATER = {"jobtitle": "cusLoyalty"}
GENDERS = {1: "male", 2: "female", None: "unknown"}

CONTACT_TO_PROFILE = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source=source, target=target) for source, target in FIELDS.items()],
    replacements=[FieldReplacement(field="gendercode", value=code, replacement=name) for code, name in GENDERS.items()],
)


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder, Sandbox(process=True) as sandbox:
        say(f"The sandbox speaks Dataverse at {sandbox.dynamics_url} and Campaign at {sandbox.campaign_url}.")
        crowd = list(people(options.contacts, 7, clean=True))
        sandbox.dynamics.load("contact", crowd)
        say(f"{len(crowd):,} contacts are in Dynamics 365, none in Campaign.")
        with connect(sandbox, Path(folder) / "syncline.db") as integration:
            first_load(integration)
            changes_and_an_edit(integration, sandbox, crowd)
            a_record_that_is_refused(integration, sandbox, crowd)
            print(integration.workflows)
        if options.plant_difference:
            sandbox.campaign.update("profile", crowd[1]["contactid"], lastName="Planted")
            say("Planted a difference in one profile.")
        return compare(sandbox, {**FIELDS, **LATER})


def connect(sandbox: Sandbox, database: Path) -> Integration:
    """What a host writes, with the sandbox's addresses in place of the real ones."""
    return Integration(
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
        storage=SQLiteStorage(database),
        ingress=IngressDefinition(mappings=[CONTACT_TO_PROFILE]),
    )


def first_load(integration: Integration) -> None:
    ingress = integration.ingress
    heading("Check, start, first load")
    print(ingress.check())
    ingress.start()
    print(integration.workflows)
    drain(integration, "First load")
    print(integration.workflows)


def changes_and_an_edit(integration: Integration, sandbox: Sandbox, crowd: list[dict[str, Any]]) -> None:
    ingress = integration.ingress
    heading("Changes, additions, deletions, and an edit while it runs")
    for person in crowd[:300]:
        sandbox.dynamics.update("contact", person["contactid"], lastname="Changed")
    sandbox.dynamics.load("contact", people(200, 8, clean=True))
    for person in crowd[-100:]:
        sandbox.dynamics.delete("contact", person["contactid"])
    say("300 contacts changed, 200 added, 100 deleted.")
    fields = [*CONTACT_TO_PROFILE.fields, *(FieldMapping(source=a, target=b) for a, b in LATER.items())]
    edited = IngressDefinition(mappings=[evolve(CONTACT_TO_PROFILE, fields=fields)])
    ingress.edit(edited, by="quickstart")
    print(integration.workflows)
    drain(integration, "Changes, by the definition that runs")
    ingress.replay("contact", by="quickstart")
    ingress.stop(by="quickstart")
    say(f"Stopped: the status is {ingress.status}.")
    ingress.start(by="quickstart")
    drain(integration, "Replay, by the edited definition")
    print(integration.workflows)


def a_record_that_is_refused(integration: Integration, sandbox: Sandbox, crowd: list[dict[str, Any]]) -> None:
    ingress = integration.ingress
    heading("A record that Campaign refuses")
    person = crowd[0]["contactid"]
    sandbox.campaign.refuse("profile", person)
    sandbox.dynamics.update("contact", person, firstname="Mended")
    sandbox.dynamics.update("contact", crowd[1]["contactid"], firstname="Unhindered")
    drain(integration, "One refused, one not")
    print(ingress.dead_letters)
    sandbox.campaign.accept("profile", person)
    say(f"Campaign takes it again; {ingress.dead_letters.retry(by='quickstart')} dead letter to retry.")
    drain(integration, "Retry")
    say(f"{len(ingress.dead_letters)} dead letters are left.")


def drain(integration: Integration, title: str) -> None:
    """What a scheduler does, with a progress bar: one short cycle after the other until everything is in step."""
    ingress, began, written = integration.ingress, time.monotonic(), 0
    with progress_bar(title) as bar:
        while True:
            report = ingress.run_cycle(seconds=1)
            written += report.written
            bar.update(ingress.backlog)
            if not report.status.started:
                raise SystemExit(f"{ingress.status}: {ingress.error}")
            if report.end.name != "BUDGET":
                break
    seconds = time.monotonic() - began
    say(f"{title}: {written:,} records written in {seconds:.1f} s ({report.end.value}).")


def compare(sandbox: Sandbox, fields: dict[str, str]) -> int:
    """Both systems record by record, by rules written down here a second time; 0 when they are in step."""
    heading("Both systems, record by record")
    profiles: dict[str, dict[str, Any]] = {}
    twice = 0
    for profile in sandbox.campaign.rows("profile", ["externalId", *fields.values()]):
        twice += profile["externalId"] in profiles
        profiles[profile["externalId"]] = profile
    same = different = missing = 0
    for contact in sandbox.dynamics.rows("contact", ["contactid", *fields]):
        found = profiles.pop(contact["contactid"], None)
        if found is None:
            missing += 1
        elif all(spelled(found.get(target)) == wanted(contact, source) for source, target in fields.items()):
            same += 1
        else:
            different += 1
    in_step = not (different or missing or profiles or twice)
    verdict = "In step" if in_step else "NOT in step"
    say(
        f"{verdict}: {same:,} contacts are the same on both sides, {different:,} differ, {missing:,} are missing in "
        f"Campaign, {len(profiles):,} are only there, {twice:,} are there twice."
    )
    return 0 if in_step else 1


def wanted(contact: dict[str, Any], source: str) -> str:
    value = contact.get(source)
    if source == "creditlimit" and value is not None:
        value = float(value)  # Dynamics keeps money with four decimals, as text here
    return GENDERS[value] if source == "gendercode" else spelled(value)


def spelled(value: object) -> str:
    """Campaign knows no null: an empty text, a zero and nothing are the same there."""
    if value in (None, "", 0):
        return ""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def say(text: str) -> None:
    print(text, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contacts", type=int, default=20_000, help="how many people there are (at least 500)")
    parser.add_argument("--plant-difference", action="store_true", help="make the comparison fail")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
