"""The file of a SQLite storage: where it may be, who may read it, and who writes now.

What lives here: what is checked and done around SQLite, outside of it. Nothing here opens the database file itself:
closing it again would drop the locks that SQLite holds on it in this process (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from syncline.clock import Clock
from syncline.errors import StorageBusyError, StorageCorruptError, StorageMismatchError, StorageUnusableError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["DatabaseFile", "mounted_as", "private", "refuse_network", "refuse_open_folder"]

#: Locks and shared memory do not work reliably there (sqlite.org/wal.html, sqlite.org/faq.html#q5).
_NETWORK: Final = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "gfs",
     "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb2", "smb3", "smbfs")
)  # fmt: skip
_MOUNTS: Final = Path("/proc/self/mountinfo")
_OURS_ALONE: Final = 0o600
_LONGEST_PAUSE: Final = 0.02


def _unescape(field: str) -> str:
    """mountinfo writes blanks and the like as three octal digits."""
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def mounted_as(place: Path, mounts: str) -> str:
    """The type of the file system that holds `place`, by the text of a mountinfo file (proc(5)); empty if unknown."""
    found, depth = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mount = Path(_unescape(fields[4]))
        # A later line covers an earlier one at the same place.
        if place.is_relative_to(mount) and len(mount.parts) >= depth:
            found, depth = after.split(" ")[0], len(mount.parts)
    return found


def refuse_network(path: Path, mounts: str) -> None:
    """Raises StorageUnusableError for a file on a network file system, by the text of a mountinfo file."""
    kind = mounted_as(path.parent, mounts)
    if kind in _NETWORK:
        raise StorageUnusableError(
            f"{path} is on a network file system ({kind}), where SQLite's locks cannot be trusted.",
            remedy="Put the file on a local disk.",
        )


def refuse_open_folder(folder: Path) -> None:
    """Raises StorageUnusableError for a folder in which anybody may replace what is not theirs."""
    mode = folder.stat().st_mode
    if sys.platform != "win32" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise StorageUnusableError(
            f"{folder} can be written to by everybody, who could put another file in the place of the database.",
            remedy=f"Take that right away (chmod o-w {folder}), or give another path.",
        )


def private(path: Path) -> None:
    """Make sure that nobody else can read the file, as far as it is ours to say."""
    mode = path.stat().st_mode
    if sys.platform != "win32" and stat.S_IMODE(mode) & ~_OURS_ALONE:
        # A file of somebody else who lets us write: their choice stands.
        with suppress(PermissionError):
            path.chmod(_OURS_ALONE)


class DatabaseFile:
    """One database file, its neighbours, and the lock that all its writers share.

    SQLite before 3.51.3 can damage a database when two connections write and checkpoint at the same moment (the
    WAL-reset bug). So every write and every checkpoint of every process goes behind one lock of ours, with any version.
    """

    def __init__(self, path: str | os.PathLike[str], clock: Clock) -> None:
        given = Path(path).absolute()
        self.path = given.parent.resolve() / given.name
        self._clock = clock
        self._lock: int | None = None
        self._name = str(self.path)
        self._opened_as: tuple[int, int] | None = None

    def __str__(self) -> str:
        return str(self.path)

    def beside(self, suffix: str) -> Path:
        """A neighbour of the file, such as `-wal`."""
        return self.path.with_name(self.path.name + suffix)

    # -- checks -------------------------------------------------------------------------------------------------

    def check_place(self) -> None:
        """Raises StorageUnusableError where no database may be."""
        folder = self.path.parent
        if not folder.is_dir():
            raise StorageUnusableError(f"{folder} is not a folder.", remedy="Create it, or give another path.")
        refuse_open_folder(folder)
        try:
            mounts = _MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return
        refuse_network(self.path, mounts)

    def exists(self) -> bool:
        """Whether there is a database to open. Raises for whatever else is found in its place."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._refuse_orphan()
            return False
        except OSError as error:
            raise StorageUnusableError(f"{self}: {error.strerror}.", remedy="Check the permissions.") from error
        if stat.S_ISLNK(found.st_mode):
            raise StorageUnusableError(
                f"{self} is a symbolic link.", remedy="Name the file itself: its neighbours must be beside it."
            )
        if not stat.S_ISREG(found.st_mode):
            raise StorageUnusableError(f"{self} is not a regular file.", remedy="Give another path.")
        self._refuse_links()
        if found.st_size == 0:
            raise StorageCorruptError(
                f"{self} is empty: it is no database, and a new one is never made in place of a lost one.",
                remedy="Restore a backup, or remove the file if it never was a database.",
            )
        return True

    def _refuse_links(self) -> None:
        """SQLite writes through a link in the place of its log, over whatever it points to."""
        for neighbour in map(self.beside, ("-wal", "-shm", "-journal")):
            if neighbour.is_symlink():
                raise StorageUnusableError(
                    f"{neighbour} is a symbolic link.",
                    remedy="Find out who put it there; nobody else should be able to write to that folder.",
                )

    def _refuse_orphan(self) -> None:
        with suppress(FileNotFoundError):
            if self.beside("-wal").lstat().st_size:
                raise StorageCorruptError(
                    f"{self} is missing, but {self.beside('-wal').name} is there and holds changes of it.",
                    remedy="Bring the file back, or remove what is left of it.",
                )

    def remember(self) -> None:
        """Note which file it was that was opened."""
        found = self.path.stat()
        self._opened_as = (found.st_dev, found.st_ino)

    def check_same(self) -> None:
        """Raises StorageMismatchError when another file, or none, took the place of the one that was opened."""
        try:
            found = os.stat(self._name)
            same = (found.st_dev, found.st_ino) == self._opened_as
        except OSError:
            same = False
        if not same:
            raise StorageMismatchError(
                f"{self} was removed or replaced while it was in use; nothing was written.",
                remedy="Close the storage; it looks at the file anew when it is used again.",
            )

    # -- the lock -----------------------------------------------------------------------------------------------

    def lock(self, timeout: float) -> None:
        """Take the lock of the writers. Raises StorageBusyError when another process holds it for longer."""
        lock = self._lock if self._lock is not None else self._open_lock()
        if not _try_lock(lock):
            self._wait_for(lock, timeout)

    def unlock(self) -> None:
        """Give the lock of the writers back."""
        if self._lock is not None:
            _unlock(self._lock)

    def _wait_for(self, lock: int, timeout: float) -> None:
        began = self._clock.monotonic()
        pause = _LONGEST_PAUSE / 32
        while not _try_lock(lock):
            waited = self._clock.monotonic() - began
            if waited >= timeout:
                raise StorageBusyError(f"{self} was held by another process for {waited:.1f} s.")
            self._clock.sleep(min(pause, timeout - waited))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _open_lock(self) -> int:
        self.check_place()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        place = self.beside("-lock")
        try:
            self._lock = os.open(place, flags, _OURS_ALONE)
        except OSError as error:
            raise StorageUnusableError(
                f"{place} cannot be opened for writing: {error.strerror}.",
                remedy="The folder and its files must be writable for this process.",
            ) from error
        return self._lock

    def close(self) -> None:
        """Let go of the lock file. It stays: removing it would let two processes hold two different ones."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- a new database -----------------------------------------------------------------------------------------

    def start_new(self) -> Path:
        """An empty private file to build a new database in; `put_in_place` gives it its name when it is whole.

        Only with the lock held. So a crash never leaves half a database, nor an empty one that looks like a loss.
        """
        place = self.beside("-new")
        for left_over in (place, self.beside("-new-wal"), self.beside("-new-shm"), self.beside("-new-journal")):
            left_over.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        try:
            os.close(os.open(place, flags, _OURS_ALONE))
        except OSError as error:
            raise StorageUnusableError(f"{place} cannot be created: {error.strerror}.") from error
        return place

    def put_in_place(self, new: Path) -> None:
        """Give a finished database its name, for good."""
        new.rename(self.path)
        if sys.platform != "win32":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


if sys.platform == "win32":

    def _try_lock(lock: int) -> bool:
        try:
            os.lseek(lock, 0, os.SEEK_SET)
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(lock: int) -> None:
        os.lseek(lock, 0, os.SEEK_SET)
        msvcrt.locking(lock, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(lock: int) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(lock: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_UN)
