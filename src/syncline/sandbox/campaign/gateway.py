"""The doors: Adobe's identity service (IMS) that gives tokens, and the gateway that looks at them.

What never lives here: anything the Campaign engine itself says.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qsl
from uuid import UUID

from .settings import Settings

__all__ = ["Answer", "Gateway"]

#: status, headers beside content-type and content-length, body
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def _problem(status: int, code: str, message: str) -> Answer:
    return status, [], json.dumps({"error_code": code, "message": message}).encode()


_MISSING_KEY = _problem(403, "403000", "Api Key is required")
_WRONG_KEY = _problem(403, "403003", "Api Key is invalid")
_MISSING_TOKEN = _problem(401, "401010", "Oauth token is missing")
_WRONG_TOKEN = _problem(401, "401013", "Oauth token is not valid")
_WRONG_PROFILE = _problem(403, "403023", "Profile is not valid")
_TOO_MANY = _problem(429, "429050", "Too many requests")
OOPS: Answer = (
    500,
    [],
    json.dumps({"code": 500, "message": "Oops. Something went wrong. Check your URI and try again."}).encode(),
)


class Gateway:
    """One credential, the tokens it was given, and the rate limit if one is set."""

    def __init__(self, *, seed: int, clock: Callable[[], datetime], settings: Settings) -> None:
        drawn = random.Random(f"campaign credential {seed}")  # noqa: S311  (made up, and the same on every start)
        self.client_id = f"{drawn.getrandbits(128):032x}"
        self.client_secret = f"p8e-{UUID(int=drawn.getrandbits(128)).hex}"
        self._clock = clock
        self._settings = settings
        #: whole Authorization header -> when it expires, in seconds since 1970
        self._bearer: dict[bytes, float] = {}
        self._second, self._requests = 0, 0

    def __repr__(self) -> str:
        return f"<Gateway with {len(self._bearer)} tokens given>"

    def token(self, body: bytes) -> Answer:
        """Answer `POST /ims/token/v3`, form-encoded client credentials."""
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_id") != self.client_id:
            return _refused("invalid_client", "invalid client_id parameter")
        if form.get("client_secret") != self.client_secret:
            return _refused("invalid_client", "invalid client_secret parameter")
        granted = {scope.strip() for scope in self._settings.scopes.split(",")}
        asked = [scope.strip() for scope in form.get("scope", "").split(",") if scope.strip()]
        if not asked or not granted.issuperset(asked):
            return _refused("invalid_scope", "invalid_target_scope")
        return self._give(self._settings.token_seconds)

    def _give(self, seconds: int) -> Answer:
        token = f"eyJhbGciOiJSUzI1NiJ9.{secrets.token_urlsafe(120)}.{secrets.token_urlsafe(64)}"
        self._bearer[b"Bearer " + token.encode()] = self._clock().timestamp() + seconds
        return 200, [], json.dumps({"access_token": token, "token_type": "bearer", "expires_in": seconds}).encode()

    def revoke(self) -> int:
        """Forget all tokens: every request answers 401013 until a new one is asked for. Returns how many."""
        count = len(self._bearer)
        self._bearer.clear()
        return count

    def refuse(self, headers: dict[bytes, bytes]) -> Answer | None:
        """Why this request may not pass, or None."""
        if self._settings.rate_limit and (full := self._over_the_limit()):
            return full
        key = headers.get(b"x-api-key")
        if key is None:
            return _MISSING_KEY
        if key != self.client_id.encode():
            return _WRONG_KEY
        bearer = headers.get(b"authorization")
        if bearer is None:
            return _MISSING_TOKEN
        expiry = self._bearer.get(bearer)
        if expiry is None or expiry <= self._clock().timestamp():
            return _WRONG_TOKEN
        return None if self._settings.profile_valid else _WRONG_PROFILE

    def _over_the_limit(self) -> Answer | None:
        second = int(self._clock().timestamp())
        if second != self._second:
            self._second, self._requests = second, 0
        self._requests += 1
        if self._requests <= self._settings.rate_limit:
            return None
        wait = self._settings.rate_limit_retry_after
        return _TOO_MANY[0], [(b"retry-after", wait.encode())] if wait else [], _TOO_MANY[2]


def _refused(error: str, description: str) -> Answer:
    return 400, [], json.dumps({"error": error, "error_description": description}).encode()
