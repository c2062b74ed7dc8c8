"""Listening sockets on loopback, and the end of everything that came through them.

What never lives here: which applications are served, and what they answer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Mapping

from .control import Frame
from .protocol import Connections

__all__ = ["Listeners"]

_HOST = "127.0.0.1"
_BACKLOG = 1024
#: Turns of the event loop after which an accepted socket is a connection.
_TURNS = 5


class Listeners:
    """The listening sockets of some applications and the connections that came through them."""

    def __init__(self, frames: Mapping[str, Frame]) -> None:
        self._connections = {name: Connections(frame) for name, frame in frames.items()}
        self._servers: list[asyncio.Server] = []

    async def listen(self, name: str, port: int = 0, context: ssl.SSLContext | None = None) -> str:
        """Listen for one application; returns its origin. A port of 0 takes a free one."""
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((_HOST, port))
        except OSError:
            bound.close()
            raise
        number = bound.getsockname()[1]
        server = await asyncio.get_running_loop().create_server(
            self._connections[name], sock=bound, backlog=_BACKLOG, ssl=context
        )
        self._servers.append(server)
        return f"{'https' if context else 'http'}://{_HOST}:{number}"

    async def close(self) -> None:
        """Stop listening, cut every connection, end every request."""
        await self._settle()
        for server in self._servers:
            server.close()
        for connections in self._connections.values():
            await connections.end()

    async def _settle(self) -> None:
        """Accept nothing more, and let what was accepted become a connection.

        asyncio forgets to close a socket that it accepted just before its server closes; uvloop does not.
        """
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.SelectorEventLoop):
            for server in self._servers:
                for listening in server.sockets:
                    loop.remove_reader(listening.fileno())
            for _ in range(_TURNS):
                await asyncio.sleep(0)
