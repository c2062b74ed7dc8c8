"""All of Syncline in under a minute: both systems on loopback, 20,000 contacts, and a comparison at the end.

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

from syncline import (
    Comparison,
    FieldMapping,
    FieldReplacement,
    Filter,
    IngressDefinition,
    Integration,
    Link,
    SQLiteStorage,
    TableMapping,
)
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
GENDERS = {1: "male", 2: "female", None: "unknown"}

CONTACT_TO_PROFILE = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source=source, target=target) for source, target in FIELDS.items()],
    replacements=[FieldReplacement(field="gendercode", value=code, replacement=name) for code, name in GENDERS.items()],
)
MONEY = ("creditlimit", "new_price")
VEHICLE_FIELDS = {"new_name": "vehicleName", "new_vin": "vehicleNumber", "new_price": "price"}
#: Each vehicle points to its owner, a contact, and waits until that profile is in Campaign.
VEHICLE_TO_RESOURCE = TableMapping(
    table="new_vehicle",
    resource="cusVehicle",
    fields=[FieldMapping(source=source, target=target) for source, target in VEHICLE_FIELDS.items()],
    links=[Link(source="new_contactid", target="ownerId", table="contact")],
)
VEHICLES = 400
DEFINITION = IngressDefinition(mappings=[CONTACT_TO_PROFILE, VEHICLE_TO_RESOURCE])
#: Every fifth vehicle is one.
SCRAPPED = "Scrapped"


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder, Sandbox(process=True) as sandbox:
        say(f"The sandbox speaks Dataverse at {sandbox.dynamics_url} and Campaign at {sandbox.campaign_url}.")
        crowd = list(people(options.contacts, 7, clean=True))
        sandbox.dynamics.load("contact", crowd)
        sandbox.dynamics.load("new_vehicle", vehicles(crowd))
        say(f"{len(crowd):,} contacts and {VEHICLES:,} vehicles are in Dynamics 365, none in Campaign.")
        with connect(sandbox, Path(folder) / "syncline.db") as integration:
            first_load(integration)
            changes_and_an_edit(integration, sandbox, crowd)
            a_record_that_is_refused(integration, sandbox, crowd)
            a_schema_change(integration, sandbox)
            print(integration.workflows)
        if options.plant_difference:
            sandbox.campaign.update("profile", crowd[1]["contactid"], lastName="Planted")
            say("Planted a difference in one profile.")
        return compare(sandbox)


def vehicles(crowd: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each belongs to somebody; the first ones to people who stay, the later ones to those who come late in a load."""
    owners = [*crowd[300 : 300 + VEHICLES // 2], *crowd[-100 - (VEHICLES - VEHICLES // 2) : -100]]
    return [
        {
            "new_vehicleid": f"{number:08x}-0000-4000-8000-0000000cafe5",
            "new_name": f"Vehicle {number}",
            "new_vin": f"VIN{number:08}",
            "new_price": 9_000 + number,
            "new_make": SCRAPPED if number % 5 == 0 else "Make",
            "new_contactid": owner["contactid"],
        }
        for number, owner in enumerate(owners)
    ]


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
        ingress=DEFINITION,
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
    no_scrap = Filter(field="new_make", comparison=Comparison.NOT_EQUALS, value=SCRAPPED)
    filtered = evolve(
        VEHICLE_TO_RESOURCE,
        fields=[*VEHICLE_TO_RESOURCE.fields, FieldMapping(source="new_registeredon", target="built")],
        filters=[no_scrap],
        delete_filtered_out=True,
    )
    ingress.edit(evolve(DEFINITION, mappings=[CONTACT_TO_PROFILE, filtered]), by="quickstart")
    print(integration.workflows)
    drain(integration, "Changes, by the definition that runs")

    say("What the edited definition would do to the first vehicles:")
    print(ingress.preview(table="new_vehicle", limit=6))
    print(ingress.forecast(replay=["new_vehicle"], exact=True))
    ingress.replay("new_vehicle", by="quickstart")
    ingress.stop(by="quickstart")
    say(f"Stopped: the status is {ingress.status}.")
    ingress.start(by="quickstart")
    drain(integration, "Replay of the vehicles, by the edited definition")
    print(integration.workflows)
    confirmed = ingress.confirm_deletes("new_vehicle", by="quickstart")
    say(f"That many deletions are held until somebody confirms them: {confirmed} are confirmed now.")
    drain(integration, "Confirmed deletions")


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


def a_schema_change(integration: Integration, sandbox: Sandbox) -> None:
    ingress = integration.ingress
    heading("A column disappears from Dynamics while it runs")
    print(ingress.schema_guard())
    sandbox.dynamics.drop_column("new_vehicle", "new_registeredon")
    sandbox.dynamics.update("new_vehicle", f"{1:08x}-0000-4000-8000-0000000cafe5", new_name="Renamed meanwhile")
    ingress.run_cycle(seconds=5)
    print(integration.workflows)
    contacts, filtered = ingress.definition.mappings
    kept = [one for one in filtered.fields if one.source != "new_registeredon"]
    ingress.edit(evolve(DEFINITION, mappings=[contacts, evolve(filtered, fields=kept)]), by="quickstart")
    ingress.start(by="quickstart")
    drain(integration, "After the definition was mended")


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


def compare(sandbox: Sandbox) -> int:
    """Both systems record by record, by rules written down here a second time; 0 when they are in step."""
    heading("Both systems, record by record")
    contacts = {
        row["contactid"]: [wanted(row, source) for source in FIELDS]
        for row in sandbox.dynamics.rows("contact", ["contactid", *FIELDS])
    }
    vehicles = {
        row["new_vehicleid"]: [
            *(wanted(row, source) for source in VEHICLE_FIELDS),
            spelled(row["_new_contactid_value"]),
        ]
        for row in sandbox.dynamics.rows(
            "new_vehicle", ["new_vehicleid", "new_make", "_new_contactid_value", *VEHICLE_FIELDS]
        )
        if row["new_make"] != SCRAPPED
    }
    return max(
        told("contacts", contacts, campaign_rows(sandbox, "profile", [*FIELDS.values()])),
        told("vehicles", vehicles, campaign_rows(sandbox, "cusVehicle", [*VEHICLE_FIELDS.values(), "ownerId"])),
    )


def campaign_rows(sandbox: Sandbox, resource: str, fields: list[str]) -> list[tuple[str, list[str]]]:
    rows = sandbox.campaign.rows(resource, ["externalId", *fields])
    return [(row["externalId"], [spelled(row.get(name)) for name in fields]) for row in rows]


def told(what: str, wanted: dict[str, list[str]], found: list[tuple[str, list[str]]]) -> int:
    there = dict(found)
    missing, extra = wanted.keys() - there.keys(), there.keys() - wanted.keys()
    different = sum(there[key] != wanted[key] for key in wanted.keys() & there.keys())
    twice = len(found) - len(there)
    in_step = not (missing or extra or different or twice)
    say(
        f"{'In step' if in_step else 'NOT in step'}: {len(wanted) - len(missing) - different:,} {what} are the same on "
        f"both sides, {different:,} differ, {len(missing):,} are missing in Campaign, {len(extra):,} are only there, "
        f"{twice:,} are there twice."
    )
    return 0 if in_step else 1


def wanted(row: dict[str, Any], source: str) -> str:
    value = row.get(source)
    if source in MONEY and value is not None:
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
