"""Signing in to Dynamics 365: credentials, what is sent, and what refusals mean."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from tests.http_room import HeldClock

from syncline.connectors.dynamics import ClientCertificate, ClientSecret, Dataverse
from syncline.connectors.dynamics.authentication import fetch_token, given_token, principal_of
from syncline.connectors.http import HttpClient, Secret, ThrottleGate
from syncline.errors import CredentialsError, DefinitionError, ProtocolError, SynclineError, UnavailableError

TENANT = "contoso.onmicrosoft.com"
CLIENT = "8f1b9c52-0000-0000-0000-000000000001"
SCOPE = "https://contoso.crm.dynamics.com/.default"
CLOCK = HeldClock()
SECRET = ClientSecret(TENANT, CLIENT, "canary-secret~&=")


def identity_service(handler: Callable[[httpx.Request], httpx.Response]) -> HttpClient:
    return HttpClient(
        "https://login.microsoftonline.com",
        clock=CLOCK,
        gate=ThrottleGate("u", CLOCK),
        transport=httpx.MockTransport(handler),
    )


def answering(status: int, **body: Any) -> HttpClient:
    return identity_service(lambda _: httpx.Response(status, json=body))


def test_a_secret_is_sent_as_a_form() -> None:
    """The documented fields go to the tenant's token endpoint, encoded; the token and its life come back."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"token_type": "Bearer", "expires_in": 3599, "access_token": "ey.J.0"})

    assert fetch_token(identity_service(handler), SECRET, SCOPE, CLOCK) == ("ey.J.0", 3599.0)
    assert str(seen[0].url) == f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
    assert seen[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(seen[0].content.decode()) == {
        "client_id": [CLIENT],
        "client_secret": ["canary-secret~&="],
        "scope": [SCOPE],
        "grant_type": ["client_credentials"],
    }


class Pair(NamedTuple):
    pem: bytes
    certificate: x509.Certificate
    locked: bytes


@pytest.fixture(scope="module")
def pair() -> Pair:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = self_signed(key)
    public = certificate.public_bytes(serialization.Encoding.PEM)
    plain, locked = (
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
        for protection in (serialization.NoEncryption(), serialization.BestAvailableEncryption(b"open"))
    )
    return Pair(pem=plain + public, certificate=certificate, locked=locked + public)


def self_signed(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def unpacked(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
@pytest.mark.parametrize("locked", [False, True])
def test_a_certificate_signs_a_short_statement(pair: Pair, algorithm: str, locked: bool) -> None:
    """The assertion verifies with the certificate, names it, is meant for this endpoint and ends in ten minutes."""
    credential = ClientCertificate(
        TENANT,
        CLIENT,
        pair.locked if locked else pair.pem,
        password=Secret("open") if locked else None,
        algorithm=algorithm,
    )
    form: dict[str, list[str]] = {}

    def handler(request: httpx.Request) -> httpx.Response:
        form.update(parse_qs(request.content.decode()))
        return httpx.Response(200, json={"expires_in": "3599", "access_token": "t"})

    assert fetch_token(identity_service(handler), credential, SCOPE, CLOCK) == ("t", 3599.0)
    assert form["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    assert "client_secret" not in form
    head_text, claims_text, signature = form["client_assertion"][0].split(".")
    head, claims = json.loads(unpacked(head_text)), json.loads(unpacked(claims_text))
    der = pair.certificate.public_bytes(serialization.Encoding.DER)
    assert head["alg"] == algorithm
    assert unpacked(head["x5t#S256"]) == hashlib.sha256(der).digest()
    assert claims["aud"] == f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token"
    assert claims["iss"] == claims["sub"] == CLIENT
    now = CLOCK.now().timestamp()
    assert claims["nbf"] < now < claims["exp"] <= now + 600
    scheme: padding.AsymmetricPadding = (
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32) if algorithm == "PS256" else padding.PKCS1v15()
    )
    public = pair.certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(unpacked(signature), f"{head_text}.{claims_text}".encode(), scheme, hashes.SHA256())


def test_a_certificate_that_cannot_sign_is_a_mistake_of_the_set_up(pair: Pair) -> None:
    """No key, a wrong password, another kind of key or a missing file are told before anything is sent."""
    other = ec.generate_private_key(ec.SECP256R1())
    elliptic = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + self_signed(other).public_bytes(serialization.Encoding.PEM)
    never = identity_service(lambda _: pytest.fail("something was sent"))
    for wrong in (
        b"",
        b"no pem",
        pair.certificate.public_bytes(serialization.Encoding.PEM),
        pair.locked,
        elliptic,
        "/no/such/file",
    ):
        with pytest.raises(DefinitionError) as caught:
            fetch_token(never, ClientCertificate(TENANT, CLIENT, wrong), SCOPE, CLOCK)
        assert "/no/such/file" not in str(caught.value)
    with pytest.raises(DefinitionError):
        fetch_token(never, ClientCertificate(TENANT, CLIENT, pair.locked, password=Secret("wrong")), SCOPE, CLOCK)
    with pytest.raises(DefinitionError):
        ClientCertificate(TENANT, CLIENT, pair.pem, algorithm="none")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"error": "invalid_client", "error_codes": [7000222]}, CredentialsError, "AADSTS7000222"),
        (400, {"error": "unauthorized_client", "error_codes": [700016]}, CredentialsError, "not known in this tenant"),
        (
            400,
            {"error": "invalid_resource", "error_codes": [500011]},
            CredentialsError,
            "Check the environment's address",
        ),
        (400, {"error": "something_new"}, CredentialsError, "not accepted"),
        (400, {"error": "temporarily_unavailable", "error_codes": [90033]}, UnavailableError, "AADSTS90033"),
        (503, {}, UnavailableError, "not available"),
        (500, {"error": "server_error"}, UnavailableError, "not available"),
        (404, {}, ProtocolError, "authority_url"),
        (200, {"expires_in": 3599}, ProtocolError, "not a token"),
        (200, {"access_token": "t"}, ProtocolError, "not a token"),
        (200, {"access_token": "t", "expires_in": True}, ProtocolError, "not a token"),
        (200, {"access_token": "t", "expires_in": "1e9"}, ProtocolError, "not a token"),
        (200, {"access_token": 7, "expires_in": 7}, ProtocolError, "not a token"),
    ],
)
def test_refusals_are_told_in_our_words(
    status: int, body: dict[str, Any], kind: type[SynclineError], words: str
) -> None:
    """The error's name decides; Microsoft's number is passed on and its text, which repeats what was sent, is not."""
    body = {**body, "error_description": "canary: app 'x' secret 'y'\r\nTrace ID: 1"} if status != 200 else body
    with pytest.raises(kind) as caught:
        fetch_token(answering(status, **body), SECRET, SCOPE, CLOCK)
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_page_in_place_of_the_identity_service() -> None:
    """A web page where tokens should come from is a wrong address."""
    with pytest.raises(ProtocolError, match="authority_url"):
        fetch_token(identity_service(lambda _: httpx.Response(404, html="<html>")), SECRET, SCOPE, CLOCK)


class Given(NamedTuple):
    token: str
    expires_on: int


class Theirs:
    """A credential in the manner of azure-identity."""

    def __init__(self, result: Given | Exception) -> None:
        self.result = result
        self.scopes: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str) -> Given:
        self.scopes.append(scopes)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class ServiceRequestError(Exception):
    """Named as azure-core names an unreachable service."""


class ClientAuthenticationError(Exception):
    """Named as azure-core names a refusal."""


def test_a_credential_of_the_hosts_is_asked_for_the_environments_scope() -> None:
    """Its token is used for as long as it says, counted by our clock."""
    theirs = Theirs(Given("t", int(CLOCK.now().timestamp()) + 600))
    token, life = given_token(theirs, SCOPE, CLOCK)
    assert token == "t"
    assert 599 <= life <= 600
    assert theirs.scopes == [(SCOPE,)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceRequestError("canary"), UnavailableError),
        (ConnectionError("canary"), UnavailableError),
        (ClientAuthenticationError("canary"), CredentialsError),
        (RuntimeError("canary"), CredentialsError),
    ],
)
def test_exceptions_of_the_hosts_library_do_not_pass(error: Exception, kind: type[SynclineError]) -> None:
    """Unreachable is for later, anything else is about the credential; the text stays out of ours."""
    with pytest.raises(kind) as caught:
        given_token(Theirs(error), SCOPE, CLOCK)
    assert "canary" not in str(caught.value)
    assert type(error).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("tenant", "client", "secret"),
    [
        ("common", CLIENT, "s"),
        ("Organizations", CLIENT, "s"),
        ("", CLIENT, "s"),
        ("a/b", CLIENT, "s"),
        ("a?b", CLIENT, "s"),
        (TENANT, "", "s"),
        (TENANT, "a&b", "s"),
        (TENANT, CLIENT, ""),
    ],
)
def test_credentials_refuse_nonsense(tenant: str, client: str, secret: str) -> None:
    """A tenant that cannot work, or anything that would change the request's shape, is refused when it is made."""
    with pytest.raises(DefinitionError):
        ClientSecret(tenant, client, secret)


def test_nothing_shows_a_secret() -> None:
    """Neither credential, connector nor principal print secret, certificate or client id."""
    certificate = ClientCertificate(TENANT, CLIENT, b"canary", password="canary")
    with pytest.raises(TypeError):
        pickle.dumps(certificate)
    connector = Dataverse("https://contoso.crm.dynamics.com", SECRET)
    shown = repr(SECRET) + repr(certificate) + repr(connector) + principal_of(SECRET) + repr(connector.gates)
    assert "canary" not in shown
    assert CLIENT not in repr(connector) + principal_of(SECRET) + connector.name + connector.identity


def test_an_environment_must_be_an_encrypted_address_without_a_path() -> None:
    """Wrong addresses, page sizes and credentials are told when the connector is made."""
    good = "https://contoso.crm.dynamics.com"
    assert Dataverse(f"{good}/api/data/v9.2/", SECRET).identity == "dynamics:contoso.crm.dynamics.com"
    for wrong in (
        "http://contoso.crm.dynamics.com",
        f"{good}/main.aspx",
        "contoso.crm.dynamics.com",
        "https://169.254.169.254",
    ):
        with pytest.raises(DefinitionError):
            Dataverse(wrong, SECRET)
    for size in (0, 5001):
        with pytest.raises(DefinitionError):
            Dataverse(good, SECRET, page_size=size)
    with pytest.raises(DefinitionError):
        Dataverse(good, "a password")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError):
        Dataverse(good, ClientSecret(TENANT, CLIENT, "s", authority_url="http://login.example"))
