"""What values of each kind become in Campaign, over the wire of both systems: technical or label, dates, languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.ingress_room import drain, join

from syncline import FieldMapping, FieldReplacement, IngressDefinition, MemoryStorage, TableMapping
from syncline.sandbox import Sandbox
from syncline.state_machine import WorkflowState

ANN = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa"
ACME = "bbbbbbbb-2222-4222-8222-bbbbbbbbbbbb"
TIERS = [
    {"value": 1, "label": "Gold", "translations": {"1031": "Goldstufe"}},
    {"value": 2, "label": "Silver"},
]
#: Dynamics column, its value on the wire, and the Campaign field of a kind that it is written to.
VALUES = {
    "gendercode": (2, "cusText1"),
    "new_interests": ("1,8", "cusText2"),
    "parentcustomerid": (ACME, "cusText3"),
    "donotemail": (True, "cusText4"),
    "birthdate": ("1980-10-24", "cusDay1"),
    "lastusedincampaign": ("2026-03-28T23:30:00Z", "cusDay2"),
    "new_appointment": ("2026-03-28T23:30:00Z", "cusDay3"),
    "anniversary": ("2026-07-01", "cusMoment"),
    "new_score": ("12.50", "cusNumber"),
    "numberofchildren": (1, "cusFlag"),
    "new_tier": (1, "cusText5"),
    "description": (None, "cusText6"),
}
KINDS = {"cusDay": "date", "cusMoment": "datetime", "cusNumber": "float", "cusFlag": "boolean"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Sandbox]:
    """Both systems, with one person who has a value of every kind."""
    with Sandbox() as running:
        dynamics = running.dynamics
        dynamics.add_column("contact", "new_tier", "Picklist", options=TIERS)
        for _, field in VALUES.values():
            kind = next((kind for prefix, kind in KINDS.items() if field.startswith(prefix)), "string")
            running.campaign.add_field("profile", field, kind)
        dynamics.load("account", [{"accountid": ACME, "name": "Acme"}])
        row = {column: value for column, (value, _) in VALUES.items() if column != "parentcustomerid"}
        kind = "_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"
        lookup = {"_parentcustomerid_value": ACME, kind: "account"}
        dynamics.load("contact", [{"contactid": ANN, "lastname": "Ann", **row, **lookup}])
        yield running


def written(sandbox: Sandbox, definition: dict[str, Any], mapping: dict[str, Any]) -> dict[str, Any]:
    """Ann in Campaign after a first load under these rules, by Dynamics column."""
    sandbox.campaign.clear("profile")
    fields = [FieldMapping(source=column, target=field) for column, (_, field) in VALUES.items()]
    table = TableMapping(table="contact", resource="profile", fields=fields, **mapping)
    integration = join(sandbox, MemoryStorage(), definition=IngressDefinition(mappings=[table], **definition))
    integration.ingress.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert [letter.message for letter in integration.ingress.dead_letters] == []
    integration.close()
    profile = sandbox.campaign.get("profile", ANN)
    assert profile is not None
    return {column: profile[field] for column, (_, field) in VALUES.items()}


def test_technical_values(servers: Sandbox) -> None:
    """I8 off: numbers of options, several with commas, a lookup's id, booleans as words where text is wanted."""
    found = written(servers, {}, {})
    assert found == {
        "gendercode": "2",
        "new_interests": "1,8",
        "parentcustomerid": ACME,
        "donotemail": "true",
        "birthdate": "1980-10-24",
        "lastusedincampaign": "2026-03-28",
        "new_appointment": "2026-03-28",
        "anniversary": "2026-07-01 00:00:00.000Z",
        "new_score": 12.5,
        "numberofchildren": True,
        "new_tier": "1",
        "description": "",
    }


def test_labels(servers: Sandbox) -> None:
    """I8 on: labels as metadata has them, several joined as Dynamics shows them; everything else as before."""
    found = written(servers, {}, {"labels": True})
    told = {name: found[name] for name in ("gendercode", "new_interests", "donotemail", "new_tier", "new_score")}
    assert told == {
        "gendercode": "Female",
        "new_interests": "Sports; Food",
        "donotemail": "Do Not Allow",
        "new_tier": "Gold",
        "new_score": 12.5,
    }


def test_labels_in_another_language(servers: Sandbox) -> None:
    """The language is a setting; an option without a label in it goes by the user's own language."""
    found = written(servers, {"label_language": 1031}, {"labels": True})
    assert (found["new_tier"], found["gendercode"]) == ("Goldstufe", "Female")


def test_the_time_zone_decides_on_dates(servers: Sandbox) -> None:
    """I4: the day a moment falls on in the zone, and midnight of a day there; what has no zone keeps its digits."""
    found = written(servers, {"time_zone": "Europe/Paris"}, {})
    assert found["lastusedincampaign"] == "2026-03-29"
    assert found["new_appointment"] == "2026-03-28", "its Z is no time zone"
    assert found["birthdate"] == "1980-10-24"
    assert found["anniversary"] == "2026-06-30 22:00:00.000Z"


@pytest.mark.parametrize(("gender", "flag", "tier"), [(2, True, 1), ("Female", "Do Not Allow", "gold")])
@pytest.mark.parametrize("labels", [False, True])
def test_replacements_name_values_or_labels(
    servers: Sandbox, gender: object, flag: object, tier: object, labels: bool
) -> None:
    """I5: the value as stored or as shown, whatever the mapping writes otherwise, and nothing for an empty field."""
    replaced: list[tuple[str, Any, str]] = [
        ("gendercode", gender, "F"),
        ("donotemail", flag, "no mail"),
        ("new_tier", tier, "#FFD700"),
        ("description", None, "nothing said"),
        ("new_score", "12.5", "99"),
    ]
    replacements = [FieldReplacement(field=name, value=value, replacement=new) for name, value, new in replaced]
    found = written(servers, {}, {"labels": labels, "replacements": replacements})
    told = tuple(found[name] for name in ("gendercode", "donotemail", "new_tier", "description", "new_score"))
    assert told == ("F", "no mail", "#FFD700", "nothing said", 99.0)
