"""Bearer tokens: when to fetch one and who does it.

What lives here: the cache with its single flight. How a token is fetched is each connector's own business. Tokens stay
in memory.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from syncline.clock import Clock
from syncline.connectors.http.secret import Secret
from syncline.errors import ProtocolError, RetryLaterError

__all__ = ["OAuthTokenSource", "TokenSource"]

_REFRESH_AT = 0.8
_LONGEST_LIFE = 86_400.0
_TRY_AGAIN_AFTER = 10.0


class TokenSource(ABC):
    """Gives the bearer token for a request. Thread-safe."""

    @abstractmethod
    def get(self) -> Secret:
        """A token that is still good. Raises `CredentialsError`, or `UnavailableError` while none can be fetched."""

    @abstractmethod
    def refresh(self, old: Secret) -> Secret:
        """A token other than `old`, which the service turned away. Callers that come together cause one fetch."""


class OAuthTokenSource(TokenSource):
    """Keeps the token that `fetch` returns, with its life in seconds, and renews it after 80 % of that life.

    `fetch` is called by one thread at a time. While a renewal is under way, or fails for a passing reason, the others
    go on with the token they have for as long as it lives. `fetch` raises errors of `syncline.errors`.
    """

    def __init__(self, fetch: Callable[[], tuple[str, float]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Secret | None = None
        self._renew_at = -math.inf
        self._ends_at = -math.inf

    def __repr__(self) -> str:
        left = self._ends_at - self._clock.monotonic()
        return f"<OAuthTokenSource: {f'{left:.0f} s left' if left > 0 else 'no token'}>"

    def get(self) -> Secret:
        token, now = self._token, self._clock.monotonic()
        if token is not None and now < self._renew_at:
            return token
        if token is not None and now < self._ends_at:
            return self._renew_early(token)
        with self._lock:
            if self._token is not None and self._clock.monotonic() < self._renew_at:
                return self._token
            return self._renew()

    def refresh(self, old: Secret) -> Secret:
        with self._lock:
            if self._token is not None and self._token != old:
                return self._token
            return self._renew()

    def _renew_early(self, token: Secret) -> Secret:
        if not self._lock.acquire(blocking=False):
            return token
        try:
            if self._token is not None and self._clock.monotonic() < self._renew_at:
                return self._token
            return self._renew()
        except RetryLaterError:
            self._renew_at = self._clock.monotonic() + _TRY_AGAIN_AFTER
            return token
        finally:
            self._lock.release()

    def _renew(self) -> Secret:
        began = self._clock.monotonic()
        token, life = _fetched(self._fetch)
        if not _can_be_sent(token):
            raise ProtocolError("The identity service sent something that is not a token.")
        if not 0 < life < math.inf:
            raise ProtocolError("The identity service sent a token without a usable life.")
        life = min(life, _LONGEST_LIFE)
        self._token = token
        # counted from before the request: the token was made somewhere between
        self._renew_at = began + life * _REFRESH_AT
        self._ends_at = began + life
        return self._token


def _fetched(fetch: Callable[[], tuple[str, float]]) -> tuple[Secret, float]:
    value, life = fetch()
    return Secret(value), life


def _can_be_sent(token: Secret) -> bool:
    value = token.reveal()
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
