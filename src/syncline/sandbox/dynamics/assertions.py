"""Client assertions: the signed statement an application shows instead of a secret.

Lives here: reading and verifying one JSON Web Token. Never here: issuing access tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

__all__ = ["assertion_fault"]

Fault = tuple[int, str]


def assertion_fault(
    assertion: str, *, client_id: str, audience: str, now: float, certificates: Sequence[str]
) -> Fault | None:
    """What is wrong with an assertion (AADSTS number and text), or None if it proves the application.

    `certificates` are PEM texts; the assertion must be signed by one of them (RS256 or PS256), name the application as
    issuer and subject and this token endpoint as audience, and not have expired.
    """
    parts = assertion.split(".")
    try:
        header, claims = (_decoded(part) for part in parts[:2])
        signature = _raw(parts[2])
    except (ValueError, IndexError):
        return 50027, "JWT token is invalid or malformed."
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        return 700021, "Client assertion application identifier doesn't match 'client_id' parameter."
    if claims.get("aud") != audience:
        return 50027, "JWT token is invalid or malformed: the audience is not this token endpoint."
    if not isinstance(claims.get("exp"), int | float) or claims["exp"] <= now:
        return 700024, "Client assertion is not within its valid time range."
    signed = f"{parts[0]}.{parts[1]}".encode()
    if any(_verified(pem, header, signed, signature) for pem in certificates):
        return None
    return 700027, "The certificate with identifier used to sign the client assertion is not registered on application."


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _decoded(text: str) -> dict[str, Any]:
    value = json.loads(_raw(text))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _verified(pem: str, header: dict[str, Any], signed: bytes, signature: bytes) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    certificate = x509.load_pem_x509_certificate(pem.encode())
    der = certificate.public_bytes(serialization.Encoding.DER)
    prints = {"x5t": hashlib.sha1(der).digest(), "x5t#S256": hashlib.sha256(der).digest()}  # noqa: S324 - a name, not a proof
    for name, expected in prints.items():
        if name in header and _raw(str(header[name])) != expected:
            return False
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if header.get("alg") == "PS256":
        scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
    elif header.get("alg") != "RS256":
        return False
    try:
        key.verify(signature, signed, scheme, hashes.SHA256())
    except InvalidSignature:
        return False
    return True
