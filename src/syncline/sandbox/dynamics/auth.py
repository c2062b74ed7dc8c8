"""The identity provider: access tokens for an application, and the check of the bearer header.

Lives here: the Microsoft Entra token endpoint for the client-credentials grant, with its error bodies; the discovery
documents its client libraries read; issued tokens and their end.
Never here: what a token's holder may do.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .answers import Answer, DataverseError, json_text
from .assertions import assertion_fault
from .environment import Environment
from .requests import Request

__all__ = ["TokenIssuer"]

DOMAIN = "sandbox.onmicrosoft.com"
_CACHE = (("Content-Type", "application/json; charset=utf-8"), ("Cache-Control", "no-store, no-cache"))
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class _RefusedError(Exception):
    def __init__(self, error: str, number: int, text: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.number, self.text, self.status = error, number, text, status


class TokenIssuer:
    """Issues access tokens and remembers until when each is good."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._ends: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"TokenIssuer({len(self._ends)} tokens)"

    def forget(self) -> None:
        """Makes every token given so far worthless."""
        self._ends.clear()

    def answer(self, request: Request) -> Answer | None:
        """The answer of the identity provider, or None if the path is not one of its."""
        parts = [part for part in request.path.split("/") if part]
        if len(parts) == 4 and parts[1:] == ["oauth2", "v2.0", "token"] and request.method == "POST":
            return self._token(request, parts[0])
        if parts[1:] == ["v2.0", ".well-known", "openid-configuration"]:
            return self._configuration(request, parts[0])
        if parts == ["common", "discovery", "instance"]:
            return self._instance(request)
        return None

    def check(self, request: Request) -> None:
        """Raises DataverseError (401) unless the request carries a token that is still good."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        end = self._ends.get(token.strip()) if scheme.lower() == "bearer" else None
        if end is None:
            raise self._unauthorized(request, "")
        if end <= self._environment.now().timestamp():
            del self._ends[token.strip()]
            raise self._unauthorized(request, ', error="invalid_token", error_description="The token is expired"')

    def _unauthorized(self, request: Request, reason: str) -> DataverseError:
        origin, tenant = request.origin, self._environment.tenant_id
        challenge = f"Bearer authorization_uri={origin}/{tenant}/oauth2/authorize, resource_id={origin}/{reason}"
        return DataverseError(
            401,
            "0x80048306",
            "Not authorized: the access token is missing or not valid.",
            headers={"WWW-Authenticate": challenge},
        )

    # -- the token endpoint ---------------------------------------------------------------------------------------

    def _token(self, request: Request, tenant: str) -> Answer:
        try:
            return self._issue(request, tenant)
        except _RefusedError as refused:
            return self._refusal(refused)

    def _issue(self, request: Request, tenant: str) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            raise _RefusedError(
                "unsupported_grant_type",
                70003,
                f"The app requested an unsupported grant type '{form.get('grant_type')}'.",
            )
        self._check_tenant(tenant)
        client_id, secret = _credentials(request, form)
        if client_id != self._environment.client_id:
            raise _RefusedError(
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory.",
            )
        self._check_proof(request, tenant, form, secret)
        self._check_scope(request, form.get("scope", ""))
        return self._grant(request)

    def _check_tenant(self, tenant: str) -> None:
        if tenant in {"common", "organizations", "consumers"}:
            raise _RefusedError(
                "invalid_request",
                9001023,
                "The grant type isn't supported over the /common or /consumers endpoints. Please use the /organizations"
                " or tenant-specific endpoint.",
            )
        if tenant not in {self._environment.tenant_id, DOMAIN}:
            raise _RefusedError("invalid_request", 90002, f"Tenant '{tenant}' not found.")

    def _check_proof(self, request: Request, tenant: str, form: dict[str, str], secret: str | None) -> None:
        if form.get("client_assertion_type") == _ASSERTION_TYPE and "client_assertion" in form:
            fault = assertion_fault(
                form["client_assertion"],
                client_id=self._environment.client_id,
                audience=f"{request.origin}/{tenant}/oauth2/v2.0/token",
                now=self._environment.now().timestamp(),
                certificates=self._environment.settings.certificates,
            )
            if fault is not None:
                raise _RefusedError("invalid_client", fault[0], fault[1], 401)
            return
        if not secret:
            raise _RefusedError(
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                401,
            )
        if secret != self._environment.client_secret:
            raise _RefusedError(
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret"
                f" value, not the client secret ID, for a secret added to app '{self._environment.client_id}'.",
                401,
            )

    def _check_scope(self, request: Request, scope: str) -> None:
        names = scope.split()
        if len(names) != 1 or not names[0].endswith("/.default"):
            raise _RefusedError(
                "invalid_scope", 70011, f"The provided value for the input parameter 'scope' is not valid: {scope}."
            )
        wanted, mine = urlsplit(names[0]), urlsplit(request.origin)
        if _authority(wanted.netloc) != _authority(mine.netloc):
            resource = f"{wanted.scheme}://{wanted.netloc}"
            raise _RefusedError(
                "invalid_resource", 500011, f"The resource principal named {resource} was not found in the tenant."
            )

    def _grant(self, request: Request) -> Answer:
        environment = self._environment
        lifetime = environment.settings.token_seconds
        if lifetime is None:
            lifetime = environment.random.randrange(3600, 5400)
        now = environment.now().timestamp()
        token = self._new_token(request, now, now + lifetime)
        self._ends[token] = now + lifetime
        body = {
            "token_type": "Bearer",
            "expires_in": int(lifetime),
            "ext_expires_in": int(lifetime),
            "access_token": token,
        }
        return Answer(status=200, headers=_CACHE, body=json_text(body))

    def _new_token(self, request: Request, start: float, end: float) -> str:
        """Looks like the real thing, so that clients that peek inside find what they expect; nobody may rely on it."""
        environment = self._environment
        claims = {
            "aud": request.origin,
            "iss": f"https://sts.windows.net/{environment.tenant_id}/",
            "iat": int(start),
            "nbf": int(start),
            "exp": int(end),
            "appid": environment.client_id,
            "tid": environment.tenant_id,
            "uti": environment.new_id(),
        }
        head = _segment({"typ": "JWT", "alg": "RS256", "kid": "sandbox"})
        return f"{head}.{_segment(claims)}.{environment.random.getrandbits(256):064x}"

    def _refusal(self, refused: _RefusedError) -> Answer:
        environment = self._environment
        moment = environment.now()
        trace, correlation = environment.new_id(), environment.new_id()
        stamp = moment.strftime("%Y-%m-%d %H:%M:%SZ")
        text = f"AADSTS{refused.number}: {refused.text}"
        body: dict[str, Any] = {
            "error": refused.error,
            "error_description": f"{text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
            "error_codes": [refused.number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={refused.number}",
        }
        return Answer(status=refused.status, headers=_CACHE, body=json_text(body))

    # -- discovery ------------------------------------------------------------------------------------------------

    def _configuration(self, request: Request, tenant: str) -> Answer:
        origin = request.origin
        body = {
            "issuer": f"{origin}/{tenant}/v2.0",
            "authorization_endpoint": f"{origin}/{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{origin}/{tenant}/oauth2/v2.0/token",
            "jwks_uri": f"{origin}/{tenant}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return Answer(status=200, headers=_CACHE, body=json_text(body))

    def _instance(self, request: Request) -> Answer:
        host = urlsplit(request.origin).netloc
        tenant = f"{request.origin}/{self._environment.tenant_id}/v2.0/.well-known/openid-configuration"
        body = {
            "tenant_discovery_endpoint": tenant,
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
        return Answer(status=200, headers=_CACHE, body=json_text(body))


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str | None]:
    """Client id and secret from the form or from a Basic header."""
    scheme, _, packed = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(packed, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _RefusedError("invalid_client", 7000218, "The authorization header is not valid.", 401) from error
        return unquote(name), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret")


def _authority(netloc: str) -> tuple[str, str]:
    host, _, port = netloc.rpartition(":") if not netloc.endswith("]") and ":" in netloc else (netloc, "", "")
    bare = host.strip("[]").lower()
    return ("loopback" if bare in _LOOPBACK else bare, port)


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")
