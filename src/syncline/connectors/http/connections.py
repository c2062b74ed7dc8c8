"""Connections to a service: opening, checking, pooling, and the bytes of one request.

What lives here: sockets and TLS. Written on plain sockets, because the general-purpose clients spend several times as
long on one small call as the call itself takes (benchmarks/http_clients.py shows the ratios), and because only the
place that hands bytes to the system can tell whether a write may have reached the service.
Never here: environment variables, netrc, proxies, cookies, redirects; nothing in this file reads any of them.
"""

from __future__ import annotations

import os
import queue
import select
import socket
import ssl
import weakref
from collections import deque
from collections.abc import Callable

from syncline.clock import SystemClock
from syncline.connectors.http.exchange import Answer, ExchangeError, Trouble, WireRequest, decoded
from syncline.connectors.http.limits import Limits
from syncline.connectors.http.secret import SecretBytes
from syncline.connectors.http.tls import tls_context
from syncline.connectors.http.trusted_url import Origin
from syncline.connectors.http.wire import RawAnswer, read_answer

__all__ = ["Connections"]

# The kernel waits in real time whatever the host's clock says, so deadlines of sockets are always the computer's own.
_monotonic = SystemClock().monotonic
_READ = 65_536
# Front ends and firewalls drop idle flows after minutes without a word; a write into such a hole would be ambiguous.
_LONGEST_IDLE = 30.0
# A socket's time-out is set again only when it is off by this much: each setting is a system call.
_SLACK = 0.25


class Connections:
    """An `Exchange` over connections that are kept open: at most `most` requests at once, thread-safe, fork-safe."""

    def __init__(self, *, most: int, limits: Limits, ca_file: str | None) -> None:
        if most < 1:
            raise ValueError("At least one connection is needed.")
        self._limits = limits
        self._ca_file = ca_file
        self._most = most
        self._tls: ssl.SSLContext | None = None
        self._era = 0
        self._idle: dict[Origin, deque[_Connection]] = {}
        # A host that drops its connectors without closing them leaves no open socket behind.
        weakref.finalize(self, _close_all, self._idle)
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._idle.clear()
        self._permits: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(self._most):
            self._permits.put(None)

    def send(self, request: WireRequest, timeout: float, before_sending: Callable[[], None]) -> Answer:
        """See `Exchange.send`."""
        if os.getpid() != self._pid:
            self._begin()  # a child must never speak on its parent's connections
        deadline = _monotonic() + timeout
        permits = self._permits
        try:
            permits.get(timeout=timeout)
        except queue.Empty:
            raise ExchangeError(Trouble.BUSY, sent=False) from None
        try:
            era = self._era
            connection = self._take(request.origin, deadline)
            try:
                before_sending()
            except BaseException:
                self._give_back(request.origin, connection, era)
                raise
            try:
                raw = connection.exchange(request, deadline, timeout, self._limits)
            except BaseException:
                connection.close()
                raise
            if raw.reusable:
                self._give_back(request.origin, connection, era)
            else:
                connection.close()
        finally:
            permits.put(None)
        return decoded(Answer(raw.head.status, raw.head.headers, raw.body), self._limits)

    def close(self) -> None:
        self._era += 1  # connections in use belong to the era before and are not kept when they come back
        _close_all(self._idle)

    def _take(self, origin: Origin, deadline: float) -> _Connection:
        idle = self._idle.get(origin)
        while idle:
            try:
                connection = idle.pop()  # the one used last: the others may grow old and be dropped
            except IndexError:
                break
            if connection.is_usable():
                return connection
            connection.close()
        return _Connection(self._open(origin, deadline))

    def _give_back(self, origin: Origin, connection: _Connection, era: int) -> None:
        if era != self._era:
            connection.close()
            return
        connection.idle_since = _monotonic()
        self._idle.setdefault(origin, deque()).append(connection)

    def _open(self, origin: Origin, deadline: float) -> socket.socket:
        plain = _connect(origin, deadline)
        if origin.scheme == "http":
            return plain
        try:
            if self._tls is None:
                self._tls = tls_context(self._ca_file)
            plain.settimeout(_remaining(deadline, sent=False))
            return self._tls.wrap_socket(plain, server_hostname=origin.host.strip("[]"), suppress_ragged_eofs=False)
        except BaseException as error:
            plain.close()
            if isinstance(error, OSError):
                raise _handshake_failure(error) from None
            raise


class _Connection:
    """One open connection, used by one request at a time."""

    __slots__ = ("_poll", "_socket", "_timeout", "idle_since")

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._timeout: float | None = None
        self.idle_since = 0.0
        self._poll = _poll(opened)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        try:
            self._socket.close()
        except OSError:
            return  # closing is all that was wanted

    def is_usable(self) -> bool:
        """Whether an idle connection is young and silent; one with something to read was closed or is out of step."""
        return _monotonic() - self.idle_since < _LONGEST_IDLE and not self._poll()

    def exchange(self, request: WireRequest, deadline: float, timeout: float, limits: Limits) -> RawAnswer:
        """Send and read. Raises `ExchangeError`; `sent` is true from the moment the last byte was handed over."""
        if self._timeout != timeout:
            self._set_timeout(timeout)
        try:
            self._send(_bytes_of(request), deadline)
        except ExchangeError as error:
            answer = self._early_answer(request.method, limits)
            if answer is None:
                raise error from None
            return answer._replace(reusable=False)

        def receive() -> bytes:
            remaining = _remaining(deadline, sent=True)
            if self._timeout is None or self._timeout - remaining > _SLACK:
                self._set_timeout(remaining)
            try:
                return self._socket.recv(_READ)
            except TimeoutError:
                raise ExchangeError(Trouble.TIMEOUT, sent=True) from None
            except OSError as error:
                raise ExchangeError(Trouble.CUT, type(error).__name__, sent=True) from None

        return read_answer(receive, request.method, limits)

    def _early_answer(self, method: str, limits: Limits) -> RawAnswer | None:
        """What a service said before it stopped listening: that a body is too large, or that it is throttling us."""

        def receive() -> bytes:
            return self._socket.recv(_READ) if self._poll() else b""

        try:
            return read_answer(receive, method, limits)
        except (ExchangeError, OSError):
            return None

    def _set_timeout(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        self._timeout = seconds

    def _send(self, data: bytes, deadline: float) -> None:
        # A request whose last byte was never handed over is incomplete, and RFC 9112 (8) forbids a server to act on it:
        # hence sent=False here, also when some of it went out.
        try:
            count = self._socket.send(data)
            while count < len(data):
                self._set_timeout(_remaining(deadline, sent=False))
                count += self._socket.send(memoryview(data)[count:])
        except TimeoutError:
            raise ExchangeError(Trouble.TIMEOUT, "while sending", sent=False) from None
        except OSError as error:
            raise ExchangeError(Trouble.CUT, f"{type(error).__name__} while sending", sent=False) from None


def _close_all(idle: dict[Origin, deque[_Connection]]) -> None:
    for connections in list(idle.values()):
        while connections:
            connections.pop().close()


def _bytes_of(request: WireRequest) -> SecretBytes:
    start = f"{request.method} {request.target} HTTP/1.1\r\nHost: {request.origin.authority}\r\n".encode("ascii")
    body = request.body
    if body is None:
        return SecretBytes(b"%b%b\r\n" % (start, request.head))
    return SecretBytes(b"%b%bContent-Length: %d\r\n\r\n%b" % (start, request.head, len(body), body))


def _remaining(deadline: float, *, sent: bool) -> float:
    remaining = deadline - _monotonic()
    if remaining <= 0:
        raise ExchangeError(Trouble.TIMEOUT, sent=sent)
    return remaining


def _poll(opened: socket.socket) -> Callable[[], object]:
    if not hasattr(select, "poll"):  # Windows
        return lambda: select.select([opened], [], [], 0)[0]
    poll = select.poll()
    poll.register(opened, select.POLLIN | select.POLLERR | select.POLLHUP)
    return lambda: poll.poll(0)


def _connect(origin: Origin, deadline: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes one."""
    try:
        found = socket.getaddrinfo(origin.host.strip("[]"), origin.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ExchangeError(Trouble.UNREACHABLE, "its name is not known", sent=False) from error
    last: OSError | None = None
    for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        opened = socket.socket(family, kind, protocol)
        try:
            # each address gets its share, so that one black hole does not use up the time of the others
            opened.settimeout(_remaining(deadline, sent=False) / left)
            opened.connect(address)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        except OSError as error:
            opened.close()
            last = error
        except BaseException:
            opened.close()
            raise
    raise ExchangeError(Trouble.UNREACHABLE, type(last).__name__ if last else "no address", sent=False) from None


def _handshake_failure(error: OSError) -> ExchangeError:
    """A refused certificate or protocol is for good; a connection lost in the handshake is like any other lost one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ExchangeError(Trouble.TLS, error.verify_message, sent=False)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ExchangeError(Trouble.TLS, (error.reason or "handshake failed").replace("_", " ").lower(), sent=False)
    if isinstance(error, TimeoutError):
        return ExchangeError(Trouble.TIMEOUT, "while shaking hands", sent=False)
    return ExchangeError(Trouble.UNREACHABLE, f"{type(error).__name__} while shaking hands", sent=False)
