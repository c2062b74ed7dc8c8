"""Access to the Dynamics sandbox: tokens, limits, sizes, and the control commands that change an environment."""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from tests.sandbox_dynamics_room import Wire, code, person_id

from syncline.sandbox import Sandbox
from syncline.sandbox.remote import SandboxCommandError

# -- tokens ----------------------------------------------------------------


def test_a_token_lives_a_random_hour_or_so(wire: Wire) -> None:
    """60 to 90 minutes, a bearer token without a refresh token."""
    lifetimes = {wire.ask_token().json()["expires_in"] for _ in range(20)}
    assert len(lifetimes) > 1
    assert all(3600 <= lifetime <= 5400 for lifetime in lifetimes)
    answer = wire.ask_token().json()
    assert answer["token_type"] == "Bearer"
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        ({"client_secret": "wrong"}, "invalid_client", 7000215),
        ({"client_secret": ""}, "invalid_client", 7000218),
        ({"client_id": person_id(1)}, "unauthorized_client", 700016),
        ({"tenant": "common"}, "invalid_request", 9001023),
        ({"tenant": person_id(1)}, "invalid_request", 90002),
        ({"scope": "https://elsewhere.example/.default"}, "invalid_resource", 500011),
        ({"scope": "user_impersonation"}, "invalid_scope", 70011),
        ({"grant_type": "password"}, "unsupported_grant_type", 70003),
    ],
)
def test_refusals_have_the_shape_of_the_identity_provider(
    wire: Wire, changes: dict[str, str], error: str, number: int
) -> None:
    """`error`, codes, a description with the AADSTS number, and ids for support."""
    answer = wire.ask_token(**changes)
    body = answer.json()
    assert answer.status_code in {400, 401}
    assert (body["error"], body["error_codes"]) == (error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert body["trace_id"]


def test_credentials_may_come_in_a_basic_header(sandbox: Sandbox, wire: Wire) -> None:
    """The other documented way to show id and secret."""
    answer = httpx.post(
        f"{sandbox.authority_url}/{sandbox.tenant_id}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": f"{sandbox.dynamics_url}/.default"},
        auth=(sandbox.client_id, sandbox.client_secret),
        trust_env=False,
    )
    assert answer.status_code == 200


def test_certificates_prove_the_application_once_registered(sandbox: Sandbox, wire: Wire) -> None:
    """A signed assertion is refused while its certificate is unknown, or when it is not for this token endpoint."""
    pem, assertion = _assertion(sandbox, f"{sandbox.authority_url}/{sandbox.tenant_id}/oauth2/v2.0/token")
    proof = {
        "client_secret": "",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion,
    }
    assert wire.ask_token(**proof).json()["error_codes"] == [700027]
    sandbox.dynamics.set(certificates=[pem])
    assert wire.ask_token(**proof).status_code == 200
    head, claims, signature = assertion.split(".")
    forged = f"{head}.{claims}.{signature[:-8]}AAAAAAAA"
    assert wire.ask_token(**{**proof, "client_assertion": forged}).json()["error_codes"] == [700027]
    elsewhere = _assertion(sandbox, "https://login.example/token")[1]
    assert wire.ask_token(**{**proof, "client_assertion": elsewhere}).json()["error_codes"] == [50027]


def _assertion(sandbox: Sandbox, audience: str) -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "application")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    claims = {"aud": audience, "iss": sandbox.client_id, "sub": sandbox.client_id, "exp": int(time.time()) + 600}
    text = f"{_segment({'alg': 'RS256', 'typ': 'JWT'})}.{_segment(claims)}"
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return pem, f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_without_a_good_token_nothing_is_served(wire: Wire) -> None:
    """No header, an invented token, one that was withdrawn: 401 with a challenge that names the tenant."""
    for header in ({"Authorization": ""}, {"Authorization": "Bearer made.up.token"}, {"Authorization": "Basic eDp5"}):
        answer = wire.send("GET", "WhoAmI", headers=header)
        assert answer.status_code == 401
        assert wire.sandbox.tenant_id in answer.headers["WWW-Authenticate"]
    wire.sandbox.dynamics.expire_access_tokens()
    assert wire.get("WhoAmI").status_code == 401


def test_tokens_really_expire(wire: Wire) -> None:
    """A token of two seconds is worth nothing when the server's clock says they are over."""
    wire.sandbox.dynamics.set(token_seconds=2)
    wire.token = wire.new_token()
    assert wire.get("WhoAmI").status_code == 200
    wire.sandbox.dynamics.shift_clock(3)
    try:
        assert wire.get("WhoAmI").status_code == 401
    finally:
        wire.sandbox.dynamics.shift_clock(-3)


def test_an_application_without_a_user_is_not_a_member(wire: Wire) -> None:
    """The token is good and the organisation does not know its holder."""
    wire.sandbox.dynamics.set(application_user=False)
    assert code(wire.get("WhoAmI")) == (403, "0x80072560")


# -- limits ----------------------------------------------------------------


def test_too_many_requests_in_the_window(wire: Wire) -> None:
    """429 with whole seconds that grow when the client goes on, until the window has passed."""
    wire.sandbox.dynamics.set(protection=True, limit_requests=3, limit_window_seconds=60)
    assert [wire.get("WhoAmI").status_code for _ in range(3)] == [200] * 3
    refused = wire.get("WhoAmI")
    assert code(refused) == (429, "0x80072322")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    wire.sandbox.dynamics.shift_clock(50)
    try:
        later = wire.get("WhoAmI")
        assert code(later) == (429, "0x80072322")
        wire.sandbox.dynamics.shift_clock(61)
        answer = wire.get("WhoAmI")
        assert answer.status_code == 200
        assert answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "2"
    finally:
        wire.sandbox.dynamics.shift_clock(-111)


def test_too_much_work_in_the_window(wire: Wire) -> None:
    """The time requests take adds up, whatever their number."""
    wire.sandbox.dynamics.set(protection=True, limit_execution_seconds=0.000001)
    assert wire.get("WhoAmI").status_code == 200
    refused = wire.get("WhoAmI")
    assert code(refused) == (429, "0x80072321")
    assert int(refused.headers["Retry-After"]) > 250


def test_too_many_requests_at_once(wire: Wire) -> None:
    """Of requests that overlap, those beyond the limit are refused at once and may be sent again soon."""
    wire.sandbox.dynamics.set(protection=True, limit_concurrent=2, latency_seconds=0.5)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(wire.get("WhoAmI"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 1 <= len(refused) <= 4
    assert {code(answer) for answer in refused} == {(429, "0x80072326")}
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}


def test_each_web_server_counts_for_itself(wire: Wire) -> None:
    """A client without cookies is spread over the servers, so more of its requests are let through."""
    wire.sandbox.dynamics.set(protection=True, limit_requests=5, servers=4)
    spread = [
        httpx.get(f"{wire.root}WhoAmI", headers={"Authorization": f"Bearer {wire.token}"}, trust_env=False).status_code
        for _ in range(12)
    ]
    assert spread.count(200) > 5
    bound = [wire.get("WhoAmI").status_code for _ in range(12)]
    assert bound.count(200) <= 5


def test_bodies_have_a_limit(wire: Wire) -> None:
    """Beyond it the answer is 413 and nothing is kept."""
    wire.sandbox.dynamics.set(body_limit=1000)
    answer = wire.send("POST", "contacts", {"description": "x" * 1000})
    assert answer.status_code == 413
    assert wire.sandbox.dynamics.count("contact") == 0


# -- control ----------------------------------------------------------------


def test_loading_merges_by_key_and_marks_as_changed(wire: Wire) -> None:
    """A second load changes what it names and leaves the rest; the time of modification can be given."""
    control = wire.sandbox.dynamics
    control.load("contact", [{"contactid": person_id(1), "firstname": "F", "lastname": "L"}])
    before = wire.json(f"contacts({person_id(1)})")
    control.load("contact", [{"contactid": person_id(1), "lastname": "M", "modifiedon": "2021-01-01T00:00:00Z"}])
    after = wire.json(f"contacts({person_id(1)})")
    assert (after["firstname"], after["fullname"], after["modifiedon"]) == ("F", "F M", "2021-01-01T00:00:00Z")
    assert after["versionnumber"] > before["versionnumber"]
    assert after["_modifiedby_value"] == control.credentials()["human_user_id"]
    with pytest.raises(SandboxCommandError, match="nosuch"):
        control.load("contact", [{"nosuch": 1}])


def test_rows_that_were_read_can_be_loaded_again(wire: Wire) -> None:
    """What the API shows of a polymorphic lookup is what `load` takes."""
    account = wire.create("accounts", {"name": "A"})
    row = {
        "contactid": person_id(1),
        "_parentcustomerid_value": account,
        "_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname": "account",
    }
    wire.sandbox.dynamics.load("contact", [row])
    shown = wire.json(f"contacts({person_id(1)})?$select=lastname&$expand=parentcustomerid_account($select=name)")
    assert shown["parentcustomerid_account"]["name"] == "A"


def test_the_schema_can_change_under_way(wire: Wire) -> None:
    """Columns come, go, change name and type, tables come and go; rows keep what still fits."""
    control = wire.sandbox.dynamics
    control.load("contact", [{"contactid": person_id(1), "jobtitle": "77", "telephone1": "call"}])
    control.add_column("contact", "new_code", "Picklist", options=[[1, "One"]])
    control.add_option("contact", "new_code", 2, "Two")
    assert wire.send("PATCH", f"contacts({person_id(1)})", {"new_code": 2}).status_code == 204
    control.rename_column("contact", "jobtitle", "new_title")
    assert wire.json(f"contacts({person_id(1)})?$select=new_title")["new_title"] == "77"
    assert wire.get("contacts?$select=jobtitle").status_code == 400
    control.retype_column("contact", "telephone1", "Integer")
    assert wire.json(f"contacts({person_id(1)})?$select=telephone1")["telephone1"] is None
    control.add_table("new_pet", [{"name": "new_owner", "type": "Lookup", "targets": ["contact"]}])
    pet = wire.create("new_pets", {"new_name": "Rex", "new_owner@odata.bind": f"/contacts({person_id(1)})"})
    assert wire.json(f"new_pets({pet})?$select=_new_owner_value")["_new_owner_value"] == person_id(1)
    control.drop_table("new_pet")
    assert code(wire.get("new_pets")) == (404, "0x8006088a")


def test_requests_are_counted_by_kind(wire: Wire) -> None:
    """Reads, writes and the parts of batches, each under its name."""
    wire.sandbox.dynamics.counters(clear=True)
    contact = wire.create("contacts", {"lastname": "L"})
    wire.get(f"contacts({contact})")
    wire.get("contacts?$select=lastname", "odata.track-changes")
    counted = wire.sandbox.dynamics.counters()["requests"]
    assert counted == {"create": 1, "read_row": 1, "read_changes": 1}


def test_commands_say_what_is_wrong_with_them(wire: Wire) -> None:
    """Unknown commands, settings, tables and arguments are named."""
    for command, arguments, message in (
        ("nosuch", {}, "unknown command"),
        ("set", {"speed": 1}, "unknown settings"),
        ("set", {"page_size": 0}, "page_size"),
        ("set", {"empty_delta": "none"}, "empty_delta"),
        ("count", {"table": "nosuch"}, "no table"),
        ("load", {}, "missing"),
        ("delete", {"table": "contact", "id": "x"}, "not an id"),
    ):
        with pytest.raises(SandboxCommandError, match=message):
            wire.sandbox.dynamics.call(command, **arguments)


def test_a_file_is_continued_where_it_was_left(tmp_path: Path) -> None:
    """Rows, schema and delta links outlive the process that wrote them."""
    database = str(tmp_path / "environment.db")
    with Sandbox(database=database, contacts=3) as first:
        first.dynamics.add_column("contact", "new_extra", "String")
        with Wire(first) as wire:
            link = str(wire.json("contacts?$select=new_extra", "odata.track-changes")["@odata.deltaLink"])
    with Sandbox(database=database) as second, Wire(second) as wire:
        assert second.dynamics.count("contact") == 3
        row = next(second.dynamics.rows("contact"))
        second.dynamics.update("contact", row["contactid"], new_extra="x")
        changes = wire.values(link.replace(first_origin(link), second.dynamics_url))
        assert [entry["new_extra"] for entry in changes] == ["x"]


def first_origin(link: str) -> str:
    return link.partition("/api/")[0]
