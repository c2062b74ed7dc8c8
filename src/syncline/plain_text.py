"""Text from elsewhere, made harmless for one line of a log or a terminal.

What lives here: one function. It escapes, it never translates, shortens nothing it was not asked to, and knows
nothing of HTML.
"""

from __future__ import annotations

import unicodedata

__all__ = ["plain"]

#: Format characters that whole scripts cannot do without: joiner and non-joiner. The others turn text or hide it.
_NEEDED = frozenset("\u200c\u200d")


def plain(text: str, *, limit: int | None = None) -> str:
    """`text` with everything that could break, recolour, reverse or hide a line written as a backslash escape.

    With a `limit` (characters), longer text ends in an ellipsis.
    """
    if limit is not None and len(text) > limit:
        text = text[: max(limit - 1, 0)] + "\N{HORIZONTAL ELLIPSIS}"
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() or character in _NEEDED or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
