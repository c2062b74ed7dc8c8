"""What arrived: counts by method and path template, the last requests with bodies if wanted, and who came too early.

"Early" is a request that arrives before the Retry-After of an earlier 429 or 503 of the same system is over. Token
requests are another door and are not counted as early. What never lives here: secrets; Authorization is left out.
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from .clock import SandboxClock

__all__ = ["Arrival", "Arrivals"]

_PKEY = re.compile(r"/@[A-Za-z0-9_=-]+")
_PARENTHESES = re.compile(r"\([^)]*\)")
_GUID = re.compile(r"/[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TOKENS = re.compile(r"^/ims/|/oauth2/")
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "cookie"})
_SECRET_FIELDS = re.compile(rb"((?:client_secret|client_assertion)=)[^&]*")
_OFFSETS = 1000


@attrs.frozen
class Arrival:
    """One request. `body` is text, `headers` lower-case without credentials, `at` seconds of a steady clock."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    at: float


class Arrivals:
    """The log of one system."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self.counts: Counter[tuple[str, str]] = Counter()
        self.statuses: Counter[int] = Counter()
        self.kept: deque[Arrival] = deque(maxlen=0)
        self._closed_until = 0.0
        self._closed_since = 0.0
        self.early = 0
        self.throttled = 0
        #: For each early request, how many milliseconds after the throttling answer it came (the last 1,000).
        self.early_after: deque[float] = deque(maxlen=_OFFSETS)

    def __repr__(self) -> str:
        return f"<Arrivals: {self.counts.total()} requests, {self.early} early>"

    def keep(self, last: int) -> None:
        """Keep the last requests with their bodies; 0 keeps none."""
        self.kept = deque(self.kept, maxlen=last)

    def note(self, method: str, path: str) -> None:
        """A request arrived."""
        self.counts[method, _template(path)] += 1
        if self._closed_until:
            self._note_early(path)

    def _note_early(self, path: str) -> None:
        now = time.monotonic()
        if now >= self._closed_until:
            self._closed_until = 0.0
        elif not _TOKENS.search(path):
            self.early += 1
            self.early_after.append((now - self._closed_since) * 1000)

    def note_kept(self, scope: Any, body: bytes) -> None:
        """Keep a request whole."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name.decode("latin-1") not in _SECRET_HEADERS
        }
        text = _SECRET_FIELDS.sub(rb"\1***", body).decode("utf-8", "replace")
        query = scope["query_string"].decode("latin-1")
        self.kept.append(Arrival(scope["method"], scope["path"], query, headers, text, time.monotonic()))

    def note_answer(self, status: int, headers: Any) -> None:
        """An answer is about to leave."""
        self.statuses[status] += 1
        if status in (429, 503):
            self.throttled += 1
            for name, value in headers:
                if name.lower() == b"retry-after":
                    self._close(value.decode("latin-1"))

    def _close(self, retry_after: str) -> None:
        seconds = self._seconds(retry_after)
        if seconds > 0:
            now = time.monotonic()
            self._closed_since = now
            self._closed_until = max(self._closed_until, now + seconds)

    def _seconds(self, retry_after: str) -> float:
        if retry_after.isascii() and retry_after.isdigit():
            return float(retry_after[:9])
        try:
            return (parsedate_to_datetime(retry_after) - self._clock.now()).total_seconds()
        except (TypeError, ValueError):
            return 0.0

    def clear(self) -> None:
        """Forget what came, and every Retry-After that was given."""
        self.counts.clear()
        self.statuses.clear()
        self.kept.clear()
        self.early_after.clear()
        self.early = self.throttled = 0
        self._closed_until = 0.0

    def told(self) -> dict[str, Any]:
        """Everything as plain data: counts are keyed by `METHOD /path/{PKey}`."""
        return {
            "total": self.counts.total(),
            "counts": {f"{method} {path}": count for (method, path), count in sorted(self.counts.items())},
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "throttled": self.throttled,
            "early": self.early,
            "early_after_ms": list(self.early_after),
            "kept": [attrs.asdict(arrival) for arrival in self.kept],
        }


def _template(path: str) -> str:
    """The path with its ids taken out; looked for only where there can be one, since this runs for every request."""
    if "/@" in path:
        path = _PKEY.sub("/{PKey}", path)
    if "(" in path:
        path = _PARENTHESES.sub("({id})", path)
    return _GUID.sub("/{id}", path) if path.count("-") > 3 else path
