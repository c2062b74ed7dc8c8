"""A folder that is reached over SFTP. Needs the extra `sftp`.

What lives here: `SFTPFolder`, and the one import of paramiko. The server must show the host key it is known by before
anything else is sent to it; there is no way to leave that out.
"""

from __future__ import annotations

import os
import socket
import threading
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from stat import S_ISREG
from typing import Any, TypeVar

from syncline.connectors.file_drop.content import BinaryFile
from syncline.connectors.file_drop.folder import Folder
from syncline.connectors.http.secret import Secret
from syncline.errors import CredentialsError, DefinitionError, MissingExtraError, UnavailableError
from syncline.exported_files import FoundFile

try:
    import paramiko
except ImportError:  # pragma: no cover - told by the constructor
    paramiko = None

__all__ = ["SFTPFolder"]

_Result = TypeVar("_Result")
#: Read ahead in pieces that every server takes, many at once: else each waits for the answer to the one before.
_PIECE, _PIECES = 32_768, 32


class SFTPFolder(Folder):
    """A directory on an SFTP server, such as Campaign's own.

    `host_key` is what the server must show: a line such as `ssh-ed25519 AAAA...`, as `ssh-keyscan` prints it without
    the name; several for a server that has several. Sign in with `key_file`, the path of a private key (with its
    `passphrase`, if it has one), or with a `password`. `timeout` bounds connecting and each answer, in seconds.

    Thread-safe; one connection, made when it is first needed and made again when it broke. Raises MissingExtraError
    without the extra, and DefinitionError for a host key or credentials that cannot be.
    """

    def __init__(
        self,
        host: str,
        path: str,
        *,
        username: str,
        host_key: str | Iterable[str],
        key_file: str | os.PathLike[str] | None = None,
        passphrase: str | Secret | None = None,
        password: str | Secret | None = None,
        port: int = 22,
        timeout: float = 20.0,
    ) -> None:
        if paramiko is None:
            raise MissingExtraError("SFTP", extra="sftp")
        if (key_file is None) == (password is None):
            raise DefinitionError("give either a key_file or a password", path="key_file")
        self._address = (host, port)
        self._path = path.rstrip("/") or "/"
        self._username = username
        lines = [host_key] if isinstance(host_key, str) else list(host_key)
        self._host_keys = frozenset(_public_key(line) for line in lines)
        if not self._host_keys:
            raise DefinitionError("name the key that the server shows", path="host_key")
        self._key_file = None if key_file is None else os.fspath(key_file)
        self._passphrase = _secret(passphrase)
        self._password = _secret(password)
        self._timeout = timeout
        self._lock = threading.RLock()
        self._client: Any = None

    def __repr__(self) -> str:
        return f"<SFTPFolder {self.name}>"

    @property
    def name(self) -> str:
        host, port = self._address
        return f"sftp://{self._username}@{host}{'' if port == 22 else f':{port}'}{self._path}"

    def files(self) -> Iterable[FoundFile]:
        entries = self._ask(lambda client: client.listdir_attr(self._path))
        return [_found(entry.filename, entry) for entry in entries if S_ISREG(entry.st_mode or 0)]

    def open(self, name: str) -> tuple[BinaryFile, FoundFile]:
        def opened(client: Any) -> tuple[BinaryFile, FoundFile]:
            file = client.open(f"{self._path}/{name}", "rb")
            found = _found(name, file.stat())
            return _RemoteFile(file, found.size, self._lock), found

        return self._ask(opened, name)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.get_channel().get_transport().close()

    # -- the connection -----------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[Any], _Result], name: str = "") -> _Result:
        what = f"The file {name} at {self.name}" if name else self.name
        with self._lock:
            try:
                if self._client is None:
                    self._client = self._connect()
                return question(self._client)
            except PermissionError:
                raise CredentialsError(f"{what} may not be read.", remedy="Let this user read it.") from None
            except FileNotFoundError:
                raise UnavailableError(f"{what} is not there.") from None
            except (OSError, EOFError, paramiko.SSHException) as error:
                self.close()
                raise UnavailableError(f"{what} cannot be read: {type(error).__name__}.") from None

    def _connect(self) -> Any:
        plug = socket.create_connection(self._address, timeout=self._timeout)
        transport = paramiko.Transport(plug)
        try:
            # Only kinds of keys that we know of this server: else it shows one that we cannot compare.
            transport.get_security_options().key_types = _algorithms({kind for kind, _ in self._host_keys})
            transport.banner_timeout = transport.auth_timeout = self._timeout
            transport.start_client(timeout=self._timeout)
            self._check_host(transport.get_remote_server_key())
            self._sign_in(transport)
            client = paramiko.SFTPClient.from_transport(transport)
            client.get_channel().settimeout(self._timeout)
        except paramiko.IncompatiblePeer:
            transport.close()
            raise self._wrong_host() from None
        except BaseException:
            transport.close()
            raise
        return client

    def _check_host(self, shown: Any) -> None:
        if (shown.get_name(), shown.asbytes()) not in self._host_keys:
            raise self._wrong_host()

    def _wrong_host(self) -> CredentialsError:
        return CredentialsError(
            f"{self._address[0]} does not show the host key it is known by: nothing was sent to it.",
            remedy="Find out why before you name its new key: somebody may stand between you and the server.",
        )

    def _sign_in(self, transport: Any) -> None:
        try:
            if self._password is not None:
                transport.auth_password(self._username, self._password.reveal())
            else:
                transport.auth_publickey(self._username, self._private_key())
        except paramiko.AuthenticationException:
            raise CredentialsError(
                f"{self._address[0]} does not let {self._username} in.", remedy="Check user name, key and password."
            ) from None

    def _private_key(self) -> Any:
        phrase = None if self._passphrase is None else self._passphrase.reveal().encode()
        try:
            return paramiko.PKey.from_path(self._key_file, phrase)
        except (OSError, TypeError, ValueError, paramiko.SSHException, paramiko.UnknownKeyType) as error:
            raise CredentialsError(
                f"The private key for SFTP cannot be read: {type(error).__name__}.",
                remedy="Check key_file and passphrase.",
            ) from None


class _RemoteFile:
    """What a reader asks of a file, with pieces asked for ahead; trouble comes as OSError, as from any file.

    A thread that asks the server reads the answers that come, also those to others: so one asks at a time.
    """

    def __init__(self, file: Any, size: int, lock: threading.RLock) -> None:
        self._file = file
        self._size = size
        self._lock = lock
        self._offset = 0
        self._ahead = b""

    def read(self, size: int = -1, /) -> bytes:
        if not self._ahead:
            self._fetch()
        data = self._ahead if size < 0 else self._ahead[:size]
        self._ahead = self._ahead[len(data) :]
        self._offset += len(data)
        return data

    def _fetch(self) -> None:
        end = min(self._offset + _PIECE * _PIECES, self._size)
        pieces = [(start, min(_PIECE, end - start)) for start in range(self._offset, end, _PIECE)]
        try:
            with self._lock:
                self._ahead = b"".join(self._file.readv(pieces)) if pieces else b""
        except (EOFError, paramiko.SSHException) as error:
            raise OSError(type(error).__name__) from None

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = {0: 0, 1: self._offset, 2: self._size}[whence]
        self._offset, self._ahead = base + offset, b""
        return self._offset

    def tell(self) -> int:
        return self._offset

    def close(self) -> None:
        try:
            with self._lock:
                self._file.close()
        except (OSError, EOFError, paramiko.SSHException):
            return  # the connection is gone, and the file with it


def _found(name: str, status: Any) -> FoundFile:
    return FoundFile(modified=int(status.st_mtime or 0) * 1_000_000, name=name, size=int(status.st_size or 0))


def _secret(value: str | Secret | None) -> Secret | None:
    return Secret(value) if isinstance(value, str) else value


def _public_key(line: str) -> tuple[str, bytes]:
    parts = line.split()
    # A line of a known_hosts file begins with names.
    if len(parts) > 2 and not parts[0].startswith(("ssh-", "ecdsa-")):
        parts = parts[1:]
    try:
        kind, blob = parts[0], b64decode(parts[1], validate=True)
        if blob[4 : 4 + int.from_bytes(blob[:4], "big")] != kind.encode("ascii"):
            raise ValueError
    except (IndexError, ValueError, Base64Error):
        raise DefinitionError(
            "this is no host key", path="host_key", remedy="Give a line such as: ssh-ed25519 AAAAC3..."
        ) from None
    return kind, blob


def _algorithms(kinds: set[str]) -> list[str]:
    found = [kind for kind in sorted(kinds) if kind != "ssh-rsa"]
    return found + (["rsa-sha2-512", "rsa-sha2-256"] if "ssh-rsa" in kinds else [])
