"""`$batch`: many requests in one, in order, with change sets that happen together or not at all.

Lives here: multipart in and out, Content-ID references, where a batch stops. Never here: what a single request does.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import attrs

from .answers import Answer, DataverseError
from .environment import Environment
from .requests import Request, api_root

__all__ = ["run_batch"]

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)
_LINE = re.compile(r"([A-Z]+) (.+) HTTP/1\.[01]\Z")
_REFERENCE = re.compile(r"\$([A-Za-z0-9_]+)(?=/|\Z)")
_ORIGIN = re.compile(r"\Ahttps?://[^/?]*", re.IGNORECASE)
_LIMIT = 1000
Run = Callable[[Request], Answer]


@attrs.frozen(kw_only=True)
class Operation:
    """One request inside a batch, before its references are resolved."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    content_id: str | None


ChangeSet = list[Operation]


class _ChangeSetError(Exception):
    def __init__(self, answer: Answer, content_id: str | None) -> None:
        super().__init__(answer.status)
        self.answer, self.content_id = answer, content_id


def run_batch(environment: Environment, request: Request, run: Run, counts: Counter[str]) -> Answer:
    """Runs a batch. Without `odata.continue-on-error` it stops at the first failure and has that failure's status."""
    items = _parse(request)
    operations = [operation for item in items for operation in (item if isinstance(item, list) else [item])]
    _check(operations)
    counts["batch_part"] += len(operations)
    batch = _Batch(environment, request, run)
    boundary = f"batchresponse_{environment.new_id()}"
    parts, status = [], 200
    for item in items:
        part, worst = batch.change_set(item) if isinstance(item, list) else batch.single(item)
        parts.append(part)
        if worst >= 400 and not request.preferences.continue_on_error:
            status = worst
            break
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    body += f"--{boundary}--\r\n".encode()
    return Answer(status=status, headers=(("Content-Type", f"multipart/mixed; boundary={boundary}"),), body=body)


def _unreadable() -> DataverseError:
    return DataverseError(400, "0x80048d19", "Stream was not readable.")


def _check(operations: Sequence[Operation]) -> None:
    if len(operations) > _LIMIT:
        raise DataverseError(
            400, "0x80060888", f"The batch request includes {len(operations)} operations. The limit is {_LIMIT}."
        )
    ids = [operation.content_id for operation in operations if operation.content_id is not None]
    if len(ids) != len(set(ids)):
        raise DataverseError(400, "0x80060888", "The Content-ID values of a batch request must be unique.")
    if any("/$batch" in operation.url for operation in operations):
        raise DataverseError(400, "0x80060888", "Batch requests can't contain other batch requests.")


class _Batch:
    """Runs the items of one batch and remembers what Content-IDs stand for."""

    def __init__(self, environment: Environment, outer: Request, run: Run) -> None:
        self._environment = environment
        self._outer = outer
        self._run = run
        self._created: dict[str, str] = {}

    def single(self, operation: Operation) -> tuple[bytes, int]:
        answer = self._perform(operation)
        return _http_part(answer, operation.content_id, self._environment.new_id()), answer.status

    def change_set(self, operations: ChangeSet) -> tuple[bytes, int]:
        try:
            with self._environment.rows.together():
                answers = [self._step(operation) for operation in operations]
        except _ChangeSetError as failed:
            return self._failed(failed), failed.answer.status
        boundary = f"changesetresponse_{self._environment.new_id()}"
        parts = [
            b"--%s\r\n%s\r\n"
            % (boundary.encode(), _http_part(answer, operation.content_id, self._environment.new_id()))
            for operation, answer in zip(operations, answers, strict=True)
        ]
        head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
        return head + b"".join(parts) + f"--{boundary}--\r\n".encode(), 200

    def _failed(self, failed: _ChangeSetError) -> bytes:
        """One plain part stands for the whole change set; nested, as other servers do it, by a setting."""
        part = _http_part(failed.answer, failed.content_id, self._environment.new_id())
        if not self._environment.settings.nested_change_set_failure:
            return part
        boundary = f"changesetresponse_{self._environment.new_id()}"
        head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
        return head + b"--%s\r\n%s\r\n--%s--\r\n" % (boundary.encode(), part, boundary.encode())

    def _step(self, operation: Operation) -> Answer:
        if operation.method == "GET":
            refusal = DataverseError(400, "0x80060888", "A change set can't contain GET requests.")
            raise _ChangeSetError(refusal.answer(), operation.content_id)
        if operation.content_id is None:
            refusal = DataverseError(400, "0x80060888", "Content-ID is required for each request in a change set.")
            raise _ChangeSetError(refusal.answer(), None)
        answer = self._perform(operation)
        if answer.status >= 400:
            raise _ChangeSetError(answer, operation.content_id)
        return answer

    def _perform(self, operation: Operation) -> Answer:
        try:
            request = self._request(operation)
        except DataverseError as refusal:
            return refusal.answer()
        answer = self._run(request)
        entity = answer.header("OData-EntityId")
        if operation.content_id is not None and answer.status < 400:
            self._created[operation.content_id] = entity or f"{request.origin}{request.path}"
        return answer

    def _request(self, operation: Operation) -> Request:
        # Whatever host an absolute address names, the request is for this one.
        url = _ORIGIN.sub("", self._resolved(operation.url), count=1)
        raw_path, _, query = url.partition("?")
        path = unquote(raw_path)
        if not path.startswith("/"):
            path = f"{api_root(self._outer.path)}/{path}"
        return Request(
            method=operation.method,
            path=path,
            query_string=query.replace(" ", "%20"),
            headers=operation.headers,
            body=self._bound(operation.body),
            origin=self._outer.origin,
        )

    def _resolved(self, text: str) -> str:
        """`$1` or `$1/...` as the address of what the request with that Content-ID created."""
        match = _REFERENCE.match(text)
        if match is None:
            return text
        if match[1] not in self._created:
            if text in {"$metadata", "$batch"}:
                return text
            raise DataverseError(
                400,
                "0x80060888",
                f"Content-ID Reference: '${match[1]}' does not exist in the batch context.",
            )
        return f"{self._created[match[1]]}{text[match.end() :]}"

    def _bound(self, body: bytes) -> bytes:
        """The body with references in its bindings resolved."""
        if b"$" not in body:
            return body
        try:
            value = json.loads(body)
        except ValueError:
            # Not JSON: the handler refuses it with the proper error.
            return body
        return json.dumps(self._rebound(value)).encode()

    def _rebound(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._rebound(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            name: self._resolved(item)
            if isinstance(item, str) and name.endswith(("@odata.bind", "@odata.id"))
            else self._rebound(item)
            for name, item in value.items()
        }


# -- multipart --------------------------------------------------------------------------------------------------------


def _parse(request: Request) -> list[Operation | ChangeSet]:
    match = _BOUNDARY.search(request.headers.get("content-type", ""))
    if match is None:
        raise DataverseError(
            400, "0x80060888", "A batch request must have a content type of 'multipart/mixed' with a boundary."
        )
    items: list[Operation | ChangeSet] = []
    for headers, content in _parts(request.body, match[1].encode("latin-1")):
        inner = _BOUNDARY.search(headers.get("content-type", ""))
        if inner is not None:
            # The line end before an outer boundary belongs to that boundary; the inner envelope needs one of its own.
            items.append([_operation(*part) for part in _parts(content + b"\r\n", inner[1].encode("latin-1"))])
        else:
            items.append(_operation(headers, content))
    return items


def _parts(body: bytes, boundary: bytes) -> list[tuple[dict[str, str], bytes]]:
    """The parts between boundaries. Every line end of the envelope must be CRLF, the last one too."""
    mark = b"--" + boundary
    end = body.rfind(mark + b"--")
    if end < 0 or not body[end + len(mark) + 2 :].startswith((b"\r\n", b"\n\n")):
        raise _unreadable()
    lines = len(re.findall(rb"(?:\A|\n)" + re.escape(mark) + rb"(?=\r?\n)", body))
    pieces = (b"\r\n" + body[:end]).split(b"\r\n" + mark + b"\r\n")
    if len(pieces) - 1 != lines or lines == 0 or not body[:end].endswith(b"\r\n"):
        raise _unreadable()
    return [_headed(piece) for piece in pieces[1:]]


def _headed(piece: bytes) -> tuple[dict[str, str], bytes]:
    head, blank, content = piece.partition(b"\r\n\r\n")
    if not blank:
        raise _unreadable()
    return _headers(head.decode("latin-1")), content


def _headers(text: str) -> dict[str, str]:
    headers = {}
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers


def _operation(headers: Mapping[str, str], content: bytes) -> Operation:
    if not headers.get("content-type", "").lower().startswith("application/http"):
        raise DataverseError(400, "0x80048d19", "A part of a batch must have the content type 'application/http'.")
    head, _, body = content.partition(b"\r\n\r\n")
    line, _, rest = head.decode("utf-8", "replace").strip("\r\n").partition("\r\n")
    match = _LINE.match(line)
    if match is None:
        raise DataverseError(400, "0x80048d19", f"Invalid header value '{line[:100]}' encountered in the batch.")
    return Operation(
        method=match[1],
        url=match[2],
        headers=_headers(rest),
        body=body,
        content_id=headers.get("content-id") or _headers(rest).get("content-id"),
    )


def _http_part(answer: Answer, content_id: str | None, request_id: str) -> bytes:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        lines.append(f"Content-ID: {content_id}")
    lines += ["", f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    if answer.status >= 400:
        lines.append(f"REQ_ID: {request_id}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines += ["OData-Version: 4.0", "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + answer.body + (b"\r\n" if answer.body else b"")
