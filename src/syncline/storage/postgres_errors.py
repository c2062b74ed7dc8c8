"""What PostgreSQL's errors mean to the caller.

What lives here: the one translation table from SQLSTATE. No driver and no text of the server's: its messages can hold
values of records.
"""

from __future__ import annotations

from typing import Final

from syncline.errors import (
    StorageBusyError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageMismatchError,
    StorageUnusableError,
    SynclineError,
)

__all__ = ["describe", "is_passing", "is_refusal", "translate"]

#: The transaction is gone, nothing of it happened, and beginning it anew is the right answer
#: (https://www.postgresql.org/docs/current/errcodes-appendix.html): serialization failure, deadlock, the server is
#: stopped, crashed or starts, too many connections, a session was ended for idling, a standby that is not promoted yet.
_PASSING: Final = frozenset(
    {"40001", "40P01", "57P01", "57P02", "57P03", "57P05", "53300", "25P03", "25P04", "25006", "57P04"}
)
#: It waited for a lock, or somebody cancelled it.
_BUSY: Final = frozenset({"55P03", "57014", "55006"})
_FULL: Final = frozenset({"53100", "53200", "53000", "53400", "54000"})
#: Classes: data exceptions, integrity constraints, damaged pages.
_DAMAGED: Final = ("22", "23", "XX")
_MISSING: Final = frozenset({"42P01", "42703", "42883", "3F000"})
#: Classes: authorization, catalog name.
_REFUSED: Final = ("28", "3D")
#: What a server, or the library before it, says when it will say so every time. In English only; in another language
#: it is waited for like a server that is not there, and then told in its own words.
_REFUSALS: Final = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied",
    "is not permitted to log in",
    "certificate verify failed",
    "does not support SSL",
    "could not translate host name",
)


def is_passing(sqlstate: str | None) -> bool:
    """Whether the transaction may simply be begun anew. None is an error of the driver, before anything was sent."""
    return sqlstate is not None and (sqlstate in _PASSING or sqlstate.startswith("08"))


def is_refusal(words: str) -> bool:
    """Whether a connection that was not made will not be made by waiting."""
    return any(refusal in words for refusal in _REFUSALS)


def describe(sqlstate: str | None, *, table: str | None = None, constraint: str | None = None) -> str:
    """What is told about an error of the server: its code and the rule it is about."""
    parts = [f"SQLSTATE {sqlstate}"]
    parts += [f"table {table}"] if table else []
    parts += [f"constraint {constraint}"] if constraint else []
    return ", ".join(parts)


def translate(sqlstate: str, place: str, about: str, *, waited: float = 0.0) -> SynclineError:
    """What to raise instead of an error of the server. `about` is what `describe` made of it; `waited` in seconds."""
    if sqlstate in _BUSY:
        return StorageBusyError(f"{place} was held by another process for {waited:.1f} s.")
    if sqlstate in _FULL:
        return StorageFullError(
            f"{place}: no space, memory or lock is left ({about}).",
            remedy="Make room on the server; the work goes on by itself.",
        )
    if sqlstate in _MISSING:
        return StorageMismatchError(
            f"{place}: a table or column is not there ({about}).",
            remedy="Restore the schema from a backup, or give the name of another one.",
        )
    if sqlstate == "42501" or sqlstate.startswith(_REFUSED):
        return StorageUnusableError(
            f"{place}: the role may not do this ({about}).",
            remedy="Let it own the schema; it needs nothing else.",
        )
    if sqlstate.startswith(_DAMAGED):
        return StorageCorruptError(
            f"{place}: the data contradict a rule ({about}).",
            remedy="Keep a copy, then restore a backup. Nothing was changed.",
        )
    return StorageError(f"{place}: {about}.")
