"""uvicorn's HTTP protocol as the sandbox serves it: no access log, the transport within reach, one write per answer.

The only module that knows uvicorn's inside. What never lives here: addresses and answers.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from .faults import CUT

__all__ = ["Connections"]

_CONTINUE = b"HTTP/1.1 100 "


class Connections:
    """Makes protocols for one application, and knows their connections."""

    def __init__(self, application: Any) -> None:
        self._state = ServerState()
        self._application = application
        self.ended = False
        self._config = uvicorn.Config(
            self._until_the_end,
            interface="asgi3",
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        self._config.load()

    def __call__(self) -> asyncio.Protocol:
        """A protocol for one more connection."""
        return _Protocol(self, config=self._config, server_state=self._state, app_state={})

    async def end(self) -> None:
        """Cut every connection without a word, also those that are only just being made, and end every request."""
        self.ended = True
        for connection in list(self._state.connections):
            cast("_Protocol", connection).cut()
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_the_end(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._application(scope, receive, send)
        except asyncio.CancelledError:
            # Nobody waits for an answer any more; uvicorn would write a traceback to the host's log and try a 500.
            if not self.ended:
                raise


class _Corked:
    """A transport that keeps the head of an answer back until there is a body to send with it.

    uvicorn writes both apart: two system calls here and two reads at the client, a third of the time of an answer.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(_CONTINUE):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            data, self._head = self._head, b""
            self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()


class _Protocol(HttpToolsProtocol):
    def __init__(self, owner: Connections, **named: Any) -> None:
        super().__init__(**named)
        self._owner = owner
        self.access_log = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(cast("asyncio.Transport", _Corked(transport)))
        if self._owner.ended:  # accepted a moment before the end, which did not know of it
            self.cut()

    def cut(self) -> None:
        """End the connection; what was asked through it is never answered."""
        self.transport.abort()
        if self.cycle is not None:
            self.cycle.disconnected = True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {CUT: self.transport}

    def on_response_complete(self) -> None:
        """As uvicorn's, but without a timer for each answer: an idle connection stays until its client leaves."""
        cast("_Corked", self.transport).flush()
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
        else:
            self.flow.resume_reading()
