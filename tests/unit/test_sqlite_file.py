"""Where a database file may be, told from the kernel's list of mounts alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.errors import StorageUnusableError
from syncline.storage.sqlite_file import mounted_as, refuse_network

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:45 / /srv/data rw - nfs4 nas:/data rw,vers=4.2
31 30 0:46 / /srv/data/local rw - xfs /dev/sdb1 rw
32 22 0:47 / /mnt/with\\040blank rw - cifs //server/share rw
33 22 0:48 / /mnt/twice rw - ext4 /dev/sdc1 rw
34 33 0:49 / /mnt/twice rw shared:7 master:1 - fuse.sshfs host: rw
nonsense
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/home/me", "ext4"),
        ("/srv/data", "nfs4"),
        ("/srv/data/deep/down", "nfs4"),
        ("/srv/data/local/x", "xfs"),
        ("/srv/database", "ext4"),
        ("/mnt/with blank/x", "cifs"),
        ("/mnt/twice", "fuse.sshfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(place: str, kind: str) -> None:
    """A path belongs to the longest mount point above it; a later mount covers an earlier one."""
    assert mounted_as(Path(place), MOUNTS) == kind


def test_unknown_mounts_are_no_obstacle() -> None:
    """Where nothing is known nothing is refused."""
    assert mounted_as(Path("/x"), "") == ""
    refuse_network(Path("/x/y.db"), "")


@pytest.mark.parametrize("folder", ["/srv/data", "/mnt/with blank", "/mnt/twice/deep"])
def test_network_file_systems_are_refused(folder: str) -> None:
    """F-28: refused, with the kind of file system and what to do."""
    with pytest.raises(StorageUnusableError, match=r"network file system \((nfs4|cifs|fuse.sshfs)\).*local disk"):
        refuse_network(Path(folder) / "x.db", MOUNTS)


def test_local_file_systems_are_not_refused() -> None:
    """A local disk mounted below a network one is fine."""
    refuse_network(Path("/srv/data/local/x.db"), MOUNTS)
