"""One thread with an event loop of its own, in which something is served from `start` to `stop`.

What never lives here: what is served, and the libraries that are installed with the sandbox only.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

__all__ = ["ServingThread"]

Told = TypeVar("Told")


class ServingThread(Generic[Told]):
    """A daemon thread that enters what `serve` gives, says what it told, and leaves it when it is to stop."""

    def __init__(self, name: str, serve: Callable[[], AbstractAsyncContextManager[Told]]) -> None:
        self._serve = serve
        self._ready: Future[Told] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __repr__(self) -> str:
        return f"<ServingThread {self._thread.name}, {'serving' if self._thread.is_alive() else 'not serving'}>"

    def start(self) -> Told:
        """Serve. Returns once clients may come; raises what went wrong instead."""
        self._thread.start()
        return self._ready.result()

    def stop(self) -> None:
        """Leave what was entered, and end the thread."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_event_loop()) as runner:
                runner.run(self._until_stopped())
        except BaseException as problem:
            if self._ready.done():
                raise
            self._ready.set_exception(problem)

    async def _until_stopped(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with self._serve() as told:
            self._ready.set_result(told)
            await self._stopping.wait()


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed; None leaves it to asyncio."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
