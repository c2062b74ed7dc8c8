"""How Campaign Standard is told who we are: OAuth Server-to-Server with Adobe's identity service (IMS).

What lives here: the credential and how a token is fetched. Tokens themselves live in `connectors.http`, in memory.
JWT credentials are not offered: Adobe ends them on 1 March 2026.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import urlencode

from attrs import field, frozen

from syncline.connectors.http import HttpClient, Response, Secret, SecretBytes, check_secret
from syncline.errors import CredentialsError, DefinitionError, ProtocolError, UnavailableError

__all__ = ["DEFAULT_SCOPES", "OAuthServerToServer", "fetch_token"]

#: What working Campaign Standard clients ask for. Adobe publishes no list; its console shows a credential's own.
DEFAULT_SCOPES: tuple[str, ...] = (
    "openid",
    "AdobeID",
    "campaign_sdk",
    "additional_info.projectedProductContext",
    "campaign_config_server_general",
    "deliverability_service_general",
)

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


def _scopes(value: str | Iterable[str]) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())


@frozen
class OAuthServerToServer:
    """An OAuth Server-to-Server credential out of Adobe's Developer Console.

    `scopes` are the credential's own, as the console lists them: a sequence, or one text separated by commas.
    `ims_url` is the identity service. Nothing is stored and no token is fetched before the first request.
    """

    client_id: str = field(repr=False)
    client_secret: Secret = field(converter=_secret)
    scopes: tuple[str, ...] = field(default=DEFAULT_SCOPES, converter=_scopes, kw_only=True)
    ims_url: str = field(default="https://ims-na1.adobelogin.com", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.client_id or not self.client_id.isascii() or not self.client_id.isprintable():
            raise DefinitionError("A client id is printable text.", path="client_id")
        if self.client_id != self.client_id.strip():
            raise DefinitionError("The client id begins or ends with a blank.", path="client_id")
        check_secret(self.client_secret, "client_secret")


def fetch_token(http: HttpClient, credential: OAuthServerToServer) -> tuple[str, float]:
    """Ask IMS for a token; return it with its life in seconds (IMS says seconds here, unlike for JWT).

    Raises CredentialsError when IMS does not accept id, secret or scopes, UnavailableError and ThrottledError when
    asking again later may help, ProtocolError for an answer that is no token.
    """
    answer = http.request("POST", "ims/token/v3", headers=_FORM, content=_form(credential))
    if answer.status == 200:
        token = _token(answer)
        if token is None:
            raise ProtocolError(
                "Adobe's identity service sent something that is not a token.", remedy="Check the address of IMS."
            )
        return token
    if answer.status >= 500 or answer.status in (408, 425):
        raise UnavailableError(f"Adobe's identity service is not available (status {answer.status}).")
    raise _refused(answer)


def _form(credential: OAuthServerToServer) -> SecretBytes:
    form = {
        "grant_type": "client_credentials",
        "client_id": credential.client_id,
        "client_secret": credential.client_secret.reveal(),
        "scope": ",".join(credential.scopes),
    }
    return SecretBytes(urlencode(form).encode("ascii"))


def _token(answer: Response) -> tuple[str, float] | None:
    content = answer.json()
    token = content.get("access_token") if isinstance(content, dict) else None
    life = content.get("expires_in") if isinstance(content, dict) else None
    if isinstance(life, str) and life.isascii() and life.isdigit() and len(life) <= 15:
        life = int(life)
    if not isinstance(token, str) or not isinstance(life, int | Decimal) or isinstance(life, bool):
        return None
    return token, float(life)


def _refused(answer: Response) -> CredentialsError | ProtocolError:
    """Constant texts: an answer of the identity service never reaches a message."""
    words = answer.text()[:2000].lower()
    status = f"(status {answer.status})"
    if answer.status == 404 or "html" in answer.content_type:
        return ProtocolError(f"There is no identity service at this address {status}.", remedy="Check ims_url.")
    if "scope" in words:
        return CredentialsError(
            f"Adobe's identity service does not grant the scopes {status}.",
            remedy="Copy the scopes that the Developer Console shows for this credential into `scopes`.",
        )
    return CredentialsError(
        f"Adobe's identity service does not accept client id and secret {status}.",
        remedy="Check both in the Developer Console; a secret may have been rotated.",
    )
