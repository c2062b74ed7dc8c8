"""What a source of exported files is.

What lives here: the abstract base `FileSource`. No I/O: a folder is in `syncline.connectors.file_drop`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from syncline.exported_files import FileMark, FilePage, FoundFile
from syncline.file_format import FileFormat

__all__ = ["FileSource"]


class FileSource(ABC):
    """Files of rows that somebody else writes, and that no method changes or removes.

    Every method may be called from several threads at once: checks and previews read while a cycle does. The promises
    are checked by `syncline.testing.connector_checks.FILE_SOURCE_CHECKS`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """For people, such as `the folder /exports`. No secrets. The same in every process: marks are kept under it."""

    @abstractmethod
    def check_access(self) -> None:
        """Prove that the folder can be listed. Raises CredentialsError or UnavailableError."""

    @abstractmethod
    def files(self) -> Sequence[FoundFile]:
        """What can be read now, the file that was changed longest ago first.

        Raises CredentialsError or UnavailableError.
        """

    @abstractmethod
    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        """Up to `most` rows behind `mark`, and the mark behind them.

        - Without a mark from the beginning. A mark of an earlier state of the file counts as far as the content before
          it is still the same; else the file is read from the beginning: rows may come again, none is left out.
        - A last row without the end of its line is told, and again once the file grew: it may have been half of one.
        - What is no row comes with its problem, and the rows behind it follow.
        - `mark.done` of the answer says that the end was reached.

        Raises UnavailableError when the file is gone or changes while it is read, SchemaChangedError when its first
        row names no columns or one of them twice, and CredentialsError.
        """

    def close(self) -> None:
        """Let go of files and connections. They are opened again when the source is used again."""
