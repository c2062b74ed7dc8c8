"""Records that were set aside, to look at, to try again and to let go.

What lives here: the collection a workflow offers. A retry goes through the backlog like everything else: the record is
read again from the source and mapped by the definition of the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from syncline.store import ActionEntry, DeadLetter, DeadLetterStatus, Storage
from syncline.views.figures import count, moment
from syncline.views.table import Cell, Column, Note, Table

__all__ = ["DeadLetters"]

_PAGE = 500
#: Most of them that a notebook shows at once.
_SHOWN = 100


class DeadLetters:
    """The open dead letters of one workflow, oldest first. Nothing is ever dropped from here by itself."""

    def __init__(self, storage: Storage, workflow: str, *, as_read: bool = False) -> None:
        """`as_read` is for a source that cannot be asked by key: a retry takes what the letter holds."""
        self._as_read = as_read
        self._storage = storage
        self._workflow = workflow

    def __len__(self) -> int:
        return self._storage.counts(self._workflow).dead_letters

    def __iter__(self) -> Iterator[DeadLetter]:
        return self.list()

    def list(
        self,
        *,
        table: str | None = None,
        record: str | None = None,
        status: DeadLetterStatus | None = DeadLetterStatus.OPEN,
    ) -> Iterator[DeadLetter]:
        """Those of one table, of one record id, or with another status; None means every status."""
        after = 0
        while page := self._storage.dead_letters(
            self._workflow, status=status, table=table, record=record, after=after, limit=_PAGE
        ):
            yield from page
            after = page[-1].id

    def retry(self, letters: Iterable[DeadLetter] | None = None, *, by: str = "") -> int:
        """Queue these again, or all open ones; how many that were.

        Each is read from the source anew, so that a correction there, or in the definition, is what gets written.
        """
        return self._storage.retry_dead_letters(
            self._workflow, self._ids(letters), self._action("retry", by), as_read=self._as_read
        )

    def discard(self, letters: Iterable[DeadLetter], *, by: str = "") -> int:
        """Close these for good; how many that were. A later change of such a record is synchronised all the same."""
        return self._storage.discard_dead_letters(self._workflow, self._ids(letters), self._action("discard", by))

    def _ids(self, letters: Iterable[DeadLetter] | None) -> tuple[int, ...]:
        return tuple(letter.id for letter in (self if letters is None else letters))

    def _action(self, action: str, by: str) -> ActionEntry:
        return ActionEntry(at=self._storage.now(), action=action, by=by)

    def to_html(self) -> str:
        """The first of them as a table, escaped; needs no script. Shows keys, reasons and fields, and no payload."""
        shown = list(islice(self, _SHOWN))
        left = len(self) - len(shown)
        table = Table(
            caption="Dead letters",
            columns=tuple(Column(title=title) for title in ("Record", "Reason", "Field", "What happened", "When")),
            rows=tuple(
                (
                    Cell(str(one.key)),
                    Cell(one.reason.value),
                    Cell(one.field),
                    Cell(one.message),
                    Cell(moment(one.at)),
                )
                for one in shown
            ),
            notes=(Note(title=f"and {count(left)} more", lines=()),) if left > 0 else (),
        )
        return table.to_html()

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        letters = list(self)
        if not letters:
            return "No dead letters."
        lines = [f"{letter.key}: {letter.reason.value}: {letter.message}" for letter in letters]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<DeadLetters of {self._workflow}: {len(self)} open>"
