"""What came in: one request, its preferences, and the resource its path names.

Lives here: taking a request apart. Never here: answering it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from .answers import DataverseError
from .odata_filter import Literal, parse_literal
from .projection import Annotations

__all__ = ["Preferences", "Request", "Segment", "parse_path", "parse_preferences"]

_PREFERENCE = re.compile(r'\s*([^=,;\s]+)\s*(?:=\s*("[^"]*"|[^,;]*))?\s*(?:[,;]|$)')
_SEGMENT = re.compile(r"([^()]+)(?:\((.*)\))?\Z", re.DOTALL)
_API = re.compile(r"/api/data/(v9\.[0-2])(?:/(.*))?\Z", re.DOTALL)


@attrs.frozen(kw_only=True)
class Preferences:
    """The `Prefer` header, understood."""

    track_changes: bool = False
    max_page_size: int | None = None
    annotations: Annotations = attrs.field(factory=Annotations)
    return_representation: bool = False
    continue_on_error: bool = False


@attrs.define(kw_only=True)
class Request:
    """One request. `headers` have lower-case names, `query` is decoded, `origin` is scheme, host and port."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    origin: str = ""
    query: dict[str, str] = attrs.field(init=False)
    preferences: Preferences = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # max_num_fields keeps a hostile query from costing more than a page.
        pairs = parse_qsl(self.query_string, keep_blank_values=True, max_num_fields=200) if self.query_string else ()
        self.query = dict(pairs)
        self.preferences = parse_preferences(self.headers.get("prefer"))

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"

    @property
    def aliases(self) -> dict[str, str]:
        """Parameter aliases: query options whose name begins with `@`."""
        return {name: value for name, value in self.query.items() if name.startswith("@")}

    @property
    def select(self) -> list[str] | None:
        """The names in `$select`, or None without one."""
        text = self.query.get("$select")
        return [name.strip() for name in text.split(",") if name.strip()] if text else None


def parse_preferences(header: str | None) -> Preferences:
    """Reads the `Prefer` header; unknown preferences are ignored, as the standard asks."""
    if not header:
        return _NO_PREFERENCES
    found: dict[str, Any] = {}
    for name, value in _PREFERENCE.findall(header):
        bare = value.strip().strip('"')
        key = name.lower().removeprefix("odata.")
        if key == "track-changes":
            found["track_changes"] = True
        elif key == "maxpagesize" and bare.isdecimal() and int(bare) > 0:
            found["max_page_size"] = int(bare)
        elif key == "include-annotations":
            found["annotations"] = Annotations.parse(bare)
        elif key == "return" and bare == "representation":
            found["return_representation"] = True
        elif key == "continue-on-error" and bare != "false":
            found["continue_on_error"] = True
    return Preferences(**found)


_NO_PREFERENCES = Preferences()


@attrs.frozen(kw_only=True)
class Segment:
    """One step of a path: a name and, if it had parentheses, what stood in them."""

    name: str
    arguments: str | None = None

    def keys(self) -> dict[str, Literal] | str | None:
        """None without parentheses; the text of a lone id; or named alternate key values."""
        if self.arguments is None:
            return None
        text = self.arguments.strip()
        if "=" not in text:
            return text
        return {name: parse_literal(value) for name, value in _named(text)}


def _named(text: str) -> list[tuple[str, str]]:
    """Splits `a='x, y',b=2` at the commas outside quotes."""
    pairs = []
    for part in re.findall(r"(?:'(?:[^']|'')*'|[^,'])+", text):
        name, equals, value = part.partition("=")
        if not equals:
            raise DataverseError(400, "0x80060888", f"Bad Request - Error in query syntax: '{text}'.")
        pairs.append((name.strip(), value.strip()))
    return pairs


def parse_path(path: str) -> list[Segment] | None:
    """The segments after `/api/data/v9.x/`, or None if the path is not below it."""
    match = _API.match(path)
    if match is None:
        return None
    return [_segment(part) for part in (match[2] or "").split("/") if part]


def _segment(part: str) -> Segment:
    match = _SEGMENT.match(part)
    if match is None:
        raise DataverseError(400, "0x80060888", f"Bad Request - Error in query syntax: '{part}'.")
    return Segment(name=match[1], arguments=match[2])


def api_root(path: str) -> str:
    """`/api/data/v9.2` for a path below it."""
    match = _API.match(path)
    return f"/api/data/{match[1]}" if match else "/api/data/v9.2"
