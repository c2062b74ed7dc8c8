"""Faults on demand: an ASGI wrapper that answers badly, late, half or not at all where a rule says so.

A rule matches method, path (a regular expression searched in path and query), how often, and how likely. Cutting is
real: the socket is closed or reset under the client. What never lives here: faults that need to understand a record;
those are commands of the system itself.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import sys
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import attrs

from .bodies import again, read_body
from .clock import SandboxClock

__all__ = ["ACTIONS", "CUT", "Fault", "Faults"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The key in `scope["extensions"]` under which the server offers its transport.
CUT = "syncline.sandbox.transport"

_LOGIN_PAGE = b"""<!DOCTYPE html><html><head><title>Sign in to your account</title></head>
<body><form action="/login" method="post"><input name="loginfmt"/></form></body></html>"""
_CHUNK = 65_536


@attrs.define(kw_only=True)
class Fault:
    """One rule. `count` uses are left (None: no end) after the first `skip` matches; `probability` is per match."""

    name: str
    action: str
    method: str = ""
    path: re.Pattern[str] = attrs.field(converter=re.compile, default="")
    count: int | None = None
    skip: int = 0
    probability: float = 1.0
    options: dict[str, Any] = attrs.field(factory=dict)
    #: How often the rule acted.
    hits: int = 0
    #: Set when the rule is removed.
    gone: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False, eq=False)

    def takes(self, method: str, path: str, drawn: random.Random) -> bool:
        """Whether the rule acts on this request; a use is counted if it does."""
        if self.count == 0 or (self.method and self.method != method) or not self.path.search(path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.probability < 1 and drawn.random() >= self.probability:
            return False
        if self.count is not None:
            self.count -= 1
        self.hits += 1
        return True

    def told(self) -> dict[str, Any]:
        """The rule as plain data."""
        told = attrs.asdict(self, filter=lambda attribute, _: attribute.name != "gone")
        return {**told, "path": self.path.pattern}


@attrs.frozen
class _Request:
    scope: Scope
    receive: Receive
    send: Send
    app: App
    clock: SandboxClock
    options: dict[str, Any]

    async def answer(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        await _read(self.receive)
        head = [(b"content-length", str(len(body)).encode()), *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": head})
        await self.send({"type": "http.response.body", "body": body})

    async def cut(self) -> None:
        """End the connection: `how` is `close` (FIN after what was written) or `reset` (RST)."""
        transport = self.scope["extensions"][CUT]
        # The server holds the head of an answer back until there is a body: this sends it on its own.
        transport.write(b"")
        if self.options.get("how", "close") == "reset":
            await _drain(transport)
            _linger_off(transport)
            transport.abort()
        else:
            transport.close()
        await _until_gone(self.receive)


class Faults:
    """The rules of one system; `seed` makes probabilities repeatable."""

    def __init__(self, app: App, clock: SandboxClock, *, seed: int = 1) -> None:
        self._app = app
        self._clock = clock
        self._drawn = random.Random(f"faults {seed}")  # noqa: S311  (repeatable on purpose)
        self._made = 0
        self.rules: list[Fault] = []

    def __repr__(self) -> str:
        return f"<Faults with {len(self.rules)} rules>"

    def add(self, *, action: str, **rule: Any) -> Fault:
        """Add a rule; what is not a part of a rule is an option of its action. ValueError names an unknown action."""
        if action not in ACTIONS and action not in _DELAYS:
            raise ValueError(f"no fault is called {action!r}; there are {', '.join(sorted([*_DELAYS, *ACTIONS]))}")
        parts = ("method", "path", "count", "skip", "probability")
        chosen = {name: rule.pop(name) for name in parts if rule.get(name) is not None}
        self._made += 1
        fault = Fault(name=f"fault-{self._made}", action=action, options=rule, **chosen)
        self.rules.append(fault)
        return fault

    def clear(self, name: str = "") -> int:
        """Remove one rule, or all. Returns how many went."""
        removed = [rule for rule in self.rules if not name or rule.name == name]
        self.rules = [rule for rule in self.rules if rule not in removed]
        for rule in removed:
            rule.gone.set()
        return len(removed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule, receive = await self._matching(scope, receive)
        if rule is None:
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._app, self._clock, rule.options)
        await ACTIONS[rule.action](request)

    async def _matching(self, scope: Scope, receive: Receive) -> tuple[Fault | None, Receive]:
        """The first rule that answers; latencies and holds before it are waited for.

        The request has arrived before the wait, and is acted on after it even if its sender is gone by then.
        """
        query = scope["query_string"]
        path = scope["path"] + ("?" + query.decode("latin-1") if query else "")
        for rule in self.rules:
            if rule.takes(scope["method"], path, self._drawn):
                if rule.action not in _DELAYS:
                    return rule, receive
                receive = again(await read_body(receive), receive)
                await _DELAYS[rule.action](rule)
        return None, receive


async def _throttle(request: _Request) -> None:
    """429 (or `status`) with Retry-After: `retry_after` seconds, in `form` seconds, date, absent or raw."""
    options = request.options
    body = options.get("body", '{"error_code":"429050","message":"Too many requests"}')
    header = retry_after_header(options.get("retry_after", 1), options.get("form", "seconds"), request.clock)
    headers = [(b"content-type", b"application/json")] + ([(b"retry-after", header)] if header else [])
    await request.answer(options.get("status", 429), body.encode(), *headers)


def retry_after_header(value: Any, form: str, clock: SandboxClock) -> bytes:
    """The header's value; empty when it is absent."""
    if form == "absent":
        return b""
    if form == "date":
        return format_datetime(clock.now() + timedelta(seconds=float(value)), usegmt=True).encode()
    return str(value).encode()


async def _fail(request: _Request) -> None:
    """A failing `status` with `body` and `content_type`."""
    options = request.options
    content_type = options.get("content_type", "application/json").encode()
    body = options.get("body", '{"error":{"message":"The server failed."}}').encode("utf-8", "surrogatepass")
    await request.answer(options.get("status", 503), body, (b"content-type", content_type))


async def _answer(request: _Request) -> None:
    """Any `status`, `headers` (an object) and `body`, with 200 and nothing by default."""
    options = request.options
    headers = [(name.lower().encode(), str(value).encode()) for name, value in options.get("headers", {}).items()]
    body = options.get("body", "").encode("utf-8", "surrogatepass")
    await request.answer(options.get("status", 200), body, *headers)


async def _cut(request: _Request) -> None:
    """Cut before the system saw the request."""
    await _read(request.receive)
    await request.cut()


async def _applied(request: _Request) -> None:
    """The system applies the request; the answer never leaves."""
    await _collect(request)
    await request.cut()


async def _cut_headers(request: _Request) -> None:
    """Applied; the headers arrive, then the connection ends."""
    start, _ = await _collect(request)
    await request.send(start)
    await request.cut()


async def _cut_body(request: _Request) -> None:
    """Applied; headers and half of the body arrive, then the connection ends."""
    start, body = await _collect(request)
    await request.send(start)
    await request.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    await request.cut()


async def _black_hole(request: _Request) -> None:
    """Nothing ever comes back; `applied` says whether the system saw the request."""
    if request.options.get("applied"):
        await _collect(request)
    await _until_gone(request.receive)


async def _login_page(request: _Request) -> None:
    await request.answer(200, _LOGIN_PAGE, (b"content-type", b"text/html; charset=utf-8"))


async def _truncated(request: _Request) -> None:
    """Applied; the JSON stops in the middle, and the length agrees with what is there."""
    start, body = await _collect(request)
    kept = body[: max(1, len(body) // 2)]
    headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    headers.append((b"content-length", str(len(kept)).encode()))
    await request.send({**start, "headers": headers})
    await request.send({"type": "http.response.body", "body": kept})


async def _gzip_bomb(request: _Request) -> None:
    """`megabytes` (512) of spaces in one JSON string, compressed about a thousand times."""
    await _read(request.receive)
    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    await _part(request, pack.compress(b'{"value":"'))
    block = b" " * 1_000_000
    for _ in range(int(request.options.get("megabytes", 512))):
        await _part(request, pack.compress(block))
    await request.send({"type": "http.response.body", "body": pack.compress(b'"}') + pack.flush()})


async def _endless(request: _Request) -> None:
    """A JSON array that never ends; `delay` seconds between its parts make it slow as well."""
    await _read(request.receive)
    headers = [(b"content-type", b"application/json")]
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})
    transport = request.scope["extensions"][CUT]
    part = (b'{"value":[' + b"0," * _CHUNK)[:_CHUNK]
    while not transport.is_closing():
        await _part(request, part)
        part = b"0," * (_CHUNK // 2)
        await asyncio.sleep(request.options.get("delay", 0))


async def _redirect(request: _Request) -> None:
    """`status` (302) to `location`."""
    location = request.options.get("location", "https://elsewhere.example/")
    await request.answer(request.options.get("status", 302), b"", (b"location", location.encode()))


async def _latency(rule: Fault) -> None:
    """Late by `milliseconds` (100)."""
    await asyncio.sleep(rule.options.get("milliseconds", 100) / 1000)


async def _hold(rule: Fault) -> None:
    """Held until the rule is removed: what else happens in between is the caller's to decide, not the clock's."""
    await rule.gone.wait()


#: action -> how it delays; the next rule or the system answers.
_DELAYS: dict[str, Callable[[Fault], Awaitable[None]]] = {"hold": _hold, "latency": _latency}

#: action -> what it does.
ACTIONS: dict[str, Callable[[_Request], Awaitable[None]]] = {
    "answer": _answer,
    "applied": _applied,
    "black_hole": _black_hole,
    "cut": _cut,
    "cut_body": _cut_body,
    "cut_headers": _cut_headers,
    "endless": _endless,
    "fail": _fail,
    "gzip_bomb": _gzip_bomb,
    "login_page": _login_page,
    "redirect": _redirect,
    "throttle": _throttle,
    "truncated": _truncated,
}


async def _part(request: _Request, body: bytes) -> None:
    if body:
        await request.send({"type": "http.response.body", "body": body, "more_body": True})


async def _read(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        continue


async def _collect(request: _Request) -> tuple[Message, bytes]:
    """Run the system and keep its answer."""
    start: Message = {}
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await request.app(request.scope, request.receive, keep)
    return start, bytes(body)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _drain(transport: asyncio.Transport) -> None:
    while transport.get_write_buffer_size() and not transport.is_closing():
        await asyncio.sleep(0)


def _linger_off(transport: asyncio.Transport) -> None:
    """Make the close a reset: no lingering, so the kernel answers with RST."""
    shape = "HH" if sys.platform == "win32" else "ii"
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(shape, 1, 0))
