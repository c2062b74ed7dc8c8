"""Who we are to Dynamics 365: an application in Entra ID with a secret or certificate, or a credential of the host's.

What lives here: the credentials and how each fetches a token (source: Microsoft's page on the client credentials flow).
Tokens themselves live in `connectors.http`, in memory; nothing is stored.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import urlencode

from attrs import Attribute, field, frozen

from syncline.clock import Clock
from syncline.connectors.dynamics.certificate import (
    AUTHORITY,
    ClientCertificate,
    assertion,
    check_client_id,
    check_tenant,
)
from syncline.connectors.http import HttpClient, Response, Secret, SecretBytes, check_secret
from syncline.errors import CredentialsError, ProtocolError, UnavailableError

__all__ = [
    "ClientCertificate",
    "ClientSecret",
    "Credential",
    "GivesTokens",
    "fetch_token",
    "given_token",
    "principal_of",
]

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

#: What Entra ID's `error` means and what to do about it. Its texts and numbers may change, as Microsoft says.
_REFUSALS = {
    "invalid_client": ("the secret or certificate is not accepted", "It may have expired: add a new one to the app."),
    "unauthorized_client": ("the application is not known in this tenant", "Check tenant and client id."),
    "invalid_resource": ("the environment is not known in this tenant", "Check the environment's address."),
    "invalid_scope": ("the environment is not known in this tenant", "Check the environment's address."),
    "access_denied": ("the application is not allowed to sign in", "Look at the tenant's access policies."),
    "invalid_request": ("the request is not accepted", "Check tenant, client id and the environment's address."),
    "unsupported_grant_type": ("client credentials are not supported there", "Check authority_url and tenant."),
}


class AccessToken(Protocol):
    """What azure-identity's credentials return."""

    @property
    def token(self) -> str:
        """The bearer token."""

    @property
    def expires_on(self) -> int:
        """When it ends, in seconds since 1970."""


class GivesTokens(Protocol):
    """Any credential in the manner of azure-identity, such as `DefaultAzureCredential()`."""

    def get_token(self, *scopes: str) -> AccessToken:
        """A token for the scopes."""


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


def _given(_instance: object, _attribute: Attribute[Secret], value: Secret) -> None:
    check_secret(value, "secret")


@frozen
class ClientSecret:
    """An application of Entra ID and its client secret (the secret's value, not its id).

    `authority_url` is the identity service; national clouds have their own.
    """

    tenant: str = field(validator=check_tenant)
    client_id: str = field(validator=check_client_id)
    secret: Secret = field(converter=_secret, validator=_given)
    authority_url: str = field(default=AUTHORITY, kw_only=True)


Credential = ClientSecret | ClientCertificate | GivesTokens


def principal_of(credential: Credential) -> str:
    """Names whom Dataverse throttles, without showing the client id."""
    if isinstance(credential, ClientSecret | ClientCertificate):
        return f"application {hashlib.sha256(credential.client_id.lower().encode()).hexdigest()[:8]}"
    return f"user of {type(credential).__name__}"


def fetch_token(
    http: HttpClient, credential: ClientSecret | ClientCertificate, scope: str, clock: Clock
) -> tuple[str, float]:
    """A bearer token and its life in seconds, from Entra ID at `http`'s address.

    Raises CredentialsError when the credential is not accepted, UnavailableError and ThrottledError when asking again
    later may help, ProtocolError for an answer that is no token.
    """
    path = f"{credential.tenant}/oauth2/v2.0/token"
    form = _form(credential, scope, f"{http.origins.base.origin}/{path}", clock)
    answer = http.request("POST", path, headers=_FORM, content=form)
    if answer.status != 200:
        raise _refusal(answer)
    token = _token(answer)
    if token is None:
        raise ProtocolError("The identity service sent something that is not a token.", remedy="Check authority_url.")
    return token


def _form(credential: ClientSecret | ClientCertificate, scope: str, token_url: str, clock: Clock) -> SecretBytes:
    form = {
        "client_id": credential.client_id,
        "scope": scope,
        "grant_type": "client_credentials",
        **_proof(credential, token_url, clock),
    }
    return SecretBytes(urlencode(form).encode("ascii"))


def _proof(credential: ClientSecret | ClientCertificate, token_url: str, clock: Clock) -> dict[str, str]:
    if isinstance(credential, ClientSecret):
        return {"client_secret": credential.secret.reveal()}
    signed = assertion(credential, token_url, clock.now())
    return {"client_assertion_type": _ASSERTION, "client_assertion": signed}


def given_token(credential: GivesTokens, scope: str, clock: Clock) -> tuple[str, float]:
    """A bearer token and its life in seconds from a credential of the host's.

    Raises CredentialsError or UnavailableError; an exception of the host's library never passes, nor does its text.
    """
    try:
        given = credential.get_token(scope)
        return str(given.token), float(given.expires_on) - clock.now().timestamp()
    except Exception as error:  # noqa: BLE001 - whatever the host's library raises
        kinds = {kind.__name__ for kind in type(error).__mro__}
        name = type(error).__name__
        if kinds & {"ServiceRequestError", "ServiceResponseError", "OSError"}:
            raise UnavailableError(f"The credential could not reach its identity service ({name}).") from None
        raise CredentialsError(
            f"The credential gave no token ({name}).", remedy="Ask it for a token of this environment by hand."
        ) from None


def _token(answer: Response) -> tuple[str, float] | None:
    content = answer.json()
    token = content.get("access_token") if isinstance(content, dict) else None
    life = content.get("expires_in") if isinstance(content, dict) else None
    if isinstance(life, str) and life.isascii() and life.isdigit() and len(life) <= 9:
        life = int(life)
    if not isinstance(token, str) or isinstance(life, bool) or not isinstance(life, int | Decimal):
        return None
    return token, float(life)


def _refusal(answer: Response) -> CredentialsError | UnavailableError | ProtocolError:
    """Constant texts, and Microsoft's number for the case: its own words never reach a message."""
    content = _content(answer)
    error, numbers = content.get("error"), content.get("error_codes")
    codes = [f"AADSTS{code}" for code in numbers if isinstance(code, int)] if isinstance(numbers, list) else []
    status = ", ".join([*codes[:3], f"status {answer.status}"])
    if answer.status >= 500 or answer.status in (408, 425) or error == "temporarily_unavailable":
        return UnavailableError(f"Entra ID is not available ({status}).")
    if not isinstance(error, str):
        return ProtocolError(f"There is no identity service at this address ({status}).", remedy="Check authority_url.")
    says, remedy = _REFUSALS.get(error, ("the credential is not accepted", "Look the number up in Microsoft's list."))
    return CredentialsError(f"Entra ID: {says} ({status}).", remedy=remedy)


def _content(answer: Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ProtocolError:
        return {}
    return content if isinstance(content, dict) else {}
