"""A table with notes below it, as text for a terminal and as HTML for a notebook or a page.

What lives here: the layout, and the escaping: whatever a table is handed is data and stays data. What the columns
mean is the business of the views beside this module.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from html import escape
from typing import Final

from attrs import field, frozen

from syncline.plain_text import plain

__all__ = ["Align", "Cell", "Column", "Note", "Table", "display_width", "tables_html", "tables_text"]

#: Longest text of one cell or line, in characters.
_LONGEST: Final = 500
#: Narrower than this, a column cannot be read; the rows are then written one below the other.
_NARROWEST: Final = 10
_GAP: Final = "  "
_MARK: Final = "[!]"

# No colour is set: the table is drawn in the page's own, so that it reads in a light and in a dark theme.
_TABLE_STYLE: Final = "border-collapse:collapse;color:inherit"
_CELL_STYLE: Final = "padding:.3em .8em;border-bottom:1px solid currentColor;vertical-align:top;text-align:{align}"


class Align(StrEnum):
    """Where a column's text stands."""

    LEFT = "left"
    RIGHT = "right"


@frozen(kw_only=True)
class Column:
    """One column's head."""

    title: str
    align: Align = Align.LEFT


@frozen
class Cell:
    """One cell. A `mark` puts a warning sign behind the text and says what it warns of."""

    text: str
    mark: str = field(default="", kw_only=True)


@frozen(kw_only=True)
class Note:
    """Lines below a table, under a title."""

    title: str
    lines: tuple[str, ...]


@frozen(kw_only=True)
class Table:
    """Rows below heads; the first cell of each row names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: What stands in place of the rows when there are none.
    empty: str = "nothing"
    notes: tuple[Note, ...] = ()

    def to_text(self, width: int) -> str:
        """Lines of at most `width` columns, unless a single word is wider; no colours, no control characters."""
        return "\n".join([*self._body_lines(width), *self._note_lines(width)])

    def to_html(self) -> str:
        """One `<div>`, without scripts, classes, ids or colours."""
        notes = "".join(map(_note_html, self.notes))
        return f"<div>{self._table_html()}{notes}</div>"

    def _body_lines(self, width: int) -> list[str]:
        if not self.rows:
            return _wrapped(f"{plain(self.caption)}: {self.empty}", width)
        grid = [[_cell_text(cell) for cell in row] for row in self.rows]
        heads = [plain(column.title) for column in self.columns]
        widths = _fitting_widths([heads, *grid], width)
        if widths is None:
            return _stacked_lines(heads, grid, width)
        ruler = ["-" * each for each in widths]
        aligns = [column.align for column in self.columns]
        return [line for row in (heads, ruler, *grid) for line in _row_lines(row, widths, aligns)]

    def _note_lines(self, width: int) -> Iterator[str]:
        for note in self.notes:
            yield ""
            yield from _wrapped(_short(note.title), width)
            for line in note.lines:
                yield from _wrapped(_short(line), width, first="  ", later="    ")

    def _table_html(self) -> str:
        heads = "".join(_head_html(column) for column in self.columns)
        if self.rows:
            rows = "".join(self._row_html(row) for row in self.rows)
        else:
            style = _CELL_STYLE.format(align=Align.LEFT.value)
            rows = f'<tr><td colspan="{len(self.columns)}" style="{style}">{_html(self.empty)}</td></tr>'
        caption = f'<caption style="text-align:left;color:inherit">{_html(self.caption)}</caption>'
        return f'<table style="{_TABLE_STYLE}">{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'

    def _row_html(self, row: Sequence[Cell]) -> str:
        return f"<tr>{''.join(map(_cell_html, row, self.columns, range(len(row))))}</tr>"


def tables_text(tables: Iterable[Table], width: int) -> str:
    """Several tables, one below the other."""
    return "\n\n".join(table.to_text(width) for table in tables)


def tables_html(tables: Iterable[Table]) -> str:
    """Several tables, one below the other."""
    return "".join(table.to_html() for table in tables)


def display_width(text: str) -> int:
    """How many columns of a terminal `text` takes: wide scripts take two for each character, accents none."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _short(text: str) -> str:
    return plain(text, limit=_LONGEST)


def _html(text: str) -> str:
    return escape(_short(text), quote=True)


def _cell_text(cell: Cell) -> str:
    return f"{_short(cell.text)} {_MARK}" if cell.mark else _short(cell.text)


def _head_html(column: Column) -> str:
    return f'<th scope="col" style="{_CELL_STYLE.format(align=column.align.value)}">{_html(column.title)}</th>'


def _cell_html(cell: Cell, column: Column, position: int) -> str:
    style = _CELL_STYLE.format(align=column.align.value)
    sign = f' <span role="img" aria-label="{_html(cell.mark)}" title="{_html(cell.mark)}">&#9888;</span>'
    content = _html(cell.text) + (sign if cell.mark else "")
    if position == 0:
        return f'<th scope="row" dir="auto" style="{style};font-weight:inherit">{content}</th>'
    return f'<td dir="auto" style="{style}">{content}</td>'


def _note_html(note: Note) -> str:
    lines = "".join(f'<li dir="auto">{_html(line)}</li>' for line in note.lines)
    return f'<p dir="auto" style="margin:.6em 0 0"><strong>{_html(note.title)}</strong></p><ul>{lines}</ul>'


def _fitting_widths(grid: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The columns' widths, the widest narrowed until all fit; None when they cannot."""
    widths = [max(map(display_width, column)) for column in zip(*grid, strict=True)]
    room = width - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return None
        widths[widest] -= 1
    return widths


def _row_lines(row: Sequence[str], widths: Sequence[int], aligns: Sequence[Align]) -> Iterator[str]:
    wrapped = [_wrapped(text, width) for text, width in zip(row, widths, strict=True)]
    for number in range(max(map(len, wrapped))):
        cells = [lines[number] if number < len(lines) else "" for lines in wrapped]
        yield _GAP.join(map(_padded, cells, widths, aligns)).rstrip()


def _padded(text: str, width: int, align: Align) -> str:
    filling = " " * (width - display_width(text))
    return filling + text if align is Align.RIGHT else text + filling


def _stacked_lines(heads: Sequence[str], grid: Sequence[Sequence[str]], width: int) -> list[str]:
    lines: list[str] = []
    for row in grid:
        lines += [""] if lines else []
        for head, text in zip(heads, row, strict=True):
            lines += _wrapped(f"{head}: {text}", width, later="  ")
    return lines


def _wrapped(text: str, width: int, *, first: str = "", later: str = "") -> list[str]:
    """`text` in lines that fit, broken between words where that is possible. At least one line."""
    lines, line = [], first
    blank = True
    for word in text.split(" "):
        joined = line + word if blank else f"{line} {word}"
        if display_width(joined) > width and not blank:
            lines.append(line)
            joined = later + word
        while display_width(joined) > width:
            fitting = _longest_fitting(joined, width)
            lines.append(joined[:fitting])
            joined = later + joined[fitting:]
        line, blank = joined, False
    return [*lines, line]


def _longest_fitting(text: str, width: int) -> int:
    """How many characters of `text` fit; at least one more than any indentation, so that wrapping comes to an end."""
    indentation = len(text) - len(text.lstrip(" "))
    taken = 0
    for position, character in enumerate(text):
        taken += _character_width(character)
        if taken > width and position > indentation:
            return position
    return len(text)
