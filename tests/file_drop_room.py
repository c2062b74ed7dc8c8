"""Our own sources of exported files, as subjects of their conformance kit."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.sftp_room import PASSWORD, Server

from syncline.connectors.file_drop import FileDrop, Folder
from syncline.connectors.file_drop.sftp import SFTPFolder
from syncline.testing.connector_checks import FileSourceSubject, file_source

__all__ = ["LocalSubject", "SFTPSubject", "failed"]


class LocalSubject(FileSourceSubject):
    """`FileDrop`, or a source made of it, over a folder of this computer."""

    def __init__(self, place: Path, kind: type[FileDrop] = FileDrop) -> None:
        self.place = place
        self.kind = kind
        self.made: list[FileDrop] = []
        self._source = self.another()

    def close(self) -> None:
        for source in self.made:
            source.close()

    @property
    def source(self) -> FileDrop:
        return self._source

    def another(self) -> FileDrop:
        made = self.kind(self.folder(), quiet=timedelta(0))
        self.made.append(made)
        return made

    def folder(self) -> Folder | Path:
        return self.place

    def write(self, name: str, content: bytes, changed: datetime) -> None:
        path = self.place / name
        path.write_bytes(content)
        os.utime(path, (changed.timestamp(), changed.timestamp()))

    def remove(self, name: str) -> None:
        (self.place / name).unlink()

    def break_off(self) -> None:
        self.place.rename(self.place.with_name("moved away"))


class SFTPSubject(LocalSubject):
    """`FileDrop` over a folder of a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        super().__init__(server.room / "files" / "exports")

    @property
    def secrets(self) -> Collection[str]:
        return [PASSWORD]

    def folder(self) -> Folder:
        server = self.server
        return SFTPFolder(
            "127.0.0.1",
            "/exports",
            username="campaign",
            host_key=server.host_key,
            port=server.port,
            password=PASSWORD,
        )

    def break_off(self) -> None:
        self.server.down()


def failed(kind: type[FileDrop]) -> set[str]:
    """The checks that do not pass on a source with a folder of its own for each, without their prefix."""
    found = set()
    for name, check in vars(file_source).items():
        if name.startswith("check_"):
            with TemporaryDirectory() as place:
                folder = Path(place) / "exports"
                folder.mkdir()
                with closing(LocalSubject(folder, kind)) as subject:
                    try:
                        check(subject)
                    except Exception:  # noqa: BLE001 - however a check fails, it has failed
                        found.add(name.removeprefix("check_"))
    return found
