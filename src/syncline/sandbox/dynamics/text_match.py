"""Text comparison as SQL Server's LIKE does it: case-insensitive, with `%`, `_`, `[set]` and `[^set]`.

Lives here: the two functions registered in SQLite for it. Never here: when they are used.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["folded", "text_match"]


def text_match(value: str | None, pattern: str) -> int | None:
    """1 if the whole value fits the pattern, 0 if not, None for a null value."""
    if value is None:
        return None
    return int(_compiled(pattern).match(str(value)) is not None)


def folded(value: str | None) -> str | None:
    """The value without case, for comparisons beyond ASCII."""
    return None if value is None else str(value).casefold()


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(%|_|\[[^\]]+\])", pattern)
    return re.compile("".join(map(_piece, parts)) + r"\Z", re.IGNORECASE | re.DOTALL)


def _piece(part: str) -> str:
    if part == "%":
        return ".*"
    if part == "_":
        return "."
    if len(part) > 2 and part[0] == "[" and part[-1] == "]":
        inside, negated = (part[2:-1], "^") if part[1] == "^" and len(part) > 3 else (part[1:-1], "")
        return f"[{negated}{re.escape(inside).replace(chr(92) + '-', '-')}]"
    return re.escape(part)
