"""What a service answered.

What lives here: status, headers and body, read strictly. Never a verdict: whether an answer is good is the connector's
business.
"""

from __future__ import annotations

from typing import Any

from syncline.connectors.http.exchange import Headers
from syncline.connectors.http.limits import Limits
from syncline.connectors.http.strict_json import load
from syncline.errors import ProtocolError

__all__ = ["Response", "safe_text"]

_DEFAULT = Limits()


def safe_text(text: str, most: int = 200) -> str:
    """At most `most` characters for a message or a log: printable ASCII, everything else escaped, blanks joined."""
    short = " ".join(text[: most * 4].split())[:most]
    return "".join(
        character if " " <= character <= "~" else character.encode("unicode_escape").decode("ascii")
        for character in short
    )


class Response:
    """An answer as it came: `status`, `headers` (any case), `body` (bytes, content encoding undone)."""

    __slots__ = ("_limits", "body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes, limits: Limits = _DEFAULT) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._limits = limits

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes of {self.content_type or 'nothing named'}>"

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty where none was sent."""
        return safe_text(self.headers.get("content-type", "").partition(";")[0].strip().lower(), 80)

    def json(self) -> Any:
        """The body as JSON, with `Decimal` for fractions.

        Raises `ProtocolError` for anything that is not strict JSON: see `strict_json.load`. The message holds status
        and content type, and the beginning of the body only when that is an HTML page, never values of a record.
        """
        try:
            return load(self.body, self._limits)
        except ValueError as error:
            raise ProtocolError(
                f"An answer (status {self.status}, {self.content_type or 'no content type'},"
                f" {len(self.body)} bytes) is unusable: {error}.{self._page()}"
            ) from None

    def text(self) -> str:
        """The body as text in UTF-8, without a byte order mark; bytes that are none are replaced."""
        return self.body.decode("utf-8-sig", "replace")

    def _page(self) -> str:
        if "html" not in self.content_type and self.body.lstrip()[:1] != b"<":
            return ""
        return f" It begins: {safe_text(self.body[:2000].decode('utf-8', 'replace'))}"
