"""The console as a server in a thread, for programs that use it while it runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from .app import console
from .estate import Estate

__all__ = ["serving"]


@contextmanager
def serving(estate: Estate, token: str) -> Iterator[str]:
    """Serves while the `with` block runs; gives the address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        config = uvicorn.Config(console(estate, token), log_level="warning", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        # The socket listens already: a request that comes before the thread has begun waits for it.
        thread = threading.Thread(target=server.run, args=([listening],), name="console")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
