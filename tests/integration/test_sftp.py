"""Exported files on an SFTP server: a real one on loopback, of another make than the client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.sftp_room import PASSWORD, Server

from syncline.connectors.file_drop import FileDrop
from syncline.connectors.file_drop.sftp import SFTPFolder
from syncline.errors import CredentialsError, DefinitionError, UnavailableError
from syncline.exported_files import FileMark
from syncline.file_format import FileFormat


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "files" / "exports").mkdir(parents=True)
    running = Server(tmp_path)
    yield running
    running.stop()


def reach(server: Server, **options: Any) -> SFTPFolder:
    given: dict[str, Any] = {"username": "campaign", "host_key": server.host_key, "port": server.port, **options}
    if "password" not in given:
        given.setdefault("key_file", server.user_key)
    return SFTPFolder("127.0.0.1", "/exports", **given)


def put(server: Server, name: str, rows: int) -> None:
    path = server.room / "files" / "exports" / name
    path.write_text("id,name\n" + "".join(f"{number},{'x' * 90}\n" for number in range(rows)), encoding="utf-8")
    os.utime(path, (1_760_000_000, 1_760_000_000))


def read(drop: FileDrop, most: int = 700) -> list[str]:
    found = []
    for file in drop.files():
        mark: FileMark | None = None
        while mark is None or not mark.done:
            page = drop.read(file, mark, FileFormat(), most)
            found += [row.values["id"] for row in page.rows]
            mark = page.mark
    return found


@pytest.mark.parametrize("options", [{}, {"password": PASSWORD}], ids=["key", "password"])
def test_files_are_read_from_the_server(server: Server, options: dict[str, Any]) -> None:
    """With a key or a password; in pages, beyond what fits into one request."""
    put(server, "a.csv", 30_000)
    (server.room / "files" / "exports" / "folder").mkdir()
    drop = FileDrop(reach(server, **options))
    drop.check_access()
    assert read(drop) == [str(number) for number in range(30_000)]
    drop.close()


def test_a_server_that_shows_another_host_key_gets_nothing(server: Server) -> None:
    """Neither a key of the same kind nor one of another kind will do; nobody is signed in."""
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        other = asyncssh.generate_private_key(kind).export_public_key().decode()
        folder = reach(server, host_key=other)
        with pytest.raises(CredentialsError, match="host key"):
            folder.files()


def test_who_is_not_let_in_is_told(server: Server, tmp_path: Path) -> None:
    """Wrong passwords and unreadable keys are for a person to mend; no secret is repeated."""
    with pytest.raises(CredentialsError) as caught:
        reach(server, password="wrong-one").files()
    assert "wrong-one" not in str(caught.value)
    with pytest.raises(CredentialsError, match="private key"):
        reach(server, key_file=tmp_path / "nowhere").files()


def test_a_connection_that_broke_is_made_again(server: Server) -> None:
    """What passes is told as unavailable, and the next question connects anew."""
    put(server, "a.csv", 3)
    drop = FileDrop(reach(server))
    assert read(drop) == ["0", "1", "2"]
    server.down()
    with pytest.raises(UnavailableError):
        drop.files()
    server.up()
    assert read(drop) == ["0", "1", "2"]
    drop.close()


def test_a_file_or_directory_that_is_gone_says_so(server: Server) -> None:
    """The message names it."""
    put(server, "a.csv", 3)
    drop = FileDrop(reach(server))
    (file,) = drop.files()
    (server.room / "files" / "exports" / "a.csv").unlink()
    with pytest.raises(UnavailableError, match=r"a\.csv"):
        drop.read(file, None, FileFormat(), 10)
    drop.close()


def test_a_fresh_file_is_left_alone(server: Server) -> None:
    """What the server says was changed a moment ago may still be written."""
    (server.room / "files" / "exports" / "a.csv").write_text("id\n1\n", encoding="utf-8")
    drop = FileDrop(reach(server))
    assert drop.files() == []
    drop.close()
    assert len(FileDrop(reach(server), quiet=timedelta(0)).files()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"host_key": "no key"},
        {"host_key": []},
        {"host_key": "ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAgQ=="},
        {"password": "x", "key_file": "y"},
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    """Without a host key, or with two ways to sign in, nothing is even tried."""
    with pytest.raises(DefinitionError):
        SFTPFolder("sftp.example", "/", **{"username": "u", "host_key": "ssh-ed25519 AAAA", **options})


def test_a_folder_tells_where_it_is_and_no_secret(server: Server) -> None:
    """Names end up on pages and in logs."""
    folder = reach(server, password=PASSWORD)
    assert folder.name == f"sftp://campaign@127.0.0.1:{server.port}/exports"
    assert PASSWORD not in repr(folder)
