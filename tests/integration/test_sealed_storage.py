"""The example of a storage keeps every promise of a storage, but one that it names, and tells nobody's name."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from examples.sealed_storage import Keys, Sealed, SealedSQLiteStorage

from syncline.errors import StorageMismatchError
from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
from syncline.testing.promises import Promise, promises
from syncline.testing.storage_checks import STORAGE_CHECKS, Subject
from syncline.testing.storage_checks.subject import WORKFLOW, entry, settlements

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

    keys = Keys([KEY])


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


def test_fingerprints_are_sealed_and_come_back(tmp_path: Path) -> None:
    """The file has none of them, and none twice; with the key they are as they were; without it nobody knows them."""
    path = tmp_path / "syncline.db"
    told = b"a fingerprint 16"
    with closing(SealedSQLiteStorage(path, [KEY])) as storage:
        subject = Subject(storage=storage, advance=storage.set_time_offset)
        grant = subject.grant()
        storage.put(grant, [entry("a", 1), entry("b", 1), entry("c", 1)])
        storage.settle(grant, settlements(subject.lease(grant)[:2], fingerprint=told))
        storage.adopt(WORKFLOW, "contact", {"d": told})
        assert storage.ledger(WORKFLOW, "contact", ["a", "b", "c", "d"]) == {"a": told, "b": told, "d": told}
    assert not any(told in file.read_bytes() for file in tmp_path.iterdir())
    with closing(SQLiteStorage(path)) as below:
        kept = below.ledger(WORKFLOW, "contact", ["a", "b", "d"])
        assert len(set(kept.values())) == 3
    newer = Fernet.generate_key()
    for keys, known in (([newer, KEY], told), ([newer], b"")):
        with closing(SealedSQLiteStorage(path, keys)) as storage:
            assert set(storage.ledger(WORKFLOW, "contact", ["a", "b", "d"]).values()) == {known}


def test_what_was_written_unsealed_is_still_known(tmp_path: Path) -> None:
    """Sealing can begin when the ledger is full: fingerprints from before are read as they are."""
    path = tmp_path / "syncline.db"
    with closing(SQLiteStorage(path)) as plain:
        subject = Subject(storage=plain, advance=plain.set_time_offset)
        grant = subject.grant()
        plain.put(grant, [entry("a", 1)])
        plain.settle(grant, settlements(subject.lease(grant), fingerprint=b"a fingerprint 16"))
        plain.release(grant)
    with closing(SealedSQLiteStorage(path, [KEY])) as sealed:
        assert sealed.ledger(WORKFLOW, "contact", ["a"]) == {"a": b"a fingerprint 16"}


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
