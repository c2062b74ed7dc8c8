"""Who is working: this process, told apart from every other and from its own earlier lives.

What lives here: making an `Owner`. Whether another owner still lives is for the storage to judge.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

from syncline.store import Owner

__all__ = ["this_owner"]


def this_owner() -> Owner:
    """A new owner in this process. Each call gives another id: two threads of one process are two owners."""
    return Owner(
        id=str(uuid.uuid4()),
        host=socket.gethostname(),
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        pid=os.getpid(),
        started=_start_ticks(),
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""  # no such thing on this platform: the lease then ends by its time alone


def _start_ticks() -> str:
    """Field 22 of /proc/self/stat; the name in field 2 may contain spaces and parentheses."""
    fields = _read("/proc/self/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""
