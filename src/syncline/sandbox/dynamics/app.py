"""The ASGI side: bytes in, bytes out, with authentication, limits and the headers every answer carries.

Lives here: transport. Never here: what an answer says.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from threading import RLock
from typing import Any

from ..bodies import read_body
from .answers import Answer, DataverseError
from .auth import TokenIssuer
from .environment import Environment
from .protection import Protection
from .requests import Request
from .service import Service

__all__ = ["Application"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_COOKIE = "ARRAffinity"
_API = "/api/data/"
#: Longer addresses are for the inside of batches.
_MAX_URL = 32_768


class Application:
    """An ASGI application over one environment. Requests take turns under `lock`."""

    def __init__(self, environment: Environment, counts: Counter[str]) -> None:
        self._environment = environment
        self._counts = counts
        self.issuer = TokenIssuer(environment)
        self.protection = Protection(environment)
        self._service = Service(environment, counts)
        self.lock = RLock()

    def __repr__(self) -> str:
        return f"Application({self._environment!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves HTTP; accepts the lifespan protocol and has nothing to do in it."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"this application serves HTTP, not {scope['type']}")
        body = await read_body(receive)
        if body is None:
            return
        answer = await self._answer(scope, body)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        request = _request(scope, body)
        if not request.path.startswith(_API):
            return self._outside(request)
        if len(body) > self._environment.settings.body_limit:
            refusal = DataverseError(
                413, "0x80060888", "The page was not displayed because the request entity is too large."
            )
            return self._finished(refusal.answer(), ())
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > _MAX_URL:
            refusal = DataverseError(414, "0x80060888", "The request URI is too long.")
            return self._finished(refusal.answer(), ())
        return await self._data(request)

    def _outside(self, request: Request) -> Answer:
        with self.lock:
            answer = self.issuer.answer(request)
            if answer is None:
                answer = DataverseError(404, "", "The resource cannot be found.").answer()
            elif request.method == "POST":
                self._counts["token" if answer.status == 200 else "token_refused"] += 1
            return self._finished(answer, ())

    async def _data(self, request: Request) -> Answer:
        server, cookie = self._server(request)
        try:
            with self.lock:
                self.issuer.check(request)
                self._check_user()
                meter = self.protection.enter(server)
        except DataverseError as refusal:
            self._counts[f"refused_{refusal.status}"] += 1
            return self._finished(refusal.answer(), cookie)
        started = time.perf_counter()
        try:
            if self._environment.settings.latency_seconds:
                await asyncio.sleep(self._environment.settings.latency_seconds)
            with self.lock:
                answer = self._service.answer(request)
        finally:
            self.protection.leave(meter, time.perf_counter() - started)
        return self._finished(answer, (*cookie, *self.protection.headers(meter)))

    def _check_user(self) -> None:
        if not self._environment.settings.application_user:
            raise DataverseError(403, "0x80072560", "The user is not a member of the organization.")

    def _server(self, request: Request) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Which web server takes the request: the one the cookie names, else any."""
        servers = self._environment.settings.servers
        if servers <= 1:
            return 0, ()
        for part in request.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == _COOKIE and value.isdecimal() and int(value) < servers:
                return int(value), ()
        server = self._environment.random.randrange(servers)
        return server, (("Set-Cookie", f"{_COOKIE}={server};Path=/;HttpOnly;Secure"),)

    def _finished(self, answer: Answer, more: tuple[tuple[str, str], ...]) -> Answer:
        """The answer with the headers every answer has."""
        environment = self._environment
        service_request = f"{environment.random.getrandbits(128):032x}"
        headers = (
            *answer.headers,
            ("OData-Version", "4.0"),
            ("Cache-Control", "no-cache") if not answer.header("Cache-Control") else ("Pragma", "no-cache"),
            ("x-ms-service-request-id", service_request),
            ("REQ_ID", service_request),
            *more,
        )
        return Answer(status=answer.status, headers=headers, body=answer.body)


def _request(scope: Scope, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        # A header sent twice is one list, which is how `Prefer` may come.
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    host = headers.get("host") or "localhost"
    return Request(
        method=scope["method"],
        path=scope["path"],
        query_string=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        origin=f"{scope.get('scheme', 'http')}://{host}",
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
