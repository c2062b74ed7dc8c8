"""The client and certificates: an authority of one's own, and every certificate that does not hold."""

from __future__ import annotations

import ipaddress
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.http_room import CLOCK, ScriptedServer, answer, client, say, silence

from syncline.connectors.http import HttpClient, ThrottleGate
from syncline.errors import (
    ProtocolError,
    UnavailableError,
)


class Authority:
    """A certificate authority that signs server certificates into files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._sign(self._name, self._key, authority=True))

    def server_context(
        self, host: str = "127.0.0.1", *, expired: bool = False, self_signed: bool = False
    ) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self._folder / "server.pem"
        path.write_bytes(private + self._sign(name, key, host=host, expired=expired, by_itself=self_signed))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        authority: bool = False,
        host: str = "",
        expired: bool = False,
        by_itself: bool = False,
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if by_itself else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=-1 if expired else 1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if host:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(key if by_itself else self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def test_tls_with_an_authority_of_ones_own(authority: Authority) -> None:
    """A server whose certificate the given authority signed is trusted; its connection is used again."""
    with ScriptedServer(say(answer(200, b"[1]")), tls=authority.server_context()) as server:
        http = client(server, ca_file=str(authority.file))
        for _ in range(5):
            assert http.request("POST", "x", json={}, write=True).json() == [1]
        http.close()
    assert server.connections == 1


@pytest.mark.parametrize("case", ["unknown authority", "expired", "wrong host", "self-signed"])
def test_a_certificate_that_does_not_hold_stops_the_workflow(authority: Authority, case: str) -> None:
    """Nothing is sent, nothing is tried without verification, and waiting is not offered as a remedy."""
    context = authority.server_context(
        "127.0.0.2" if case == "wrong host" else "127.0.0.1",
        expired=case == "expired",
        self_signed=case == "self-signed",
    )
    with ScriptedServer(say(answer()), tls=context) as server:
        http = client(server, ca_file=None if case == "unknown authority" else str(authority.file))
        with pytest.raises(ProtocolError, match="could not prove who it is"):
            http.request("POST", "x", json={}, write=True)
        http.close()
    assert server.requests == []


def test_old_versions_of_tls_are_refused(authority: Authority) -> None:
    """A server that speaks nothing newer than TLS 1.1 is not spoken to."""
    context = authority.server_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with ScriptedServer(say(answer()), tls=context) as server:
        http = client(server, ca_file=str(authority.file))
        with pytest.raises(ProtocolError, match="could not prove who it is"):
            http.request("GET", "x")
        http.close()


def test_a_server_that_never_shakes_hands_is_given_up(authority: Authority) -> None:
    """Silence in place of a handshake ends with the time of the request, and nothing was sent."""
    with ScriptedServer(silence, read_request=False) as server:
        http = HttpClient(
            f"https://127.0.0.1:{server.port}",
            clock=CLOCK,
            gate=ThrottleGate("u", CLOCK),
            timeout=0.3,
            ca_file=str(authority.file),
        )
        with pytest.raises(UnavailableError):
            http.request("POST", "x", json={}, write=True)
        http.close()
