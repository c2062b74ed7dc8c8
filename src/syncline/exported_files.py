"""Frozen values that move between folders of exported files, the workflows and the storage.

What lives here: a file that was found, how far one has been read, and what a page of its rows looks like. No I/O, and
nothing about what a row means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, frozen

__all__ = ["FileMark", "FilePage", "FileRow", "FoundFile"]


@frozen(kw_only=True, order=True)
class FoundFile:
    """A file as its folder lists it."""

    #: When it was changed last, in whole microseconds of the folder's own clock.
    modified: int
    #: Without a folder.
    name: str
    #: In bytes, as it lies there.
    size: int


@frozen(kw_only=True)
class FileMark:
    """How far a file has been read: its cursor. Stored in the same transaction as the rows before it."""

    name: str
    #: As listed when this much had been read.
    size: int
    modified: int
    #: Everything before this byte of the unpacked content was read; always the beginning of a row.
    offset: int = 0
    #: Lines before `offset`.
    line: int = 0
    #: Hash of the content before `offset`, and of its last whole block: they tell a file that grew from another one.
    digest: str = field(default="", repr=False)
    block: str = field(default="", repr=False)
    #: The columns, once the first row was read.
    header: tuple[str, ...] = field(default=(), repr=False)
    #: The file was read to its end.
    done: bool = False

    def is_of(self, file: FoundFile) -> bool:
        """Whether nothing happened to the file since."""
        return (self.name, self.size, self.modified) == (file.name, file.size, file.modified)

    def to_json(self) -> str:
        """As text for a storage."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FileMark:
        """The inverse of `to_json`."""
        found: dict[str, Any] = json.loads(text)
        return cls(**{**found, "header": tuple(found["header"])})


@frozen(kw_only=True)
class FileRow:
    """One row of a file, or what stands where a row should be."""

    #: The number of its first line; the header has the first.
    line: int
    #: Column to text; empty when it is no row.
    values: Mapping[str, str] = field(repr=lambda values: f"<{len(values)} columns>")
    #: Why it is no row, for people; names no content. Empty when it is one.
    problem: str = ""
    #: What stands there, where it is no row.
    text: str = field(default="", repr=False)


@frozen(kw_only=True)
class FilePage:
    """Rows of one file in its order, and the mark behind them."""

    rows: tuple[FileRow, ...] = field(repr=lambda rows: f"<{len(rows)} rows>")
    mark: FileMark
