"""The one HTTP client of both connectors.

What lives here: what every request to either service has in common: the token, the gate, trusted addresses, and which
error a missing answer is. Never here: what an answer means, and tries in a loop (see `syncline.retries`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from syncline.clock import Clock
from syncline.connectors.http.connections import Connections
from syncline.connectors.http.exchange import Answer, Exchange, ExchangeError, Headers, Trouble, WireRequest
from syncline.connectors.http.gate import ThrottleGate
from syncline.connectors.http.limits import Limits
from syncline.connectors.http.response import Response
from syncline.connectors.http.retry_after import parse_http_date, parse_retry_after
from syncline.connectors.http.secret import Secret, SecretBytes
from syncline.connectors.http.strict_json import dump
from syncline.connectors.http.tokens import TokenSource
from syncline.connectors.http.trusted_url import Address, TrustedOrigins
from syncline.errors import (
    AmbiguousWriteError,
    CredentialsError,
    ProtocolError,
    SynclineError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["HttpClient"]

_METHOD = re.compile(r"[A-Z]{3,10}")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "cookie"})
_REDIRECTS = frozenset({300, 301, 302, 303, 305, 306, 307, 308})
# How much one answer moves the measured difference of the clocks; a Date header is only good to a second.
_OFFSET_WEIGHT = 0.1


class HttpClient:
    """Sends requests to one service as one principal. Thread-safe; its connections are shared by all threads.

    `base_url` is where relative addresses go; it and `also_trusted` are the only places anything is sent to. `timeout`
    bounds each request as a whole, in seconds: connecting, sending and reading. `headers` go with every request;
    `auth` gives the bearer token. `ca_file` replaces the trusted certificate authorities. Redirects are never followed;
    cookies, proxies of the environment and netrc are never used. `transport` is an `httpx.BaseTransport` of the host's
    own, for a proxy or a client certificate; then `connections` and `ca_file` are that transport's business. Raises
    `DefinitionError` for an unusable address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        gate: ThrottleGate,
        auth: TokenSource | None = None,
        headers: Mapping[str, str | Secret] = {},
        limits: Limits = Limits(),  # noqa: B008 - frozen
        timeout: float = 20.0,
        connections: int = 32,
        ca_file: str | None = None,
        allow_loopback_http: bool = False,
        also_trusted: Sequence[str] = (),
        transport: object | None = None,
    ) -> None:
        if not 0 < timeout < 86_400:
            raise ValueError("timeout must be positive.")
        self.origins = TrustedOrigins.of(base_url, *also_trusted, allow_loopback_http=allow_loopback_http)
        self.gate = gate
        self.limits = limits
        self.clock_offset: float | None = None
        self._clock = clock
        self._auth = auth
        self._timeout = timeout
        self._heads = _HeaderBlocks(headers)
        self._exchange = _exchange(transport, connections, limits, ca_file)
        self._last_date = ""
        self._last_moment = 0.0

    def __repr__(self) -> str:
        return f"<HttpClient {self.origins.base.origin}: {self.gate!r}>"

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        json: object = ...,
        content: bytes | None = None,
        write: bool = False,
    ) -> Response:
        """Send one request and return the answer, whatever its status but those below.

        `url` is relative to `base_url` (percent-encoded by the caller; a leading slash does not leave it), or absolute
        and trusted. `json` is dumped as UTF-8 (`Decimal` exactly); `content` goes as it is. `write` says that the
        request changes something at the service.

        Raises
        - `ThrottledError`: the gate is closed and nothing was sent; or 429, or 503 with a usable Retry-After.
        - `UnavailableError`: no answer, and the request was not applied or changes nothing.
        - `AmbiguousWriteError`: a write was sent as a whole and no usable answer came.
        - `CredentialsError`: 401 with a fresh token.
        - `ProtocolError`: a redirect, an answer that is not HTTP or beyond the limits, or a TLS failure.
        - `UntrustedUrlError`: an absolute address outside the configured ones; nothing was sent.
        - `ConversionError`: `json` holds NaN, an infinity or half a character.
        """
        if not _METHOD.fullmatch(method):
            raise ValueError("A method is written in capitals.")
        address = self.origins.find(url) if "://" in url[:12] or url[:2] == "//" else self.origins.join(url)
        if json is not ...:
            if content is not None:
                raise ValueError("Give json or content, not both.")
            content = dump(json)
        elif content is None and method in {"POST", "PUT", "PATCH"}:
            content = b""
        self.gate.check()
        if self._auth is None:
            return self._respond(address, self._send(method, address, headers, json is not ..., None, content, write))
        token = self._auth.get()
        answer = self._send(method, address, headers, json is not ..., token, content, write)
        if answer.status == 401:
            answer = self._send(method, address, headers, json is not ..., self._auth.refresh(token), content, write)
            if answer.status == 401:
                raise CredentialsError(
                    f"{address.origin} does not accept the credentials (status 401, also with a new token).",
                    remedy="Check that the credentials belong to this environment and are still valid.",
                )
        return self._respond(address, answer)

    def close(self) -> None:
        """Let go of every connection; those in use close when their request ends. A later request opens a new one."""
        self._exchange.close()

    def _send(
        self,
        method: str,
        address: Address,
        headers: Mapping[str, str],
        is_json: bool,
        token: Secret | None,
        content: bytes | None,
        write: bool,
    ) -> Answer:
        head = self._heads.block(headers, is_json, token)
        request = WireRequest(method, address.origin, address.target, head, content)
        began = self._clock.now().timestamp()
        try:
            answer = self._exchange.send(request, self._timeout, self.gate.check)
        except ExchangeError as error:
            raise _translated(error, address, write) from None
        self._compare_clocks(answer.headers.get("date"), began)
        return answer

    def _respond(self, address: Address, answer: Answer) -> Response:
        status, headers, body = answer
        if status >= 300:
            if status in _REDIRECTS:
                raise _redirected(status, headers.get("location", ""))
            if status in (429, 503):
                self._close_gate(status, headers)
        return Response(status, Headers(headers), body, self.limits, str(address.origin))

    def _close_gate(self, status: int, headers: Mapping[str, str]) -> None:
        # A date to wait for is one by the service's clock, which need not agree with ours.
        now = parse_http_date(headers.get("date", "")) or self._clock.now()
        wait = parse_retry_after(headers.get("retry-after"), now, self.gate.max_wait)
        if status == 503 and wait is None:
            return
        self.gate.close(wait)
        principal = self.gate.principal
        asked = "no usable time" if wait is None else f"{wait:.0f} s"
        raise ThrottledError(
            f"The service asked {principal} to wait (status {status}, {asked}).", retry_after=wait, principal=principal
        )

    def _compare_clocks(self, date: str | None, began: float) -> None:
        if date is None:
            return
        if date != self._last_date:
            moment = parse_http_date(date)
            if moment is None:
                return
            self._last_date, self._last_moment = date, moment.timestamp()
        ended = self._clock.now().timestamp()
        # The header is cut to the second: on average half of one is missing.
        sample, doubt = self._last_moment + 0.5 - (began + ended) / 2, 1.0 + (ended - began) / 2
        offset = self.clock_offset
        if offset is None or abs(sample - offset) > doubt:  # no answer is that inexact: somebody put a clock right
            self.clock_offset = sample
        else:
            self.clock_offset = offset + _OFFSET_WEIGHT * (sample - offset)


class _HeaderBlocks:
    """Header lines as bytes. The constant ones are made once; only names that a request overrides are left out."""

    def __init__(self, headers: Mapping[str, str | Secret]) -> None:
        self._constant: dict[str, bytes] = {"user-agent": b"User-Agent: syncline\r\n"}
        for name, value in headers.items():
            text = value.reveal() if isinstance(value, Secret) else value
            self._constant[name.lower()] = _line(name, text)
        self._constant["accept-encoding"] = b"Accept-Encoding: gzip\r\n"
        self._blocks: dict[tuple[str, ...], bytes] = {(): b"".join(self._constant.values())}

    def block(self, headers: Mapping[str, str], is_json: bool, token: Secret | None) -> SecretBytes:
        lines = [_line(name, value) for name, value in headers.items()]
        names = tuple(name.lower() for name in headers)
        if is_json and "content-type" not in names and "content-type" not in self._constant:
            lines.append(b"Content-Type: application/json\r\n")
        if token is not None:
            if "authorization" in names:
                raise ValueError("The Authorization header is the token source's.")
            lines.append(b"Authorization: Bearer %b\r\n" % token.reveal().encode("ascii"))
        block = self._blocks.get(names)
        if block is None:
            block = b"".join(line for name, line in self._constant.items() if name not in names)
            if len(self._blocks) < 256:
                self._blocks[names] = block
        lines.append(block)
        return SecretBytes(b"".join(lines))


def _exchange(transport: object | None, connections: int, limits: Limits, ca_file: str | None) -> Exchange:
    if transport is None:
        return Connections(most=connections, limits=limits, ca_file=ca_file)
    from syncline.connectors.http._httpx import HttpxExchange  # loads httpx, which only such a host needs

    return HttpxExchange(transport, limits)


def _line(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name) or name.lower() in _OURS:
        raise ValueError("A header's name is not one, or is set by the client itself.")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"The value of the header {name} holds characters that cannot be sent.")
    return f"{name}: {value}\r\n".encode("latin-1")


def _translated(error: ExchangeError, address: Address, write: bool) -> SynclineError:
    """The error of ours for a request without a usable answer."""
    message = f"{address.origin} {error}."
    if error.trouble is Trouble.TLS:
        return ProtocolError(
            message, remedy="Check the address and the certificate; verification cannot be turned off."
        )
    if write and error.sent:
        return AmbiguousWriteError(f"{message} The write may or may not have happened.")
    if error.trouble in (Trouble.MALFORMED, Trouble.TOO_LARGE):
        return ProtocolError(message)
    return UnavailableError(message)


def _redirected(status: int, location: str) -> ProtocolError:
    target = Address.parse(location)
    place = f"to {target.origin}" if target is not None else "to an address that is not absolute"
    return ProtocolError(
        f"The service answered with a redirect (status {status}) {place}; redirects are never followed.",
        remedy="Configure the address the service really has.",
    )
