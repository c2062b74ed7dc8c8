"""Transactions on PostgreSQL: a few connections, each lent to one transaction at a time, and what if one is lost.

What lives here: beginning anew, the outcome of a commit that nobody answered, and opening. No driver, and no rules of
the queue.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Final, TypeVar

from syncline.clock import Clock, SystemClock
from syncline.errors import ForkedConnectionError, RetryLaterError, StorageBusyError
from syncline.storage.postgres_connection import (
    Address,
    OutcomeUnknown,
    PostgresConnection,
    PostgresSession,
    TransactionGone,
)
from syncline.storage.postgres_opening import check

__all__ = ["PostgresDatabase"]

_Result = TypeVar("_Result")

#: Between two attempts, in seconds: the first, and the longest.
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
#: Connections that belong to a parent process: closing them here would end what the parent still uses.
_ABANDONED: Final[list[PostgresConnection]] = []


def _close_all(links: list[PostgresConnection], pid: int) -> None:
    """A storage that nobody closed goes quietly with the object; in a child the connections are the parent's."""
    if os.getpid() == pid:
        while links:
            links.pop().close()


class PostgresDatabase:
    """One schema of one database, over as many connections as are in use at once."""

    def __init__(
        self, address: Address, *, schema: str, patience: float, connections: int, clock: Clock | None = None
    ) -> None:
        """`patience`: seconds to wait for the server, for a lock and for a connection. Nothing is opened yet."""
        self._address = address
        self._schema = schema
        self._patience = patience
        self._connections = connections
        self._clock = clock or SystemClock()
        self._store: str | None = None
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._mutex = Lock()
        self._slots = BoundedSemaphore(self._connections)
        self._idle: list[PostgresConnection] = []
        self._last_resort = weakref.finalize(self, _close_all, self._idle, self._pid)

    def __str__(self) -> str:
        return f"{self._address.place}, schema {self._schema}"

    # -- transactions -------------------------------------------------------------------------------------------

    def write(
        self,
        workflow: str | None,
        work: Callable[[PostgresSession], _Result],
        *,
        durable: bool = True,
        erase: bool = False,
        shared: bool = False,
    ) -> _Result:
        """See `Database.write`. What is deleted stays on the server's disk until it is vacuumed and overwritten."""

        def attempt(link: PostgresConnection) -> _Result:
            self._begin_writing(link, workflow, durable=durable, shared=shared)
            result = work(link.session)
            try:
                link.commit()
            except OutcomeUnknown:
                if not self._came_true(link):
                    raise TransactionGone("the connection was lost at the commit, which did not come true") from None
            return result

        return self._insist(attempt)

    @staticmethod
    def _begin_writing(link: PostgresConnection, workflow: str | None, *, durable: bool, shared: bool) -> None:
        try:
            link.begin_writing(workflow, durable=durable, shared=shared)
        except StorageBusyError:
            if not link.end_stuck():
                raise
            link.begin_writing(workflow, durable=durable, shared=shared)

    def read(self, work: Callable[[PostgresSession], _Result]) -> _Result:
        """See `Database.read`."""

        def attempt(link: PostgresConnection) -> _Result:
            link.begin_reading()
            result = work(link.session)
            try:
                link.commit()
            except OutcomeUnknown:
                raise TransactionGone("the connection was lost") from None
            return result

        return self._insist(attempt)

    def _insist(self, attempt: Callable[[PostgresConnection], _Result]) -> _Result:
        """Begin anew for as long as patience lasts when a transaction is gone through no fault of its own."""
        began, pause = self._clock.monotonic(), _FIRST_PAUSE
        while True:
            try:
                with self._borrowed() as link:
                    return attempt(link)
            except TransactionGone as gone:
                waited = self._clock.monotonic() - began
                if waited + pause > self._patience:
                    raise self._unreachable(waited, gone) from None
            self._clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _unreachable(self, waited: float, gone: TransactionGone) -> StorageBusyError:
        return StorageBusyError(f"{self} could not be used for {waited:.1f} s: {gone}.")

    def _came_true(self, lost: PostgresConnection) -> bool:
        """Whether the last transaction of a lost connection was committed; waits for it if it is still under way."""
        began, pause = self._clock.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return self._marked(lost)
            except (TransactionGone, RetryLaterError) as trouble:
                waited = self._clock.monotonic() - began
                if waited + pause > self._patience:
                    raise StorageBusyError(
                        f"{self} lost the answer to a commit, and could not be asked for {waited:.1f} s: {trouble}.",
                        remedy="What was sent came true or did not; the work goes on from what is there.",
                    ) from None
            self._clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _marked(self, lost: PostgresConnection) -> bool:
        link = self._connect()
        try:
            link.begin_creating()
            found = link.session.row("marker", (lost.marker,))
            return found is not None and found[0] == lost.number
        finally:
            link.close()

    # -- connections --------------------------------------------------------------------------------------------

    @contextmanager
    def _borrowed(self) -> Iterator[PostgresConnection]:
        """A connection for one transaction. Whatever is still under way at the end is undone."""
        self._check_process()
        if not self._slots.acquire(timeout=self._patience):
            raise StorageBusyError(f"All {self._connections} connections of {self} were in use for {self._patience} s.")
        try:
            link = self._idle_one() or self._open()
            try:
                yield link
            finally:
                link.roll_back()
                self._give_back(link)
        finally:
            self._slots.release()

    def _idle_one(self) -> PostgresConnection | None:
        with self._mutex:
            return self._idle.pop() if self._idle else None

    def _give_back(self, link: PostgresConnection) -> None:
        with self._mutex:
            if link.is_sound:
                self._idle.append(link)
            else:
                # Whatever ended this one has often ended the others: let none of them fail a transaction first.
                _close_all(self._idle, self._pid)

    def _check_process(self) -> None:
        # Before any lock: in a child it may be held by a thread that does not exist there.
        if self._pid != os.getpid():
            if self._idle or self._store is not None:
                raise ForkedConnectionError(
                    f"{self} was opened in process {self._pid} and used in process {os.getpid()}, a child of it.",
                    remedy="Make a new storage in each process, after the fork.",
                )
            self._start()

    def _connect(self) -> PostgresConnection:
        return PostgresConnection(self._address, self._schema, patience=self._patience)

    def _open(self) -> PostgresConnection:
        link = self._connect()
        try:
            self._store = check(link, str(self), self._schema, self._store)
        except OutcomeUnknown:
            link.close()
            raise TransactionGone("the connection was lost while it was opened") from None
        except BaseException:
            link.close()
            raise
        return link

    def close(self) -> None:
        """See `Database.close`. A transaction that is under way in another thread keeps its connection."""
        if self._pid != os.getpid():
            _ABANDONED.extend(self._idle)
            self._last_resort.detach()
            self._store = None
            self._start()
            return
        with self._mutex:
            _close_all(self._idle, self._pid)
