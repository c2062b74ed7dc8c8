"""What a service answered.

What lives here: status, headers and body, read strictly. Never a verdict: whether an answer is good is the connector's
business.
"""

from __future__ import annotations

import re
from typing import Any

from syncline.connectors.http.exchange import Headers
from syncline.connectors.http.limits import Limits
from syncline.connectors.http.strict_json import load
from syncline.errors import ProtocolError

__all__ = ["Response", "safe_text"]

_DEFAULT = Limits()
# What pages in the place of an answer are known by. Their own words are never repeated: a firewall's page quotes the
# address it blocked, a server's error page the record it was sent, and a proxy may call a page of records HTML.
_PAGES = (
    (re.compile(rb"sign[ -]?in|log[ -]?[io]n|password", re.IGNORECASE), "a page to sign in at"),
    (
        re.compile(rb"access denied|forbidden|blocked|rejected|firewall|captcha", re.IGNORECASE),
        "a page that refuses access, such as a firewall's",
    ),
    (
        re.compile(rb"bad gateway|gateway time|unavailable|maintenance|proxy", re.IGNORECASE),
        "a page that says something is down",
    ),
)
_BETWEEN = "Something between Syncline and the service answered in its place: look at address, proxy and firewall."


def safe_text(text: str, most: int = 200) -> str:
    """At most `most` characters for a message or a log: printable ASCII, everything else escaped, blanks joined."""
    short = " ".join(text[: most * 4].split())[:most]
    return "".join(
        character if " " <= character <= "~" else character.encode("unicode_escape").decode("ascii")
        for character in short
    )


class Response:
    """An answer as it came: `status`, `headers` (any case), `body` (bytes, content encoding undone).

    `sender` says in messages whose answer it is.
    """

    __slots__ = ("_limits", "body", "headers", "sender", "status")

    def __init__(
        self, status: int, headers: Headers, body: bytes, limits: Limits = _DEFAULT, sender: str = "The service"
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.sender = sender
        self._limits = limits

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes of {self.content_type or 'nothing named'}>"

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty where none was sent."""
        return safe_text(self.headers.get("content-type", "").partition(";")[0].strip().lower(), 80)

    def json(self) -> Any:
        """The body as JSON, with `Decimal` for fractions.

        Raises `ProtocolError` for anything that is not strict JSON: see `strict_json.load`. The message holds sender,
        status, content type and the defect, in our own words: never a value of a record and never the answer's text.
        """
        try:
            return load(self.body, self._limits)
        except ValueError as error:
            told = f"{self.sender} sent an answer that cannot be used (status {self.status}, {self._kind()})"
            page = self._page()
            raise ProtocolError(f"{told}: {page or error}.", remedy=_BETWEEN if page else "") from None

    def text(self) -> str:
        """The body as text in UTF-8, without a byte order mark; bytes that are none are replaced."""
        return self.body.decode("utf-8-sig", "replace")

    def _kind(self) -> str:
        return f"{self.content_type or 'no content type'}, {len(self.body)} bytes"

    def _page(self) -> str:
        """What kind of page for people this is; empty when it is none."""
        if "html" not in self.content_type and self.body.lstrip()[:1] != b"<":
            return ""
        beginning = self.body[:20_000]
        return next((says for words, says in _PAGES if words.search(beginning)), "a page for people, not data")
