"""Sending through an httpx transport that the host brings. The only importer of httpx.

What lives here: the way round our own connections, for what they do not do: a proxy, a client certificate, HTTP/2, or a
handler function in a test (`httpx.MockTransport`). It is loaded when a host passes `transport`, and not before. None of
httpx's exceptions leaves this module.

Our own limits hold for body, header count and total time between two reads of the body. What one read may take, and
which certificates and environment variables count, is what the host's transport was made with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import httpx

from syncline.clock import SystemClock
from syncline.connectors.http.exchange import Answer, ExchangeError, Trouble, WireRequest, decoded
from syncline.connectors.http.limits import Limits

__all__ = ["HttpxExchange"]

_monotonic = SystemClock().monotonic
_NOTHING_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.WriteError)
_OUR_FAULT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, httpx.CookieConflict)


class HttpxExchange:
    """An `Exchange` over the host's transport, which the host closes."""

    def __init__(self, transport: object, limits: Limits) -> None:
        if not isinstance(transport, httpx.BaseTransport):
            raise TypeError("transport must be an httpx.BaseTransport.")
        self._transport = transport
        self._limits = limits

    def send(self, request: WireRequest, timeout: float, before_sending: Callable[[], None]) -> Answer:
        deadline = _monotonic() + timeout
        progress = _Progress()
        outgoing = _outgoing(request, timeout, progress)
        before_sending()
        try:
            incoming = self._transport.handle_request(outgoing)
            try:
                return self._read(incoming, deadline)
            finally:
                incoming.close()
        except _errors() as error:
            raise translated(error, sent=progress.sent) from None

    def close(self) -> None:
        return

    def _read(self, incoming: httpx.Response, deadline: float) -> Answer:
        lines = incoming.headers.raw
        if len(lines) > self._limits.headers:
            raise ExchangeError(Trouble.TOO_LARGE, "number of headers", sent=True)
        pieces: list[bytes] = []
        size = 0
        for piece in cast("Iterable[bytes]", incoming.stream):
            pieces.append(piece)
            size += len(piece)
            if size > self._limits.wire_bytes:
                raise ExchangeError(Trouble.TOO_LARGE, "body", sent=True)
            if _monotonic() > deadline:
                raise ExchangeError(Trouble.TIMEOUT, sent=True)
        headers = {name.lower(): value for name, value in incoming.headers.items()}
        headers.pop("set-cookie", None)
        return decoded(Answer(incoming.status_code, headers, b"".join(pieces)), self._limits)


class _Progress:
    """Learns from the transport's own trace whether the whole request left. A transport without one counts as sent."""

    def __init__(self) -> None:
        self._traced = False
        self._complete = False

    def __call__(self, event: str, _: object) -> None:
        self._traced = True
        if event.endswith("send_request_body.complete"):
            self._complete = True

    @property
    def sent(self) -> bool:
        return self._complete or not self._traced


def translated(error: BaseException, *, sent: bool) -> ExchangeError:
    """The failure behind an exception of httpx. `sent` is what the trace says; an exception can only make it less."""
    name = type(error).__name__
    if isinstance(error, httpx.ConnectError) and "certificate" in str(error).lower():
        return ExchangeError(Trouble.TLS, "certificate", sent=False)
    left = sent and not isinstance(error, _NOTHING_LEFT + _OUR_FAULT)
    if isinstance(error, httpx.PoolTimeout):
        return ExchangeError(Trouble.BUSY, sent=False)
    if isinstance(error, httpx.TimeoutException):
        return ExchangeError(Trouble.TIMEOUT, sent=left)
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return ExchangeError(Trouble.UNREACHABLE, name, sent=False)
    if isinstance(error, httpx.NetworkError):
        return ExchangeError(Trouble.CUT, name, sent=left)
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" in str(error).lower():
        return ExchangeError(Trouble.CUT, name, sent=left)
    return ExchangeError(Trouble.MALFORMED, name, sent=left)


def _errors() -> tuple[type[BaseException], ...]:
    return (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)


def _outgoing(request: WireRequest, timeout: float, progress: _Progress) -> httpx.Request:
    headers = [(b"Host", request.origin.authority.encode("ascii"))]
    headers += [cast("tuple[bytes, bytes]", tuple(line.split(b": ", 1))) for line in request.head.splitlines()]
    return httpx.Request(
        request.method,
        f"{request.origin}{request.target}",
        headers=headers,
        content=request.body,
        extensions={
            "timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout),
            "trace": progress,
            # as it stands: httpx would otherwise re-encode what a service double-encoded
            "target": request.target.encode("ascii"),
        },
    )
