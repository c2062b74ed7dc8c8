"""The content of one file, from wherever it lies: unpacked, counted and hashed on the way.

What lives here: `Content`, which hands out lines and knows where it stands. Nothing about rows, folders or networks.

The hash is a chain over blocks of fixed size, so that a reader that goes on in the middle of a large file reads one
block again and not everything before it.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import IO, Protocol, TypeVar, cast

from syncline.errors import UnavailableError

__all__ = ["LONGEST_LINE", "BinaryFile", "Content"]

_Read = TypeVar("_Read")
_BLOCK = 1 << 18
_GZIP = b"\x1f\x8b"
#: Longer lines are cut: what cannot be a row must not fill the memory.
LONGEST_LINE = 1 << 20


class BinaryFile(Protocol):
    """An open file, as far as it is needed."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...


class _Chain:
    """The hash of everything that was fed: `sha256(state of whole blocks + rest)`."""

    def __init__(self, state: str = "") -> None:
        self.state = state
        self._rest = bytearray()

    def feed(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= _BLOCK:
            self.state = sha256(bytes.fromhex(self.state) + self._rest[:_BLOCK]).hexdigest()
            del self._rest[:_BLOCK]

    @property
    def digest(self) -> str:
        return sha256(bytes.fromhex(self.state) + self._rest).hexdigest()


class Content:
    """Lines of a file, from a place on. Raises UnavailableError for what cannot be read just now."""

    #: Why the content ends where it does, when that is not its end: what is packed breaks off or is damaged.
    damage = ""

    def __init__(self, name: str, file: BinaryFile) -> None:
        self._name = name
        self._file = file
        packed = self._guarded(lambda: file.read(2), b"") == _GZIP
        self._guarded(lambda: file.seek(0), 0)
        if packed:
            self._lines: gzip.GzipFile | io.BufferedReader = gzip.GzipFile(fileobj=cast("IO[bytes]", file))
        else:
            self._lines = io.BufferedReader(_Raw(file), 1 << 16)
        self._chain = _Chain()
        self._back: list[bytes] = []
        self.offset = 0
        self.line = 0

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()
        self._file.close()

    @property
    def digest(self) -> str:
        """Hash of the content before `offset`."""
        return self._chain.digest

    @property
    def block(self) -> str:
        """What to go on from with the hash at `offset`."""
        return self._chain.state

    def go_to(self, offset: int, line: int, block: str) -> bool:
        """Go on at a place that was reached before; False when the content ends before it."""
        self.damage = ""
        start = offset - offset % _BLOCK
        self._guarded(lambda: self._lines.seek(start), 0)
        self._chain = _Chain(block)
        return self._pass(offset - start) and self._stand_at(offset, line)

    def measure(self, offset: int, line: int) -> bool:
        """The same, but read and hash everything before the place."""
        self.damage = ""
        self._guarded(lambda: self._lines.seek(0), 0)
        self._chain = _Chain()
        return self._pass(offset) and self._stand_at(offset, line)

    def _pass(self, size: int) -> bool:
        while size:
            some = min(size, _BLOCK)
            data = self._guarded(lambda: self._lines.read(some), b"")  # noqa: B023 - called at once
            if not data:
                return False
            self._chain.feed(data)
            size -= len(data)
        return True

    def _stand_at(self, offset: int, line: int) -> bool:
        self.offset, self.line = offset, line
        self._back.clear()
        return True

    def next_line(self) -> bytes:
        """The next line with its end, cut at a megabyte; empty at the end of the file."""
        data = self._back.pop() if self._back else self._guarded(lambda: self._lines.readline(LONGEST_LINE), b"")
        self.offset += len(data)
        self.line += data.endswith(b"\n")
        return data

    def take(self, lines: Iterable[bytes]) -> None:
        """These lines, the last that were read, are done with."""
        for data in lines:
            self._chain.feed(data)

    def give_back(self, lines: Sequence[bytes]) -> None:
        """Read these lines, the last that were read, again."""
        self._back += reversed(lines)
        self.offset -= sum(map(len, lines))
        self.line -= sum(data.endswith(b"\n") for data in lines)

    def _guarded(self, read: Callable[[], _Read], nothing: _Read) -> _Read:
        try:
            return read()
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self.damage = "the packed content breaks off or is damaged"
            return nothing
        except (OSError, ValueError) as error:  # ValueError: the file was closed by a broken connection
            raise UnavailableError(f"The file {self._name} cannot be read: {type(error).__name__}.") from None


class _Raw(io.RawIOBase):
    """What `io.BufferedReader` asks for, over an open file that need not be one of Python's own."""

    def __init__(self, file: BinaryFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        room = memoryview(cast("bytearray", buffer))
        data = self._file.read(len(room))
        room[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
