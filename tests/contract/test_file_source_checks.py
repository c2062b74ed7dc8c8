"""Every check of the kit for sources of exported files, against our own; and sources with a defect, which fail them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from tests.file_drop_room import LocalSubject, SFTPSubject, failed
from tests.sftp_room import Server

from syncline.connectors.file_drop import FileDrop
from syncline.errors import UnavailableError
from syncline.exported_files import FileMark, FilePage, FileRow, FoundFile
from syncline.file_format import FileFormat
from syncline.testing.connector_checks import FILE_SOURCE_CHECKS, FileSourceSubject
from syncline.testing.promises import Promise, promises


@pytest.mark.parametrize("promise", promises(FILE_SOURCE_CHECKS), ids=str)
def test_a_folder_of_this_computer(promise: Promise[FileSourceSubject], tmp_path: Path) -> None:
    """What the check's docstring promises."""
    place = tmp_path / "exports"
    place.mkdir()
    with closing(LocalSubject(place)) as subject:
        promise(subject)


@pytest.mark.parametrize("promise", promises(FILE_SOURCE_CHECKS), ids=str)
def test_a_folder_of_a_server(promise: Promise[FileSourceSubject], tmp_path: Path) -> None:
    """What the check's docstring promises."""
    (tmp_path / "files" / "exports").mkdir(parents=True)
    server = Server(tmp_path)
    try:
        with closing(SFTPSubject(server)) as subject:
            promise(subject)
    finally:
        server.stop()


@pytest.mark.parametrize("check", FILE_SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_each_check_says_what_it_promises(check: object) -> None:
    """A check without a sentence is no promise."""
    assert (check.__doc__ or "").strip().endswith(".")


# -- sources with a defect --------------------------------------------------------------------------------------------


class Alphabetical(FileDrop):
    """Lists files by their names."""

    def files(self) -> Sequence[FoundFile]:
        return sorted(super().files(), key=lambda file: file.name)


class Tidy(FileDrop):
    """Removes what was read to its end."""

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        page = super().read(file, mark, file_format, most)
        if page.mark.done and page.rows:
            (Path(self.name.removeprefix("the folder ")) / file.name).unlink()
        return page


class Greedy(FileDrop):
    """Reads one row more than was asked for."""

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        return super().read(file, mark, file_format, most + 1)


class Trusting(FileDrop):
    """Takes a file under the same name for the same file."""

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        page = super().read(file, None, file_format, 10_000)
        lines = 0 if mark is None else mark.line
        rows = tuple(row for row in page.rows if row.line > lines)
        rest = rows[most:]
        done = not rest
        line = page.mark.line if done else rows[most - 1].line
        return evolve(page, rows=rows[:most], mark=evolve(page.mark, line=line, done=done))


class Strict(FileDrop):
    """Leaves out what is no row."""

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        page = super().read(file, mark, file_format, most)
        return evolve(page, rows=tuple(row for row in page.rows if not row.problem))


class Telling(FileDrop):
    """Says what stands where a row should be."""

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        page = super().read(file, mark, file_format, most)
        return evolve(page, rows=tuple(self.told(row) for row in page.rows))

    @staticmethod
    def told(row: FileRow) -> FileRow:
        return evolve(row, problem=f"no row: {row.text}") if row.problem else row


class Calm(FileDrop):
    """Takes a file that cannot be read for an empty one."""

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        try:
            return super().read(file, mark, file_format, most)
        except UnavailableError:
            return FilePage(rows=(), mark=FileMark(name=file.name, size=0, modified=0, done=True))


class Unlettered(FileDrop):
    """Knows one format."""

    def read(self, file: FoundFile, mark: FileMark | None, file_format: FileFormat, most: int) -> FilePage:
        return super().read(file, mark, FileFormat(), most)


class Absent(FileDrop):
    """Finds nothing in a folder that it cannot reach."""

    def files(self) -> Sequence[FoundFile]:
        try:
            return super().files()
        except UnavailableError:
            return []


class Anonymous(FileDrop):
    """Is called differently in every process."""

    @property
    def name(self) -> str:
        return f"{super().name} {id(self)}"


BROKEN: list[tuple[type[FileDrop], set[str]]] = [
    (Alphabetical, {"the_file_that_waited_longest_comes_first"}),
    (
        Tidy,
        {
            "the_file_that_waited_longest_comes_first",
            "another_file_under_the_same_name_is_read_whole",
            "another_process_reads_on",
        },
    ),
    (Greedy, {"rows_come_in_pages", "another_process_reads_on", "a_closed_source_opens_again"}),
    (
        Trusting,
        {
            "another_file_under_the_same_name_is_read_whole",
            "a_file_that_was_replaced_while_it_was_read_loses_nothing",
        },
    ),
    (Strict, {"what_is_no_row_takes_none_along"}),
    (Telling, {"what_is_no_row_takes_none_along"}),
    (Calm, {"a_file_that_is_gone_is_said", "a_folder_out_of_reach_is_said"}),
    (Unlettered, {"a_file_is_read_as_its_format_says"}),
    (Absent, {"a_folder_out_of_reach_is_said"}),
    (Anonymous, {"a_source_says_what_it_is"}),
]


@pytest.mark.parametrize(("kind", "expected"), BROKEN)
def test_a_source_with_a_defect(kind: type[FileDrop], expected: set[str]) -> None:
    """Exactly the checks about the defect fail."""
    assert failed(kind) == expected
