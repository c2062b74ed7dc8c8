"""What the server says: answers, error shapes, JSON text.

Lives here: the value that leaves a handler, the exception that becomes an error body, and the two JSON writers.
Never here: routing, storage, or which error fits which case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = [
    "Answer",
    "DataverseError",
    "decimal_mark",
    "error_body",
    "json_answer",
    "json_text",
    "page_text",
    "text_answer",
    "unmarked",
]

JSON_TYPE = "application/json; odata.metadata=minimal"

# Decimal and money values leave with their trailing zeros (20000.0000), which no JSON writer of the standard
# library can do. They travel through it as marked strings, and the marks are cut out of the finished text.
_MARK = "\x02\x1fdec:"
_MARK_IN_TEXT = '"\\u0002\\u001fdec:'
_MARK_END = "\x1f\x03"
_MARK_END_IN_TEXT = '\\u001f\\u0003"'

_dumps = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


@attrs.frozen(kw_only=True)
class Answer:
    """One HTTP answer: status, headers in sending order, body bytes."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"

    def header(self, name: str) -> str | None:
        """The first header of that name, compared without case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class DataverseError(Exception):
    """Refuses a request the way Dataverse does: an HTTP status, a hexadecimal code and a message."""

    def __init__(self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def answer(self, *, detailed: bool = False) -> Answer:
        """This error as an HTTP answer; `detailed` adds what `include-annotations="*"` asks for."""
        return Answer(
            status=self.status,
            headers=(("Content-Type", JSON_TYPE), *self.headers.items()),
            body=json_text(error_body(self.code, self.message, detailed=detailed)),
        )


def error_body(code: str, message: str, *, detailed: bool = False) -> dict[str, Any]:
    """The documented error shape, with the details of `include-annotations="*"` when asked for."""
    error: dict[str, Any] = {"code": code, "message": message}
    if detailed:
        help_code = code.removeprefix("0x") or "0"
        error["@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus"] = "0"
        error["@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode"] = "0"
        error["@Microsoft.PowerApps.CDS.HelpLink"] = (
            f"http://go.microsoft.com/fwlink/?LinkID=398563&error=Microsoft.Crm.CrmException%3a{help_code}"
        )
        error["@Microsoft.PowerApps.CDS.InnerError.Message"] = message
    return {"error": error}


def json_text(value: Any) -> bytes:
    """Compact JSON in ASCII. Raises ValueError on NaN and infinities, which no answer may hold."""
    return _dumps(value).encode("ascii")


def decimal_mark(digits: str) -> str:
    """Wraps fixed-point digits so that `page_text` writes them as a bare number."""
    return f"{_MARK}{digits}{_MARK_END}"


def unmarked(value: Any) -> Any:
    """The digits inside a `decimal_mark`, or any other value as it is."""
    return value[len(_MARK) : -len(_MARK_END)] if isinstance(value, str) and value.startswith(_MARK) else value


def page_text(value: Any) -> bytes:
    """Like `json_text`, and turns every `decimal_mark` into a bare number with its trailing zeros."""
    text = _dumps(value)
    if _MARK_IN_TEXT in text:
        text = text.replace(_MARK_IN_TEXT, "").replace(_MARK_END_IN_TEXT, "")
    return text.encode("ascii")


def json_answer(value: Any, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer with a JSON body."""
    return Answer(status=status, headers=(("Content-Type", JSON_TYPE), *headers), body=page_text(value))


def text_answer(text: str, *, status: int = 200) -> Answer:
    """A text/plain answer that begins with a byte order mark, as the bodies of `$count` do."""
    return Answer(status=status, headers=(("Content-Type", "text/plain"),), body=b"\xef\xbb\xbf" + text.encode())
