"""Sending through a transport of the host's own: httpx stays behind its one door."""

from __future__ import annotations

import gzip
import inspect
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.http_room import HeldClock

from syncline.connectors.http import HttpClient, Limits, ThrottleGate
from syncline.connectors.http._httpx import translated
from syncline.connectors.http.exchange import ExchangeError, Trouble
from syncline.errors import (
    AmbiguousWriteError,
    ProtocolError,
    RetryLaterError,
    StopWorkflowError,
    SynclineError,
    UnavailableError,
)

LIMITS = Limits()
EXCEPTIONS = [
    found
    for _, found in inspect.getmembers(httpx, inspect.isclass)
    if issubclass(found, Exception) and found.__module__.startswith("httpx")
]


def client(handler: Callable[[httpx.Request], httpx.Response], limits: Limits = LIMITS) -> HttpClient:
    clock = HeldClock()
    return HttpClient(
        "https://contoso.example/api",
        clock=clock,
        gate=ThrottleGate("u", clock),
        headers={"Accept": "application/json", "If-None-Match": "null"},
        limits=limits,
        transport=httpx.MockTransport(handler),
    )


def raising(kind: type[Exception], text: str = "secret canary") -> Callable[[httpx.Request], httpx.Response]:
    def handler(request: httpx.Request) -> httpx.Response:
        if kind is httpx.HTTPStatusError:
            raise httpx.HTTPStatusError(text, request=request, response=httpx.Response(500))
        if kind in (httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead, httpx.RequestNotRead):
            raise kind()
        raise kind(text)

    return handler


def test_the_list_of_exceptions_is_not_empty() -> None:
    """The walk below really meets httpx's exceptions."""
    assert len(EXCEPTIONS) > 25
    assert httpx.ReadTimeout in EXCEPTIONS


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_no_exception_of_httpx_escapes(kind: type[Exception], write: bool) -> None:
    """Each of them becomes an error of ours that says what to do next, without httpx's own text."""
    with pytest.raises(SynclineError) as caught:
        client(raising(kind)).request("POST" if write else "GET", "x", write=write)
    assert isinstance(caught.value, RetryLaterError | StopWorkflowError)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("kind", "text", "sent", "trouble", "left"),
    [
        (httpx.ConnectError, "refused", True, Trouble.UNREACHABLE, False),
        (httpx.ConnectError, "certificate verify failed", True, Trouble.TLS, False),
        (httpx.ConnectTimeout, "", True, Trouble.TIMEOUT, False),
        (httpx.PoolTimeout, "", True, Trouble.BUSY, False),
        (httpx.ProxyError, "407", True, Trouble.UNREACHABLE, False),
        (httpx.WriteError, "", True, Trouble.CUT, False),
        (httpx.ReadTimeout, "", True, Trouble.TIMEOUT, True),
        (httpx.ReadTimeout, "", False, Trouble.TIMEOUT, False),
        (httpx.ReadError, "", True, Trouble.CUT, True),
        (httpx.RemoteProtocolError, "Server disconnected without sending a response.", True, Trouble.CUT, True),
        (httpx.RemoteProtocolError, "illegal status line", True, Trouble.MALFORMED, True),
    ],
)
def test_each_exception_means_one_trouble(
    kind: type[httpx.TransportError], text: str, sent: bool, trouble: Trouble, left: bool
) -> None:
    """What happened, and whether the request can have left, is told from exception and trace together."""
    error = translated(kind(text), sent=sent)
    assert error.trouble is trouble
    assert error.sent is left


def test_a_lost_answer_to_a_write_is_ambiguous_and_a_failed_connection_is_not() -> None:
    """The difference that decides whether the target must be looked at first."""
    with pytest.raises(AmbiguousWriteError):
        client(raising(httpx.ReadTimeout)).request("POST", "x", write=True)
    with pytest.raises(UnavailableError):
        client(raising(httpx.ConnectError)).request("POST", "x", write=True)
    with pytest.raises(UnavailableError):
        client(raising(httpx.ReadTimeout)).request("GET", "x")


def test_the_request_goes_out_as_it_was_made() -> None:
    """Target, headers and body reach the transport unchanged; a header given per request replaces the constant one."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"a": 1}, headers={"Set-Cookie": "a=b", "X-A": "b"})

    answer = client(handler).request(
        "PATCH", "x?$skiptoken=%253cp%2520%253e", json={"n": 1}, headers={"If-None-Match": "*"}
    )
    assert answer.json() == {"a": 1}
    assert answer.headers["x-a"] == "b"
    assert "set-cookie" not in answer.headers
    request = seen[0]
    assert request.extensions["target"] == b"/api/x?$skiptoken=%253cp%2520%253e"
    assert request.headers.get_list("if-none-match") == ["*"]
    assert request.headers["host"] == "contoso.example"
    assert request.headers["content-type"] == "application/json"
    assert request.content == b'{"n":1}'


def test_limits_hold_for_a_foreign_transport_too() -> None:
    """Too many headers, too large a body and a bomb are refused whoever carried them."""

    def pieces() -> Iterator[bytes]:
        while True:
            yield bytes(1000)

    def bomb(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(gzip.compress(bytes(1 << 26)))
        )

    def endless(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=pieces())

    def wordy(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=[(f"X-{number}", "y") for number in range(300)])

    for handler in (bomb, endless, wordy):
        with pytest.raises(ProtocolError, match="beyond the limits"):
            client(handler, Limits(wire_bytes=100_000)).request("GET", "x")


def test_something_that_is_no_transport_is_refused() -> None:
    """A whole httpx.Client follows redirects and keeps cookies: it is not taken."""
    with httpx.Client() as whole, pytest.raises(TypeError):
        HttpClient("https://contoso.example", clock=HeldClock(), gate=ThrottleGate("u", HeldClock()), transport=whole)


def test_the_internal_error_names_its_trouble() -> None:
    """The one error inside the room reads as a sentence and never leaves it."""
    assert str(ExchangeError(Trouble.CUT, "within the body", sent=True)) == "broke the connection off (within the body)"
