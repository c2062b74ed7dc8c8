"""Whether the process that holds a grant still lives.

What lives here: what the operating system tells about processes of this host. Nothing about grants themselves.
A process is judged only where the answer is certain: on this boot of this host.
"""

from __future__ import annotations

import socket
import sys
from functools import cache
from pathlib import Path

from syncline.store import Owner

__all__ = ["is_known_dead"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Position of the start time in /proc/<pid>/stat, counted from behind the command's closing parenthesis (proc(5)).
_START_TIME = 19


@cache
def _boot_id() -> str:
    """This boot of this host, or empty where the platform has no word for it."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


def _start_ticks(pid: int) -> str | None:
    """When the process started, in clock ticks since boot; empty when it is gone, None when that cannot be told."""
    try:
        # The command may contain anything, spaces and parentheses too.
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except OSError:
        return None
    # A zombie has ended; its number is only waiting to be collected.
    return "" if words[0] in (b"Z", b"X") else words[_START_TIME].decode("ascii")


def is_known_dead(owner: Owner) -> bool:
    """True only when it is certain that this process has ended; False where the platform does not tell."""
    if sys.platform != "linux" or not owner.boot_id:
        return False
    if owner.host != socket.gethostname() or owner.boot_id != _boot_id():
        return False
    ticks = _start_ticks(owner.pid)
    if ticks is None:
        return False
    return not ticks or bool(owner.started and owner.started != ticks)
