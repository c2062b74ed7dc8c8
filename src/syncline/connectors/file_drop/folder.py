"""Folders that exported files lie in.

What lives here: what a folder must be able to do, and a folder of this computer. SFTP is in
`syncline.connectors.file_drop.sftp`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from syncline.connectors.file_drop.content import BinaryFile
from syncline.errors import CredentialsError, DefinitionError, UnavailableError
from syncline.exported_files import FoundFile

__all__ = ["Folder", "LocalFolder"]


class Folder(ABC):
    """Lists and opens files. Every method may be called from several threads.

    Raises CredentialsError where access is refused and UnavailableError for everything else that goes wrong.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """For people; no secrets."""

    @abstractmethod
    def files(self) -> Iterable[FoundFile]:
        """The plain files in it, not those of folders below. Links are not followed."""

    @abstractmethod
    def open(self, name: str) -> tuple[BinaryFile, FoundFile]:
        """An open file and what it is right now."""

    def close(self) -> None:
        """Let go of connections; they are opened again when the folder is used again."""


class LocalFolder(Folder):
    """A folder of this computer, or one that is mounted."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        if not self._path.is_absolute():
            raise DefinitionError("give the folder's path from the root on", path="folder")

    @property
    def name(self) -> str:
        return f"the folder {self._path}"

    def files(self) -> Iterable[FoundFile]:
        try:
            with os.scandir(self._path) as entries:
                return [_found(entry.name, entry.stat(follow_symlinks=False)) for entry in entries if _plain(entry)]
        except OSError as error:
            raise self._told(error) from None

    def open(self, name: str) -> tuple[BinaryFile, FoundFile]:
        try:
            file = os.open(self._path / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise self._told(error, name) from None
        opened = os.fdopen(file, "rb", buffering=0)
        return opened, _found(name, os.fstat(file))

    def _told(self, error: OSError, name: str = "") -> CredentialsError | UnavailableError:
        what = f"The file {name} in {self.name}" if name else f"{self.name[0].upper()}{self.name[1:]}"
        message = f"{what} cannot be read: {error.strerror or type(error).__name__}."
        if isinstance(error, PermissionError):
            return CredentialsError(message, remedy="Let the user that this process runs as read it.")
        return UnavailableError(message)


def _plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _found(name: str, status: os.stat_result) -> FoundFile:
    return FoundFile(modified=status.st_mtime_ns // 1_000, name=name, size=status.st_size)
