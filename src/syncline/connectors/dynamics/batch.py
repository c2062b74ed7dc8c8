"""`$batch`: many requests in one, and their answers.

What lives here: multipart in and out, as text. Requests are independent: no change sets. Never a verdict (source:
Microsoft's page on batch operations: every line ends in CRLF, the last one too, and `odata.continue-on-error` is needed
for an answer to each).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import field, frozen

from syncline.connectors.http import Response
from syncline.connectors.http.exchange import Headers
from syncline.errors import ProtocolError

__all__ = ["BatchPart", "read_batch", "write_batch"]

_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,120})"?', re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")


@frozen(kw_only=True)
class BatchPart:
    """One request of a batch. `target` is an absolute path; `body` is JSON."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = field(repr=False)


def write_batch(parts: Sequence[BatchPart], boundary: str) -> bytes:
    """The body of a batch; its content type is `multipart/mixed; boundary="<boundary>"`."""
    return b"".join(_written(parts, boundary.encode("ascii")))


def _written(parts: Sequence[BatchPart], boundary: bytes) -> Iterator[bytes]:
    for part in parts:
        yield b"--%b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n" % boundary
        yield f"{part.method} {part.target} HTTP/1.1\r\n".encode("ascii")
        for name, value in part.headers:
            yield f"{name}: {value}\r\n".encode("ascii")
        yield b"Content-Type: application/json; type=entry\r\n\r\n" + part.body + b"\r\n"
    yield b"--%b--\r\n" % boundary


def read_batch(response: Response, count: int) -> list[Response]:
    """The answers in the order of the requests. Raises ProtocolError when there are not `count` of them."""
    match = _BOUNDARY.search(response.headers.get("content-type", ""))
    pieces = response.body.split(b"--" + match[1].encode("latin-1")) if match else []
    # Before the first boundary and behind the last one, which ends in two hyphens, stands nothing of interest.
    answers = [_answer(piece, response.sender) for piece in pieces[1:-1]]
    if len(answers) != count:
        raise ProtocolError(f"Dynamics 365 answered {len(answers)} of {count} requests of a batch.")
    return answers


def _answer(piece: bytes, sender: str) -> Response:
    _, _, content = piece.partition(b"\r\n\r\n")
    head, _, body = content.partition(b"\r\n\r\n")
    line, _, lines = head.partition(b"\r\n")
    status = _STATUS.match(line)
    if status is None:
        raise ProtocolError("Dynamics 365 sent a part of a batch that is no answer.")
    headers = {}
    for told in lines.split(b"\r\n"):
        name, colon, value = told.partition(b":")
        if colon:
            headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return Response(int(status[1]), Headers(headers), body.removesuffix(b"\r\n"), sender=sender)
