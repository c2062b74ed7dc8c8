"""All of Syncline in under a minute: both systems on loopback, 20,000 contacts, and a comparison at the end.

Run it with `python examples/quickstart.py`. `--contacts` changes how many people there are, `--plant-difference`
changes a profile in Campaign behind Syncline's back just before the comparison, which must then find it.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
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
    OptOutDefinition,
    OptOutDirection,
    OptOutPair,
    SQLiteStorage,
    TableMapping,
    Workflow,
)
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.connectors.file_drop import FileDrop
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
OPT_OUTS = {"donotbulkemail": "blackListEmail", "donotphone": "blackListPhone"}
TIMELINE = {name: f"adobe_email{name}" for name in ("send", "open", "click", "bounce")}
READERS = 1_000
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
        crowd = [
            {**person, **one_in_forty(number)} for number, person in enumerate(people(options.contacts, 7, clean=True))
        ]
        sandbox.dynamics.load("contact", crowd)
        sandbox.dynamics.load("new_vehicle", vehicles(crowd))
        say(f"{len(crowd):,} contacts and {VEHICLES:,} vehicles are in Dynamics 365, none in Campaign.")
        exports = Path(folder) / "exports"
        exports.mkdir()
        with connect(sandbox, Path(folder) / "syncline.db", exports) as integration:
            first_load(integration)
            changes_and_an_edit(integration, sandbox, crowd)
            a_record_that_is_refused(integration, sandbox, crowd)
            a_schema_change(integration, sandbox)
            events(integration, sandbox, exports)
            opt_outs(integration, sandbox, crowd)
            print(integration.workflows)
            if options.plant_difference:
                sandbox.campaign.update("profile", crowd[1]["contactid"], lastName="Planted")
                say("Planted a difference in one profile.")
            return compare(sandbox, exports)


def one_in_forty(number: int) -> dict[str, Any]:
    """Whether somebody has opted out."""
    return dict.fromkeys(OPT_OUTS, number % 40 == 0)


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


def connect(sandbox: Sandbox, database: Path, exports: Path) -> Integration:
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
        events=FileDrop(exports, quiet=timedelta(0)),
        opt_out=OptOutDefinition(
            direction=OptOutDirection.BIDIRECTIONAL,
            pairs=[OptOutPair(dynamics=source, campaign=target) for source, target in OPT_OUTS.items()],
        ),
    )


def first_load(integration: Integration) -> None:
    ingress = integration.ingress
    heading("Check, start, first load")
    print(ingress.check())
    ingress.start()
    print(integration.workflows)
    drain(ingress, "First load")
    print(integration.workflows)


def changes_and_an_edit(integration: Integration, sandbox: Sandbox, crowd: list[dict[str, Any]]) -> None:
    ingress = integration.ingress
    heading("Changes, additions, deletions, and an edit while it runs")
    for person in crowd[:300]:
        sandbox.dynamics.update("contact", person["contactid"], lastname="Changed")
    sandbox.dynamics.load("contact", ({**person, **one_in_forty(1)} for person in people(200, 8, clean=True)))
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
    drain(ingress, "Changes, by the definition that runs")

    say("What the edited definition would do to the first vehicles:")
    print(ingress.preview(table="new_vehicle", limit=6))
    print(ingress.forecast(replay=["new_vehicle"], exact=True))
    ingress.replay("new_vehicle", by="quickstart")
    ingress.stop(by="quickstart")
    say(f"Stopped: the status is {ingress.status}.")
    ingress.start(by="quickstart")
    drain(ingress, "Replay of the vehicles, by the edited definition")
    print(integration.workflows)
    confirmed = ingress.confirm_deletes("new_vehicle", by="quickstart")
    say(f"That many deletions are held until somebody confirms them: {confirmed} are confirmed now.")
    drain(ingress, "Confirmed deletions")


def a_record_that_is_refused(integration: Integration, sandbox: Sandbox, crowd: list[dict[str, Any]]) -> None:
    ingress = integration.ingress
    heading("A record that Campaign refuses")
    person = crowd[0]["contactid"]
    sandbox.campaign.refuse("profile", person)
    sandbox.dynamics.update("contact", person, firstname="Mended")
    sandbox.dynamics.update("contact", crowd[1]["contactid"], firstname="Unhindered")
    drain(ingress, "One refused, one not")
    print(ingress.dead_letters)
    sandbox.campaign.accept("profile", person)
    say(f"Campaign takes it again; {ingress.dead_letters.retry(by='quickstart')} dead letter to retry.")
    drain(ingress, "Retry")
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
    drain(ingress, "After the definition was mended")


def events(integration: Integration, sandbox: Sandbox, exports: Path) -> None:
    egress = integration.egress
    heading("Sends, opens, clicks and bounces become activities in Dynamics")
    readers = [row["contactid"] for row in sandbox.dynamics.rows("contact", ["contactid"])][:READERS]
    exported = sandbox.campaign.export_logs(exports, people=readers)
    for file in exported.files:  # as an export that ran once more
        shutil.copy(file, file.with_stem(f"{file.stem}_again"))
    say(f"Campaign exported {exported.events:,} events in {len(exported.files)} files, and then all of them again.")
    print(egress.check())
    egress.start(by="quickstart")
    drain(egress, "Events")


def opt_outs(integration: Integration, sandbox: Sandbox, crowd: list[dict[str, Any]]) -> None:
    consent = integration.opt_out
    heading("Opt-outs in both directions")
    for person in crowd[300:320]:
        sandbox.dynamics.update("contact", person["contactid"], donotbulkemail=True)
    for person in crowd[310:340]:
        sandbox.campaign.update("profile", person["contactid"], blackListPhone=True)
    say("20 people opted out of e-mail in Dynamics, 30 of phone calls in Campaign.")
    print(consent.check())
    consent.start(by="quickstart")
    drain(consent, "Opt-outs")
    print(consent.why(crowd[310]["contactid"]))


def drain(workflow: Workflow[Any], title: str) -> None:
    """What a scheduler does, with a progress bar: one short cycle after the other until everything is in step."""
    began, written = time.monotonic(), 0
    with progress_bar(title) as bar:
        while True:
            report = workflow.run_cycle(seconds=1)
            written += report.written
            bar.update(workflow.backlog)
            if not report.status.started:
                raise SystemExit(f"{workflow.status}: {workflow.error}")
            if report.end.name != "BUDGET":
                break
    seconds = time.monotonic() - began
    say(f"{title}: {written:,} records written in {seconds:.1f} s ({report.end.value}).")


def compare(sandbox: Sandbox, exports: Path) -> int:
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
    consents = [*OPT_OUTS.values()]
    choices = {
        row["contactid"]: [spelled(row[source]) for source in OPT_OUTS]
        for row in sandbox.dynamics.rows("contact", ["contactid", *OPT_OUTS])
    }
    timeline = Counter(
        (kind, row["_regardingobjectid_value"])
        for kind, table in TIMELINE.items()
        for row in sandbox.dynamics.rows(table, ["_regardingobjectid_value"])
    )
    return max(
        told("contacts", contacts, campaign_rows(sandbox, "profile", [*FIELDS.values()])),
        told("vehicles", vehicles, campaign_rows(sandbox, "cusVehicle", [*VEHICLE_FIELDS.values(), "ownerId"])),
        told("people's opt-outs", choices, campaign_rows(sandbox, "profile", consents)),
        told("people's events of a kind", exported_events(exports), [*timeline.items()], where="on the timeline"),
    )


def exported_events(exports: Path) -> Counter[tuple[str, str]]:
    """How many events of each kind each person has in the files, by Campaign's own codes; a log counts once."""
    found = set()
    for file in exports.glob("*.csv"):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                kind = kind_of(row)
                if kind:
                    found.add((kind, row["logId"], row["externalId"]))
    return Counter((kind, person) for kind, _, person in found)


def kind_of(row: dict[str, str]) -> str:
    if "urlType" in row:
        return {"1": "click", "2": "open"}.get(row["urlType"], "")
    if row["status"] == "1":
        return "send"
    # A failure of the second type is a hard one; reason 8 is the denylist, which sent nothing.
    return "bounce" if (row["status"], row["failureType"]) == ("2", "2") and row["failureReason"] != "8" else ""


def campaign_rows(sandbox: Sandbox, resource: str, fields: list[str]) -> list[tuple[Any, Any]]:
    rows = sandbox.campaign.rows(resource, ["externalId", *fields])
    return [(row["externalId"], [spelled(row.get(name)) for name in fields]) for row in rows]


def told(what: str, wanted: Mapping[Any, Any], found: list[tuple[Any, Any]], *, where: str = "in Campaign") -> int:
    there = dict(found)
    missing, extra = wanted.keys() - there.keys(), there.keys() - wanted.keys()
    different = sum(there[key] != wanted[key] for key in wanted.keys() & there.keys())
    twice = len(found) - len(there)
    in_step = not (missing or extra or different or twice)
    say(
        f"{'In step' if in_step else 'NOT in step'}: {len(wanted) - len(missing) - different:,} {what} are the same on "
        f"both sides, {different:,} differ, {len(missing):,} are missing {where}, {len(extra):,} are only there, "
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
    if value in (None, "", 0):  # False is one of them
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
