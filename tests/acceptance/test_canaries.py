"""Unique secrets and unique people go through every kind of trouble; then everything that was said is searched.

Nothing a host may log, print, store or show holds a secret, and nothing but the stored payloads holds a person's words.
"""

from __future__ import annotations

import gc
import json
import logging
import pickle
import sqlite3
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from tests.canary import Canary
from tests.ingress_room import campaign, dataverse, drain, join

from syncline import Integration, MemoryStorage
from syncline.connectors.campaign import CampaignStandard
from syncline.connectors.dynamics import Dataverse
from syncline.connectors.http import Secret
from syncline.definition_json import definition_from_json
from syncline.errors import DefinitionError, RetryLaterError, SynclineError
from syncline.instrumentation import DeadLettered, Notice
from syncline.records import ReadRequest, ReadStage, RecordKey
from syncline.sandbox import Sandbox, people
from syncline.schemas import TableSchema
from syncline.state_machine import WorkflowState
from syncline.workflows.settings import EngineSettings

pytestmark = pytest.mark.once

#: Part of everything personal in here, and of nothing else.
PERSONAL = "qxkanarie"
NAME, MAIL, PHONE = f"Anna {PERSONAL}", f"anna@{PERSONAL}.example", "+49 30 5550198230"
MARKS = (PERSONAL, "5550198230")
PEOPLE = 12
COLUMNS = ("firstname", "lastname", "emailaddress1", "mobilephone")
WORDS = f"{NAME}, {MAIL}, {PHONE}"
QUOTED = json.dumps(WORDS)
PAGE = f"<html><head><title>{NAME}</title></head><body>Your record {WORDS} was blocked.</body></html>"
HTML = {"content_type": "text/html"}
RECORD = f'{{"externalId":"1","email":"{MAIL}","firstName":"{NAME}"'

#: Answers that repeat what they were asked, or what they hold: name, options of the sandbox's `fail`.
ECHOES: dict[str, dict[str, Any]] = {
    "a page": {"status": 200, "body": PAGE, **HTML},
    "a page that forbids": {"status": 403, "body": PAGE, **HTML},
    "a page that fails": {"status": 500, "body": PAGE, **HTML},
    "a page of the gateway": {"status": 502, "body": PAGE, **HTML},
    "a page in text": {"status": 200, "body": WORDS, "content_type": "text/plain"},
    "records called a page": {"status": 200, "body": f'{{"value":[{RECORD}', **HTML},
    "cut off": {"status": 200, "body": f'{{"value":[{RECORD}'},
    "not a number": {"status": 200, "body": f'{{"value":[{RECORD},"a":NaN}}]}}'},
    "a key twice": {"status": 200, "body": f'{{"value":[{RECORD},"email":"{MAIL}"}}]}}'},
    "no record": {"status": 200, "body": f'{{"value":[{QUOTED}],"content":[{QUOTED}]}}'},
    "no key": {"status": 200, "body": f'{{"value":[{RECORD}}}],"content":[{RECORD}}}]}}'},
    "a list": {"status": 200, "body": f"[{QUOTED}]"},
    "a text": {"status": 200, "body": QUOTED},
    "a foreign link": {
        "status": 200,
        "body": json.dumps({"value": [], "content": [], "@odata.nextLink": f"https://evil.example/{MAIL}"}),
    },
    "the engine": {"status": 500, "body": json.dumps(f"RST-360011 An error has occurred: {WORDS}")},
    "the engine's policy": {"status": 500, "body": json.dumps(f"XTK-170049 The value '{WORDS}' is not valid")},
    "the engine's field": {
        "status": 500,
        "body": json.dumps(f"The value '{WORDS}' is not valid for the '{MAIL}' enumeration of the '@{NAME}' field"),
    },
    "the database": {"status": 500, "body": json.dumps(f"PGS-220000 ERROR: value too long: {WORDS}")},
    "a duplicate": {"status": 500, "body": json.dumps(f"PGS-220000 duplicate key (semail)=({MAIL}) already exists.")},
    "no document": {"status": 404, "body": json.dumps(f"Unable to find document with path '{PERSONAL}' from '{MAIL}'")},
    "the gateway": {"status": 403, "body": json.dumps({"error_code": "403023", "message": WORDS})},
    "the gateway's number": {"status": 400, "body": json.dumps({"code": 400, "message": WORDS})},
    "Dataverse": {"status": 400, "body": json.dumps({"error": {"code": "0x80040203", "message": WORDS}})},
    "Dataverse's column": {
        "status": 400,
        "body": json.dumps({"error": {"code": "0x0", "message": f"Could not find a property named '{PERSONAL}'"}}),
    },
    "Dataverse's plug-in": {"status": 400, "body": json.dumps({"error": {"code": WORDS, "message": WORDS}})},
    "an odd status": {"status": 418, "body": QUOTED},
    "gone": {"status": 410, "body": QUOTED},
    "conflict": {"status": 412, "body": QUOTED},
}
REDIRECT = {"location": f"https://elsewhere.example/{PERSONAL}?mail={MAIL}"}


class Heard(logging.Handler):
    """Keeps every log record of every logger as a host's formatter could write it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{logging.Formatter().format(record)} {record.__dict__!r}")


@define
class Witness:
    """Collects everything that Syncline says, and every secret there is meanwhile."""

    heard: Heard = field(factory=Heard)
    notices: list[Notice] = field(factory=list)
    said: list[str] = field(factory=list)
    secrets: set[str] = field(factory=set)

    def see(self, *things: object) -> None:
        """Every form in which a host may print them."""
        for thing in things:
            self.said += [repr(thing), str(thing), f"{thing}"]

    def see_error(self, error: BaseException) -> None:
        """As logging, tracebacks and error reporters show an error, causes included."""
        self.see(error, error.args, getattr(error, "__dict__", {}))
        self.said += traceback.format_exception(error)

    def see_all_of(self, integration: Integration) -> None:
        """What a host's page, notebook or support bundle would show."""
        workflow = integration.ingress
        view = workflow.view
        self.see(integration, integration.dynamics, integration.campaign, integration.storage, workflow, view)
        self.see(integration.workflows, integration.workflows.as_data(), integration.workflows._repr_html_())
        self.see(workflow.backlog, workflow.backlog.as_data(), workflow.error, workflow.definition)
        self.see(workflow.dead_letters, *workflow.dead_letters, *workflow.history)
        self.see(integration.storage.counts(workflow.id), *integration.storage.positions(workflow.id).values())
        self.note_secrets()

    def note_secrets(self) -> None:
        """Every secret alive in this process: what was configured, and the tokens of the moment."""
        found = (thing.reveal() for thing in gc.get_objects() if isinstance(thing, Secret))
        self.secrets.update(value for value in found if len(value) >= 12)

    @property
    def everything(self) -> str:
        told = [part for notice in self.notices for part in (repr(notice), str(notice), notice.summary())]
        return "\n".join([*self.said, *told, *self.heard.said])

    def leaks(self, marks: tuple[str, ...] = MARKS) -> list[str]:
        """Each place where a personal value or a secret shows, with what stands around it."""
        self.note_secrets()
        text = self.everything
        lowered = text.lower()
        found = []
        for mark in (*marks, *self.secrets):
            if (at := lowered.find(mark.lower())) >= 0:
                found.append(text[max(0, at - 200) : at + 100])
        return found


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    """With people of our own in Dynamics."""
    sandbox.dynamics.load("contact", [person(number) for number in range(PEOPLE)])
    return sandbox


@pytest.fixture
def witness(sandbox: Sandbox) -> Iterator[Witness]:
    """Listens to every logger at every level."""
    listening = Witness()
    listening.secrets |= {sandbox.client_secret, sandbox.campaign_client_secret}
    root = logging.getLogger()
    level = root.level
    root.addHandler(listening.heard)
    root.setLevel(logging.DEBUG)
    # The sandbox's own servers and event loop are not Syncline.
    quiet = [logging.getLogger(name) for name in ("asyncio", "uvicorn", "httpx", "httpcore")]
    kept = [logger.level for logger in quiet]
    for logger in quiet:
        logger.setLevel(logging.CRITICAL)
    yield listening
    for logger, before in zip(quiet, kept, strict=True):
        logger.setLevel(before)
    root.setLevel(level)
    root.removeHandler(listening.heard)


def key(number: int) -> str:
    return f"{number:08d}-0000-4000-8000-00000000cafe"


def person(number: int, **values: object) -> dict[str, Any]:
    return {
        "contactid": key(number),
        "firstname": f"{PERSONAL}{number}",
        "lastname": f"{PERSONAL}{number} von",
        "emailaddress1": f"{number}@{PERSONAL}.example",
        "mobilephone": PHONE,
        **values,
    }


def settings() -> EngineSettings:
    """Few attempts without long waits, so that exhausted records are seen as well."""
    from datetime import timedelta

    soon = timedelta(milliseconds=10)
    return EngineSettings(max_attempts=2, retry_first=soon, retry_most=soon)


def work(witness: Witness, integration: Integration) -> None:
    """One cycle and everything it leaves to look at, whatever becomes of it."""
    workflow = integration.ingress
    if not workflow.status.started:
        workflow.start(by="somebody")
    try:
        witness.see(workflow.check())
    except RetryLaterError as error:
        witness.see_error(error)
    witness.see(workflow.run_cycle(seconds=1))
    witness.see_all_of(integration)


def test_the_witness_would_see_a_leak(witness: Witness) -> None:
    """A check of the check: a value in a log record's extra, an exception's cause or a notice is found."""
    logging.getLogger("anything").debug("quiet", extra={"who": MAIL})
    assert witness.leaks()
    witness.heard.said.clear()
    assert not witness.leaks()
    try:
        try:
            raise KeyError(NAME)
        except KeyError as cause:
            raise ValueError("harmless") from cause
    except ValueError as error:
        witness.see_error(error)
    assert witness.leaks()


@pytest.mark.parametrize("side", ["dynamics", "campaign"])
def test_no_answer_of_either_side_gets_out(sandbox: Sandbox, witness: Witness, tmp_path: Path, side: str) -> None:
    """Whatever a service, a gateway or a proxy says, in checks, first loads and changes: its words stay inside."""
    system = getattr(sandbox, side)
    place = "contacts" if side == "dynamics" else "profile"
    joined = join(
        sandbox,
        tmp_path / "syncline.db",
        hooks=[witness.notices.append],
        settings=settings(),
        campaign=campaign(sandbox),
    )
    with joined as integration:
        for number, (name, options) in enumerate([*ECHOES.items(), ("a redirect", REDIRECT)]):
            action = "redirect" if options is REDIRECT else "fail"
            sandbox.dynamics.update("contact", key(number % PEOPLE), firstname=f"{PERSONAL} {name}"[:30])
            system.add_fault(action, path=place, **options)
            work(witness, integration)
            system.clear_faults()
        drain(integration)
        witness.see_all_of(integration)
        assert integration.storage.audit(integration.ingress.id) == []

    assert witness.notices
    assert witness.leaks() == []


def test_no_record_that_cannot_be_written_gets_out(sandbox: Sandbox, witness: Witness, tmp_path: Path) -> None:
    """Refused by conversion, by Campaign's policy and enumeration, by key; and written with the answer lost."""
    path = tmp_path / "syncline.db"
    odd: list[dict[str, object]] = [
        {"firstname": PERSONAL * 4},
        {"emailaddress1": f"{PERSONAL} no address"},
        {"lastname": f"{PERSONAL}\x07"},
        {"mobilephone": f"{PERSONAL} calls"},
    ]
    sandbox.dynamics.load("contact", [person(100 + number, **values) for number, values in enumerate(odd)])
    for number, text in enumerate((WORDS, f"RST-360011 {WORDS}", f"PGS-220000 value too long {WORDS}")):
        sandbox.campaign.refuse("profile", key(number), text)
    for action in ("applied", "cut", "cut_headers", "cut_body", "truncated"):
        sandbox.campaign.add_fault(action, method="POST", path="profile", count=2)
    with join(sandbox, path, hooks=[witness.notices.append], settings=settings()) as integration:
        integration.ingress.start()
        witness.see(drain(integration))
        witness.see_all_of(integration)
        letters = list(integration.ingress.dead_letters)
        assert len(letters) >= 5
        assert integration.ingress.status is WorkflowState.RUNNING
        assert any(PERSONAL.encode() in (letter.payload or b"") for letter in letters), "the payload is kept"
        assert all(letter.message for letter in letters)
        sandbox.campaign.accept("profile")
        integration.ingress.dead_letters.retry(by="somebody")
        witness.see(drain(integration))
        witness.see_all_of(integration)
        assert witness.leaks() == []

        # In the database a person is in payloads and nowhere else.
        assert elsewhere(path) == []
        stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in witness.secrets:
        assert secret.encode() not in stored
    assert len(witness.secrets) >= 4, "two client secrets and at least two tokens were looked for"


def elsewhere(path: Path) -> list[str]:
    """Tables and columns, other than payloads, that hold a person's words."""
    found = []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - names out of the schema
                for column, value in zip(columns, row, strict=True):
                    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    if "payload" not in column and any(mark in text.lower() for mark in MARKS):
                        found.append(f"{table}.{column}")
    finally:
        connection.close()
    return found


@pytest.mark.parametrize("name", [*ECHOES, "a redirect", "cut", "cut_headers", "cut_body", "applied", "truncated"])
def test_no_error_of_a_connector_repeats_an_answer_or_a_secret(sandbox: Sandbox, witness: Witness, name: str) -> None:
    """Called one by one, as a custom host or a notebook does: messages, arguments, causes, and locals for secrets."""
    action, options = ("fail", ECHOES[name]) if name in ECHOES else (name, {})
    if name == "a redirect":
        action, options = "redirect", REDIRECT
    source, target = dataverse(sandbox), campaign(sandbox)
    shown: list[str] = []
    try:
        contact, profile = source.describe("contact"), target.describe("profile")
        assert contact is not None
        assert profile is not None
        sandbox.campaign.load("profile", [{"externalId": key(1), "email": f"1@{PERSONAL}.example"}])
        there = target.find(profile, "externalId", key(1))
        assert there is not None
        witness.note_secrets()
        for system in (sandbox.dynamics, sandbox.campaign):
            system.add_fault(action, path="contacts|profile|token", **options)
        for call in calls(source, target, profile, there.ref):
            try:
                witness.see(call())
            except SynclineError as error:
                witness.see_error(error)
                shown += secrets_in_locals(error, witness)
    finally:
        source.close()
        target.close()
    assert shown == []
    assert witness.leaks() == []


def secrets_in_locals(error: BaseException, witness: Witness) -> list[str]:
    """Functions of Syncline whose locals, as error reporters print them, hold a secret; causes included."""
    found = []
    cause: BaseException | None = error
    while cause is not None:
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            if str(frame.f_globals.get("__name__")).startswith("syncline."):
                shown = repr(frame.f_locals)
                found += [frame.f_code.co_qualname for secret in witness.secrets if secret in shown]
        cause = cause.__cause__ or cause.__context__
    return found


def calls(source: Dataverse, target: CampaignStandard, profile: TableSchema, ref: str) -> list[Any]:
    request = ReadRequest(table="contact", columns=COLUMNS, stage=ReadStage.LOAD)
    values = {"externalId": key(2), "email": MAIL, "firstName": NAME}
    return [
        lambda: source.read(request),
        lambda: source.fetch("contact", COLUMNS, [key(1)]),
        lambda: source.update_row("contact", key(1), {"emailaddress1": MAIL}),
        lambda: source.create_row("contact", key(3), {"emailaddress1": MAIL}),
        lambda: source.delete_row("contact", key(4)),
        lambda: target.find(profile, "externalId", key(1)),
        lambda: target.find(profile, "email", MAIL),
        lambda: target.create(profile, values),
        lambda: target.update(profile, ref, {"email": MAIL, "firstName": NAME}),
        lambda: target.delete(profile, ref),
        lambda: target.check_key(profile, "externalId"),
        target.check_access,
        target.tables,
    ]


def test_a_sign_in_that_fails_shows_no_secret_even_with_locals(sandbox: Sandbox, witness: Witness) -> None:
    """Error reporters send the locals of every frame: neither the secret nor the form it travels in is among them."""
    for action, options in (
        ("fail", {"status": 400, "body": json.dumps({"error": "invalid_client", "error_description": WORDS})}),
        ("fail", {"status": 200, "body": PAGE, **HTML}),
        ("fail", {"status": 200, "body": json.dumps({"access_token": f"{PERSONAL} ", "expires_in": 3600})}),
        ("fail", {"status": 500, "body": QUOTED}),
        ("cut", {}),
        ("redirect", REDIRECT),
    ):
        source, target = dataverse(sandbox), campaign(sandbox)
        for system in (sandbox.dynamics, sandbox.campaign):
            system.add_fault(action, path="token", **options)
        for connector in (source, target):
            with pytest.raises(SynclineError) as caught:
                connector.check_access()
            witness.see_error(caught.value)
            assert secrets_in_locals(caught.value, witness) == []
            connector.close()
        for system in (sandbox.dynamics, sandbox.campaign):
            system.clear_faults()
    assert witness.leaks() == []


def test_nothing_public_can_carry_a_secret_out_of_the_process(sandbox: Sandbox, witness: Witness) -> None:
    """Pickles of connectors and integrations are refused, and their attributes print no secret at any depth."""
    integration = join(sandbox, MemoryStorage())
    integration.dynamics.check_access()
    integration.campaign.check_access()
    for thing in (integration, integration.dynamics, integration.campaign, integration.ingress):
        with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
            pickle.dumps(thing)
        witness.see(vars(thing))
    integration.dynamics.close()
    integration.campaign.close()
    assert witness.leaks() == []


def test_the_whole_run_is_listened_to(pytestconfig: pytest.Config, sandbox: Sandbox) -> None:
    """A check of the check: people and credentials of the sandbox are found in a log record, in an error of ours with
    its cause, and in how anything of ours prints itself."""
    canary = pytestconfig.pluginmanager.get_plugin("canary")
    assert isinstance(canary, Canary)
    (somebody,) = people(1, 5)
    log = logging.getLogger("syncline.somewhere")
    log.debug("nothing %s", somebody["contactid"])
    log.debug("an instance is told by campaign:contoso@127.0.0.1:8080")
    assert canary.take() == []
    mail = somebody["emailaddress1"]
    for value in (mail, "+49 301 000017", "Lefèvre", sandbox.client_secret, sandbox.campaign_client_secret, "Ελένη"):
        log.debug("quiet", extra={"who": value})
        (found,) = canary.take()
        assert value in found
    notice = DeadLettered(workflow="ingress", key=RecordKey(table="contact", id=mail), reason="none")
    canary.look_at_the_living()
    assert any("a DeadLettered" in found for found in canary.take())
    del notice
    assert canary.take() == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="what is raised cannot be listened to before Python 3.12")
def test_an_error_that_repeats_a_value_is_heard(pytestconfig: pytest.Config) -> None:
    """A check of the check: an error of ours is searched with its cause, even when somebody catches it."""
    canary = pytestconfig.pluginmanager.get_plugin("canary")
    assert isinstance(canary, Canary)
    with pytest.raises(DefinitionError):
        definition_from_json('{"en.1@example.com": 1, "en.1@example.com": 2}')
    assert any("en.1@example.com" in found for found in canary.take())
