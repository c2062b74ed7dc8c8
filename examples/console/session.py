"""Who may see the console: a token, a session behind a cookie, a secret in every form, and the headers of each answer.

What lives here: everything about being let in. A host with users of its own puts its own log-in in this place.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict

from attrs import define, field
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "SecurityHeaders", "Session", "Sessions"]

COOKIE = "syncline_console"
#: Sessions beyond this number push out the oldest.
_MOST_SESSIONS = 100

#: No script and no style from anywhere but here, none inline, no frames, no other place to send a form to.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@define(eq=False)
class Session:
    """Somebody who has logged in."""

    id: str = field(factory=lambda: secrets.token_urlsafe(32), repr=False)
    #: In every form; a page of somebody else's cannot know it.
    form_secret: str = field(factory=lambda: secrets.token_urlsafe(32), repr=False)
    #: Shown once on the next page: whether it is bad news, and what it is.
    notices: list[tuple[bool, str]] = field(factory=list)

    def tell(self, text: str, *, bad: bool = False) -> None:
        """Say this on the next page."""
        self.notices.append((bad, text))

    def take_notices(self) -> list[tuple[bool, str]]:
        """What was to be said; afterwards nothing is."""
        told, self.notices = self.notices, []
        return told


class Sessions:
    """Lets in whoever knows the token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._open: OrderedDict[str, Session] = OrderedDict()

    def log_in(self, token: str) -> Session | None:
        """A new session, or None when it is the wrong token."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        session = Session()
        self._open[session.id] = session
        while len(self._open) > _MOST_SESSIONS:
            self._open.popitem(last=False)
        return session

    def find(self, number: str) -> Session | None:
        """The session with this id."""
        return self._open.get(number)

    def log_out(self, session: Session) -> None:
        self._open.pop(session.id, None)


class SecurityHeaders:
    """Puts the headers on every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
