"""Bad input of every kind: each is told by what happened, where, and what to do next; and nothing is lost.

What is read as a whole is refused as a whole and the position stays; what one record is at fault for sets only that
record aside. After the trouble is mended the same workflow goes on, and both systems are in step.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from tests.ingress_room import MAPPING, dataverse, differences, drain, join

from syncline import FieldMapping, Filter, IngressDefinition, Integration, MemoryStorage, SQLiteStorage, TableMapping
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.definition_json import definition_from_json, definition_to_json
from syncline.definitions import Comparison
from syncline.errors import DefinitionError, StorageCorruptError, StorageMismatchError, SynclineError
from syncline.sandbox import Sandbox, people
from syncline.state_machine import WorkflowState
from syncline.store import WorkflowError
from syncline.workflows.checks import CheckResult

CROWD = 20
JSON = {"content_type": "application/json"}


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With a crowd in Dynamics."""
    sandbox.dynamics.load("contact", people(CROWD, 5, clean=True))
    return sandbox


@pytest.fixture
def integration(sandbox: Sandbox) -> Iterator[Integration]:
    """Joined, not started."""
    with join(sandbox, MemoryStorage(), dynamics=dataverse(sandbox, page_size=7)) as joined:
        yield joined
        assert joined.storage.audit(joined.ingress.id) == []


def failed(integration: Integration) -> WorkflowError:
    """Start, run, and return the error that it failed with."""
    if not integration.ingress.status.started:
        integration.ingress.start()
    assert drain(integration).status is WorkflowState.FAILED
    error = integration.ingress.error
    assert error is not None
    return error


def recovers(integration: Integration, sandbox: Sandbox) -> None:
    """Mended: the next start brings everything that was missing."""
    for system in (sandbox.dynamics, sandbox.campaign):
        system.clear_faults()
    integration.ingress.start()
    assert drain(integration).status is WorkflowState.RUNNING
    assert differences(sandbox) == []


# -- definitions ------------------------------------------------------------------------------------------------------


def lastname(**changes: Any) -> FieldMapping:
    return FieldMapping(**{"source": "lastname", "target": "lastName", **changes})


def test_a_mapping_with_an_unknown_field_names_it_and_the_likely_one(sandbox: Sandbox) -> None:
    """Both sides, all mistakes at once, each with its path; nothing was read."""
    fields = [lastname(source="lastnam"), lastname(source="firstname", target="frstName")]
    definition = IngressDefinition(mappings=[TableMapping(table="contact", resource="profile", fields=fields)])
    with join(sandbox, MemoryStorage(), definition=definition) as integration:
        error = failed(integration)
    for told in ("contact: fields and types", "mappings[0].fields[0].source", "lastnam", "Did you mean lastname?"):
        assert told in error.message
    assert "frstName" in error.message
    assert "Did you mean firstName?" in error.message


def test_two_fields_to_one_target_are_refused_where_they_are_written() -> None:
    """I3: with the path of the second and of the first."""
    with pytest.raises(DefinitionError, match=r"fields\[1\].*lastName.*fields\[0\]"):
        TableMapping(table="contact", resource="profile", fields=[lastname(), lastname(source="firstname")])


def test_a_bad_filter_is_told_with_its_path(sandbox: Sandbox) -> None:
    """A field that is not there, and a value that the field can never have."""
    filters = [
        Filter(field="statecod", comparison=Comparison.EQUALS, value=0),
        Filter(field="birthdate", comparison=Comparison.GREATER, value="yesterday"),
    ]
    definition = IngressDefinition(mappings=[evolve(MAPPING, filters=filters)])
    with join(sandbox, MemoryStorage(), definition=definition) as integration:
        error = failed(integration)
    for told in ("mappings[0].filters[0]", "statecod", "mappings[0].filters[1]", "birthdate"):
        assert told in error.message


def test_a_comparison_that_does_not_exist_is_told_with_its_path() -> None:
    """X5: a definition somebody wrote by hand."""
    text = definition_to_json(
        IngressDefinition(
            mappings=[evolve(MAPPING, filters=[Filter(field="x", comparison=Comparison.EQUALS, value=1)])]
        )
    ).replace('"equals"', '"resembles"')
    with pytest.raises(DefinitionError, match=r"mappings\[0\]\.filters\[0\]\.comparison"):
        definition_from_json(text)


# -- addresses --------------------------------------------------------------------------------------------------------

SECRET = ClientSecret("contoso.example", "8f1b9c52-0000-0000-0000-000000000001", "a-secret")
OAUTH = OAuthServerToServer("client", "a-secret")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://contoso.crm.dynamics.com", "not encrypted"),
        ("https://contoso.crm.dynamics.com/main.aspx", "without a path"),
        ("https://anna:pw@contoso.crm.dynamics.com", "without user"),
        ("https://", "look like https://host"),
        ("contoso.crm.dynamics.com", "look like https://host"),
        ("", "look like https://host"),
        ("https://contoso.crm.dynamics.com?x=1", "without user, query"),
        ("https://[::ffff:169.254.169.254]", "link-local"),
        ("https://169.254.169.254", "link-local"),
    ],
)
def test_a_wrong_address_of_dynamics_is_told_at_once(url: str, told: str) -> None:
    """Before anything is sent, by the name of the setting, and without repeating a password."""
    with pytest.raises(DefinitionError, match=told) as caught:
        Dataverse(url, SECRET)
    assert caught.value.path == "url"
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "path", "told"),
    [
        ({"base_url": "http://mc.adobe.io/contoso"}, "base_url", "not encrypted"),
        ({"base_url": "https://mc.adobe.io"}, "base_url", "before the organisation"),
        ({"base_url": "https://anna:pw@mc.adobe.io/contoso"}, "base_url", "without user"),
        ({"auth": evolve(OAUTH, ims_url="http://ims.example")}, "ims_url", "not encrypted"),
        ({"auth": evolve(OAUTH, ims_url="ims.example")}, "ims_url", "look like https://host"),
        ({"also_trusted": ["http://elsewhere.example/x"]}, "also_trusted", "not encrypted"),
    ],
)
def test_a_wrong_address_of_campaign_is_told_at_once(settings: dict[str, Any], path: str, told: str) -> None:
    """Which of the addresses it is, and what it should look like."""
    with pytest.raises(DefinitionError, match=told) as caught:
        CampaignStandard(**{"base_url": "https://mc.adobe.io/contoso", "auth": OAUTH, **settings})
    assert caught.value.path == path
    assert "pw" not in str(caught.value)


def test_an_identity_service_without_encryption_is_told_at_once() -> None:
    """The authority's address is named as such."""
    with pytest.raises(DefinitionError, match="not encrypted") as caught:
        Dataverse("https://contoso.crm.dynamics.com", evolve(SECRET, authority_url="http://login.example"))
    assert caught.value.path == "authority_url"


def wrong_dynamics(sandbox: Sandbox, **changes: Any) -> Dataverse:
    secret = ClientSecret(
        changes.get("tenant", sandbox.tenant_id),
        changes.get("client_id", sandbox.client_id),
        changes.get("secret", sandbox.client_secret),
        authority_url=sandbox.authority_url,
    )
    return Dataverse(changes.get("url", sandbox.dynamics_url), secret, allow_loopback_http=True)


def wrong_campaign(sandbox: Sandbox, **changes: Any) -> CampaignStandard:
    secret = OAuthServerToServer(
        changes.get("client_id", sandbox.campaign_client_id),
        changes.get("secret", sandbox.campaign_client_secret),
        ims_url=changes.get("ims_url", sandbox.ims_url),
    )
    return CampaignStandard(changes.get("url", sandbox.campaign_url), secret, allow_loopback_http=True)


@pytest.mark.parametrize(
    ("side", "make", "told"),
    [
        ("Dynamics 365", lambda s: {"dynamics": wrong_dynamics(s, secret="wr0ng")}, "secret or certificate"),
        ("Dynamics 365", lambda s: {"dynamics": wrong_dynamics(s, client_id="wr0ng")}, "Entra ID"),
        ("Campaign", lambda s: {"campaign": wrong_campaign(s, secret="wr0ng")}, "client id and secret"),
        ("Campaign", lambda s: {"campaign": wrong_campaign(s, client_id="wr0ng")}, "client id and secret"),
        ("Campaign", lambda s: {"campaign": wrong_campaign(s, ims_url=s.dynamics_url)}, "ims_url"),
        ("Campaign", lambda s: {"campaign": wrong_campaign(s, url=f"{s.dynamics_url}/contoso")}, "address"),
        ("Dynamics 365", lambda s: {"dynamics": wrong_dynamics(s, url=s.campaign_url.removesuffix("/contoso"))}, ""),
    ],
    ids=["secret", "application", "Adobe's secret", "Adobe's client", "no IMS", "Dynamics as Campaign", "the reverse"],
)
def test_wrong_credentials_or_another_services_host_fail_the_check(
    sandbox: Sandbox, side: str, make: Callable[[Sandbox], dict[str, Any]], told: str
) -> None:
    """W9: which side, what is wrong, what to do; the credential itself is never repeated."""
    with join(sandbox, MemoryStorage(), **make(sandbox)) as integration:
        checks = {check.name: check for check in integration.ingress.check()}
        error = failed(integration)
    wrong = checks[f"{side}: credentials"]
    assert wrong.result is CheckResult.FAILED
    assert wrong.remedy
    assert told in str(wrong)
    assert str(wrong) in error.message
    assert "wr0ng" not in error.message


def test_a_missing_file_of_authorities_fails_the_check(sandbox: Sandbox, tmp_path: Path) -> None:
    """A set-up that broke on disk is told like any other."""
    with Sandbox(tls=True) as encrypted:
        secret = ClientSecret(
            encrypted.tenant_id,
            encrypted.client_id,
            encrypted.client_secret,
            authority_url=encrypted.authority_https_url,
        )
        broken = Dataverse(encrypted.dynamics_https_url, secret, ca_file=str(tmp_path / "gone.pem"))
        with join(sandbox, MemoryStorage(), dynamics=broken) as integration:
            error = failed(integration)
    assert "certificate authorities cannot be read" in error.message
    assert "PEM" in error.message


def test_a_table_without_change_tracking_fails_the_check_with_where_to_turn_it_on(sandbox: Sandbox) -> None:
    """W9: and the start succeeds once it is on."""
    sandbox.dynamics.set_change_tracking("contact", False)
    with join(sandbox, MemoryStorage()) as integration:
        error = failed(integration)
        assert "contact: change tracking: is off" in error.message
        assert "Turn on change tracking" in error.message
        sandbox.dynamics.set_change_tracking("contact", True)
        recovers(integration, sandbox)


# -- databases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (b"Once upon a time " * 300, StorageCorruptError, "not a database"),
        (b"", StorageCorruptError, "is empty"),
    ],
)
def test_a_file_that_is_no_database_is_left_alone(
    sandbox: Sandbox, tmp_path: Path, content: bytes, kind: type[SynclineError], told: str
) -> None:
    """The file's name, what was found and a remedy, at the first use; the file stays as it is."""
    path = tmp_path / "syncline.db"
    path.write_bytes(content)
    with join(sandbox, path) as integration, pytest.raises(kind, match=told) as caught:
        integration.ingress.start()
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert path.read_bytes() == content


def test_somebody_elses_database_is_left_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """A sound SQLite file of another program."""
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with join(sandbox, path) as integration, pytest.raises(StorageMismatchError, match="not one of Syncline") as caught:
        integration.ingress.start()
    assert "another path" in caught.value.remedy
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_planted_link_beside_the_database_is_not_written_through(tmp_path: Path, suffix: str) -> None:
    """S-15: SQLite follows a link in the place of its log; what it points to must survive."""
    path, victim = tmp_path / "syncline.db", tmp_path / "victim"
    storage = SQLiteStorage(path)
    storage.register("ingress", "{}")
    storage.close()
    victim.write_bytes(b"precious" * 100)
    path.with_name(path.name + suffix).symlink_to(victim)
    again = SQLiteStorage(path)
    with pytest.raises(SynclineError, match="symbolic link"):
        again.register("other", "{}")
    again.close()
    assert victim.read_bytes() == b"precious" * 100


# -- values over real HTTP --------------------------------------------------------------------------------------------


def page_of(sandbox: Sandbox, link: str | None = None) -> dict[str, Any]:
    """What Dynamics answers to the first request of a tracked load, or to a link, as it is on the wire."""
    with httpx.Client(trust_env=False) as http:
        form = {
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "grant_type": "client_credentials",
            "scope": f"{sandbox.dynamics_url}/.default",
        }
        token = http.post(f"{sandbox.authority_url}/{sandbox.tenant_id}/oauth2/v2.0/token", data=form).json()
        columns = ",".join(sorted({one.source for one in MAPPING.fields}))
        answer = http.get(
            link or f"{sandbox.dynamics_url}/api/data/v9.2/contacts?$select={columns}",
            headers={
                "Authorization": f"Bearer {token['access_token']}",
                "Prefer": "odata.track-changes,odata.maxpagesize=7",
            },
        )
    page: dict[str, Any] = answer.json()
    assert page["value"]
    return page


def serve_once(sandbox: Sandbox, page: dict[str, Any] | str) -> None:
    """Let the next read of contacts be answered with this page."""
    body = page if isinstance(page, str) else json.dumps(page)
    headers = {"content-type": "application/json; odata.metadata=minimal"}
    sandbox.dynamics.add_fault("answer", path="contacts[?]", count=1, body=body, headers=headers)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x" * 10_000_000, "10000000 characters"),
        ("half \ud83d a smile", "half a character"),
        ("bell \x07", "control characters"),
        (["a", "list"], "lastname"),
        ({"an": "object"}, "lastname"),
        (True, "lastname"),
    ],
    ids=["10 MB", "lone surrogate", "control character", "list", "object", "boolean"],
)
def test_one_impossible_value_sets_one_record_aside(
    integration: Integration, sandbox: Sandbox, value: object, told: str
) -> None:
    """The dead letter names record and field and what to do; the page's other records arrive; a retry mends it."""
    integration.ingress.start()
    drain(integration)
    for row in page_of(sandbox)["value"]:
        sandbox.dynamics.update("contact", row["contactid"], lastname="Meanwhile")
    page = page_of(sandbox, integration.storage.positions(integration.ingress.id)["contact"].link)
    odd = page["value"][3]
    odd["lastname"] = value
    serve_once(sandbox, page)

    assert drain(integration).status is WorkflowState.RUNNING

    (letter,) = integration.ingress.dead_letters
    assert (letter.key.id, letter.field) == (odd["contactid"], "lastname")
    assert told in letter.message
    assert "in Dynamics" in letter.message
    assert letter.payload is not None
    assert json.loads(letter.payload)["lastname"] == value
    assert len(differences(sandbox)) == 1
    integration.ingress.dead_letters.retry()
    drain(integration)
    assert differences(sandbox) == []


def with_two_keys(page: dict[str, Any]) -> str:
    return json.dumps(page).replace('"lastname":', '"lastname": "Twice", "lastname":', 1)


#: What is no page: how it is made of a good one, and what must be told.
NO_PAGES: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "NaN": (lambda page: json.dumps(page).replace('"lastname": "', '"a": NaN, "lastname": "', 1), "NaN"),
    "Infinity": (
        lambda page: json.dumps(page).replace('"lastname": "', '"a": -Infinity, "lastname": "', 1),
        "Infinity",
    ),
    "a key twice": (with_two_keys, "two equal keys"),
    "100,000 deep": (lambda _: '{"value":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "empty": (lambda _: "", "cannot be used"),
    "cut off": (lambda page: json.dumps(page)[:700], "not JSON from character"),
    "a page": (lambda _: "<!DOCTYPE html><title>Sign in</title>", "a page to sign in at"),
    "a list": (lambda page: json.dumps(page["value"]), "not a page of contact"),
    "null": (lambda _: "null", "not a page of contact"),
    "rows that are none": (lambda page: json.dumps({**page, "value": [1, 2]}), "without its primary key"),
    "rows without ids": (lambda page: json.dumps({**page, "value": [{"lastname": "X"}]}), "without its primary key"),
    "no link": (lambda page: json.dumps({"value": page["value"]}), "without a delta link"),
    "a delta link elsewhere": (
        lambda page: json.dumps({"value": page["value"], "@odata.deltaLink": "https://evil.example/x?$deltatoken=1"}),
        "https://evil.example",
    ),
    "a next link elsewhere": (
        lambda page: json.dumps({"value": page["value"], "@odata.nextLink": "https://evil.example/x"}),
        "https://evil.example",
    ),
    "a link that is none": (lambda page: json.dumps({"value": page["value"], "@odata.nextLink": 7}), "read safely"),
}


@pytest.mark.parametrize("name", NO_PAGES)
@pytest.mark.parametrize("when", ["first load", "afterwards"])
def test_what_is_no_page_is_refused_as_a_whole(
    integration: Integration, sandbox: Sandbox, name: str, when: str
) -> None:
    """F-50: FAILED with the table, what came and what to do; the position stays, and the next start misses nothing."""
    make, told = NO_PAGES[name]
    page = page_of(sandbox)
    before = {}
    integration.ingress.start()
    if when == "afterwards":
        drain(integration)
        before = dict(integration.storage.positions(integration.ingress.id))
        sandbox.dynamics.update("contact", page["value"][0]["contactid"], lastname="Meanwhile")
    # Pages only: the checks, and looks at the schema, ask for one row.
    sandbox.dynamics.add_fault("answer", path=r"contacts[?](?!.*top=1\b)", body=make(page))

    error = failed(integration)

    assert (error.kind, error.about) in {("ProtocolError", "contact"), ("UntrustedUrlError", "contact")}
    assert told in error.message
    assert error.remedy
    assert dict(integration.storage.positions(integration.ingress.id)) == before
    recovers(integration, sandbox)


@pytest.mark.parametrize("name", ["a page", "cut off", "NaN", "empty", "a list"])
@pytest.mark.parametrize("when", ["in the check", "in mid run"])
def test_what_is_no_answer_of_campaign_stops_with_a_message(
    integration: Integration, sandbox: Sandbox, name: str, when: str
) -> None:
    """A look-up that cannot be read never counts as "not there": everything stays queued until it can."""
    bodies = {"a page": "<html>Sign in</html>", "cut off": '{"content": [', "NaN": '{"content": NaN}', "empty": ""}
    body = bodies.get(name, "[1]")
    if when == "in mid run":
        integration.ingress.start()
        drain(integration)
        for row in list(sandbox.dynamics.rows("contact", ["contactid"]))[:5]:
            sandbox.dynamics.update("contact", row["contactid"], lastname="Later")
        sandbox.campaign.add_fault("answer", method="GET", path="byExternalId", body=body)
    else:
        sandbox.campaign.add_fault("answer", method="GET", path="profile", body=body)

    error = failed(integration)

    assert "Campaign" in error.message or sandbox.campaign_url.removesuffix("/contoso") in error.message
    assert error.remedy
    if when == "in mid run":
        assert error.about.startswith("contact(")
        assert integration.ingress.backlog.size == 5
    assert len(integration.ingress.dead_letters) == 0
    recovers(integration, sandbox)


@pytest.mark.parametrize("side", ["dynamics", "campaign"])
def test_a_page_instead_of_json_in_the_check_is_told(integration: Integration, sandbox: Sandbox, side: str) -> None:
    """Whichever service a proxy speaks for, and at whichever question of the check."""
    getattr(sandbox, side).add_fault("login_page", path="WhoAmI|EntityDefinitions|campaign/")

    error = failed(integration)

    assert "cannot be used (status 200, text/html" in error.message or "Campaign" in error.message
    assert "proxy and firewall" in error.message
    recovers(integration, sandbox)
