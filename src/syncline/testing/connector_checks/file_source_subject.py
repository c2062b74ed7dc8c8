"""What an author of a source of exported files supplies to its checks.

What lives here: `FileSourceSubject`. No check.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, final

from syncline.connectors.file_source import FileSource
from syncline.exported_files import FileMark, FilePage, FileRow, FoundFile
from syncline.file_format import FileFormat
from syncline.testing.connector_checks.subject import PRIVATE

__all__ = ["FileSourceSubject", "ids", "table"]

_LONG_AGO: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)


def table(*ids: object) -> bytes:
    """A file with a row for each id, ended like every line."""
    return "".join(["id,name\n", *(f"{one},{PRIVATE[0]}\n" for one in ids)]).encode()


class FileSourceSubject(ABC):
    """A folder without files, and a source of the files in it that leaves none of them alone."""

    @property
    @abstractmethod
    def source(self) -> FileSource:
        """The source under test; the same one each time."""

    @abstractmethod
    def another(self) -> FileSource:
        """A new source of the same files, as another process would make it."""

    @abstractmethod
    def write(self, name: str, content: bytes, changed: datetime) -> None:
        """Somebody exports this content under this name, new or over what was there; it was changed at this moment."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Somebody deletes the file."""

    @property
    def secrets(self) -> Collection[str]:
        """What nobody may ever read: passwords and keys that the source was given."""
        return ()

    def break_off(self) -> None:
        """From now on the folder cannot be reached."""
        raise NotImplementedError

    # -- for the checks -----------------------------------------------------------------------------------------------

    @final
    def put(self, name: str, content: bytes, *, hours: int = 0) -> FoundFile:
        """Export a file that was changed so many hours after a moment long ago; as the folder lists it then."""
        self.write(name, content, _LONG_AGO + timedelta(hours=hours))
        (found,) = (file for file in self.source.files() if file.name == name)
        return found

    @final
    def page(
        self,
        file: FoundFile,
        mark: FileMark | None = None,
        most: int = 100,
        *,
        by: FileSource | None = None,
        file_format: FileFormat | None = None,
    ) -> FilePage:
        return (by or self.source).read(file, mark, file_format or FileFormat(), most)

    @final
    def rest(self, file: FoundFile, mark: FileMark | None = None, most: int = 100) -> tuple[list[FileRow], FileMark]:
        """All rows behind the mark, and the mark behind them; the end is reached within a thousand pages."""
        rows: list[FileRow] = []
        for _ in range(1_000):
            page = self.page(file, mark, most)
            rows += page.rows
            mark = page.mark
            if mark.done:
                return rows, mark
        raise AssertionError("the file has no end")

    @final
    def tells_nothing(self, *told: object) -> None:
        """None of them repeats what stands in a file, or a secret."""
        for one in told:
            for word in (*PRIVATE, *self.secrets):
                assert word not in f"{one} {one!r}", f"a {type(one).__name__} tells a value or a secret"


def ids(rows: Sequence[FileRow]) -> list[str]:
    """The first column of each row, or that it is none."""
    return [row.values.get("id", "no row") for row in rows]
