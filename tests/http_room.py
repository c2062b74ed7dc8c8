"""What the tests of the HTTP room share: a clock that stands still, and a server that does as it is told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from syncline.clock import SystemClock
from syncline.connectors.http import HttpClient, Limits, Secret, ThrottleGate, TokenSource

Script = Callable[[socket.socket, bytes], None]
CLOCK = SystemClock()
LIMITS = Limits()


class HeldClock:
    """A clock that moves only when told to, or when somebody sleeps on it."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)) -> None:
        self._start = start
        self.passed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += max(0.0, seconds)


class ScriptedServer:
    """Reads whole requests on loopback and hands each to `script` with its socket; counts what came.

    A script that raises `HangupError` (or any OSError) ends that connection.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, read_request: bool = True) -> None:
        self._script = script
        self._tls = tls
        self._read_request = read_request
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[bytes] = []
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> ScriptedServer:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for opened in self._open:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                opened, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(opened)
            thread = threading.Thread(target=self._serve, args=(opened,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, opened: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(opened.close)
            if self._tls is not None:
                opened = self._tls.wrap_socket(opened, server_side=True)
                self._open.append(opened)
                stack.callback(opened.close)
            if not self._read_request:
                self._script(opened, b"")
                return
            for request in self._requests(opened):
                self.requests.append(request)
                self._script(opened, request)

    def _requests(self, opened: socket.socket) -> Iterator[bytes]:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                piece = opened.recv(65_536)
                if not piece:
                    return
                data += piece
            head, _, data = data.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                ),
                0,
            )
            while len(data) < length:
                piece = opened.recv(65_536)
                if not piece:
                    return
                data += piece
            yield head + b"\r\n\r\n" + data[:length]
            data = data[length:]


class HangupError(OSError):
    """Raised by a script to end the connection in good order."""


def reset(opened: socket.socket) -> None:
    """Break the connection off with a reset rather than a goodbye."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    opened.close()
    raise HangupError


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """An answer in good order, with Content-Length and the headers given (underscores become hyphens)."""
    lines = [f"HTTP/1.1 {status} Fine", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def say(*answers: bytes) -> Script:
    """A script that gives these answers in turn, the last one for ever."""
    left = list(answers)
    lock = threading.Lock()

    def script(opened: socket.socket, _: bytes) -> None:
        with lock:
            text = left.pop(0) if len(left) > 1 else left[0]
        opened.sendall(text)

    return script


def client(
    server: ScriptedServer,
    *,
    auth: TokenSource | None = None,
    limits: Limits = LIMITS,
    timeout: float = 5.0,
    connections: int = 32,
    ca_file: str | None = None,
    path: str = "/api",
) -> HttpClient:
    return HttpClient(
        server.url + path,
        clock=CLOCK,
        gate=ThrottleGate("user at test", CLOCK),
        auth=auth,
        headers={"Accept": "application/json", "X-Api-Key": Secret("the-key")},
        limits=limits,
        timeout=timeout,
        connections=connections,
        ca_file=ca_file,
        allow_loopback_http=True,
    )


def silence(opened: socket.socket, _: bytes) -> None:
    opened.recv(1)
