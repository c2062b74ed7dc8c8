"""The Dynamics 365 half of the sandbox: the Dataverse Web API and its identity provider, as an ASGI application.

Lives here: the object the frame serves and controls. Never here: sockets, certificates, faults on demand.

It follows Microsoft's published documentation; nothing here was compared with a live environment. Where the
documentation is silent the behaviour is a setting, and the default is the one that is harder on clients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from .app import Application, Receive, Scope, Send
from .control import Control, ControlError
from .environment import Environment

__all__ = ["ControlError", "DynamicsSandbox"]


class TellsTime(Protocol):
    """Anything with `now()` that returns a timezone-aware datetime."""

    def now(self) -> datetime:
        """The time, timezone-aware."""


class DynamicsSandbox:
    """One Dataverse environment.

    `database` is a SQLite path or `:memory:`; a file that was used before is continued. `seed` fixes ids and
    credentials. `clock` gives the server's time (timezone-aware), by a call or by its `now()`; the system's if omitted.
    """

    def __init__(
        self, *, database: str = ":memory:", seed: int = 1, clock: Callable[[], datetime] | TellsTime | None = None
    ) -> None:
        self._environment = Environment(database=database, seed=seed, clock=_teller(clock))
        counts: Counter[str] = Counter()
        self._application = Application(self._environment, counts)
        self._control = Control(self._environment, counts, self._forget)

    def __repr__(self) -> str:
        return f"DynamicsSandbox({self._environment!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one ASGI connection."""
        await self._application(scope, receive, send)

    def control(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Runs a control command, from any thread. Raises ControlError for a command or arguments that do not fit."""
        with self._application.lock:
            return self._control.run(command, arguments)

    def close(self) -> None:
        """Closes the database."""
        with self._application.lock:
            self._environment.rows.close()

    @property
    def tenant_id(self) -> str:
        """The tenant whose token endpoint answers."""
        return self._environment.tenant_id

    @property
    def client_id(self) -> str:
        """The registered application."""
        return self._environment.client_id

    @property
    def client_secret(self) -> str:
        """The application's secret, which is worth something in this sandbox only."""
        return self._environment.client_secret

    def _forget(self) -> None:
        self._application.issuer.forget()
        self._application.protection.forget()


def _teller(clock: Callable[[], datetime] | TellsTime | None) -> Callable[[], datetime]:
    if clock is None:
        return lambda: datetime.now(UTC)
    return clock if callable(clock) else clock.now
