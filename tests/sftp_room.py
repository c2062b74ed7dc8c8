"""A real SFTP server on loopback, of another make than the client, that tests may take down."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import asyncssh
from attrs import define, field

__all__ = ["PASSWORD", "Gate", "Server"]

PASSWORD = "made-up"


class Gate(asyncssh.SSHServer):
    """Lets one user in with one password, and can throw everybody out."""

    def __init__(self, guests: list[Any]) -> None:
        self._guests = guests

    def connection_made(self, conn: Any) -> None:
        self._guests.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("campaign", PASSWORD)


@define
class Server:
    """An SFTP server in a thread of its own, which shows `host_key`."""

    room: Path
    host_key: str = ""
    port: int = 0
    user_key: Path = field(init=False)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.new_event_loop)
    _listening: Any = None
    _thread: threading.Thread | None = None
    _key: Any = None
    _guests: list[Any] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = self._key.export_public_key().decode().strip()
        mine = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = self.room / "id"
        mine.write_private_key(str(self.user_key))
        mine.write_public_key(str(self.room / "authorized"))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.up()

    def up(self) -> None:
        async def listen() -> Any:
            def rooted(channel: Any) -> Any:
                return asyncssh.SFTPServer(channel, chroot=str(self.room / "files").encode())

            return await asyncssh.listen(
                "127.0.0.1",
                self.port,
                server_factory=lambda: Gate(self._guests),
                server_host_keys=[self._key],
                authorized_client_keys=str(self.room / "authorized"),
                sftp_factory=rooted,
            )

        self._listening = asyncio.run_coroutine_threadsafe(listen(), self._loop).result(30)
        self.port = self._listening.get_port()

    def down(self) -> None:
        async def close() -> None:
            self._listening.close()
            while self._guests:
                self._guests.pop().abort()
            await self._listening.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(30)

    def stop(self) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join()
        self._loop.close()
