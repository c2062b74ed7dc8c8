"""PostgresStorage before the first transaction: what it creates, what it refuses, and what it never shows."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from tests.postgres_room import Server

from syncline.errors import StorageBusyError, StorageMismatchError, StorageUnusableError
from syncline.storage.postgres import PostgresStorage
from syncline.storage.postgres_database import PostgresDatabase
from syncline.storage.postgres_queries import postgres_queries
from syncline.storage.queries import load_schema
from syncline.testing.storage_checks.subject import WORKFLOW, entry, owner

SECRET = "p4ss w0rd/%41"


def test_postgresql_understands_every_query(postgres: Server) -> None:
    """Each named query fits the schema: the tables, the columns and the types of what it compares."""
    schema = postgres.schema()
    with closing(postgres.storage(schema)) as storage:
        storage.register(WORKFLOW, "{}")
    with psycopg.connect(postgres.url) as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        for name, statement in postgres_queries().items():
            if not statement.text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
                continue
            names: list[str] = []

            def number(found: re.Match[str], names: list[str] = names) -> str:
                word = found[1] or f" {len(names)}"
                if word not in names:
                    names.append(word)
                return f"${names.index(word) + 1}"

            text = re.sub(r"%(?:\((\w+)\))?s", number, statement.text).replace("%%", "%")
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(f"PREPARE the_{name} AS {text}".encode())
            except psycopg.Error as error:
                raise AssertionError(f"{name}: {error}") from error


def test_every_dialect_has_the_same_tables(postgres: Server) -> None:
    """What SQLite keeps PostgreSQL keeps: the same tables with the same columns, and a few of its own."""
    schema = postgres.schema()
    with closing(postgres.storage(schema)) as storage:
        storage.register(WORKFLOW, "{}")
    columns = set(
        postgres.ask("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s", schema)
    )
    connection = sqlite3.connect(":memory:")
    for query in load_schema("sqlite").values():
        connection.execute(query)
    ours = set(
        connection.execute(
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
            " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'"
        )
    )
    connection.close()
    assert ours <= columns
    assert {table for table, _ in columns - ours} == {"markers", "migrations", "epochs", "numbers"} - {
        "epochs",
        "numbers",
    }


def test_many_create_it_at_once(postgres: Server) -> None:
    """Of several that open a schema that is not there yet one creates it, and all use the same store."""
    schema = postgres.schema()
    storages = [postgres.storage(schema) for _ in range(6)]
    troubles: list[BaseException] = []
    gate = threading.Barrier(len(storages))

    def use(storage: PostgresStorage, number: int) -> None:
        gate.wait()
        try:
            storage.register(f"acme/{number % 2}", "{}")
        except BaseException as trouble:  # noqa: BLE001 - told by the test
            troubles.append(trouble)

    threads = [threading.Thread(target=use, args=one) for one in zip(storages, range(6), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for storage in storages:
        storage.close()
    assert troubles == []
    assert postgres.ask("SELECT COUNT(*) FROM meta", schema=schema) == [(1,)]
    assert postgres.ask("SELECT version FROM migrations", schema=schema) == [(1,)]
    assert postgres.ask("SELECT COUNT(*) FROM workflows", schema=schema) == [(2,)]


def test_a_schema_somebody_made_is_used_when_it_is_empty(postgres: Server) -> None:
    """A role that may not create schemas is given one."""
    schema = postgres.schema()
    postgres.create(schema)
    with closing(postgres.storage(schema)) as storage:
        assert storage.register(WORKFLOW, "{}").workflow == WORKFLOW


def test_a_schema_of_others_is_left_as_it_is(postgres: Server) -> None:
    """Tables of somebody else are no place for ours."""
    schema = postgres.schema()
    postgres.create(schema)
    postgres.ask("CREATE TABLE invoices (id INTEGER)", schema=schema)
    with closing(postgres.storage(schema)) as storage, pytest.raises(StorageMismatchError, match="not Syncline's"):
        storage.register(WORKFLOW, "{}")
    assert postgres.ask("SELECT COUNT(*) FROM pg_tables WHERE schemaname = %s", schema) == [(1,)]


def test_another_version_is_refused(postgres: Server) -> None:
    """A schema of a newer release is not touched by an older one."""
    schema = postgres.schema()
    with closing(postgres.storage(schema)) as storage:
        storage.register(WORKFLOW, "{}")
    postgres.ask("INSERT INTO migrations (version, at) VALUES (99, 0)", schema=schema)
    with closing(postgres.storage(schema)) as storage, pytest.raises(StorageMismatchError, match="version 99"):
        storage.workflow(WORKFLOW)


def test_another_store_under_the_same_name_is_noticed(postgres: Server) -> None:
    """A schema that was dropped and made anew while a process had it open is not taken for the old one."""
    schema = postgres.schema()
    storage = postgres.storage(schema)
    storage.register(WORKFLOW, "{}")
    postgres.ask("UPDATE meta SET value = 'another' WHERE name = 'store'", schema=schema)
    postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline'")
    with closing(storage), pytest.raises(StorageMismatchError, match="another store"):
        storage.workflow(WORKFLOW)


def test_no_secret_is_shown(postgres: Server) -> None:
    """Neither the representation nor an error of a wrong or unreachable address has a word of the password."""
    addresses = [
        f"postgresql://somebody:{quote(SECRET, safe='')}@127.0.0.1:1/nothing",
        f"host=127.0.0.1 port=1 user=somebody dbname=nothing password='{SECRET}'",
    ]
    for address in addresses:
        with closing(PostgresStorage(address, busy_timeout=0.1)) as storage:
            with pytest.raises(StorageBusyError) as caught:
                storage.register(WORKFLOW, "{}")
            assert "p4ss" not in f"{storage!r} {caught.value} {caught.value.__cause__}"
            assert repr(storage) == "PostgresStorage('PostgreSQL at 127.0.0.1:1/nothing, schema syncline')"
    for nonsense in (f"postgresql://me:{SECRET}@[/x", f"password={SECRET} nonsense", f"psswd={SECRET}"):
        with pytest.raises(StorageUnusableError, match="cannot be read") as refused:
            PostgresStorage(nonsense)
        assert "p4ss" not in str(refused.value)
        assert refused.value.__suppress_context__


def test_what_the_server_refuses_is_no_matter_of_waiting(postgres: Server) -> None:
    """A database that does not exist is told at once, with what to look at."""
    with (
        closing(PostgresStorage(f"{postgres.url}&dbname=nobody_has_this")) as storage,
        pytest.raises(StorageUnusableError, match="does not exist"),
    ):
        storage.register(WORKFLOW, "{}")


@pytest.mark.parametrize(
    "settings", [{"schema": ""}, {"schema": "x" * 64}, {"schema": "pg_mine"}, {"connections": 0}, {"busy_timeout": 0}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    """A name PostgreSQL would cut, no connection, no patience."""
    with pytest.raises(ValueError, match="must be"):
        PostgresStorage("dbname=x", **settings)  # type: ignore[arg-type]


def test_nothing_stays_in_a_session(postgres: Server) -> None:
    """A pool may lend the session to somebody else after each transaction: no setting, lock or statement is left."""
    with closing(postgres.storage()) as storage:
        storage.register(WORKFLOW, "{}")
        grant = storage.acquire(WORKFLOW, owner(), timedelta(seconds=60))
        assert grant is not None
        for number in range(12):
            storage.put(grant, [entry(f"r{number}")])
            storage.lease(grant, 1)
        database = storage._database
        assert isinstance(database, PostgresDatabase)
        (link,) = database._idle
        says = link._says
        assert says.execute("SELECT COUNT(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert says.execute("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
        assert says.execute("SHOW search_path").fetchone() != (f'"{storage._place.rpartition("schema ")[2]}"',)
        changed = says.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall()
        assert {name for (name,) in changed} <= {"client_encoding"}


def test_without_the_extra_the_import_says_how_to_get_it() -> None:
    """A host that lacks psycopg is told the command, and where."""
    program = """
import sys
sys.modules["psycopg"] = None
import syncline
try:
    import syncline.storage.postgres
except syncline.MissingExtraError as error:
    print(error)
"""
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=where)
    assert "pip install 'syncline[postgres]'" in told.stdout
