"""Opening a SQLite storage: what is created, what is refused, and that nothing is ever made in place of a lost file."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from syncline.backlog import Entry, Settlement, Settling
from syncline.errors import (
    ForkedConnectionError,
    StorageCorruptError,
    StorageError,
    StorageMismatchError,
    StorageUnusableError,
)
from syncline.records import RecordKey
from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
from syncline.storage.sqlite_database import APPLICATION_ID
from syncline.workflows.owner import this_owner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "syncline.db"


@pytest.fixture
def storage(path: Path) -> Iterator[SQLiteStorage]:
    """A storage with one workflow in it."""
    made = SQLiteStorage(path)
    made.register("ingress", "{}")
    yield made
    made.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def test_nothing_is_touched_before_the_first_use(path: Path) -> None:
    """Making a storage opens nothing."""
    assert repr(SQLiteStorage(path)) == f"SQLiteStorage('{path}')"
    assert list(path.parent.iterdir()) == []


def test_what_is_acknowledged_was_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transaction is committed with synchronous FULL, but for a claim: what is sent is marked durably after it."""
    said: list[str] = []
    connect = sqlite3.connect

    def listened(*arguments: object, **options: object) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]
        made.set_trace_callback(said.append)
        return made

    monkeypatch.setattr(sqlite3, "connect", listened)
    storage = SQLiteStorage(path)
    storage.register("ingress", "{}")
    grant = storage.acquire("ingress", this_owner(), timedelta(minutes=1))
    assert grant is not None
    storage.put(grant, [Entry(key=RecordKey(table="contact", id="a"), seq=1, payload=b"{}")])
    (item,) = storage.lease(grant, 1)
    storage.mark_sending(grant, [item])
    storage.settle(grant, [Settlement(item=item, settling=Settling.WRITTEN, fingerprint=b"f")])
    storage.close()

    level, kept = "", []
    for statement in said:
        if statement.startswith("PRAGMA synchronous = "):
            level = statement.removeprefix("PRAGMA synchronous = ")
        elif statement.startswith("BEGIN IMMEDIATE"):
            kept.append(level)
    created, registered, acquired, put, leased, marked, settled = kept
    assert leased == "NORMAL"
    assert {created, registered, acquired, put, marked, settled} == {"FULL"}


def test_a_new_file_is_private_marked_and_durable(storage: SQLiteStorage, path: Path) -> None:
    """0600 for the file and its neighbours, whatever the umask; our mark and version; write-ahead log."""
    for suffix in ("", "-wal", "-shm", "-lock"):
        assert mode(beside(path, suffix)) == 0o600
    with closing(sqlite3.connect(path)) as connection:
        found = {
            pragma: connection.execute(f"PRAGMA {pragma}").fetchone()[0]
            for pragma in ("application_id", "user_version", "journal_mode")
        }
    assert found == {"application_id": APPLICATION_ID, "user_version": 1, "journal_mode": "wal"}


def test_a_file_that_others_can_read_is_closed_to_them(storage: SQLiteStorage, path: Path) -> None:
    """A copy that came back with wider permissions is tightened when it is opened."""
    storage.close()
    path.chmod(0o644)

    storage.workflow("ingress")

    assert mode(path) == 0o600


def test_closing_leaves_one_whole_file(storage: SQLiteStorage, path: Path) -> None:
    """After the last close the log is empty and gone: the file alone is the database."""
    storage.close()

    assert sorted(found.name for found in path.parent.iterdir()) == ["syncline.db", "syncline.db-lock"]
    beside(path, "-lock").unlink()
    assert SQLiteStorage(path).workflow("ingress").workflow == "ingress"


def test_an_empty_file_is_refused_and_left_alone(path: Path) -> None:
    """F-25: SQLite would make a new database of it, and everything that was lost would look as if it never was."""
    path.touch()

    with pytest.raises(StorageCorruptError, match=r"is empty.*Restore a backup"):
        SQLiteStorage(path).register("ingress", "{}")

    assert path.stat().st_size == 0


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    """Whatever it is, it is somebody's."""
    path.write_text("Dear diary, " * 1000)

    with pytest.raises(StorageCorruptError, match=r"syncline\.db.*NOTADB"):
        SQLiteStorage(path).register("ingress", "{}")

    assert path.read_text().startswith("Dear diary")


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_refused_and_left_alone(path: Path, journal: str) -> None:
    """A sound SQLite database without our mark is not ours to write into."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.commit()
    before = path.read_bytes()

    with pytest.raises(StorageMismatchError, match=r"not one of Syncline \(application_id 0x0\)"):
        SQLiteStorage(path).register("ingress", "{}")

    assert path.read_bytes() == before


def test_a_newer_version_is_refused(storage: SQLiteStorage, path: Path) -> None:
    """F-14: an older release does not touch what a newer one wrote."""
    storage.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")

    with pytest.raises(StorageMismatchError, match="schema version 99; this release knows version 1"):
        storage.workflow("ingress")


def test_a_file_without_its_identity_is_refused(storage: SQLiteStorage, path: Path) -> None:
    """Our mark alone is not enough: the row that says which store it is must be there."""
    storage.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM meta")
        connection.commit()

    with pytest.raises(StorageCorruptError, match="which store it is"):
        storage.workflow("ingress")


def test_another_store_under_the_same_name_is_noticed(storage: SQLiteStorage, path: Path) -> None:
    """F-29: a storage object that was closed does not go on in a different database."""
    storage.close()
    path.unlink()
    other = SQLiteStorage(path)
    other.register("ingress", "{}")
    other.close()

    with pytest.raises(StorageMismatchError, match="another store"):
        storage.workflow("ingress")


@pytest.mark.parametrize("use", ["read", "write"])
def test_a_file_replaced_under_an_open_storage_is_noticed(storage: SQLiteStorage, path: Path, use: str) -> None:
    """F-29: nothing more goes into a file that has lost its name."""
    path.rename(beside(path, "-moved"))

    with pytest.raises(StorageMismatchError, match="removed or replaced while it was in use"):
        storage.workflow("ingress") if use == "read" else storage.register("other", "{}")


def test_a_lost_file_is_not_made_anew_beside_its_log(storage: SQLiteStorage, path: Path) -> None:
    """A log without its database means that the database was lost, not that there never was one."""
    beside(path, "-wal").rename(beside(path, "-kept"))
    storage_log = beside(path, "-kept").read_bytes()
    path.unlink()
    beside(path, "-wal").write_bytes(storage_log)

    with pytest.raises(StorageCorruptError, match=r"is missing, but syncline\.db-wal is there"):
        SQLiteStorage(path).register("ingress", "{}")

    assert not path.exists()


def test_a_file_that_was_cut_off_is_noticed_at_once(storage: SQLiteStorage, path: Path) -> None:
    """F-25: not only when the missing part is needed."""
    storage.close()
    os.truncate(path, path.stat().st_size - 8192 * 3)

    with pytest.raises(StorageCorruptError, match=r"malformed.*restore a backup"):
        storage.workflow("ingress")


def test_a_symbolic_link_is_refused(storage: SQLiteStorage, path: Path, tmp_path: Path) -> None:
    """The log is found by name: through a link, two names would have two logs."""
    link = tmp_path / "link.db"
    link.symlink_to(path)

    with pytest.raises(StorageUnusableError, match="symbolic link"):
        SQLiteStorage(link).workflow("ingress")


def test_a_linked_folder_is_one_place(storage: SQLiteStorage, path: Path, tmp_path: Path) -> None:
    """A link above the file is followed once, so that every process finds the same neighbours."""
    folder = tmp_path / "folder"
    folder.symlink_to(path.parent, target_is_directory=True)
    other = SQLiteStorage(folder / path.name)

    assert other.path == path
    assert other.workflow("ingress").workflow == "ingress"
    other.close()


@pytest.mark.parametrize("suffix", ["-lock", "-new"])
def test_neighbours_that_are_links_are_not_followed(path: Path, tmp_path: Path, suffix: str) -> None:
    """A link planted beside the file does not let anybody overwrite what it points to."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    beside(path, suffix).symlink_to(victim)

    storage = SQLiteStorage(path)
    if suffix == "-lock":
        with pytest.raises(StorageUnusableError, match="-lock cannot be opened"):
            storage.register("ingress", "{}")
    else:
        storage.register("ingress", "{}")
    storage.close()

    assert victim.read_text() == "precious"


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    """Neither a folder in its place nor a missing folder above it."""
    with pytest.raises(StorageUnusableError, match="not a regular file"):
        SQLiteStorage(tmp_path).register("ingress", "{}")
    with pytest.raises(StorageUnusableError, match="not a folder"):
        SQLiteStorage(tmp_path / "missing" / "syncline.db").register("ingress", "{}")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of folders are another matter there")
def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    """Anybody could put another file in the place of the database; a sticky folder such as /tmp is fine."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)

    with pytest.raises(StorageUnusableError, match=r"written to by everybody.*chmod o-w"):
        SQLiteStorage(folder / "syncline.db").register("ingress", "{}")
    assert list(folder.iterdir()) == []

    folder.chmod(0o1777)
    with closing(SQLiteStorage(folder / "syncline.db")) as storage:
        assert storage.register("ingress", "{}").workflow == "ingress"


def test_what_a_crash_left_of_a_new_file_is_swept_away(path: Path) -> None:
    """A database gets its name only when it is whole, so half of one is never opened."""
    beside(path, "-new").write_bytes(b"half a database")
    beside(path, "-new-wal").write_bytes(b"half a log")

    storage = SQLiteStorage(path)
    storage.register("ingress", "{}")
    storage.close()

    assert not beside(path, "-new").exists()


def test_odd_names_work(tmp_path: Path) -> None:
    """Blanks, percent signs and question marks in a path are no syntax."""
    folder = tmp_path / "a b%20c?d=e#f"
    folder.mkdir()
    storage = SQLiteStorage(str(folder / "x?mode=memory.db"))
    storage.register("ingress", "{}")
    storage.close()

    assert (folder / "x?mode=memory.db").stat().st_size > 0


def as_nobody(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as somebody who may not write everywhere: root may."""
    prologue = """
        import os, sys
        from pathlib import Path
        from syncline.errors import *
        from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
        MemoryStorage().register("w", "{}")  # loads everything while Python's own folders can still be read
        folder = Path(sys.argv[1])
        folder.as_uri()  # loads urllib, since Python 3.13 only now
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
    """
    code = textwrap.dedent(prologue) + textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own ones are private."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o1777)
        yield folder
        folder.chmod(0o1777)


def test_a_folder_that_cannot_be_written_is_refused(shared: Path) -> None:
    """F-28: with the reason, before anything else happens."""
    shared.chmod(0o555)

    done = as_nobody(
        shared,
        """
        try:
            SQLiteStorage(folder / "x.db").register("w", "{}")
        except StorageUnusableError as error:
            print(error)
        """,
    )

    assert "x.db-lock cannot be opened for writing: Permission denied" in done.stdout, done.stderr


def test_a_file_that_cannot_be_written_is_refused(shared: Path) -> None:
    """F-28: a read-only database is no place for a queue."""
    done = as_nobody(
        shared,
        """
        storage = SQLiteStorage(folder / "x.db")
        storage.register("w", "{}")
        storage.close()
        """,
    )
    assert done.returncode == 0, done.stderr
    (shared / "x.db").chmod(0o444)
    if os.getuid() == 0:
        os.chown(shared / "x.db", 0, 0)

    done = as_nobody(
        shared,
        """
        try:
            SQLiteStorage(folder / "x.db").register("v", "{}")
        except StorageUnusableError as error:
            print("refused", error)
        """,
    )

    assert done.stdout.startswith("refused"), done.stderr


def in_a_child(act: object) -> str:
    """What `act` says in a forked child of this process."""
    assert callable(act)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(act())
        except BaseException as error:  # noqa: BLE001 - the parent judges it
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, encoding="utf-8") as told:
        return told.read()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_may_not_use_the_connection(storage: SQLiteStorage) -> None:
    """F-11: SQLite's locks do not survive a fork."""
    said = in_a_child(lambda: storage.workflow("ingress"))

    assert said.startswith(ForkedConnectionError.__name__)
    assert "Make a new storage in each process" in said
    assert storage.workflow("ingress").workflow == "ingress"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_may_close_and_begin_anew(storage: SQLiteStorage, path: Path) -> None:
    """Closing in the child leaves the parent's files alone; what the child opens then is its own."""

    def close_and_use() -> str:
        storage.close()
        storage.register("child", "{}")
        storage.close()
        return "done"

    assert in_a_child(close_and_use) == "done"
    assert beside(path, "-wal").exists()
    assert storage.workflow("child").workflow == "child"
    storage.register("parent", "{}")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_storage_made_before_a_fork_and_used_after_it_is_fine(path: Path) -> None:
    """Nothing is opened before the first use, so there is nothing to share."""
    storage = SQLiteStorage(path)

    assert in_a_child(lambda: storage.register("child", "{}").workflow) == "child"
    assert storage.workflow("child").workflow == "child"
    storage.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_memory_storage_does_not_cross_a_fork() -> None:
    """Its copy in the child would drift apart without a sound."""
    storage = MemoryStorage()
    storage.register("ingress", "{}")

    assert in_a_child(lambda: storage.workflow("ingress")).startswith(ForkedConnectionError.__name__)


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the queries need is there, or the reason why nothing works is told at once."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 7, 17))

    with pytest.raises(StorageError, match="too old"):
        SQLiteStorage(path)
