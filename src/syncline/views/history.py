"""Who did what and what became of it, as a sequence, as text and as HTML.

What lives here: `History`. Entries come from the storage as they were noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

from syncline.history import ActionEntry
from syncline.views.shown import Shown
from syncline.views.table import Cell, Column, Table

__all__ = ["History"]


class History(Shown, Sequence[ActionEntry]):
    """The newest entries of a workflow, the newest first: a sequence that prints as a table."""

    def __init__(self, entries: Iterable[ActionEntry]) -> None:
        self._entries = tuple(entries)

    @overload
    def __getitem__(self, index: int) -> ActionEntry: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ActionEntry, ...]: ...

    def __getitem__(self, index: int | slice) -> ActionEntry | tuple[ActionEntry, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return self._entries == other._entries if isinstance(other, History) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._entries)

    def as_data(self) -> list[dict[str, Any]]:
        """Only what JSON knows."""
        return [{"at": one.at.isoformat(), "action": one.action, "by": one.by, "detail": one.detail} for one in self]

    def __repr__(self) -> str:
        return f"<History: {len(self)} entries>"

    def _tables(self) -> Sequence[Table]:
        rows = tuple(
            (
                Cell(one.at.isoformat(" ", "seconds")),
                Cell(one.action),
                Cell(one.by),
                Cell(one.detail),
            )
            for one in self
        )
        columns = tuple(Column(title=title) for title in ("When", "What", "By", "Detail"))
        return (Table(caption="History", columns=columns, rows=rows, empty="nothing happened yet"),)
