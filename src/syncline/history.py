"""One line of a workflow's history.

What lives here: the frozen value that storages keep and views show. No I/O.
"""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

__all__ = ["ActionEntry"]


@frozen(kw_only=True)
class ActionEntry:
    """One line of the history: who did what, or what became of the workflow."""

    at: datetime
    #: Such as `start`, `edit`, `RUNNING`, `discard`.
    action: str
    #: Whoever the host named, or empty.
    by: str = ""
    detail: str = ""
