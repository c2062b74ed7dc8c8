"""Checks of a source of exported files: every row is told, and a mark is all that is needed to go on."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from syncline.errors import CredentialsError, SchemaChangedError, SynclineError, UnavailableError
from syncline.exported_files import FileMark, FileRow
from syncline.file_format import FileFormat
from syncline.testing.connector_checks.file_source_subject import FileSourceSubject, ids, table
from syncline.testing.connector_checks.subject import PRIVATE


def _refused(
    subject: FileSourceSubject, kind: type[SynclineError] | tuple[type[SynclineError], ...], act: Callable[[], object]
) -> None:
    try:
        act()
    except kind as error:
        subject.tells_nothing(error, error.remedy)
        return
    raise AssertionError("it ended well, although nothing could be read")


def check_a_source_says_what_it_is(subject: FileSourceSubject) -> None:
    """Its name is one line without a secret and the same in every process; that it can be listed is proved."""
    source, other = subject.source, subject.another()
    assert source.name, "a name without a letter"
    assert source.name.isprintable(), "a name of several lines"
    assert source.name == other.name, "marks are kept under the name: another process would begin all over"
    subject.tells_nothing(source, source.name)
    source.check_access()
    source.check_access()
    assert list(source.files()) == []
    other.close()


def check_the_file_that_waited_longest_comes_first(subject: FileSourceSubject) -> None:
    """Every file is listed with its size, the one changed longest ago first; reading them takes none away."""
    for name, hours in (("b.csv", 1), ("c.csv", 3), ("a.csv", 2)):
        subject.put(name, table(name), hours=hours)
    files = subject.source.files()
    assert [file.name for file in files] == ["b.csv", "a.csv", "c.csv"]
    assert [file.modified for file in files] == sorted({file.modified for file in files})
    assert {file.size for file in files} == {len(table("a.csv"))}
    for file in files:
        assert ids(subject.rest(file)[0]) == [file.name]
    assert subject.source.files() == files, "a source changes no file"


def check_rows_come_in_pages(subject: FileSourceSubject) -> None:
    """At most as many as asked for, in their order, with their lines and to the letter; the last mark says the end."""
    file = subject.put("a.csv", table(*range(5)))
    rows: list[FileRow] = []
    mark, pages = None, 0
    while mark is None or not mark.done:
        page = subject.page(file, mark, 2)
        assert len(page.rows) <= 2, "more rows on a page than were asked for"
        assert page.mark.name == file.name
        rows += page.rows
        mark, pages = page.mark, pages + 1
        assert pages < 10, "the file has no end"
    assert [(row.line, row.values) for row in rows] == [
        (number + 2, {"id": str(number), "name": PRIVATE[0]}) for number in range(5)
    ]
    assert mark.is_of(file)
    assert mark.header == ("id", "name")
    subject.tells_nothing(page, mark)


def check_another_process_reads_on(subject: FileSourceSubject) -> None:
    """A mark that was written down is all there is to a position, also when it is read on from a second time."""
    file = subject.put("a.csv", table(*range(6)))
    mark = FileMark.from_json(subject.page(file, None, 2).mark.to_json())
    for _ in range(2):
        other = subject.another()
        page = subject.page(file, mark, 100, by=other)
        assert ids(page.rows) == ["2", "3", "4", "5"]
        assert page.mark.done
        other.close()
    assert ids(subject.page(file, mark, 2).rows) == ["2", "3"]
    assert ids(subject.page(file, None, 2).rows) == ["0", "1"]


def check_a_file_that_grew_is_read_on(subject: FileSourceSubject) -> None:
    """Rows that were written behind those that were read are told, and those are not told again."""
    _, mark = subject.rest(subject.put("a.csv", table(1, 2, 3)))
    file = subject.put("a.csv", table(1, 2, 3, 4), hours=1)
    assert not mark.is_of(file)
    rows, mark = subject.rest(file, mark)
    assert ids(rows) == ["4"]
    assert mark.is_of(file)


def check_a_row_that_was_cut_off_is_completed(subject: FileSourceSubject) -> None:
    """The last line lacked its end when it was read: with its end it is told as it is then."""
    _, mark = subject.rest(subject.put("a.csv", table(1) + b"22"))
    rows, _ = subject.rest(subject.put("a.csv", table(1, 2255), hours=1), mark)
    assert ids(rows)[-1] == "2255"


def check_another_file_under_the_same_name_is_read_whole(subject: FileSourceSubject) -> None:
    """A letter that differs before the mark, or a shorter file: rows may come again, none is left out."""
    for content in (table(1, 5, 3), table(1, 5, 3, 4), table(5)):
        _, mark = subject.rest(subject.put("a.csv", table(1, 2, 3)))
        rows, _ = subject.rest(subject.put("a.csv", content, hours=1), mark)
        assert {"5", "4"} & {*ids(rows)} == {"5", "4"} & {line.split(",")[0] for line in content.decode().split("\n")}
        subject.remove("a.csv")


def check_a_file_that_was_replaced_while_it_was_read_loses_nothing(subject: FileSourceSubject) -> None:
    """The rest of the old file is not taken for that of the new one."""
    mark = subject.page(subject.put("a.csv", table(*range(6))), None, 3).mark
    rows, _ = subject.rest(subject.put("a.csv", table(*range(10, 17)), hours=1), mark)
    assert {*ids(rows)} >= {str(number) for number in range(10, 17)}


def check_what_is_no_row_takes_none_along(subject: FileSourceSubject) -> None:
    """A line with too few columns comes with its problem, which repeats nothing of it; the rows behind it follow."""
    file = subject.put("a.csv", table(1) + PRIVATE[1].encode() + b"\n" + table(3).partition(b"\n")[2])
    rows, _ = subject.rest(file)
    assert ids(rows) == ["1", "no row", "3"]
    assert [bool(row.problem) for row in rows] == [False, True, False]
    assert rows[1].line == 3
    subject.tells_nothing(rows[1].problem, rows[1])


def check_an_empty_file_is_read_to_its_end(subject: FileSourceSubject) -> None:
    """Without a byte, or with a first row and no other: no rows, and the mark says that it is done."""
    for name, content in (("a.csv", b""), ("b.csv", b"id,name\n")):
        rows, mark = subject.rest(subject.put(name, content))
        assert rows == []
        assert mark.done


def check_columns_with_one_name_are_refused(subject: FileSourceSubject) -> None:
    """A first row that names one column twice: SchemaChangedError, and nothing was read."""
    file = subject.put("a.csv", b"id,id\n1,2\n")
    _refused(subject, SchemaChangedError, lambda: subject.page(file))


def check_a_file_is_read_as_its_format_says(subject: FileSourceSubject) -> None:
    """Delimiter and encoding, texts over two lines, a byte order mark, lines that end with a carriage return, gzip."""
    cases = (
        ("a.csv", "id;name\r\n1;Zoë\r\n", "cp1252", FileFormat(delimiter=";", encoding="cp1252")),
        ("b.csv", 'id,name\n1,"Zoë"\n', "utf-8-sig", FileFormat()),
        ("c.csv", 'id,name\n1,"Zoë\n"\n', "utf-8", FileFormat()),
    )
    for name, text, encoding, file_format in cases:
        content = text.encode(encoding)
        for packed in (content, gzip.compress(content)):
            page = subject.page(subject.put(name, packed), file_format=file_format)
            assert [{key: value.strip() for key, value in row.values.items()} for row in page.rows] == [
                {"id": "1", "name": "Zoë"}
            ], name


def check_a_file_that_is_gone_is_said(subject: FileSourceSubject) -> None:
    """UnavailableError, so that the next look finds what is there then; never a page without rows."""
    file = subject.put("a.csv", table(1, 2, 3))
    subject.remove("a.csv")
    _refused(subject, UnavailableError, lambda: subject.page(file))
    assert list(subject.source.files()) == []


def check_a_closed_source_opens_again(subject: FileSourceSubject) -> None:
    """`close` is no end, also in the middle of a file."""
    file = subject.put("a.csv", table(1, 2, 3))
    mark = subject.page(file, None, 1).mark
    subject.source.close()
    subject.source.close()
    assert ids(subject.rest(file, mark)[0]) == ["2", "3"]


def check_several_threads_may_read_at_once(subject: FileSourceSubject) -> None:
    """Each gets the rows of the file that it asked for."""
    files = [subject.put(f"{number}.csv", table(*range(number, number + 4))) for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda file: ids(subject.rest(file, None, 1)[0]), files * 4))
    assert told == [[str(one) for one in range(number, number + 4)] for number in range(4)] * 4


def check_a_folder_out_of_reach_is_said(subject: FileSourceSubject) -> None:
    """UnavailableError or CredentialsError, never a folder without files."""
    file = subject.put("a.csv", table(1))
    subject.source.close()
    subject.break_off()
    for act in (subject.source.check_access, subject.source.files, lambda: subject.page(file)):
        _refused(subject, (UnavailableError, CredentialsError), act)
