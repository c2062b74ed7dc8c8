"""One connection to PostgreSQL: how it is made, and how transactions and queries are said to psycopg.

What lives here: everything that imports psycopg. None of its exceptions gets past this module, nor does anything the
server says in words: that can hold values of records. No rules of the queue.

A connection may lead to a pool such as PgBouncer's, where the next transaction is another session: nothing is prepared,
set or locked for longer than a transaction.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any, Final
from uuid import uuid4

import psycopg
from attrs import field, frozen
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format, TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from syncline.errors import StorageCorruptError, StorageError, StorageUnusableError, SynclineError
from syncline.storage.dialect import Parameters, Row
from syncline.storage.postgres_errors import describe, is_passing, is_refusal, translate
from syncline.storage.postgres_queries import postgres_queries, postgres_schema

__all__ = ["Address", "OutcomeUnknown", "PostgresConnection", "PostgresSession", "TransactionGone", "read_address"]

_OLDEST_SERVER: Final = 140000
#: A transaction that waits for its process for this part of our patience is ended by the server: whoever waits for it
#: in turn still gets through.
_IDLE_SHARE: Final = 0.5
#: The types of one value and of an array of them, from pg_type: they never change.
_OID_OF_NUMBER, _OID_OF_NUMBERS, _OID_OF_BLOB, _OID_OF_BLOBS = 20, 1016, 17, 1001
_HEAD: Final = struct.Struct(">iiIii")
_NUMBER: Final = struct.Struct(">iq")
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)
#: Numbers that a transaction gets at once.
_BLOCK: Final = 1_048_576
_TAKES: Final = {"epoch": "take_epoch", "number": "take_number"}


class TransactionGone(Exception):  # noqa: N818 - it is caught where it can only mean: begin anew
    """Nothing of the transaction happened, through no fault of its own: it may be begun anew."""


class OutcomeUnknown(Exception):  # noqa: N818 - it is caught where the outcome is looked up
    """A commit was sent and no answer came."""


@frozen(kw_only=True)
class Address:
    """Where the database is. Only `place` is for people."""

    conninfo: str = field(repr=False)
    place: str


def read_address(conninfo: str) -> Address:
    """Take apart what libpq takes. Raises StorageUnusableError, without a word of it, when that is no address."""
    try:
        parts = conninfo_to_dict(conninfo)
    except psycopg.Error:
        raise StorageUnusableError(
            "The address of the PostgreSQL database cannot be read.",
            remedy="Give what libpq takes, such as postgresql://user@host:5432/database.",
        ) from None
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    port, name = parts.get("port") or "5432", parts.get("dbname") or parts.get("service") or "the default database"
    return Address(conninfo=conninfo, place=f"PostgreSQL at {host}:{port}/{name}")


class _Numbers(tuple[int | None, ...]):
    """A column of numbers."""


class _Blobs(tuple[bytes | None, ...]):
    """A column of bytes."""


class _ArrayDumper(Dumper):
    """An array in PostgreSQL's binary form, made in one go: psycopg's own goes through it value by value.

    The head is the number of dimensions, whether there are NULLs, the type, the size and the first index; before each
    value stands its length, -1 for NULL.
    """

    format = Format.BINARY
    element = 0

    def dump(self, obj: Sequence[Any]) -> bytes:
        return _HEAD.pack(1, None in obj, self.element, len(obj), 1) + self.body(obj)

    def body(self, obj: Sequence[Any]) -> bytes:
        raise NotImplementedError


class _NumbersDumper(_ArrayDumper):
    oid = _OID_OF_NUMBERS
    element = _OID_OF_NUMBER

    def body(self, obj: Sequence[int | None]) -> bytes:
        if None in obj:
            return b"".join(_NULL if value is None else _NUMBER.pack(8, value) for value in obj)
        return struct.pack(">" + "iq" * len(obj), *chain.from_iterable(zip(repeat(8), obj)))


class _BlobsDumper(_ArrayDumper):
    oid = _OID_OF_BLOBS
    element = _OID_OF_BLOB

    def body(self, obj: Sequence[bytes | None]) -> bytes:
        return b"".join(_NULL if value is None else _LENGTH.pack(len(value)) + value for value in obj)


def _column(values: Sequence[object]) -> Sequence[object]:
    """One column of many rows, as the driver can send it quickly."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds and kinds <= {int, bool}:
        return _Numbers(values)  # type: ignore[arg-type]
    return _Blobs(values) if kinds == {bytes} else list(values)  # type: ignore[arg-type]


class PostgresSession:
    """A transaction under way on one connection."""

    def __init__(self, link: PostgresConnection, cursor: psycopg.Cursor[Row]) -> None:
        self._link = link
        self._cursor = cursor
        self._statements = postgres_queries()
        #: When the transaction had all it waited for.
        self.began_at = 0
        #: Whether nobody else works on its workflow meanwhile.
        self.is_alone = True

    def _execute(self, query: str, parameters: Parameters, *more: object) -> psycopg.Cursor[Row]:
        statement = self._statements[query]
        values: Sequence[object] | Mapping[str, object]
        if statement.columns:
            values = [_column((value,)) for value in parameters]
        elif isinstance(parameters, Mapping):
            values = parameters
        else:
            values = (*parameters, *more) if more else parameters
        try:
            return self._cursor.execute(statement.text, values)
        except psycopg.Error as error:
            raise self._link.meaning(error) from None

    def now(self) -> int:
        return self.began_at

    def take(self, numbers: str, count: int) -> int:
        if count > _BLOCK:
            raise ValueError(f"at most {_BLOCK:,} rows in one transaction")
        found = self._execute(_TAKES[numbers], ()).fetchone()
        return int(found[0]) if found is not None else 0

    def claim(self, epoch: int, place: tuple[int, int, int], behind: int, most: int) -> list[Row]:
        table_id, lane, suspect = place
        values = {"epoch": epoch, "table_id": table_id, "lane": lane, "suspect": suspect, "behind": behind}
        rows = self.rows("claim", {**values, "most": most})
        if any(row[1] is None for row in rows):
            raise StorageCorruptError("what is ready to be leased is missing: nothing was kept.")
        return rows

    def enqueue(self, items: Sequence[Row]) -> int:
        return self.run_many("enqueue", items)

    def finish(self, epoch: int, ids: Sequence[int]) -> int:
        return self.run_among("finish", (epoch,), ids)

    def run(self, query: str, parameters: Parameters = ()) -> int:
        return self._execute(query, parameters).rowcount

    def run_many(self, query: str, parameters: Iterable[Parameters]) -> int:
        rows = list(parameters)
        if not rows:
            return 0
        statement = self._statements[query]
        try:
            if statement.columns:
                return self._cursor.execute(statement.text, list(map(_column, zip(*rows, strict=True)))).rowcount
            self._cursor.executemany(statement.text, rows)
        except psycopg.Error as error:
            raise self._link.meaning(error) from None
        return self._cursor.rowcount

    def run_among(self, query: str, parameters: Sequence[object], values: Sequence[object]) -> int:
        return self._execute(query, parameters, _column(values)).rowcount if values else 0

    def row(self, query: str, parameters: Parameters = ()) -> Row | None:
        return self._execute(query, parameters).fetchone()

    def rows(self, query: str, parameters: Parameters = ()) -> list[Row]:
        return self._execute(query, parameters).fetchall()

    def rows_among(self, query: str, parameters: Sequence[object], values: Sequence[object]) -> list[Row]:
        return self._execute(query, parameters, _column(values)).fetchall() if values else []


class PostgresConnection:
    """One connection, used by one thread at a time."""

    def __init__(self, address: Address, schema: str, *, patience: float) -> None:
        """Connects. `patience`: seconds to wait for the server, and then for each lock.

        Raises TransactionGone when the server is not there, and StorageUnusableError when it refuses.
        """
        self._place = address.place
        self._schema = schema
        self._patience = patience
        #: Names the transactions of this connection, so that one without an answer can be found again.
        self.marker: Final = str(uuid4())
        self.number = 0
        try:
            self._connection: psycopg.Connection[Row] = psycopg.connect(
                address.conninfo,
                autocommit=True,
                prepare_threshold=None,
                client_encoding="utf8",
                fallback_application_name="syncline",
                connect_timeout=max(2, round(patience)),
            )
        except psycopg.Error as error:
            raise self._refusal(error) from None
        self._set_up()
        self._says = psycopg.ClientCursor(self._connection)
        settings = {"schema": schema, "mark": self.mark, "idle": f"{round(patience * _IDLE_SHARE * 1000)}ms"}
        settings["patience"] = f"{round(patience * 1000)}ms"
        self._beginnings = {query: self._mogrify(query, settings) for query in ("begin_writing", "begin_reading")}
        self.session: Final = PostgresSession(self, self._connection.cursor(binary=True))

    def _refusal(self, error: psycopg.Error) -> Exception:
        """What it means that no connection was made. The library's words name host, user and database, no secret."""
        words = " ".join(str(error).split())
        if isinstance(error, psycopg.OperationalError) and not is_refusal(words):
            return TransactionGone(words)
        if not isinstance(error, psycopg.OperationalError):
            words = type(error).__name__
        return StorageUnusableError(
            f"{self._place} refused the connection: {words}.",
            remedy="Check the address, the role, its password and what the server admits.",
        )

    def _set_up(self) -> None:
        """One type for every number, flags included, and everything checked that would end in riddles later."""
        adapters, info = self._connection.adapters, self._connection.info
        for kind in (int, bool):
            adapters.register_dumper(kind, Int8Dumper)
            adapters.register_dumper(kind, Int8BinaryDumper)
        adapters.register_dumper(_Numbers, _NumbersDumper)
        adapters.register_dumper(_Blobs, _BlobsDumper)
        encoding = info.parameter_status("server_encoding")
        if info.server_version < _OLDEST_SERVER or encoding not in (None, "UTF8"):
            self.close()
            raise StorageUnusableError(
                f"{self._place} has version {info.server_version // 10000} and the encoding {encoding}.",
                remedy=f"At least version {_OLDEST_SERVER // 10000} and UTF8 are needed.",
            )

    # -- transactions -------------------------------------------------------------------------------------------

    def begin_writing(self, workflow: str | None, *, durable: bool, shared: bool) -> None:
        """Begin a transaction, wait until it is the only one that writes to the workflow, and see what is now.

        With `shared` it waits for those only that are not shared.
        """
        self.number += 1
        self.session.is_alone = not shared
        queries = ["begin_writing", *(() if durable else ("commit_lazily",)), "mark"]
        if workflow is not None and shared:
            queries.append("share_workflow")
        elif workflow is not None:
            queries.append("wait_for_workflows" if workflow.endswith("/") else "wait_for_workflow")
        self._begin(*queries, "now", workflow=workflow, marker=self.marker, number=self.number)

    def begin_reading(self) -> None:
        """Begin a transaction that sees one moment."""
        self._begin("begin_reading", "now")

    def begin_creating(self) -> None:
        """Begin a transaction in which nothing has to be there yet."""
        self._begin("begin_writing", "now")

    def end_stuck(self) -> bool:
        """End sessions that hold everybody up because their process stopped reading; whether there was one."""
        self.roll_back()
        self.begin_reading()
        ended = self.session.rows("end_stuck", (self.mark, self._patience))
        self.commit()
        return bool(ended)

    @property
    def mark(self) -> str:
        """How a transaction of this storage is called on the server, see pg_stat_activity."""
        return f"syncline {self._schema}"[:63]

    def _begin(self, *queries: str, **values: object) -> None:
        """All in one message: each answer costs a way to the server and back."""
        text = self._beginnings[queries[0]]
        for query in queries[1:]:
            text += b";\n" + (self._mogrify(query, values) if "%" in self._text(query) else self._text(query).encode())
        try:
            self._says.execute(text)
            while self._says.nextset():
                pass
            found = self._says.fetchone()
        except psycopg.Error as error:
            raise self.meaning(error) from None
        self.session.began_at = int(found[0]) if found is not None else 0

    @staticmethod
    def _text(query: str) -> str:
        return postgres_queries()[query].text

    def _mogrify(self, query: str, values: Mapping[str, object]) -> bytes:
        try:
            return self._says.mogrify(self._text(query), values).encode()
        except psycopg.Error as error:
            raise self.meaning(error) from None

    def commit(self) -> None:
        """End the transaction for good. Raises OutcomeUnknown when nobody says whether it came true."""
        try:
            self._says.execute(self._text("commit"))
        except psycopg.Error as error:
            if self._connection.closed:
                raise OutcomeUnknown from None
            raise self.meaning(error) from None
        if self._says.statusmessage != "COMMIT":
            raise StorageError(f"{self._place} rolled back what was to be committed: nothing of it happened.")

    def roll_back(self) -> None:
        """Undo what is under way. A connection that cannot is closed, which does the same."""
        if self.is_sound:
            return
        try:
            if self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                self._says.execute(self._text("rollback"))
                return
        except psycopg.Error:
            pass
        self.close()

    @property
    def is_sound(self) -> bool:
        """Nothing is under way, and the next transaction may use it."""
        return not self._connection.closed and self._connection.info.transaction_status == TransactionStatus.IDLE

    def close(self) -> None:
        """Let go of it; what was not committed is undone."""
        with suppress(psycopg.Error):
            self._connection.close()

    # -- the schema ---------------------------------------------------------------------------------------------

    def create_schema(self) -> None:
        """Make room of its own for the tables."""
        self._say(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self._schema)))

    def create_tables(self) -> None:
        """Everything the schema has, in the transaction under way."""
        self._say(sql.SQL(";\n".join(postgres_schema())))

    def _say(self, query: sql.SQL | sql.Composed) -> None:
        try:
            self._says.execute(query)
        except psycopg.Error as error:
            raise self.meaning(error) from None

    # -- errors -------------------------------------------------------------------------------------------------

    def meaning(self, error: psycopg.Error) -> SynclineError | TransactionGone:
        """What to raise instead of an exception of the driver."""
        state = error.sqlstate
        if self._connection.closed or is_passing(state):
            return TransactionGone("the connection was lost" if state is None else describe(state))
        if state is None:
            return StorageError(f"{self._place}: {type(error).__name__}, before the server was asked.")
        diagnosis = error.diag
        about = describe(state, table=diagnosis.table_name, constraint=diagnosis.constraint_name)
        return translate(state, self._place, about, waited=self._patience)
