"""The storage for many hosts: PostgreSQL.

What lives here: the public class. It needs the extra `postgres`, and importing this module says so where that is
missing. How PostgreSQL is talked to lives in `postgres_connection`.
"""

from __future__ import annotations

from typing import Final

from syncline.errors import MissingExtraError, StorageUnusableError
from syncline.storage.sql_storage import SQLStorage

try:
    from syncline.storage.postgres_connection import read_address
    from syncline.storage.postgres_database import PostgresDatabase
except ImportError as error:
    # Without its library psycopg is there and raises a bare ImportError.
    if error.name is not None and not error.name.startswith("psycopg"):
        raise
    raise MissingExtraError("PostgresStorage", extra="postgres") from None

__all__ = ["PostgresStorage"]

_SCHEMA: Final = "syncline"
_BUSY_TIMEOUT: Final = 10.0
_CONNECTIONS: Final = 4
#: In bytes; PostgreSQL cuts longer names without a word.
_LONGEST_NAME: Final = 63


class PostgresStorage(SQLStorage):
    """A storage in one schema of a PostgreSQL database (14 or newer), for any number of hosts, processes and threads.

    The schema and its tables are created when the storage is first used. The role needs to own the schema, or to be
    allowed to create it. An existing schema is only ever opened if it is Syncline's: one with other tables is refused
    and left as it is.

    A transaction that the server lost is begun anew, and the outcome of a commit that nobody answered is looked up, for
    as long as `busy_timeout`; then StorageBusyError is raised and the next call tries again. Works through PgBouncer
    in the mode `transaction`.

    Raises StorageUnusableError, StorageCorruptError or StorageMismatchError when it is first used.
    """

    def __init__(
        self,
        address: str,
        *,
        schema: str = _SCHEMA,
        busy_timeout: float = _BUSY_TIMEOUT,
        connections: int = _CONNECTIONS,
    ) -> None:
        """Nothing is opened yet.

        `address`: what libpq takes, a URL or `key=value` words; it may hold a password and is never shown.
        `schema`: where the tables are; its name has at most 63 bytes.
        `busy_timeout`: seconds to wait for the server, for another process and for a connection.
        `connections`: how many transactions of this object may run at once; at least 1.

        Raises StorageUnusableError when the address cannot be read, ValueError for the other three.
        """
        if not schema or "\0" in schema or len(schema.encode()) > _LONGEST_NAME or schema.startswith("pg_"):
            raise ValueError("schema must be a name of 1 to 63 bytes that does not begin with pg_")
        if connections < 1 or busy_timeout <= 0:
            raise ValueError("connections and busy_timeout must be positive")
        if "\0" in address:
            raise StorageUnusableError("The address of the PostgreSQL database holds a NUL.")
        self._place: Final = f"{read_address(address).place}, schema {schema}"
        super().__init__(
            PostgresDatabase(read_address(address), schema=schema, patience=busy_timeout, connections=connections)
        )

    def __repr__(self) -> str:
        return f"PostgresStorage({self._place!r})"
