"""Signing in with a certificate: the credential and the statement it signs.

What lives here: the client assertion of the OAuth flow (source: Microsoft's page on certificate credentials). The only
importer of cryptography among the connectors, and only when a token is fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from datetime import datetime
from pathlib import Path

from attrs import Attribute, field, frozen

from syncline.connectors.http import Secret, SecretBytes
from syncline.errors import DefinitionError, MissingExtraError

__all__ = ["AUTHORITY", "ClientCertificate", "assertion", "check_client_id", "check_tenant"]

#: The identity service of Microsoft's worldwide cloud.
AUTHORITY = "https://login.microsoftonline.com"

_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NO_TENANT = frozenset({"common", "consumers", "organizations"})
_CLIENT_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_LIFE = 600
# Entra ID's clock and ours may differ: the statement is good from a little before it was made.
_LEAD = 300
_ALGORITHMS = ("PS256", "RS256")


def check_tenant(_instance: object, _attribute: Attribute[str], value: str) -> None:
    """Refuse what is no tenant."""
    if not _TENANT.fullmatch(value) or value.lower() in _NO_TENANT:
        raise DefinitionError("A tenant is its id or its domain; common and its like cannot be used.", path="tenant")


def check_client_id(_instance: object, _attribute: Attribute[str], value: str) -> None:
    """Refuse what is no client id."""
    if not _CLIENT_ID.fullmatch(value):
        raise DefinitionError("A client id is the application's id, a GUID.", path="client_id")


def _hidden(value: str | Path | bytes) -> str | Path | SecretBytes:
    return SecretBytes(value) if isinstance(value, bytes) else value


def _optional_secret(value: str | Secret | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


@frozen
class ClientCertificate:
    """An application of Entra ID and a certificate that is registered for it.

    `certificate` is the path of a PEM file, or its bytes, with the private RSA key and the certificate; `password`
    opens an encrypted key. Needs `pip install 'syncline[certificate]'`. `algorithm` is PS256, which Microsoft
    recommends, or RS256.
    """

    tenant: str = field(validator=check_tenant)
    client_id: str = field(validator=check_client_id)
    certificate: str | Path | bytes = field(converter=_hidden, repr=False)
    password: Secret | None = field(default=None, converter=_optional_secret, kw_only=True)
    algorithm: str = field(default="PS256", kw_only=True)
    authority_url: str = field(default=AUTHORITY, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.algorithm not in _ALGORITHMS:
            raise DefinitionError("An assertion is signed with PS256 or RS256.", path="algorithm")


def assertion(credential: ClientCertificate, token_url: str, now: datetime) -> str:
    """A signed statement of who we are, for `token_url`, good for ten minutes.

    Raises MissingExtraError without cryptography, DefinitionError when file and password give no RSA key.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise MissingExtraError("Signing in with a certificate", extra="certificate") from None
    pem = _pem(credential)
    password = None if credential.password is None else SecretBytes(credential.password.reveal().encode())
    try:
        key = serialization.load_pem_private_key(pem, password)
        der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    except (ValueError, TypeError):
        raise DefinitionError(
            "The file must hold an RSA private key and its certificate in PEM, and the password must open it.",
            path="certificate",
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise DefinitionError("The private key must be an RSA key.", path="certificate")
    scheme: padding.AsymmetricPadding = (
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
        if credential.algorithm == "PS256"
        else padding.PKCS1v15()
    )
    signed = f"{_segment(_head(credential, der))}.{_segment(_claims(credential, token_url, now))}"
    return f"{signed}.{_base64(key.sign(signed.encode('ascii'), scheme, hashes.SHA256()))}"


def _head(credential: ClientCertificate, der: bytes) -> dict[str, object]:
    return {
        "alg": credential.algorithm,
        "typ": "JWT",
        "x5t#S256": _base64(hashlib.sha256(der).digest()),
        # what is looked for where the newer thumbprint is not known; it identifies, it does not protect
        "x5t": _base64(hashlib.sha1(der, usedforsecurity=False).digest()),
    }


def _claims(credential: ClientCertificate, token_url: str, now: datetime) -> dict[str, object]:
    seconds = int(now.timestamp())
    return {
        "aud": token_url,
        "iss": credential.client_id,
        "sub": credential.client_id,
        "jti": str(uuid.uuid4()),
        "iat": seconds,
        "nbf": seconds - _LEAD,
        "exp": seconds + _LIFE,
    }


def _pem(credential: ClientCertificate) -> SecretBytes:
    if isinstance(credential.certificate, bytes):
        return SecretBytes(credential.certificate)
    try:
        return SecretBytes(Path(credential.certificate).read_bytes())
    except OSError as error:
        raise DefinitionError(
            f"The certificate's file cannot be read ({type(error).__name__}).", path="certificate"
        ) from None


def _segment(value: dict[str, object]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
