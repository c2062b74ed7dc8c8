"""Reads the named queries of a dialect from its .sql files.

What lives here: the loader and nothing else. A query is whatever stands between two `-- name:` lines; the comments
after that line belong to the reader. `?*` stands for a list of values, see `dialect.Session.rows_among`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

__all__ = ["load_queries", "parse_queries"]

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*--.*\n?", re.MULTILINE)


def parse_queries(text: str) -> dict[str, str]:
    """The queries of one file by name, in the file's order. Raises ValueError for a name without a query or twice."""
    parts = _NAME.split(text)
    found: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        query = _COMMENT.sub("", body).strip().removesuffix(";").rstrip()
        if not query or name in found:
            raise ValueError(f"query {name} is {'given twice' if query else 'empty'}")
        found[name] = query
    return found


@cache
def load_queries(dialect: str, file: str) -> Mapping[str, str]:
    """The queries of `sql/<dialect>/<file>.sql`."""
    folder = resources.files("syncline.storage").joinpath("sql", dialect)
    return MappingProxyType(parse_queries(folder.joinpath(f"{file}.sql").read_text("utf-8")))
