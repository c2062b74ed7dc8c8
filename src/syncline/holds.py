"""Deletions that wait for somebody's word because they are many: values.

What lives here: `Hold` and `Judgement`, which the storage deals in. What is held, and how many are too many, is for
the workflow; that it survives a crash and is counted exactly is for the storage.
"""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

__all__ = ["Hold", "Judgement"]


@frozen(kw_only=True)
class Hold:
    """What is held of one table."""

    #: Deletions that are held now.
    held: int
    #: They are too many: nothing goes until somebody confirms or discards, and what is held later joins them.
    asked: bool
    #: Held deletions that went unasked since `let_go_from`.
    let_go: int
    #: When the window that `let_go` counts in began; None when nothing ever went.
    let_go_from: datetime | None


@frozen(kw_only=True)
class Judgement:
    """What became of the held deletions of one table."""

    #: How many were let go.
    released: int
    #: How many are held on.
    held: int
    #: Whether this was the first time that they were too many.
    newly_asked: bool
