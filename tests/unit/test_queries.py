"""The SQL of the storage: every query that is used is there in every dialect, and none is there that nobody uses."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

import syncline.storage
from syncline.storage.queries import load_queries, load_schema, parse_queries

STORAGE = Path(syncline.storage.__file__).parent
DIALECTS = ["sqlite", "postgres"]
#: The methods of a session, and what they are called in rooms that give them a short name.
ASKS = frozenset({"run", "run_many", "run_among", "row", "rows", "rows_among"})


def trees(dialect: str) -> Iterator[tuple[str, ast.AST]]:
    """The modules that use queries: everybody's and the dialect's own."""
    for path in STORAGE.glob("*.py"):
        if path.name.startswith(("sql_", dialect)):
            yield path.name, ast.parse(path.read_text("utf-8"))


@cache
def asked_for(dialect: str) -> dict[str, str]:
    """Every query that a session is asked for by a name in the source, with the module that does."""
    found = {}
    for module, tree in trees(dialect):
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if called in ASKS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                found[first.value] = module
    return found


@cache
def words(dialect: str) -> frozenset[str]:
    """Every text in the source of the storage: where a query's name is chosen, it is among these."""
    return frozenset(
        node.value
        for _, tree in trees(dialect)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def with_lists(query: str) -> str:
    return query.replace("?*", "?, ?")


def placeholders(query: str) -> tuple[int, frozenset[str]]:
    """How many values a query takes by position, and which by name."""
    return query.count("?"), frozenset(re.findall(r"(?<!:):(\w+)", query))


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory with the whole schema of SQLite's dialect."""
    with closing(sqlite3.connect(":memory:")) as opened:
        for name, query in load_schema("sqlite").items():
            try:
                opened.execute(query)
            except sqlite3.Error as error:
                raise AssertionError(f"{name} of the schema: {error}") from error
        yield opened


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_query_that_is_used_is_there(dialect: str) -> None:
    """Whoever asks for a query that a dialect lacks is told here which one, and not by a user."""
    asked = asked_for(dialect)
    assert len(asked) > 50
    missing = {name: module for name, module in asked.items() if name not in load_queries(dialect)}
    assert not missing, f"add these to storage/sql/<noun>.sql, or to storage/sql/{dialect}/: {missing}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_query_is_used(dialect: str) -> None:
    """A query that nobody asks for is dead code."""
    assert load_queries(dialect).keys() <= words(dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_takes_the_values_everybody_takes(dialect: str) -> None:
    """A query in the words of one database takes the values of the one whose place it takes, and in the same order."""
    own = STORAGE / "sql" / dialect
    everybodys = {
        name: query
        for file in (STORAGE / "sql").glob("*.sql")
        for name, query in parse_queries(file.read_text()).items()
    }
    for file in own.glob("*.sql"):
        for name, query in parse_queries(file.read_text("utf-8")).items():
            if name in everybodys:
                assert placeholders(query) == placeholders(everybodys[name]), f"{name} in {dialect}/{file.name}"


def test_every_query_fits_the_schema(connection: sqlite3.Connection) -> None:
    """SQLite understands each one, and the tables and columns it names are there."""
    for name, query in load_queries("sqlite").items():
        if not query.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            continue
        by_position, names = placeholders(with_lists(query))
        try:
            connection.execute(f"EXPLAIN {with_lists(query)}", dict.fromkeys(names) or (None,) * by_position)
        except sqlite3.Error as error:
            raise AssertionError(f"{name}: {error}") from error


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_rows_of_the_queue_have_no_foreign_keys(dialect: str) -> None:
    """Where references are enforced, each row that leaves costs more than all else; `audit` looks."""
    assert not [
        name for name, query in load_schema(dialect).items() if re.search(r"REFERENCES (items|records)\b", query)
    ]


def test_no_query_changes_rows_without_naming_them() -> None:
    """Every UPDATE and DELETE says which rows; those on leases name the epoch of the grant."""
    for dialect in DIALECTS:
        for name, query in load_queries(dialect).items():
            if query.startswith(("UPDATE", "DELETE")):
                assert "WHERE" in query, name
            if query.startswith(("UPDATE leases", "DELETE FROM leases")):
                assert "epoch" in query.partition("WHERE")[2], name


def test_queries_have_names_and_bodies() -> None:
    """A query stands between two names; comments belong to the reader."""
    text = "-- a file\n-- name: one\n-- why\nSELECT 1; \n\n-- name: two\nSELECT\n  -- inside\n  2"
    assert parse_queries(text) == {"one": "SELECT 1", "two": "SELECT\n  2"}


@pytest.mark.parametrize("text", ["-- name: one\n-- nothing\n", "-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;"])
def test_bad_query_files_are_refused(text: str) -> None:
    """An empty query, or two of one name, is a mistake of ours."""
    with pytest.raises(ValueError, match="query"):
        parse_queries(text)


def test_two_files_cannot_have_queries_of_one_name() -> None:
    """Within everybody's files, and within a dialect's own, a name is given once."""
    for folder in (STORAGE / "sql", *(STORAGE / "sql" / dialect for dialect in DIALECTS)):
        names = [name for file in folder.glob("*.sql") for name in parse_queries(file.read_text("utf-8"))]
        assert len(names) == len(set(names)), folder
