"""`Loopback`: serves one ASGI application of the host's own like the systems of the sandbox, with faults on demand.

For authors of connectors: an imitation of their service, however small, gets throttling, cut connections, answers that
never leave, and a log of what arrived. What never lives here: the two systems of the sandbox.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import attrs

from .remote import SystemControl
from .serving import ServingThread

if TYPE_CHECKING:
    from .faults import App, Receive, Scope, Send

__all__ = ["Loopback"]

_NAME = "loopback"


@attrs.frozen
class _Plain:
    """An application without commands of its own."""

    app: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def control(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        raise LookupError(f"no command is called {command!r}")


class Loopback:
    """An ASGI application on loopback while the `with` block runs, in a thread of its own.

    `url` is where it is. `control` adds faults, tells which requests arrived, and moves the clock that the `Date`
    headers go by. The application gets no lifespan events. Needs `pip install 'syncline[sandbox]'`.
    """

    url: str
    control: SystemControl

    def __init__(self, app: App) -> None:
        self._app = app
        self._token = secrets.token_urlsafe(24)
        self._serving = ServingThread("syncline-loopback", self._serve)

    def __repr__(self) -> str:
        return f"<Loopback {getattr(self, 'url', 'not started')}>"

    def __enter__(self) -> Loopback:
        self.url = self._serving.start()
        self.control = SystemControl(self.url, _NAME, self._token)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.stop()

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[str]:
        from .clock import SandboxClock
        from .control import ControlDesk, Frame
        from .listening import Listeners

        frame = Frame(_NAME, _Plain(self._app), SandboxClock())
        ControlDesk({_NAME: frame}, self._token)
        listeners = Listeners({_NAME: frame})
        try:
            yield await listeners.listen(_NAME)
        finally:
            await listeners.close()
