"""Rows out of bytes: what is a row, what is none, and that a reader may be stopped anywhere."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.file_drop.content import LONGEST_LINE, Content
from syncline.connectors.file_drop.csv_rows import Rows
from syncline.errors import DefinitionError, SchemaChangedError
from syncline.exported_files import FileMark, FileRow
from syncline.file_format import FileFormat


def read(data: bytes, file_format: FileFormat = FileFormat()) -> list[FileRow]:  # noqa: B008 - frozen
    return list(Rows("log.csv", Content("log.csv", io.BytesIO(data)), file_format, ()))


def values(rows: list[FileRow]) -> list[list[str]]:
    return [list(row.values.values()) for row in rows]


def test_the_first_row_names_the_columns() -> None:
    """A row is its texts by column; lines are counted from the header on."""
    (row,) = read(b"id,name\r\n7,Zo\xc3\xab\r\n")
    assert row == FileRow(line=2, values={"id": "7", "name": "Zoë"})


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    """Excel and others write one."""
    assert read(b"\xef\xbb\xbfid,name\n1,a\n")[0].values == {"id": "1", "name": "a"}


def test_delimiter_quote_and_encoding_are_as_the_format_says() -> None:
    """Whatever the export's file structure says can be read."""
    told = FileFormat(delimiter=";", quote="'", encoding="cp1252")
    assert values(read(b"id;name\n1;'a;''b'\n2;caf\xe9\n", told)) == [["1", "a;'b"], ["2", "café"]]


def test_without_a_quote_a_quote_is_a_letter() -> None:
    """Where nothing is quoted, a text may begin with a quotation mark."""
    assert values(read(b'id\tname\n1\t"a\n', FileFormat(delimiter="\t", quote=""))) == [["1", '"a']]


def test_a_text_may_hold_line_ends() -> None:
    """A quoted text goes over lines; the row's number is its first line's."""
    rows = read(b'id,name\n1,"a\nb"\n2,c\n')
    assert [(row.line, row.values["name"]) for row in rows] == [(2, "a\nb"), (4, "c")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"1", "it has 1 columns and the header 2"),
        (b"1,2,3", "it has 3 columns and the header 2"),
        (b'1,"a"b', "not written as the format says"),
        (b'1,"never closed', "not written as the format says"),
        (b"1,\xff\xfe", "not text in utf-8"),
        (b"1," + b"x" * 200_000, "not written as the format says"),
        (b"1," + b",".join([b"x" * 1_000] * 3_000), "columns and the header 2|longer than a megabyte"),
    ],
)
def test_what_is_no_row_says_why_and_takes_no_other_along(line: bytes, problem: str) -> None:
    """A bad line is told with its number and kept as it stands; the rows before and behind it are read."""
    rows = read(b"id,name\n0,before\n" + line + b'\n8,behind\n9,"last"\n')
    assert values([rows[0], *rows[-2:]]) == [["0", "before"], ["8", "behind"], ["9", "last"]]
    (bad,) = rows[1:-2]
    assert bad.line == 3
    assert re.search(problem, bad.problem)
    assert bad.text.startswith("1")
    assert not bad.values


def test_a_repeated_header_is_no_row() -> None:
    """Files that were put one behind the other read as one."""
    assert values(read(b"id,name\n1,a\n\nid,name\n2,b\n")) == [["1", "a"], ["2", "b"]]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"id,name\n", b"id,name"])
def test_an_empty_file_has_no_rows(data: bytes) -> None:
    """Nothing exported is nothing to do."""
    assert read(data) == []


@pytest.mark.parametrize("data", [b"id,id\n1,2\n", b"id,,\n1,2,3\n", b"\xff,a\n1,2\n", b'"id"x,a\n'])
def test_a_header_that_names_no_columns_is_refused(data: bytes) -> None:
    """Guessing what a column is would put texts into the wrong place: the file is not read at all."""
    with pytest.raises(SchemaChangedError, match=r"log\.csv"):
        read(data)


def test_compressed_files_are_unpacked() -> None:
    """Gzip is seen from the first bytes, also of several pieces one behind the other."""
    assert values(read(gzip.compress(b"id,name\n1,a\n") + gzip.compress(b"2,b\n"))) == [["1", "a"], ["2", "b"]]


def test_a_compressed_file_that_breaks_off_gives_its_rows_and_says_so() -> None:
    """What could be unpacked is read; where it ends stands a problem."""
    lines = b"".join(b"%d,%d\n" % (number, number * 7919) for number in range(50_000))
    packed = gzip.compress(b"id,name\n" + lines)
    rows = read(packed[: len(packed) // 2])
    assert len(rows) > 1_000
    assert all(row.values for row in rows[:-1])
    assert "breaks off" in rows[-1].problem


def test_a_line_beyond_all_measure_does_not_fill_the_memory() -> None:
    """A line of several megabytes is one problem, and reading goes on behind it."""
    rows = read(b"id,name\n1," + b"x" * (3 * LONGEST_LINE) + b"\n2,b\n")
    assert [bool(row.problem) for row in rows] == [True, False]
    assert len(rows[0].text) <= 4_000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("delimiter", ""), ("delimiter", ",,"), ("delimiter", "a"), ("delimiter", "\n"), ("delimiter", "€"),
        ("quote", "''"), ("quote", ","), ("encoding", "utf-16"), ("encoding", "klingon"), ("encoding", 8),
    ],
)  # fmt: skip
def test_a_format_that_cannot_be_read_is_refused(field: str, value: object) -> None:
    """A mistake shows when the definition is made, with the name of the field."""
    with pytest.raises(DefinitionError) as caught:
        FileFormat(**{field: value})  # type: ignore[arg-type]
    assert caught.value.path == field


def stopped(data: bytes, page: int) -> Iterator[FileRow]:
    """Every row, with a new reader after every `page` rows."""
    offset, line, block, digest, done = 0, 0, "", "", False
    header: tuple[str, ...] = ()
    while not done:
        content = Content("log.csv", io.BytesIO(data))
        if header:
            assert content.go_to(offset, line, block)
            assert content.digest == digest
        rows = Rows("log.csv", content, FileFormat(), header)
        yield from islice(rows, page)
        offset, line, block, digest = content.offset, content.line, content.block, content.digest
        header, done = rows.header, rows.done


LINES = st.lists(
    st.one_of(
        st.lists(st.text("ab1,\"\n;é'", max_size=5), min_size=3, max_size=3).map(lambda row: written(row).encode()),
        st.text('a1,"é', max_size=12).map(lambda text: text.encode() + b"\n"),
        st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"") + b"\n"),
    ),
    max_size=12,
)


def written(row: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()


@given(lines=LINES, page=st.integers(1, 4), tail=st.binary(max_size=6))
def test_stopping_and_going_on_leaves_nothing_out(lines: list[bytes], page: int, tail: bytes) -> None:
    """Wherever a reader is stopped, another one that goes on there sees the same rows as one that never stopped."""
    data = b"a,b,c\n" + b"".join(lines) + tail
    assert list(stopped(data, page)) == read(data)


@given(rows=st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), max_size=8))
def test_what_a_csv_writer_writes_is_read_back(rows: list[list[str]]) -> None:
    """Every text that can be exported arrives as it was; half characters cannot be exported."""
    whole = [["".join(map(printable, text)) for text in row] for row in rows]
    data = (written(["#1", "#2"]) + "".join(map(written, whole))).encode()
    assert values(read(data)) == [row for row in whole if row != ["#1", "#2"]]


def printable(character: str) -> str:
    return "" if "\ud800" <= character <= "\udfff" or character == "\r" else character


def test_a_mark_survives_the_storage() -> None:
    """What is stored is what was."""
    mark = FileMark(name="é.csv", size=3, modified=7, offset=2, line=1, digest="ab", header=("a", "b"), done=True)
    assert FileMark.from_json(mark.to_json()) == mark
