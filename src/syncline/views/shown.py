"""What all views have in common: text for a terminal, HTML for a notebook or a page, out of the same tables.

What lives here: `Shown`. Which tables a view has is its own business.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence

from syncline.views.table import Table, tables_html, tables_text

__all__ = ["Shown"]


class Shown(ABC):
    """A value that people look at: prints as text, shows as HTML in a notebook."""

    __slots__ = ()

    @abstractmethod
    def _tables(self) -> Sequence[Table]:
        """What there is to see, from top to bottom."""

    def to_text(self, width: int) -> str:
        """The tables and what is to be said below them, in lines of at most `width` columns."""
        return tables_text(self._tables(), width)

    def to_html(self) -> str:
        """The same as HTML, escaped; needs no script."""
        return tables_html(self._tables())

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return self.to_text(shutil.get_terminal_size().columns)
