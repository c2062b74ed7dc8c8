"""A folder into which somebody else exports files.

What lives here: `FileDrop`: which files can be read now, and reading one from where it was left. What a folder is lives
in `folder`, bytes in `content`, rows in `csv_rows`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase

from attrs import define

from syncline.clock import Clock, SystemClock
from syncline.connectors.file_drop.content import Content
from syncline.connectors.file_drop.csv_rows import Rows
from syncline.connectors.file_drop.folder import Folder, LocalFolder
from syncline.connectors.file_source import FileSource
from syncline.exported_files import FileMark, FilePage, FileRow, FoundFile
from syncline.file_format import FileFormat

__all__ = ["FileDrop"]

_MICROSECOND = timedelta(microseconds=1)
#: A page is not larger than this in bytes, whatever its rows.
_PAGE = 8 << 20


@define
class _Open:
    """A file that is being read."""

    mark: FileMark
    found: FoundFile
    content: Content
    rows: Rows
    iterator: Iterator[FileRow]


class FileDrop(FileSource):
    """Exported files in a folder of this computer, or in one that `SFTPFolder` reaches.

    `folder` is an absolute path or a `Folder`. Files whose names do not match `pattern` (as in a shell, case matters)
    or begin with a dot are left alone, and so is what was changed less than `quiet` ago: it may still be written. Files
    are only read: whoever exports them cleans up. `file_format` is for files that are not written as the definition
    says.

    Files may come in any order, overlap, be exported again under the same name or another, grow, or be empty. One that
    is cut off gives its rows and a problem where it ends.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | Folder,
        *,
        pattern: str = "*",
        file_format: FileFormat | None = None,
        quiet: timedelta = timedelta(minutes=1),
        clock: Clock | None = None,
    ) -> None:
        self._folder = folder if isinstance(folder, Folder) else LocalFolder(folder)
        self._pattern = pattern
        self._format = file_format
        self._quiet = quiet
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        #: The file that was read last stays open for the page behind it.
        self._open: _Open | None = None

    def __del__(self) -> None:
        if opened := getattr(self, "_open", None):
            opened.content.close()

    def __repr__(self) -> str:
        return f"<FileDrop {self._pattern} in {self._folder.name}>"

    @property
    def name(self) -> str:
        return f"{self._pattern} in {self._folder.name}" if self._pattern != "*" else self._folder.name

    def check_access(self) -> None:
        self._folder.files()

    def files(self) -> Sequence[FoundFile]:
        now = int(self._clock.now().timestamp() * 1_000_000)
        quiet = self._quiet // _MICROSECOND
        # A file of the future was written by a clock that is wrong, and not just now.
        return sorted(
            file for file in self._folder.files() if self._is_ours(file.name) and abs(now - file.modified) >= quiet
        )

    def _is_ours(self, name: str) -> bool:
        return not name.startswith(".") and fnmatchcase(name, self._pattern)

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        opened = self._taken(file, mark) or self._opened(file.name, mark, self._format or file_format)
        try:
            rows = list(self._page(opened, most))
            content, found = opened.content, opened.found
            opened.mark = FileMark(
                name=found.name,
                size=found.size,
                modified=found.modified,
                offset=content.offset,
                line=content.line,
                digest=content.digest,
                block=content.block,
                header=opened.rows.header,
                done=opened.rows.done,
            )
        except BaseException:
            opened.content.close()
            raise
        self._keep(opened)
        return FilePage(rows=tuple(rows), mark=opened.mark)

    @staticmethod
    def _page(opened: _Open, most: int) -> Iterator[FileRow]:
        full = opened.content.offset + _PAGE
        for _ in range(most):
            row = next(opened.iterator, None)
            if row is None:
                return
            yield row
            if opened.content.offset >= full:
                return

    def _taken(self, file: FoundFile, mark: FileMark | None) -> _Open | None:
        """The open file, if it stands at this mark and nothing happened to it since."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is None or (opened.mark == mark and opened.mark.is_of(file) and not opened.mark.done):
            return opened
        opened.content.close()
        return None

    def _keep(self, opened: _Open) -> None:
        if opened.mark.done:
            opened.content.close()
            return
        with self._lock:
            before, self._open = self._open, opened
        if before is not None:
            before.content.close()

    def _opened(self, name: str, mark: FileMark | None, file_format: FileFormat) -> _Open:
        file, found = self._folder.open(name)
        try:
            content = Content(name, file)
            header = mark.header if mark is not None and _goes_on(content, mark, found) else ()
            if not header:
                content.measure(0, 0)
            rows = Rows(name, content, file_format, header)
        except BaseException:
            file.close()
            raise
        standing = mark or FileMark(name=name, size=found.size, modified=found.modified)
        return _Open(mark=standing, found=found, content=content, rows=rows, iterator=iter(rows))

    def close(self) -> None:
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened.content.close()
        self._folder.close()


def _goes_on(content: Content, mark: FileMark, found: FoundFile) -> bool:
    """Whether everything before the mark is still as it was read; the content then stands there.

    A file that was not touched since is believed after a look at the block before the mark. Any other is read again up
    to there: a re-export may differ in one letter in the middle.
    """
    if mark.is_of(found):
        reached = content.go_to(mark.offset, mark.line, mark.block)
    else:
        reached = content.measure(mark.offset, mark.line)
    return reached and content.digest == mark.digest
