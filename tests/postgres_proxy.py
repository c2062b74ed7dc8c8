"""A way to the server that loses what it is told to lose: a commit, or the answer to it.

Each message of the protocol has a kind, a length and a body; a client's first message has no kind.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_COMMIT = b"Q" + struct.pack(">i", 11) + b"COMMIT\0"


class Loss(StrEnum):
    """What becomes of the next commit."""

    NONE = "none"
    #: The server never sees it.
    COMMIT = "commit"
    #: The server commits, and nobody learns it.
    ANSWER = "answer"
    #: The server sees it only after the client has asked elsewhere what became of it.
    LATE = "late"


class Proxy:
    """Listens in a folder, as a server does, and passes everything on to the server behind it."""

    def __init__(self, url: str, folder: Path) -> None:
        self._parts: dict[str, Any] = conninfo_to_dict(url)
        self._folder = folder
        self.loss = Loss.NONE
        self.lost = 0
        #: Whether it hangs up on everybody who comes.
        self.deny = False
        self._held: socket.socket | None = None
        #: The server whose next words nobody hears, and whether it has said them.
        self._deaf_to: socket.socket | None = None
        self._answered = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._start(self._listen)

    @property
    def url(self) -> str:
        """Where clients find it."""
        words = {name: value for name, value in self._parts.items() if name not in ("hostaddr", "port")}
        return make_conninfo(**{**words, "host": str(self._folder)})

    def close(self) -> None:
        """Hang up on everybody."""
        self._hang_up(self._listener)
        for one in self._open:
            self._hang_up(one)
        for thread in self._threads:
            thread.join()

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _hang_up(one: socket.socket) -> None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.deny:
                    self._hang_up(client)
                    continue
                server = self._reach()
                self._open += [client, server]
                self._start(self._to_server, client, server)
                self._start(self._to_client, server, client)

    def _reach(self) -> socket.socket:
        host, port = str(self._parts.get("host") or "127.0.0.1"), int(self._parts.get("port") or 5432)
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((host, port))

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while said := client.recv(65536):
                if said == _COMMIT and self.loss is not Loss.NONE:
                    self._lose(client, server)
                    return
                server.sendall(said)
                if b"FROM markers WHERE id" in said and self._held is not None:
                    self._held.sendall(_COMMIT)
                    self._held = None
            self._hang_up(server)

    def _lose(self, client: socket.socket, server: socket.socket) -> None:
        loss, self.loss = self.loss, Loss.NONE
        self.lost += 1
        if loss is Loss.ANSWER:
            self._deaf_to = server
            server.sendall(_COMMIT)
            self._answered.wait(30)
        if loss is Loss.LATE:
            self._held = server
        else:
            self._hang_up(server)
        self._hang_up(client)

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while said := server.recv(65536):
                if server is self._deaf_to:
                    break
                client.sendall(said)
        if server is self._deaf_to:
            self._answered.set()
        self._hang_up(client)
