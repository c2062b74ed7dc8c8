"""Reading an HTTP/1.1 answer from a stream of bytes.

What lives here: framing (RFC 9112) under limits, and no socket: bytes come from a `receive` function, so that every
split of the stream can be tested. Strict where leniency is how two readers come to disagree: no bare line feeds, no
folded headers, no Content-Length next to Transfer-Encoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from syncline.connectors.http.exchange import ExchangeError, Trouble
from syncline.connectors.http.limits import Limits

__all__ = ["Head", "RawAnswer", "read_answer"]

_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LENGTH = re.compile(r"[0-9]{1,15}")
_LONGEST_CHUNK_LINE = 1024
_INTERIM_ANSWERS = 16


class Head(NamedTuple):
    """Status and headers (names in lower case, repeated ones joined with a comma; cookies are dropped)."""

    version: int
    status: int
    headers: dict[str, str]


class RawAnswer(NamedTuple):
    """An answer whose body is still encoded; `reusable` says whether the connection can carry another request."""

    head: Head
    body: bytes
    reusable: bool


def read_answer(receive: Callable[[], bytes], method: str, limits: Limits) -> RawAnswer:
    """Read one answer to a `method` request.

    `receive` returns the next bytes, or none at the end of the stream. Raises `ExchangeError` (sent) for an answer that
    is cut, malformed or beyond the limits; the caller then drops the connection.
    """
    head, rest = _read_final_head(receive, limits)
    status, headers = head.status, head.headers
    encoding = headers.get("transfer-encoding")
    length = None if (text := headers.get("content-length")) is None else _length(text)
    if encoding is not None and (length is not None or encoding.lower() != "chunked" or head.version == 0):
        raise _malformed("no single way to tell where the body ends")
    if method == "HEAD" or status in (204, 304):
        return RawAnswer(head, b"", not rest and _keeps_open(head))
    if encoding is not None:
        body, rest = _Chunks(receive, rest, limits).read()
    elif length is not None:
        if length > limits.wire_bytes:
            raise _too_large("body")
        body, rest = _read_exactly(receive, rest, length)
    else:
        return RawAnswer(head, _read_to_end(receive, rest, limits), False)
    # Bytes after the answer were not asked for: such a connection is out of step.
    return RawAnswer(head, body, not rest and _keeps_open(head))


def _malformed(detail: str) -> ExchangeError:
    return ExchangeError(Trouble.MALFORMED, detail, sent=True)


def _too_large(detail: str) -> ExchangeError:
    return ExchangeError(Trouble.TOO_LARGE, detail, sent=True)


def _cut(detail: str) -> ExchangeError:
    return ExchangeError(Trouble.CUT, detail, sent=True)


def _read_final_head(receive: Callable[[], bytes], limits: Limits) -> tuple[Head, bytes]:
    data = b""
    for _ in range(_INTERIM_ANSWERS):
        raw, data = _read_head_bytes(receive, data, limits.head_bytes)
        head = _parse_head(raw, limits)
        if head.status == 101:
            raise _malformed("a switch of protocols that was not asked for")
        if head.status >= 200:
            return head, data
    raise _malformed("interim answers without end")


def _read_head_bytes(receive: Callable[[], bytes], data: bytes, most: int) -> tuple[bytes, bytes]:
    end = data.find(b"\r\n\r\n")
    while end < 0:
        if len(data) > most:
            raise _too_large("headers")
        more = receive()
        if not more:
            raise _cut("before an answer" if not data else "within the headers")
        start = max(0, len(data) - 3)
        data = data + more if data else more
        end = data.find(b"\r\n\r\n", start)
    if end > most:
        raise _too_large("headers")
    return data[: end + 2], data[end + 4 :]


def _parse_head(raw: bytes, limits: Limits) -> Head:
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise _malformed("headers")
    lines = match[3].decode("latin-1").split("\r\n")
    lines.pop()
    if len(lines) > limits.headers:
        raise _too_large("number of headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.lower()
        value = value.strip(" \t")
        if name in headers:
            value = f"{headers[name]}, {value}"
        headers[name] = value
    headers.pop("set-cookie", None)
    return Head(int(match[1]), int(match[2]), headers)


def _keeps_open(head: Head) -> bool:
    connection = head.headers.get("connection")
    if connection is None:
        return head.version == 1
    return head.version == 1 and "close" not in connection.lower()


def _length(text: str) -> int:
    # Some intermediaries repeat the header; equal values are harmless (RFC 9110, 8.6).
    values = {part.strip(" \t") for part in text.split(",")}
    if len(values) != 1 or not _LENGTH.fullmatch(text := values.pop()):
        raise _malformed("Content-Length")
    return int(text)


def _read_exactly(receive: Callable[[], bytes], data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) >= length:
        return data[:length], data[length:]
    pieces, missing = [data], length - len(data)
    while missing > 0:
        piece = receive()
        if not piece:
            raise _cut("within the body")
        pieces.append(piece)
        missing -= len(piece)
    data = b"".join(pieces)
    return (data, b"") if missing == 0 else (data[:length], data[length:])


def _read_to_end(receive: Callable[[], bytes], data: bytes, limits: Limits) -> bytes:
    pieces, size = [data], len(data)
    while size <= limits.wire_bytes:
        piece = receive()
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    raise _too_large("body")


class _Chunks:
    """Reads a chunked body. Overhead counts as well: a body of one-byte chunks must not cost more than it may hold."""

    def __init__(self, receive: Callable[[], bytes], data: bytes, limits: Limits) -> None:
        self._receive = receive
        self._data = bytearray(data)
        self._at = 0
        self._limits = limits
        self._overhead = 0

    def read(self) -> tuple[bytes, bytes]:
        pieces: list[bytes] = []
        size = 0
        while length := self._chunk_length():
            size += length
            if size > self._limits.wire_bytes:
                raise _too_large("body")
            self._need(length + 2)
            end = self._at + length
            if self._data[end : end + 2] != b"\r\n":
                raise _malformed("chunks")
            pieces.append(bytes(self._data[self._at : end]))
            self._at = end + 2
        while self._line():
            pass  # trailers carry nothing we use
        return b"".join(pieces), bytes(self._data[self._at :])

    def _chunk_length(self) -> int:
        match = _CHUNK.fullmatch(self._line())
        if match is None:
            raise _malformed("chunks")
        return int(match[1], 16)

    def _line(self) -> bytes:
        end = self._data.find(b"\r\n", self._at)
        while end < 0:
            if len(self._data) - self._at > _LONGEST_CHUNK_LINE:
                raise _malformed("chunks")
            self._more()
            end = self._data.find(b"\r\n", self._at)
        line = bytes(self._data[self._at : end])
        self._at = end + 2
        self._overhead += len(line) + 2
        if len(line) > _LONGEST_CHUNK_LINE or self._overhead > max(
            self._limits.head_bytes, self._limits.wire_bytes // 4
        ):
            raise _too_large("chunk headers")
        return line

    def _need(self, count: int) -> None:
        while len(self._data) - self._at < count:
            self._more()

    def _more(self) -> None:
        if self._at > 65_536:
            del self._data[: self._at]
            self._at = 0
        piece = self._receive()
        if not piece:
            raise _cut("within the body")
        self._data += piece
