"""Who is working: this process, told apart from every other and from its own earlier lives.

What lives here: making an `Owner`, and the word that another one vanished. Whether it still lives is for the storage
to judge.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

from syncline.backlog import Grant
from syncline.instrumentation import Instrumentation, TakenOver
from syncline.store import ActionEntry, Owner, Storage

__all__ = ["note_takeover", "this_owner"]


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


def note_takeover(storage: Storage, tell: Instrumentation, grant: Grant, crashes: int) -> None:
    """Say that a worker vanished, and that what it had leased goes on under others; `crashes` so many in a row."""
    entry = ActionEntry(at=storage.now(), action="taken over", detail=f"epoch {grant.epoch}")
    storage.record(grant.workflow, entry)
    tell(TakenOver(workflow=grant.workflow, generation=grant.generation, epoch=grant.epoch, crashes=crashes))
