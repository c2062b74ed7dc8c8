"""The syntax of `$expand`: names with options in parentheses, nested to any depth.

Lives here: text to (name, options) pairs. Never here: what is expanded.
"""

from __future__ import annotations

from .answers import DataverseError

__all__ = ["parse_expand"]


def parse_expand(text: str) -> list[tuple[str, dict[str, str]]]:
    """`a($select=b;$expand=c($select=d)),e` as [("a", {"$select": "b", "$expand": "c($select=d)"}), ("e", {})]."""
    items = []
    for part in _split(text, ","):
        name, bracket, rest = part.strip().partition("(")
        if bracket and not rest.endswith(")"):
            raise DataverseError(400, "0x80060888", f"Syntax error in $expand '{text}'.")
        options = dict(_option(piece) for piece in _split(rest[:-1], ";") if piece.strip()) if bracket else {}
        items.append((name.strip(), options))
    return items


def _option(piece: str) -> tuple[str, str]:
    name, equals, value = piece.partition("=")
    if not equals:
        raise DataverseError(400, "0x80060888", f"Syntax error in $expand option '{piece}'.")
    return name.strip(), value.strip()


def _split(text: str, mark: str) -> list[str]:
    """Splits at a mark outside parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == mark and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]
