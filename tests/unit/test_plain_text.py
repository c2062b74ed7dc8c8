"""Text from elsewhere, made harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.plain_text import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("contact", "contact"),
        ("Ünïcode 客户 👩\u200d💻", "Ünïcode 客户 👩\u200d💻"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("x\u202egnp.exe", "x\\u202egnp.exe"),
        ("line\u2028break", "line\\u2028break"),
        ("\ud800", "\\ud800"),
        ("10\u00a0%", "10\u00a0%"),
    ],
)
def test_only_what_is_harmful_is_escaped(text: str, expected: str) -> None:
    """Words of any script stay as they are; control characters, reversals and halves of characters become escapes."""
    assert plain(text) == expected


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_the_result_is_one_line_that_any_log_can_hold(text: str, limit: int) -> None:
    """It is a single line, can be encoded, is stable when escaped again, and starts from at most `limit` characters."""
    escaped = plain(text)
    assert len(escaped.splitlines()) <= 1
    escaped.encode("utf-8")
    assert plain(escaped) == escaped
    assert len(plain(text, limit=limit)) <= limit * len("\\U00000000")
