"""The example of a storage keeps every promise of a storage, but one that it names, and tells nobody's name."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, MultiFernet
from examples.sealed_storage import Sealed, SealedSQLiteStorage

from syncline.errors import StorageMismatchError
from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
from syncline.testing.promises import Promise, promises
from syncline.testing.storage_checks import STORAGE_CHECKS, Subject
from syncline.testing.storage_checks.subject import WORKFLOW, entry

EXAMPLE = Path(__file__).parents[2] / "examples" / "sealed_storage.py"
KEY = Fernet.generate_key()
NAMED = b'{"lastname":"Quist"}'
DIFFERENCES = {
    "check_an_id_that_is_no_guid_is_found_as_a_whole_value": (
        "Only GUIDs stay readable behind a seal, and the ids of Dynamics are GUIDs."
    )
}


class SealedMemory(Sealed, MemoryStorage):
    """The seal over the quickest storage there is, as it would stand over any other."""

    keys = MultiFernet([Fernet(KEY)])


@pytest.mark.parametrize("promise", promises(STORAGE_CHECKS, DIFFERENCES), ids=str)
def test_it_keeps_the_promises_of_a_storage(promise: Promise[Subject]) -> None:
    """What the check's docstring promises."""
    with closing(SealedMemory()) as storage:
        promise(Subject(storage=storage, advance=storage.set_time_offset))


def test_nothing_on_the_disk_tells_what_was_read(tmp_path: Path) -> None:
    """What an unsealed storage shows to anybody, a sealed one shows to nobody."""
    for make, shows in ((SQLiteStorage, True), (lambda path: SealedSQLiteStorage(path, [KEY]), False)):
        folder = tmp_path / str(shows)
        folder.mkdir()
        storage = make(folder / "syncline.db")
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        storage.put(subject.grant(), [entry("a", 1, NAMED)])
        storage.close()
        assert any(b"Quist" in file.read_bytes() for file in folder.iterdir()) is shows


def test_a_wrong_key_is_said_and_loses_nothing(tmp_path: Path) -> None:
    """Without the key nothing is leased; with it, and a newer one before it, everything is."""
    path = tmp_path / "syncline.db"
    for keys in ([KEY], [Fernet.generate_key()], [Fernet.generate_key(), KEY]):
        with closing(SealedSQLiteStorage(path, keys)) as storage:
            subject = Subject(storage=storage, advance=storage.set_time_offset)
            grant = subject.grant()
            if keys == [KEY]:
                storage.put(grant, [entry("a", 1, NAMED)])
            elif KEY not in keys:
                with pytest.raises(StorageMismatchError, match="another key"):
                    subject.lease(grant)
            else:
                assert subject.one(grant).payload == NAMED
            storage.release(grant)
            subject.exact(WORKFLOW)


def test_what_was_queued_unsealed_still_leaves(tmp_path: Path) -> None:
    """Sealing can begin while something is queued."""
    path = tmp_path / "syncline.db"
    with closing(SQLiteStorage(path)) as plain:
        subject = Subject(storage=plain, advance=plain.set_time_offset)
        grant = subject.grant()
        plain.put(grant, [entry("a", 1, NAMED)])
        plain.release(grant)
    with closing(SealedSQLiteStorage(path, [KEY])) as sealed:
        subject = Subject(storage=sealed, advance=sealed.set_time_offset)
        assert subject.one(subject.grant()).payload == NAMED


def test_the_example_runs() -> None:
    """As a host would start it: somebody who is refused, a look into the file, a new key, and everybody is there."""
    ran = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=False, timeout=240)
    assert ran.returncode == 0, ran.stderr
    assert "does not tell the name" in ran.stdout
    assert re.search(r"^101 people are in Campaign", ran.stdout, re.M)
