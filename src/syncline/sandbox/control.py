"""The outermost layer of each system: logs what arrives, adds the date, and takes control commands beside the API.

`POST /_control/<system>/<command>` with a JSON object answers `{"result": {...}}`, or 400 with `{"error": "..."}`.
Only from loopback and only with the token of this start. What never lives here: what a command does to a system.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .arrivals import Arrivals
from .bodies import again, read_body
from .clock import SandboxClock
from .faults import Faults, Message, Receive, Scope, Send

__all__ = ["CONTROL_HEADER", "ControlDesk", "Frame", "System"]

CONTROL_HEADER = "x-sandbox-control"
_PREFIX = "/_control/"
_LOOPBACK = ("127.", "::1", "::ffff:127.")


class System(Protocol):
    """One of the two systems: an ASGI application that takes control commands."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

    def control(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a command. LookupError, TypeError or ValueError say what is wrong with it."""


class Frame:
    """A system with its faults, its log and its clock: the application the server runs."""

    def __init__(self, name: str, system: System, clock: SandboxClock, *, seed: int = 1) -> None:
        self.name = name
        self.clock = clock
        self.arrivals = Arrivals(clock)
        self.faults = Faults(system, clock, seed=seed)
        self._system = system
        self.desk: ControlDesk | None = None
        self._commands: dict[str, Callable[..., dict[str, Any]]] = {
            "ping": dict,
            "add_fault": lambda **rule: {"name": self.faults.add(**rule).name},
            "clear_faults": lambda name="": {"removed": self.faults.clear(name)},
            "faults": lambda: {"faults": [rule.told() for rule in self.faults.rules]},
            "requests": self.arrivals.told,
            "keep_requests": self._keep,
            "clear_requests": self._clear_arrivals,
            "shift_clock": lambda seconds: {"offset": self.clock.shift(seconds)},
            "freeze_clock": self._freeze,
        }

    def __repr__(self) -> str:
        return f"<Frame {self.name}: {self.arrivals!r}, {self.faults!r}>"

    def control(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """A command of the frame, or else of the system; `system.<command>` is always the system's."""
        if command.startswith("system."):
            return self._system.control(command.removeprefix("system."), arguments)
        own = self._commands.get(command)
        return own(**arguments) if own else self._system.control(command, arguments)

    def _keep(self, last: int) -> dict[str, Any]:
        self.arrivals.keep(last)
        return {"last": last}

    def _clear_arrivals(self) -> dict[str, Any]:
        self.arrivals.clear()
        return {}

    def _freeze(self, frozen: bool = True) -> dict[str, Any]:
        self.clock.freeze(frozen)
        return {"now": self.clock.now().isoformat()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith(_PREFIX) and self.desk is not None:
            await self.desk(scope, receive, send)
            return
        self.arrivals.note(scope["method"], path)
        if self.arrivals.kept.maxlen:
            receive = await self._kept(scope, receive)
        application = self.faults if self.faults.rules else self._system
        await application(scope, receive, self._dated(send))

    def _dated(self, send: Send) -> Send:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                self.arrivals.note_answer(message["status"], headers)
                for name, _ in headers:
                    if name == b"date":
                        break
                else:
                    message["headers"] = [*headers, (b"date", self.clock.http_date())]
            await send(message)

        return dated

    async def _kept(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body, keep it, and hand the application the same once more."""
        body = await read_body(receive)
        self.arrivals.note_kept(scope, body or b"")
        return again(body, receive)


class ControlDesk:
    """Takes control commands for all systems."""

    def __init__(self, frames: Mapping[str, Frame], token: str) -> None:
        self._frames = dict(frames)
        self._token = token.encode()
        for frame in frames.values():
            frame.desk = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, answer = await self._answer(scope, receive)
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, dict[str, Any]]:
        if not self._may(scope):
            return 403, {"error": "control commands come from loopback and carry the token of this start"}
        system, _, command = scope["path"].removeprefix(_PREFIX).partition("/")
        frame = self._frames.get(system)
        if scope["method"] != "POST" or frame is None:
            return 404, {"error": f"POST {_PREFIX}<system>/<command>; systems: {', '.join(self._frames)}"}
        try:
            arguments = json.loads(await read_body(receive) or b"{}")
            return 200, {"result": frame.control(command, arguments)}
        except (LookupError, TypeError, ValueError) as problem:
            return 400, {"error": f"{command}: {problem}"}

    def _may(self, scope: Scope) -> bool:
        client = scope.get("client") or ("",)
        given = dict(scope["headers"]).get(CONTROL_HEADER.encode(), b"")
        return str(client[0]).startswith(_LOOPBACK) and hmac.compare_digest(given, self._token)
