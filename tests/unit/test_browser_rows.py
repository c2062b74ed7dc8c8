"""What the Workflows page promises is tried in a real browser, row by row; none is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROWS = {
    "W1": "three workflows in each of many integrations",
    "W2": "name, backlog, status and actions",
    "W3": "the backlog and what is known about it",
    "W4": "four values of status, and why it failed",
    "W5": "Start and Stop as one toggle; what is not available is refused",
    "W6": "Stop is a request, and always possible",
    "W7": "Edit is possible at any time and does not touch what runs",
    "W8": "the warning mark, and what waits",
    "W9": "the checks before a start",
    "W10": "a schema that changes meanwhile",
}


def test_a_browser_test_names_each_row() -> None:
    """Each row of the page is in the docstring of the browser test that tries it."""
    named: dict[str, list[str]] = {}
    for file in (Path(__file__).parents[1] / "browser").glob("test_*.py"):
        for test in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(test, ast.FunctionDef) and test.name.startswith("test_"):
                for row in re.findall(r"\bW\d+\b", ast.get_docstring(test) or ""):
                    named.setdefault(row, []).append(test.name)
    assert set(named) == set(ROWS)
