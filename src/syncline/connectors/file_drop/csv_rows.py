"""Rows out of lines.

What lives here: what is a row and what is none. A line that is none never takes the lines behind it along: the reader
goes on with the next one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from syncline.connectors.file_drop.content import LONGEST_LINE, Content
from syncline.errors import SchemaChangedError
from syncline.exported_files import FileRow
from syncline.file_format import FileFormat

__all__ = ["Rows"]

_BOM = b"\xef\xbb\xbf"
_LONGEST_TEXT = 4_000


class Rows:
    """The rows of a content, from where it stands. Iterating ends where the content does."""

    def __init__(self, name: str, content: Content, file_format: FileFormat, header: tuple[str, ...]) -> None:
        self.header = header
        #: Whether the end of the content was reached.
        self.done = False
        self._name = name
        self._content = content
        self._encoding = file_format.encoding
        self._options: dict[str, Any] = {"delimiter": file_format.delimiter, "strict": True}
        if file_format.quote:
            self._options["quotechar"] = file_format.quote
        else:
            self._options["quoting"] = csv.QUOTE_NONE
        #: The lines of the row that is being read.
        self._lines: list[bytes] = []
        self._reader = csv.reader(self._decoded(), **self._options)

    def _decoded(self) -> Iterator[str]:
        content, encoding = self._content, self._encoding
        while data := content.next_line():
            self._lines.append(data)
            if content.offset == len(data):
                data = data.removeprefix(_BOM)
            # What is no text in this encoding shows up as lone surrogates, and the row says so.
            yield data.decode(encoding, "surrogateescape")

    def __iter__(self) -> Iterator[FileRow]:
        if not self.header:
            self.header = self._read_header()
        header = list(self.header)
        while not self.done:
            self._lines.clear()
            first = self._content.line + 1
            try:
                fields = next(self._reader)
            except StopIteration:
                self.done = True
                break
            except csv.Error as error:
                yield self._not_a_row(first, f"it is not written as the format says ({error})")
                continue
            if any(len(line) >= LONGEST_LINE for line in self._lines):
                yield self._not_a_row(first, "it is longer than a megabyte")
                continue
            self._end_line()
            if fields and fields != header:  # else an empty line, or files that were put one behind the other
                yield self._row(first, fields)
        if self._content.damage:
            yield FileRow(line=self._content.line + 1, values={}, problem=self._content.damage)

    def _end_line(self) -> None:
        """The lines are done with, unless the last one lacks its end: if the file grows, it is read again."""
        if self._lines[-1].endswith(b"\n"):
            self._content.take(self._lines)
        else:
            self._content.give_back(self._lines)
            self.done = True

    def _row(self, line: int, fields: list[str]) -> FileRow:
        header = self.header
        if len(fields) != len(header):
            return self._flawed(line, f"it has {len(fields)} columns and the header {len(header)}")
        if not all(map(_is_text, fields)):
            return self._flawed(line, f"it is not text in {self._encoding}")
        return FileRow(line=line, values=dict(zip(header, fields, strict=True)))

    def _flawed(self, line: int, problem: str) -> FileRow:
        text = b"".join(self._lines).decode(self._encoding, "backslashreplace")
        return FileRow(line=line, values={}, problem=problem, text=text.rstrip("\r\n")[:_LONGEST_TEXT])

    def _not_a_row(self, line: int, problem: str) -> FileRow:
        """Go on behind the first of the lines: a stray quote may have swallowed rows that are in order."""
        self._content.give_back(self._lines[1:])
        del self._lines[1:]
        row = self._flawed(line, problem)
        while len(self._lines[-1]) >= LONGEST_LINE and (rest := self._content.next_line()):
            self._content.take(self._lines)
            self._lines[:] = [rest]
        self._end_line()
        self._reader = csv.reader(self._decoded(), **self._options)
        return row

    def _read_header(self) -> tuple[str, ...]:
        """The names of the columns; empty for an empty file."""
        for fields in self._header_rows():
            names = tuple(field.strip() for field in fields)
            if not all(map(_is_text, names)):
                raise self._no_header(f"is not text in {self._encoding}")
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise self._no_header(f"names the column {twice!r} twice" if twice else "names a column without a name")
            self._end_line()
            return names if not self.done else ()
        self.done = True
        return ()

    def _header_rows(self) -> Iterator[list[str]]:
        try:
            for fields in self._reader:
                if fields:
                    yield fields
                else:
                    self._content.take(self._lines)
                    self._lines.clear()
        except csv.Error as error:
            raise self._no_header(f"is not written as the format says ({error})") from None

    def _no_header(self, problem: str) -> SchemaChangedError:
        return SchemaChangedError(
            f"The first row of the file {self._name} {problem}.",
            table=self._name,
            remedy="Nothing was lost: the file was not read. Correct it, or the file format of the definition.",
        )


def _is_text(field: str) -> bool:
    return field.isascii() or not any("\ud800" <= character <= "\udfff" for character in field)
