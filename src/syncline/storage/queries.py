"""Reads the named queries and the schema of a dialect from its .sql files.

What lives here: the loader and nothing else. A query is whatever stands between two `-- name:` lines; the comments
after that line belong to the reader.

Every query stands once, in `sql/<noun>.sql`, in SQL that all databases understand. Where one of them needs other words,
a query of the same name in `sql/<dialect>/` takes its place; what only one of them needs stands there alone. To add a
query is to write it in one of these files: nothing lists them. `tests/unit/test_queries.py` tells what is missing.

Values take the places of `?`, or of `:name` where the query names them. `(?*)` behind IN is a list of any length, for
`Session.run_among` and `Session.rows_among`. What makes a query portable: `CASE WHEN ... THEN 1 ELSE 0 END` for a flag
that is stored, `COALESCE`, `ON CONFLICT`, `ORDER BY` wherever the order matters; no functions of one database alone, no
text in double quotes, no boolean where a number stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

__all__ = ["SCHEMA_VERSION", "load_queries", "load_schema", "parse_queries"]

#: Of the schema in these files. A database of another version is refused.
SCHEMA_VERSION: Final = 1

_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*--.*\n?", re.MULTILINE)
_SCHEMA = "schema.sql"


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


def _files(folder: Traversable) -> Iterator[Traversable]:
    return (file for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.name.endswith(".sql"))


def _merge(files: Iterator[Traversable]) -> dict[str, str]:
    """The queries of all files of one folder. Raises ValueError when two files have one of the same name."""
    found: dict[str, str] = {}
    for file in files:
        queries = parse_queries(file.read_text("utf-8"))
        if twice := found.keys() & queries.keys():
            raise ValueError(f"queries with one name: {', '.join(sorted(twice))}")
        found.update(queries)
    return found


def _folders(dialect: str) -> tuple[Traversable, Traversable]:
    everybodys = resources.files("syncline.storage").joinpath("sql")
    return everybodys, everybodys.joinpath(dialect)


@cache
def load_queries(dialect: str) -> dict[str, str]:
    """Every named query of a dialect but those that create the schema; the dialect's own go before everybody's.

    Not to be changed by the caller: it is read once. Raises ValueError when a name is given twice.
    """
    found: dict[str, str] = {}
    for folder in _folders(dialect):
        found |= _merge(file for file in _files(folder) if file.name != _SCHEMA)
    return found


@cache
def load_schema(dialect: str) -> dict[str, str]:
    """What creates the schema of a dialect, in order: everybody's `schema.sql`, changed and followed by its own."""
    found: dict[str, str] = {}
    for folder in _folders(dialect):
        found |= _merge(file for file in _files(folder) if file.name == _SCHEMA)
    return found
