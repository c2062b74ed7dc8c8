"""How far a full read of a table has come.

What lives here: `ReadProgress`, filled in by a workflow. No I/O, no rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import frozen

from syncline.records import ReadPosition, ReadStage
from syncline.views.figures import count

__all__ = ["ReadKind", "ReadProgress", "progress_of"]


class ReadKind(StrEnum):
    """Why all records of a table are read."""

    FIRST_LOAD = "first load"
    #: Somebody asked for it.
    REPLAY = "replay"
    #: The position was lost.
    RESYNC = "resync"


@frozen(kw_only=True, str=False)
class ReadProgress:
    """A full read that is under way, or that begins with the next start."""

    table: str
    kind: ReadKind
    #: Records read so far.
    read: int = 0
    #: About how many there are, as the source said when the read began: that can be a day old. None when it cannot say.
    about: int | None = None
    #: When it began, by the source's clock; None while it waits for the next start.
    began_at: datetime | None = None

    @property
    def waits(self) -> bool:
        """Whether it begins with the next start only."""
        return self.began_at is None

    def as_data(self) -> dict[str, Any]:
        """Only what JSON knows."""
        return {
            "table": self.table,
            "kind": self.kind.value,
            "read": self.read,
            "about": self.about,
            "began_at": None if self.began_at is None else self.began_at.isoformat(),
        }

    def __str__(self) -> str:
        if self.waits:
            return f"{self.kind} of {self.table} begins with the next start"
        of = "" if self.about is None else f" of about {count(max(self.about, self.read))}"
        return f"{self.kind} of {self.table}: {count(self.read)}{of} records read"


def progress_of(positions: Mapping[str, ReadPosition], wanted: Iterable[str]) -> tuple[ReadProgress, ...]:
    """The full reads under way, and the replays that are noted for the next start."""
    under_way = (
        ReadProgress(
            table=table,
            kind=_kind(position),
            read=position.read,
            about=position.about,
            began_at=position.started_at,
        )
        for table, position in sorted(positions.items())
        if position.stage is not ReadStage.DELTA or position.compares
    )
    noted = (ReadProgress(table=table, kind=ReadKind.REPLAY) for table in sorted(wanted))
    return (*under_way, *noted)


def _kind(position: ReadPosition) -> ReadKind:
    if not position.first:
        return ReadKind.RESYNC
    return ReadKind.REPLAY if position.resync else ReadKind.FIRST_LOAD
