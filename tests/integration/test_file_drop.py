"""A folder that somebody else exports files into, with everything that happens to such files."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncline.connectors.file_drop import FileDrop
from syncline.errors import CredentialsError, DefinitionError, UnavailableError
from syncline.exported_files import FileMark
from syncline.file_format import FileFormat

FORMAT = FileFormat()
LONG_AGO = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()


def put(folder: Path, name: str, content: str, *, age: float = 3600.0) -> Path:
    """A file that was written `age` seconds after a day long ago."""
    path = folder / name
    path.write_text(content, encoding="utf-8")
    os.utime(path, (LONG_AGO + age, LONG_AGO + age))
    return path


def collect(drop: FileDrop, marks: dict[str, FileMark], most: int = 2, *, forget: bool = False) -> list[str]:
    """Everything that is new, as a workflow reads it. With `forget` another process goes on after every page."""
    found = []
    for file in drop.files():
        while (mark := marks.get(file.name)) is None or not (mark.done and mark.is_of(file)):
            page = drop.read(file, mark, FORMAT, most)
            found += [row.values.get("id", row.problem) for row in page.rows]
            marks[file.name] = page.mark
            if forget:
                drop.close()
            if page.mark.done:
                break
    return found


def rows(*ids: object) -> str:
    return "id,name\n" + "".join(f"{number},a\n" for number in ids)


def test_files_are_read_once_the_oldest_first(tmp_path: Path) -> None:
    """What was read to its end is not read again, also by another process."""
    put(tmp_path, "b.csv", rows(1, 2, 3), age=1)
    put(tmp_path, "a.csv", rows(4), age=2)
    marks: dict[str, FileMark] = {}
    assert collect(FileDrop(tmp_path), marks) == ["1", "2", "3", "4"]
    assert collect(FileDrop(tmp_path), marks) == []


def test_another_process_goes_on_where_one_was_stopped(tmp_path: Path) -> None:
    """A mark is all that is needed to go on in the middle of a file."""
    put(tmp_path, "a.csv", rows(*range(9)))
    assert collect(FileDrop(tmp_path), {}, forget=True) == list("012345678")


def test_a_file_that_may_still_be_written_is_left_alone(tmp_path: Path) -> None:
    """What was changed a moment ago is not listed; what was changed `quiet` ago is."""
    (tmp_path / "a.csv").write_text(rows(1), encoding="utf-8")
    assert FileDrop(tmp_path).files() == []
    assert len(FileDrop(tmp_path, quiet=timedelta(0)).files()) == 1


def test_only_what_matches_the_pattern_is_listed(tmp_path: Path) -> None:
    """Other files, hidden ones, folders and links lie there untouched."""
    put(tmp_path, "log_1.csv", rows(1))
    put(tmp_path, "other.txt", "x")
    put(tmp_path, ".log_2.csv", rows(2))
    (tmp_path / "log_3.csv").mkdir()
    (tmp_path / "log_4.csv").symlink_to(tmp_path / "other.txt")
    assert [file.name for file in FileDrop(tmp_path, pattern="log_*").files()] == ["log_1.csv"]


def test_a_file_that_grew_is_read_from_where_it_was_left(tmp_path: Path) -> None:
    """Rows that were read do not come again when others are written behind them."""
    put(tmp_path, "a.csv", rows(1, 2, 3))
    marks: dict[str, FileMark] = {}
    drop = FileDrop(tmp_path)
    collect(drop, marks)
    put(tmp_path, "a.csv", rows(1, 2, 3, 4), age=7200)
    assert collect(drop, marks) == ["4"]


def test_a_row_that_lacked_its_end_is_read_again_when_the_file_grew(tmp_path: Path) -> None:
    """The last line of a file that was cut off is completed by a later upload."""
    put(tmp_path, "a.csv", rows(1) + "22")
    marks: dict[str, FileMark] = {}
    drop = FileDrop(tmp_path)
    assert collect(drop, marks) == ["1", "it has 1 columns and the header 2"]
    put(tmp_path, "a.csv", rows(1, 2255), age=7200)
    assert collect(drop, marks) == ["2255"]


@pytest.mark.parametrize("content", [rows(1, 5, 3), rows(1, 5, 3, 4), rows(5)])
def test_another_file_under_the_same_name_is_read_from_its_beginning(tmp_path: Path, content: str) -> None:
    """A re-export may differ in one letter in the middle, or be shorter: nothing of it is left out."""
    put(tmp_path, "a.csv", rows(1, 2, 3))
    marks: dict[str, FileMark] = {}
    drop = FileDrop(tmp_path)
    collect(drop, marks)
    put(tmp_path, "a.csv", content, age=7200)
    assert collect(drop, marks) == [line.partition(",")[0] for line in content.splitlines()[1:]]


def test_a_file_that_was_touched_only_is_not_read_again(tmp_path: Path) -> None:
    """A copy that keeps the content and not the time gives no rows."""
    put(tmp_path, "a.csv", rows(1, 2, 3))
    marks: dict[str, FileMark] = {}
    drop = FileDrop(tmp_path)
    collect(drop, marks)
    put(tmp_path, "a.csv", rows(1, 2, 3), age=7200)
    assert collect(drop, marks) == []
    assert marks["a.csv"].is_of(drop.files()[0])


def test_a_file_that_is_replaced_while_it_is_read_loses_nothing(tmp_path: Path) -> None:
    """The rest of the old one is not taken for the rest of the new one."""
    put(tmp_path, "a.csv", rows(*range(6)))
    drop = FileDrop(tmp_path)
    first = drop.read(drop.files()[0], None, FORMAT, 3)
    replaced = put(tmp_path, "new", rows(*range(10, 17)), age=7200)
    replaced.rename(tmp_path / "a.csv")
    second = drop.read(drop.files()[0], first.mark, FORMAT, 100)
    assert [row.values["id"] for row in second.rows] == [str(number) for number in range(10, 17)]


def test_files_may_be_empty(tmp_path: Path) -> None:
    """An export without rows, with or without a header, is read to its end like any other."""
    put(tmp_path, "a.csv", "")
    put(tmp_path, "b.csv", "id,name\n")
    marks: dict[str, FileMark] = {}
    assert collect(FileDrop(tmp_path), marks) == []
    assert all(mark.done for mark in marks.values())


def test_a_large_file_is_read_in_pages_of_bounded_size(tmp_path: Path) -> None:
    """Wide rows end a page before its number of rows is reached."""
    put(tmp_path, "a.csv", "id,name\n" + "".join(f"{number},{'x' * 100_000}\n" for number in range(100)))
    drop = FileDrop(tmp_path)
    page = drop.read(drop.files()[0], None, FORMAT, 1_000)
    assert 80 <= len(page.rows) <= 90
    assert not page.mark.done


def test_a_file_that_is_gone_or_a_folder_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """What may pass is told apart from what somebody must mend, and names the file or folder."""
    put(tmp_path, "a.csv", rows(1))
    drop = FileDrop(tmp_path)
    (file,) = drop.files()
    (tmp_path / "a.csv").unlink()
    with pytest.raises(UnavailableError, match=r"a\.csv"):
        drop.read(file, None, FORMAT, 10)
    with pytest.raises(UnavailableError, match="nowhere"):
        FileDrop(tmp_path / "nowhere").check_access()
    with pytest.raises(DefinitionError):
        FileDrop("exports")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    """Missing rights are for a person to mend."""
    tmp_path.chmod(0)
    try:
        with pytest.raises(CredentialsError):
            FileDrop(tmp_path).check_access()
    finally:
        tmp_path.chmod(0o700)
